"""One comparison of a measured number with a reference, and the rules for its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MS = 1_000_000

CHECKS: Mapping[str, str] = {
    "runs": "The program ends as without captures, and its suite can be read",
    "gil-kernel": "GIL wait per thread, wait probe against the kernel's uprobes",
    "gil-holds": "GIL holds per thread that another thread waited for, wait probe against the kernel's uprobes",
    "gil-schedstat": "GIL wait per thread: the accounting's interval contains the kernel's value",
    "gil-py-spy": "GIL wait as a share of each thread's lifetime, py-spy against the kernel's uprobes",
    "gil-known": "GIL wait per thread against what the program knows of it",
    "waits-known": "Lock, I/O, poll, sleep and child waits against what the programs know of them",
    "switches": "Context switches per thread against the kernel's scheduling events",
    "unattributed": "Share of the thread time that the ledger cannot attribute",
    "sites": "Functions in which threads waited, or held the GIL while others waited",
    "names-move": "Functions that come and go: each wait is attributed to the one that ran",
    "processes": "Every child process and how it ended",
    "effect": "CPU time with the capture over CPU time without",
    "effect-wall": "Wall time with the capture over wall time without",
}
"""The checks by name, in the order in which they are shown."""

COSTS = ("effect", "effect-wall")
"""The checks of what capturing costs."""

SHARE, LEAST_NS = 0.03, 2 * MS
"""The tolerance of a wait: 3 % or 2 ms."""

MOST_UNATTRIBUTED = 0.02
POINTS = 0.10
"""The tolerance of py-spy's share of a thread's lifetime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison. Its numbers are in `unit`: ns, count, share, ratio, or empty where words are compared."""

    check: str
    program: str
    python: str
    verdict: str
    """ok, fail, inconclusive (beyond the tolerance by no more than a busy machine explains, or an interval too wide to
    decide) or unavailable."""
    what: str = ""
    """What is compared: a thread and the kind of wait, a process, a capture."""
    unit: str = ""
    measured: float | None = None
    reference: float | None = None
    difference: float | None = None
    tolerance: float | None = None
    lower: float | None = None
    upper: float | None = None
    """The ends of the measured interval, where there is one."""
    reason: str = ""
    steal_ns: int | None = None
    """CPU time that the hypervisor gave to other machines during the run, over all CPUs (/proc/stat, steal)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """The run that comparisons are made of: the fields that they have in common."""

    program: str
    python: str
    steal_ns: int | None

    def compare(self, check: str, what: str, verdict: str, **values: Any) -> Comparison:
        """Make a comparison of this run."""
        return Comparison(
            check=check,
            program=self.program,
            python=self.python,
            steal_ns=self.steal_ns,
            what=what,
            verdict=verdict,
            **values,
        )

    def mark_unavailable(self, check: str, reason: str, what: str = "") -> Comparison:
        """Make a comparison that says why there is nothing to compare."""
        return self.compare(check, what, "unavailable", reason=reason)


def compute_wait_tolerance(reference: float) -> float:
    """3 % or 2 ms, whichever is more."""
    return max(SHARE * abs(reference), float(LEAST_NS))


def judge_difference(difference: float, tolerance: float, error: float = 0.0) -> str:
    """ok within the tolerance, inconclusive when beyond it by at most `error`, else fail; all in one unit."""
    if abs(difference) <= tolerance:
        return "ok"
    return "inconclusive" if abs(difference) <= tolerance + error else "fail"
