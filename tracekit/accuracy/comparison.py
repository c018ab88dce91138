"""One comparison, and the rules by which it is ok or off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MS = 1_000_000

CHECKS: Mapping[str, str] = {
    "runs": "The program ends under the captures as it does alone, and its suite can be read",
    "gil-kernel": "GIL wait per thread, wait probe against the kernel's uprobes",
    "gil-schedstat": "GIL wait per thread: the accounting's interval contains the truth",
    "gil-py-spy": "GIL wait as a share of each thread's life, py-spy against the kernel's uprobes",
    "gil-known": "GIL wait per thread against what the program knows of it",
    "waits-known": "Lock, I/O, poll, sleep and child waits against what the programs know of them",
    "switches": "Context switches per thread against the kernel's scheduling events",
    "unattributed": "Share of the thread time that the ledger cannot attribute",
    "sites": "Functions in which threads waited, or held the GIL while others waited",
    "names-move": "Functions that come and go: each wait is booked to the one that ran",
    "processes": "Every child process, and how it ended",
    "effect": "CPU time with the capture over CPU time without",
    "effect-wall": "Wall time with the capture over wall time without",
}
"""What is checked, in the order in which it is shown."""

COSTS = ("effect", "effect-wall")
"""The checks that are about what capturing costs."""

VERDICTS = ("ok", "off", "unclear", "unavailable")
"""unclear: outside the tolerance by no more than a busy machine explains, or an interval too wide to tell."""

SHARE, LEAST_NS = 0.03, 2 * MS
"""A wait is right within 3 % or 2 ms."""

MOST_UNATTRIBUTED = 0.02
POINTS = 0.10
"""How far py-spy's share of a thread's life may be off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. Numbers are in `unit`: ns, count, share, ratio, or empty where words are compared."""

    check: str
    program: str
    python: str
    verdict: str
    what: str = ""
    """The thread and the kind of wait, the process, the cell."""
    unit: str = ""
    measured: float | None = None
    truth: float | None = None
    difference: float | None = None
    tolerance: float | None = None
    lower: float | None = None
    upper: float | None = None
    """Ends of the interval, where the measurement is one."""
    reason: str = ""
    steal_ns: int | None = None
    """What the hypervisor gave to other machines during the run, over all CPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the rows of one run have in common."""

    program: str
    python: str
    steal_ns: int | None

    def row(self, check: str, what: str, verdict: str, **values: Any) -> Row:
        """A row of this run."""
        return Row(
            check=check,
            program=self.program,
            python=self.python,
            steal_ns=self.steal_ns,
            what=what,
            verdict=verdict,
            **values,
        )

    def unavailable(self, check: str, reason: str, what: str = "") -> Row:
        """A row that says why there is nothing to compare."""
        return self.row(check, what, "unavailable", reason=reason)


def wait_tolerance(truth: float) -> float:
    """3 % or 2 ms, whichever is more."""
    return max(SHARE * abs(truth), float(LEAST_NS))


def within(difference: float, tolerance: float, excuse: float = 0.0) -> str:
    """ok, off, or unclear when the difference is beyond the tolerance by no more than `excuse`, all in one unit."""
    if abs(difference) <= tolerance:
        return "ok"
    return "unclear" if abs(difference) <= tolerance + excuse else "off"
