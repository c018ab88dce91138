"""One run under its captures, of a workload or of any program: watch its process, judge it, collect, seal.

`watch_process` starts the process under the captures and waits for its end; what is started, and in whose terminal, is
the caller's (suite_runner.py, program_recorder.py). `finish_run` does the rest.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle, SuiteFolder, explained_os_errors
from tracekit.core.errors import RunFailed, TracekitError
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture, load_capture
from tracekit.measure.process.launch import ProcessResult
from tracekit.measure.running.main_stream import MainFacts, read_main_stream
from tracekit.measure.running.manifest import MachineBefore, write_manifest
from tracekit.measure.running.marks import collect_marks
from tracekit.measure.running.memory_sampler import remove_handshake
from tracekit.measure.running.surviving_processes import find_survivors

_GIL_SWITCHED = re.compile(r"global interpreter lock \(GIL\) has been enabled to load module '([^']+)'")

Processes = list[dict[str, Any]]
"""Rows of the manifest's `processes`, see Capture.processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedProcess:
    """A process that has ended, and the captures that watched it."""

    capture: Capture
    result: ProcessResult
    survivors: Sequence[int]
    """Processes of a program that still ran a moment after its end, as far as the captures know them."""
    failure: TracekitError | None
    """Why the captures did not see it through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How one run ended, of a suite or of a recorded program."""

    spec: RunSpec
    bundle: Bundle
    status: str
    """ok, failed, timed_out, killed or interrupted. A program is ok when it ended by itself, whatever its code, or as
    it was asked to; killed by a signal that did not pass through tracekit; failed when a capture failed."""
    reason: str
    exit_code: int | None = None
    """Its own, negative for a signal as in subprocess; None when it is not known."""
    checksum: str | None = None
    wall_ns: int | None = None
    """Of a workload the span `run` of its main process; of a program from the start of its process until its end."""
    took_ns: int = 0
    """From launch to end, interpreter start included: the time left of a suite is estimated from it."""
    processes: int = 0
    """How many processes the captures saw; 0 where they know of none."""
    notices: tuple[Notice, ...] = ()
    failure: TracekitError | None = None
    """Why a capture failed; `reason` is its text."""
    is_unloadable: bool = False
    """The workload raised before its work began: it does not import, or has no such size."""

    @property
    def failed(self) -> bool:
        """Whether a number is missing. A failed traced run costs only its trace, which the report mentions."""
        return self.status != "ok" and self.spec.capture == "none"

    @property
    def folder(self) -> SuiteFolder:
        """The suite that the run is in."""
        return SuiteFolder(self.bundle.root.parent)

    @property
    def run_id(self) -> str:
        """The name of the run's folder in its suite."""
        return self.spec.run_id


def watch_process(
    bundle: Bundle, spec: RunSpec, start: Callable[[Capture, dict[str, str]], ProcessResult]
) -> CapturedProcess:
    """Run `start` under the captures of `spec`; it gets them and their variables, and returns at the process's end.

    Raises what kept the process from running, and what is no TracekitError; what the captures could not do once it had
    run is the `failure` of the returned value.
    """
    capture = load_capture(spec.capture)
    result: ProcessResult | None = None
    survivors: list[int] = []
    failure: TracekitError | None = None
    try:
        with (
            explained_os_errors(bundle.root),
            collect_marks(bundle) as marks,
            capture.around(spec, bundle) as variables,
        ):
            result = start(capture, {**variables, **marks})
            survivors = find_survivors(variables) if spec.program else []
    except TracekitError as error:
        if result is None:
            raise
        failure = error
    return CapturedProcess(capture=capture, result=result, survivors=survivors, failure=failure)


def finish_run(bundle: Bundle, spec: RunSpec, machine: MachineBefore, watched: CapturedProcess) -> RunOutcome:
    """Collect what the captures saw, judge how the process ended, and write the manifest. Raises OutputUnwritable."""
    result = watched.result
    main = read_main_stream(bundle)
    processes, found, failure = _collect(bundle, spec, watched, main)
    exit_code = _find_exit_code(spec, watched, processes, main)
    failure = failure or _tool_failure(bundle, spec, watched)
    status, reason = judge(spec, result, exit_code, main, failure)
    found += _make_notices(bundle, spec, watched, exit_code)
    window = (result.wrapped_window or (result.started_ns, result.ended_ns)) if spec.program else None
    remove_handshake(bundle)
    write_manifest(
        bundle,
        spec,
        machine,
        status=status,
        reason=reason,
        exit_code=exit_code,
        started_ns=result.started_ns,
        ended_ns=result.ended_ns,
        program_window=window,
        program_cpu_ns=result.program_cpu_ns,
        asked_ns=result.asked_ns,
        notices=found,
        processes=processes,
    )
    return RunOutcome(
        spec=spec,
        bundle=bundle,
        status=status,
        reason=reason,
        exit_code=exit_code,
        checksum=main.checksum,
        wall_ns=main.wall_ns if window is None else window[1] - window[0],
        took_ns=result.ended_ns - result.started_ns,
        processes=len(processes),
        notices=tuple(found),
        failure=failure,
        is_unloadable=main.failure is not None and main.wall_ns is None,
    )


def judge(
    spec: RunSpec, result: ProcessResult, exit_code: int | None, main: MainFacts, failure: TracekitError | None
) -> tuple[str, str]:
    """Status and reason of a run that was not interrupted; `failure` is why a capture failed."""
    if failure is not None:
        return "failed", str(failure)
    if spec.program:
        return _judge_program(result, exit_code)
    return _judge_workload(spec, result, exit_code, main)


