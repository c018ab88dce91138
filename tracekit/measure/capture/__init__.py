"""HOW a run is watched: one capture per file, applied from the parent, around the measured process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import Notice
from tracekit.core.registry import Registry
from tracekit.system.interpreters import Interpreter

_PRELOAD = "LD_PRELOAD"
"""The one variable that several captures set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a preflight found: `extra_path` is the folder with the tool's packages for the measured interpreter."""

    extra_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """Whether missing packages may be installed for other interpreters, and where they are kept."""

    allowed: bool = False
    cache: Path = field(default_factory=Path)


class Capture:
    """One way of watching.

    passes_exit_code   whether the wrapped command ends with the measured program's own exit code
    """

    name = ""
    passes_exit_code = True

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        """Find out, by trying, whether this capture works here. Raises CaptureUnavailable with a hint."""
        raise NotImplementedError

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        """The command that runs `argv` under this capture."""
        raise NotImplementedError

    def around(self, spec: RunSpec, bundle: Bundle) -> AbstractContextManager[dict[str, str]]:
        """Entered just before the measured process is started and left when nothing of it runs any more, whatever
        happened; gives variables to add to its environment. Raises CaptureUnavailable."""
        return nullcontext({})

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        """After the run: check that the tool left what it should for these measured processes."""
        raise NotImplementedError

    def processes(self, bundle: Bundle) -> list[dict[str, Any]]:
        """What the capture knows of each process that it saw, for the manifest: pid, ppid, start_ticks, executable,
        started_ns, ended_ns, ended (exit, _exit, signal, unknown), exit_code (negative for a signal), lost."""
        return []


class Together(Capture):
    """Several captures of one run: `waits+kernel`."""

    def __init__(self, parts: list[Capture]) -> None:
        self.name = "+".join(part.name for part in parts)
        self.passes_exit_code = all(part.passes_exit_code for part in parts)
        self._parts = parts

    def preflight(self, interpreter: Interpreter, provision: Provision) -> Ready:
        ready = [part.preflight(interpreter, provision) for part in self._parts]
        return Ready(extra_path=next((each.extra_path for each in ready if each.extra_path), ""))

    def wrap(self, argv: list[str], spec: RunSpec, bundle: Bundle) -> list[str]:
        for part in self._parts:
            argv = part.wrap(argv, spec, bundle)
        return argv

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        with ExitStack() as stack:
            variables: dict[str, str] = {}
            for part in self._parts:
                more = stack.enter_context(part.around(spec, bundle))
                both = variables.keys() & more.keys() & {_PRELOAD}
                variables |= more | {name: _joined(variables[name], more[name]) for name in both}
            yield variables

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        pids = list(pids)
        return [found for part in self._parts for found in part.collect(spec, bundle, pids)]

    def processes(self, bundle: Bundle) -> list[dict[str, Any]]:
        # The first that knows them tells: they see the same ones.
        return next(filter(None, (part.processes(bundle) for part in self._parts)), [])


def _joined(first: str, second: str) -> str:
    """Two lists of libraries to preload in one, each library once."""
    return ":".join(dict.fromkeys(name for value in (first, second) for name in value.split(":") if name))


def named(name: str) -> Capture:
    """The capture of that name, or several joined by `+`. Raises UsageError."""
    parts: list[Capture] = [CAPTURES.load(part) for part in name.split("+")]
    return parts[0] if len(parts) == 1 else Together(parts)


_HERE = "tracekit.measure.capture"

CAPTURES = Registry(
    "capture",
    {
        "none": (f"{_HERE}.none:CAPTURE", "nothing: the runs that give the timings"),
        "viztracer": (
            f"{_HERE}.viztracer:CAPTURE",
            "every Python call of every process, as slices on a timeline",
        ),
        "py-spy": (
            f"{_HERE}.pyspy:CAPTURE",
            "stack samples from outside, with native frames and idle threads",
        ),
        "waits": (
            f"{_HERE}.waits:CAPTURE",
            "every wait of every thread, for the GIL and else, with the function it was in; needs no privileges",
        ),
        "stages": (
            f"{_HERE}.stages:CAPTURE",
            "how far each new process had come, when: loader, interpreter, site; needs no privileges",
        ),
        "kernel": (
            f"{_HERE}.kernel:CAPTURE",
            "the kernel's own account of every switch and every take of the GIL; needs root",
        ),
    },
)
