"""Records any program: it runs as it is, under captures that need nothing from it, and leaves a suite of one run.

Its stdin, stdout, stderr, signals and exit code are its own (foreground.py). The run ends with the program's own
process. What that leaves running, a daemon for example, goes on and is no longer recorded (surviving_processes.py).
When tracekit itself is killed the program goes on as well, and the suite counts as interrupted.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from tracekit.bundle.names import KERNEL, PROGRAM, UNTRACED, split_capture
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Bundle, Store, SuiteFolder
from tracekit.core.errors import CaptureUnavailable, OutputUnwritable, UsageError
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import CAPTURES, Capture, Provision
from tracekit.measure.planning.plan import new_suite_id, safe_name
from tracekit.measure.planning.request import MAX_TIMEOUT_S
from tracekit.measure.process.command import ProgramCommand, describe_command
from tracekit.measure.process.command_wrapper import (
    add_variables,
    changed_variables,
    replace_closed_streams,
    wrap_apart,
)
from tracekit.measure.process.foreground import HeldSignals, StandardStreams, hold_signals, run_in_foreground
from tracekit.measure.process.launch import ProcessResult
from tracekit.measure.process.watchdog import start_watchdog
from tracekit.measure.process.wrapped_program import WrappedProgram
from tracekit.measure.running.captured_run import RunOutcome, finish_run, to_shell_code, watch_process
from tracekit.measure.running.manifest import MachineBefore
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter
from tracekit.system.machine import describe as describe_machine
from tracekit.system.machine import read_variables


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """What the program gets from its caller."""

    env: Mapping[str, str]
    folder: Path
    streams: StandardStreams
    signals: HeldSignals


def record(
    program: Sequence[str],
    *,
    store: Store,
    captures: Sequence[str] = ("waits",),
    name: str = "",
    duration_s: float = 0.0,
    env: Mapping[str, str] | None = None,
    stdin: IO[Any] | int | None = None,
    stdout: IO[Any] | int | None = None,
    stderr: IO[Any] | int | None = None,
    cwd: Path | None = None,
    provision: bool = False,
    rate_hz: int = RunSpec.rate_hz,
    trace_entries: int = RunSpec.trace_entries,
    command: Sequence[str] = (),
    may_only_time: bool = False,
) -> RunOutcome:
    """Run `program`, a command, under `captures`, all at once, and seal what they saw in a new suite of `store`.

    Streams, environment and folder are the caller's own unless given. `duration_s` is when the program is asked to
    end: by SIGINT, after a grace by SIGTERM, then by SIGKILL; 0 means never. `command` is what the suite records as the
    command line. With `may_only_time` the program is run without a capture where none works, with a notice that says
    why. Called in the main thread, signals do not end the caller until the suite is sealed (hold_signals).

    Raises UsageError, ProgramNotFound and ProgramNotExecutable, CaptureUnavailable when no capture is left, and
    OutputUnwritable. Where nothing ran nothing is left in the store.
    """
    argv = list(program)
    names = check(argv, captures, name, duration_s)
    place = _current_folder() if cwd is None else cwd.absolute()
    env = os.environ if env is None else env
    found = describe_command(argv, env, place)
    usable, extra_path, notices = _preflight(names, found, Provision(allowed=provision, cache=_cache()), may_only_time)
    spec = RunSpec(
        suite_id="",
        run_id="",
        workload=safe_name(name or found.name),
        workload_target="",
        size="",
        model=PROGRAM,
        workers=1,
        capture="+".join(usable) or UNTRACED,
        rate_hz=rate_hz,
        trace_entries=trace_entries,
        repeat=1,
        python="" if found.interpreter is None else found.interpreter.executable,
        python_label="" if found.interpreter is None else found.interpreter.label,
        extra_path=extra_path,
        program=tuple(_printable(word) for word in argv),
        duration_s=duration_s,
    )
    streams = StandardStreams(stdin=stdin, stdout=stdout, stderr=stderr)
    with hold_signals() as signals:
        folder, spec = _create_suite(store, spec, command or ("tracekit", "record", "--", *argv))
        around = _Surroundings(env=env, folder=place, streams=streams, signals=signals)
        return _record(folder, spec, argv, around, notices, _describe(found.interpreter, env))


def check(argv: Sequence[str], captures: Sequence[str], name: str, duration_s: float) -> tuple[str, ...]:
    """The names of the captures, each once and without `none`. Raises UsageError for arguments that make no sense."""
    if not argv:
        raise UsageError("no program is given", "tracekit record -- python app.py")
    names = tuple(dict.fromkeys(part for capture in captures for part in capture.split("+")))
    CAPTURES.check_all(list(names))
    if name and safe_name(name) != name:
        raise UsageError(
            f"{name!r} cannot name a suite: use letters, digits and . _ + -",
            f"tracekit record --name {safe_name(name)} -- {shlex.quote(argv[0])} ...",
        )
    # Written so that a NaN fails as well.
    if not 0 <= duration_s <= MAX_TIMEOUT_S:
        raise UsageError(
            f"a duration of {duration_s:g} s: from 0 (no limit) to {MAX_TIMEOUT_S:g} can be set",
            "tracekit record --duration 10 -- python app.py",
        )
    return tuple(part for part in names if part != UNTRACED)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(f"the current folder cannot be used: {error.strerror}", "cd") from error


def _cache() -> Path:
    return interpreters.packages_folder()


def _preflight(
    names: Sequence[str], found: ProgramCommand, provision: Provision, may_only_time: bool
) -> tuple[list[str], str, list[Notice]]:
    """The captures that work here, the folder of packages that one of them needs, and notices about the others.

    Raises CaptureUnavailable when captures are wanted and none works, unless the program may be only timed.
    """
    usable, extra_path, notices, refused = [], "", [], None
    interpreter = found.interpreter or (interpreters.inspect_own() if names else None)
    for name in names:
        assert interpreter is not None
        try:
            capture: Capture = CAPTURES.load(name)
            extra_path = capture.preflight(interpreter, provision) or extra_path
            usable.append(name)
        except CaptureUnavailable as error:
            refused = refused or error
            notices.append(notice("capture-unavailable", capture=name, reason=str(error), remedy=error.hint))
    if refused is not None and not usable and not may_only_time:
        raise refused
    return usable, extra_path, notices


def _create_suite(store: Store, spec: RunSpec, command: Sequence[str]) -> tuple[SuiteFolder, RunSpec]:
    """Make the folders of the suite and of its run. Raises OutputUnwritable."""
    store = Store(store.root.absolute())
    while True:
        suite_id = new_suite_id(spec.workload, store)
        placed = replace(spec, suite_id=suite_id, run_id=f"001-{spec.workload}")
        folder = SuiteFolder(store.root / suite_id)
        words = tuple(_printable(word) for word in command)
        try:
            folder.create(Suite(suite_id=suite_id, workload=spec.workload, size="", specs=(placed,), command=words))
        except OutputUnwritable as error:
            if isinstance(error.__cause__, FileExistsError) and folder.root.is_dir():
                # Another tracekit began a suite of this name in this second.
                continue
            raise
        try:
            folder.bundle(placed.run_id).create(placed)
        except OutputUnwritable:
            shutil.rmtree(folder.root, ignore_errors=True)
            raise
        return folder, placed


def _printable(word: str) -> str:
    """The word with question marks for bytes that are no text, which a command line may hold."""
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _describe(interpreter: Interpreter | None, env: Mapping[str, str]) -> dict[str, Any]:
    """What is known of the program's runtime before it begins: the Python that the command names, and variables."""
    facts: dict[str, Any] = {"variables": read_variables(env)}
    if interpreter is not None:
        facts["interpreter"] = {
            "executable": interpreter.executable,
            "version": interpreter.version,
            "build": interpreter.build,
            "free_threaded_build": interpreter.free_threaded,
        }
    return facts