def _judge_program(result: ProcessResult, exit_code: int | None) -> tuple[str, str]:
    """Any exit code is the program's own affair, and a server that is ended by Ctrl-C was measured as it should be."""
    if exit_code is None or exit_code >= 0:
        return "ok", ""
    name = _signal_name(-exit_code)
    if name == "SIGKILL" and result.timed_out:
        return "killed", "was killed by SIGKILL: it did not end when it was asked to"
    if -exit_code in result.signals:
        return "ok", f"ended by {name}, as it was asked to"
    return "killed", f"was killed by {name}"


def _judge_workload(spec: RunSpec, result: ProcessResult, exit_code: int | None, main: MainFacts) -> tuple[str, str]:
    """A workload is ok when it ended by itself, with code 0 and its result."""
    if result.timed_out:
        return "timed_out", f"was ended after {spec.timeout_s:g} s"
    if exit_code is None:
        return "killed", "left no exit code (killed, or left by os._exit)"
    if exit_code < 0:
        return "killed", f"was killed by {_signal_name(-exit_code)}"
    if main.failure is not None:
        return "failed", f"raised {main.failure}"
    if exit_code != 0 or main.checksum is None:
        return "failed", f"left with exit code {exit_code} before its result"
    return "ok", ""


def _collect(
    bundle: Bundle, spec: RunSpec, watched: CapturedProcess, main: MainFacts
) -> tuple[Processes, list[Notice], TracekitError | None]:
    """What the captures know of the run's processes, what is to be said of their files, and why one of them failed."""
    capture, failure = watched.capture, watched.failure
    processes: Processes = []
    found: list[Notice] = []
    if failure is None:
        try:
            with explained_os_errors(bundle.root):
                processes = capture.read_processes(bundle)
                if spec.program:
                    found = capture.collect(spec, bundle, [process["pid"] for process in processes])
                elif main.checksum is not None:
                    # A workload that failed has left its captures' files incomplete: the failure says enough.
                    found = capture.collect(spec, bundle, main.pids)
        except TracekitError as error:
            failure = error
    if spec.program and capture.passes_exit_code:
        processes = _complete_own_row(processes, watched.result)
    return processes, found, failure


def _complete_own_row(processes: Processes, result: ProcessResult) -> Processes:
    """The rows with that of the process that tracekit started first: how it ended, its parent knows best."""
    others = [process for process in processes if process["pid"] != result.pid]
    # It has no row when no capture saw it: a static binary, for example, or under capture none.
    unseen = {"pid": result.pid, "ppid": os.getpid(), "started_ns": result.started_ns, "ended": "exit"}
    own = next((process for process in processes if process["pid"] == result.pid), unseen)
    ended = "signal" if result.exit_code < 0 else own["ended"]
    ended_ns = own.get("ended_ns") or result.ended_ns
    return [{**own, "ended": ended, "ended_ns": ended_ns, "exit_code": result.exit_code}, *others]


def _find_wrapped(processes: Processes, result: ProcessResult) -> dict[str, Any]:
    """The row of a program that a capture's tool started: the tool's only child. Empty where no capture saw it."""
    return next((process for process in processes if process.get("ppid") == result.pid), {})


def _find_exit_code(spec: RunSpec, watched: CapturedProcess, processes: Processes, main: MainFacts) -> int | None:
    result = watched.result
    if result.timed_out and not spec.program:
        # The code of the SIGKILL that tracekit sent says nothing of the workload.
        return None
    if watched.capture.passes_exit_code:
        return result.exit_code
    if result.wrapped_exit_code is not None:
        return result.wrapped_exit_code
    return _find_wrapped(processes, result).get("exit_code") if spec.program else main.exit_code


def _tool_failure(bundle: Bundle, spec: RunSpec, watched: CapturedProcess) -> TracekitError | None:
    """The failure of a tool that starts the program.

    None where the program came to its own end: a tool that was too late then costs its file, not the recording. A tool
    that fails earlier kills the program.
    """
    result = watched.result
    if not spec.program or watched.capture.passes_exit_code or result.exit_code == 0 or result.signals:
        return None
    if result.wrapped_exit_code not in (None, -signal.SIGKILL):
        return None
    code = result.exit_code
    ending = f"left with exit code {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"
    return RunFailed(f"{spec.capture} {ending}", f"cat {shlex.quote(str(bundle.tool_log))}")


def _make_notices(bundle: Bundle, spec: RunSpec, watched: CapturedProcess, exit_code: int | None) -> list[Notice]:
    """What is to be said of the run beside what the captures say."""
    found = []
    if exit_code is None and (spec.program or not watched.result.timed_out):
        found.append(notice("exit-code-unknown", program=spec.workload, run_id=spec.run_id))
    if spec.program:
        if not watched.capture.passes_exit_code and watched.result.wrapped_window is None:
            found.append(notice("wall-of-tool", program=spec.workload, run_id=spec.run_id))
        if watched.survivors:
            pids = ", ".join(map(str, watched.survivors))
            found.append(notice("processes-left", pids=pids, program=spec.workload, run_id=spec.run_id))
    else:
        found += _find_switched_gil(bundle.stderr_log, spec)
    return found


def _find_switched_gil(log: Path, spec: RunSpec) -> list[Notice]:
    """CPython says on stderr which extension switched the GIL on in a free-threaded build."""
    match = _GIL_SWITCHED.search(log.read_text(encoding="utf-8", errors="replace"))
    return [] if match is None else [notice("gil-switched", run_id=spec.run_id, module=match.group(1))]


def _signal_name(number: int) -> str:
    """`SIGTERM`, or `signal 40` where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def to_shell_code(exit_code: int) -> int:
    """The code as a shell reports it: 128 and the number for a signal."""
    return 128 - exit_code if exit_code < 0 else exit_code
