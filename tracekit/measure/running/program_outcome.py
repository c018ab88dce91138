"""What became of a recorded program: how it ended, who of its processes was seen, sealed and told."""

from __future__ import annotations

import os
import shlex
import signal
from dataclasses import dataclass
from typing import Any

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle, SuiteFolder, explained_os_errors
from tracekit.core.errors import RunFailed, TracekitError
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Capture
from tracekit.measure.process.foreground import Lived
from tracekit.measure.running.manifest import Machine, seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a recorded program."""

    folder: SuiteFolder
    run_id: str
    exit_code: int | None
    """The program's own, negative for a signal as in subprocess; None when the capture hides it."""
    status: str
    """ok: it ended by itself, whatever its code, or because it was asked to; killed: by a signal that nobody sent
    through tracekit; failed: it ran, and a capture did not see it through."""
    reason: str
    wall_ns: int
    """Of the main process, as the report has it: from the loader's end to its exit where a capture saw them."""
    processes: int
    """How many processes the captures saw; 0 where they do not tell."""
    notices: tuple[Notice, ...]


def end(
    folder: SuiteFolder,
    spec: RunSpec,
    capture: Capture,
    machine: Machine,
    lived: Lived,
    left: list[int],
    failure: TracekitError | None,
    notices: list[Notice],
) -> Recorded:
    """Ask the captures what they saw, write the manifest and end the suite. Raises OutputUnwritable."""
    bundle = folder.bundle(spec.run_id)
    processes: list[dict[str, Any]] = []
    found: list[Notice] = []
    if failure is None:
        try:
            with explained_os_errors(bundle.root):
                processes = capture.processes(bundle)
                found = capture.collect(spec, bundle, [process["pid"] for process in processes])
        except TracekitError as error:
            failure = error
    processes = _with_ours(processes, lived) if capture.passes_exit_code else processes
    exit_code = lived.exit_code if capture.passes_exit_code else _root_exit_code(processes, lived)
    if not capture.passes_exit_code and lived.exit_code != 0 and not lived.asked:
        failure = failure or RunFailed(f"{spec.capture} {_ending(lived.exit_code)}", _log_command(bundle))
    if exit_code is None:
        found.append(notice("exit-code-hidden", program=spec.workload, run_id=spec.run_id))
    if left:
        found.append(
            notice("processes-left", pids=", ".join(map(str, left)), program=spec.workload, run_id=spec.run_id)
        )
    status, reason = _judge(lived, exit_code, failure)
    seal(
        bundle,
        spec,
        machine,
        status=status,
        reason=reason,
        exit_code=exit_code,
        started_ns=lived.started_ns,
        ended_ns=lived.ended_ns,
        notices=found,
        processes=processes,
    )
    folder.finish("failed" if status == "failed" else "ok", notices)
    return Recorded(
        folder=folder,
        run_id=spec.run_id,
        exit_code=exit_code,
        status=status,
        reason=reason,
        wall_ns=_wall_ns(processes, lived),
        processes=len(processes),
        notices=(*notices, *found),
    )


def _judge(lived: Lived, exit_code: int | None, failure: TracekitError | None) -> tuple[str, str]:
    """Status and reason. A server that is ended by Ctrl-C was measured as it should be."""
    if failure is not None:
        return "failed", str(failure)
    code = exit_code or 0
    if code >= 0:
        return "ok", ""
    name = signal_name(-code)
    if name == "SIGKILL" and lived.overdue:
        return "killed", "was killed by SIGKILL: it did not end when it was asked to"
    if -code in lived.asked:
        return "ok", f"ended by {name}, as it was asked to"
    return "killed", f"was killed by {name}"


def _with_ours(processes: list[dict[str, Any]], lived: Lived) -> list[dict[str, Any]]:
    """What we know better of our own child than anybody: how it ended."""
    others = [process for process in processes if process["pid"] != lived.pid]
    # It has no line when no capture saw it: a static binary, say, or capture none.
    unseen = {"pid": lived.pid, "ppid": os.getpid(), "started_ns": lived.started_ns, "ended": "exit"}
    own = next((process for process in processes if process["pid"] == lived.pid), unseen)
    ended = "signal" if lived.exit_code < 0 else own["ended"]
    ended_ns = own.get("ended_ns") or lived.ended_ns
    return [{**own, "ended": ended, "ended_ns": ended_ns, "exit_code": lived.exit_code}, *others]


def _root_exit_code(processes: list[dict[str, Any]], lived: Lived) -> int | None:
    """The program's own code, from who saw it: it is the child of the tool that we started."""
    return next((process.get("exit_code") for process in processes if process.get("ppid") == lived.pid), None)


def _wall_ns(processes: list[dict[str, Any]], lived: Lived) -> int:
    """As load finds it from the manifest (load.probed.of_program): one number for one thing. From spawn to reap is more
    by what the loader and we took.
    """
    pids = {process["pid"] for process in processes}
    roots = [process for process in processes if process.get("ppid") not in pids and process.get("started_ns")]
    main = min(roots, key=lambda process: process["started_ns"], default=None)
    if main is None:
        return lived.ended_ns - lived.started_ns
    return max(0, (main.get("ended_ns") or lived.ended_ns) - int(main["started_ns"]))


def _log_command(bundle: Bundle) -> str:
    return f"cat {shlex.quote(str(bundle.tool_log))}"


def _ending(code: int) -> str:
    return f"left with exit code {code}" if code >= 0 else f"was killed by {signal_name(-code)}"


def signal_name(number: int) -> str:
    """`SIGTERM`, or `signal 40` where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def shell_code(exit_code: int) -> int:
    """The code as a shell gives it: 128 and the number for a signal."""
    return 128 - exit_code if exit_code < 0 else exit_code
