"""One comparison of a measured number with a reference, and the rules for its verdict."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.metrics import METRICS
from tracekit.analysis.metrics.metric import load_metric

MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """A kind of comparison: what it compares, and the metrics that it compares with an independent truth."""

    title: str
    metrics: tuple[str, ...] = ()


CHECKS: Mapping[str, Check] = {
    "runs": Check("The program ends as without captures, and its suite can be read"),
    "gil-kernel": Check("GIL wait per thread, wait probe against the kernel's uprobes", ("gil_wait_ns",)),
    "gil-switch": Check(
        "Wait for the next holder after a forced switch: the probe's interval contains the kernel's value",
        ("gil_switch_wait_ns",),
    ),
    "gil-holds": Check(
        "GIL holds per thread that another thread waited for, wait probe against the kernel's uprobes",
        ("gil_hold_ns", "gil_hold_longest_ns", "gil_holds_over_interval"),
    ),
    "gil-handoffs": Check(
        "GIL handoffs and their latency, wait probe against the kernel's uprobes",
        ("gil_handoffs", "gil_handoff_latency_ns", "gil_handoff_latency_p95_ns"),
    ),
    "gil-schedstat": Check("GIL wait per thread: the accounting's interval contains the kernel's value"),
    "gil-py-spy": Check("GIL wait as a share of each thread's lifetime, py-spy against the kernel's uprobes"),
    "gil-known": Check("GIL wait per thread against what the program knows of it"),
    "waits-known": Check(
        "Lock, I/O, poll, sleep and child waits against what the programs know of them",
        ("lock_wait_ns", "io_wait_ns", "poll_wait_ns", "sleep_ns", "child_wait_ns"),
    ),
    "switches": Check(
        "Context switches per thread against the kernel's scheduling events",
        ("voluntary_switches", "involuntary_switches", "gil_waiter_switches"),
    ),
    "scheduling": Check(
        "CPU time, wait for a CPU and migrations against the program's own readings",
        ("run_queue_wait_ns", "cpu_migrations", "thread_on_cpu_ns", "thread_run_queue_ns", "thread_steal_ns"),
    ),
    "lifetimes": Check(
        "Wall time, CPU time of processes and lifetimes of threads against the kernel's events",
        ("wall_ns", "cpu_ns", "thread_wall_ns"),
    ),
    "ledger-known": Check(
        "Parts of the threads' time against what the programs know of them",
        (
            "thread_gil_wait_ns",
            "thread_lock_wait_ns",
            "thread_io_wait_ns",
            "thread_poll_ns",
            "thread_sleep_ns",
            "thread_child_wait_ns",
            "thread_idle_ns",
        ),
    ),
    "tasks": Check(
        "Starts, tasks, pickling and memory of a suite against what its workload knows of them",
        (
            "load_balance",
            "timeslices",
            "steal_ns",
            "spawn_first_instruction_ns",
            "spawn_first_worker_ns",
            "teardown_ns",
            "pickled_bytes",
            "pickling_ns",
            "queue_wait_ns",
            "communication_share",
            "uss_bytes",
            "pss_bytes",
            "observed",
            "thread_task_blocked_ns",
        ),
    ),
    "starts": Check("Stages of worker starts against the kernel's fork, exec and exit", ("spawn_stages",)),
    "unattributed": Check("Share of the thread time that the ledger cannot attribute", ("unattributed_ns",)),
    "sites": Check("Functions in which threads waited, or held the GIL while others waited"),
    "wakeups": Check("Which thread ended each wait for a lock, wait probe against the kernel's wake-ups"),
    "names-move": Check("Functions that come and go: each wait is attributed to the one that ran"),
    "processes": Check("Every child process and how it ended"),
    "effect": Check("CPU time with the capture over CPU time without"),
    "effect-wall": Check("Wall time with the capture over wall time without"),
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
    metric: str = ""
    """The metric whose number is compared; empty where it is none."""
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
        """Make a comparison of this run. Raises ValueError for a metric that the check does not name in CHECKS."""
        metric = values.get("metric", "")
        if metric and metric not in CHECKS[check].metrics:
            raise ValueError(f"check {check} does not say that it compares {metric}")
        return Comparison(
            check=check,
            program=self.program,
            python=self.python,
            steal_ns=self.steal_ns,
            what=what,
            verdict=verdict,
            **values,
        )

    def compare_values(
        self,
        check: str,
        what: str,
        values: tuple[float, float],
        *,
        unit: str,
        tolerance: float,
        error: float = 0.0,
        metric: str = "",
        reason: str = "",
    ) -> Comparison:
        """Compare what was measured, the first of `values`, with the reference; `error` as of judge_difference."""
        found, wanted = values
        return self.compare(
            check,
            what,
            judge_difference(found - wanted, tolerance, error),
            metric=metric,
            unit=unit,
            measured=found,
            reference=wanted,
            difference=found - wanted,
            tolerance=tolerance,
            reason=reason,
        )

    def compare_interval(
        self,
        check: str,
        what: str,
        found: Mapping[str, Any],
        wanted: float,
        *,
        tolerance: float,
        more: float = 0.0,
        metric: str = "",
    ) -> Comparison:
        """Compare the interval of a row of the metrics table, ns, with a reference that it should contain.

        The true value may be above the reference by up to `more`.
        """
        lower, upper = float(found["lower"]), float(found["upper"])
        outside = max(lower - wanted - more, wanted - upper, 0.0)
        return self.compare(
            check,
            what,
            judge_difference(outside, tolerance),
            metric=metric,
            unit="ns",
            measured=float(found["value"]),
            lower=lower,
            upper=upper,
            reference=wanted,
            difference=outside,
            tolerance=tolerance,
        )

    def mark_unavailable(self, check: str, reason: str, what: str = "") -> Comparison:
        """Make a comparison that says why there is nothing to compare."""
        return self.compare(check, what, "unavailable", reason=reason)


def list_uncompared(compared: Container[str]) -> list[str]:
    """The metrics whose rows can be `measured` and that are neither among these nor computed from such as are."""
    found = {name: load_metric(name) for name in METRICS}

    def is_compared(name: str) -> bool:
        parts = found[name].computed_from
        return name in compared or (bool(parts) and all(map(is_compared, parts)))

    return [name for name, metric in found.items() if metric.measured and not is_compared(name)]


def compute_wait_tolerance(reference: float) -> float:
    """3 % or 2 ms, whichever is more."""
    return max(SHARE * abs(reference), float(LEAST_NS))


def judge_difference(difference: float, tolerance: float, error: float = 0.0) -> str:
    """ok within the tolerance, inconclusive when beyond it by at most `error`, else fail; all in one unit."""
    if abs(difference) <= tolerance:
        return "ok"
    return "inconclusive" if abs(difference) <= tolerance + error else "fail"