def _record(
    folder: SuiteFolder,
    spec: RunSpec,
    argv: list[str],
    around: _Surroundings,
    notices: list[Notice],
    runtime: dict[str, Any],
) -> RunOutcome:
    """Run the program and seal its suite, or remove the suite where nothing ran."""
    bundle = folder.bundle(spec.run_id)
    before = MachineBefore(facts={**describe_machine(), **runtime})

    def start(capture: Capture, variables: Mapping[str, str]) -> ProcessResult:
        return _run_program(capture, spec, bundle, argv, around, variables)

    try:
        with _start_cleaner(spec):
            watched = watch_process(bundle, spec, start)
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise
    try:
        outcome = finish_run(bundle, spec, before, watched)
        folder.finish("failed" if outcome.status == "failed" else "ok", notices)
    except OutputUnwritable as error:
        # The program's own failure counts for more than ours.
        error.exit_code = to_shell_code(watched.result.exit_code) or error.exit_code
        raise
    return replace(outcome, notices=(*notices, *outcome.notices))


def _start_cleaner(spec: RunSpec) -> AbstractContextManager[object]:
    """A watchdog that removes the kernel's tracing should tracekit be killed. It does not watch the program."""
    return start_watchdog() if KERNEL in split_capture(spec.capture) else nullcontext()


def _run_program(
    capture: Capture,
    spec: RunSpec,
    bundle: Bundle,
    argv: list[str],
    around: _Surroundings,
    variables: Mapping[str, str],
) -> ProcessResult:
    """Run the program to its end, under the capture's command if it has one."""
    if capture.wrap(list(argv), spec, bundle) == argv:
        return run_in_foreground(
            argv,
            env=add_variables(around.env, variables),
            folder=around.folder,
            streams=around.streams,
            signals=around.signals,
            duration_s=spec.duration_s,
        )
    # A tool that is killed leaves its temporary files: not among the user's.
    with tempfile.TemporaryDirectory(dir=bundle.root, prefix=".tool-", ignore_cleanup_errors=True) as temporary:
        return _run_wrapped(capture, spec, bundle, argv, around, variables, temporary)


def _run_wrapped(
    capture: Capture,
    spec: RunSpec,
    bundle: Bundle,
    argv: list[str],
    around: _Surroundings,
    variables: Mapping[str, str],
    temporary: str,
) -> ProcessResult:
    """Run the program under the capture's command, whose temporary folder is `temporary`; the program has its own."""
    own: dict[str, str | None] = {**changed_variables(around.env, variables), "TMPDIR": around.env.get("TMPDIR")}
    with WrappedProgram() as wrapped:
        return run_in_foreground(
            wrap_apart(argv, own, lambda command: capture.wrap(command, spec, bundle), bundle.tool_log, wrapped.gate),
            env={**around.env, "TMPDIR": str(Path(temporary).absolute())},
            folder=around.folder,
            streams=replace_closed_streams(around.streams),
            signals=around.signals,
            duration_s=spec.duration_s,
            wrapped=wrapped,
        )
