"""HOW a run is watched: one capture per file, applied from the parent, around the measured process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tracekit.bundle import Bundle
from tracekit.interpreters import Interpreter
from tracekit.notices import Notice
from tracekit.registry import Registry
from tracekit.spec import RunSpec


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

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        """After the run: check that the tool left what it should for these measured processes."""
        raise NotImplementedError


CAPTURES = Registry(
    "capture",
    {
        "none": ("tracekit.capture.none:CAPTURE", "nothing: the runs that give the timings"),
        "viztracer": (
            "tracekit.capture.viztracer:CAPTURE",
            "every Python call of every process, as slices on a timeline",
        ),
        "py-spy": ("tracekit.capture.pyspy:CAPTURE", "stack samples from outside, with native frames and idle threads"),
    },
)
