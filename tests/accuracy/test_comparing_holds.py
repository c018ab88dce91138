"""How holds of the GIL, and waits for the next holder, are compared with the kernel's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.accuracy.run_factory import ALIVE, T0, TID, made, number, wait
from tests.table_factory import MS
from tracekit.accuracy.checks import gil, handoffs
from tracekit.accuracy.kernel_reference import KernelReference


def of_holds(metric: str, probe: float, kernel: float) -> list[dict[str, Any]]:
    """The metric of the thread by both methods."""
    place = {"metric": metric, "scope": "thread", "quality": "measured", "n": 3}
    return [{**place, "method": "waits-probe", "value": probe}, {**place, "method": "kernel-uprobe", "value": kernel}]


@pytest.mark.parametrize(("probe_ms", "verdict"), [(500, "ok"), (514, "ok"), (484, "fail"), (9, "fail")])
def test_holds_may_be_3_percent_off_the_kernel(probe_ms: float, verdict: str) -> None:
    holds = of_holds("gil_hold_ns", probe_ms * MS, 500 * MS)
    [row] = gil.compare_holds(made(threads=[ALIVE], metrics=holds))
    assert (row.verdict, row.reference, row.measured) == (verdict, 500 * MS, probe_ms * MS)


def in_drop(begins_ns: int, *, slept_ns: int = 0, returned_ns: int = 2000 * MS) -> KernelReference:
    """The thread was preempted in drop_gil then; it returns later, or has returned or slept before."""
    dropped = (np.array([T0 + returned_ns]), np.array([TID]))
    voluntary = np.array([T0, T0 + slept_ns])
    return KernelReference(gil=True, switches={TID: (voluntary, np.array([begins_ns]))}, dropped=dropped)


@pytest.mark.parametrize(
    ("ms", "meanwhile", "verdict"),
    [
        (40, {}, "ok"),
        (20, {}, "fail"),
        (40, {"returned_ns": 500 * MS + 20_000}, "fail"),
        (40, {"slept_ns": 500 * MS + 20_000}, "fail"),
    ],
)
def test_a_thread_preempted_while_it_drops_the_gil_still_holds_it(
    ms: int, meanwhile: dict[str, int], verdict: str
) -> None:
    hold = {"object": "gil 1", "start_ns": T0, "end_ns": T0 + 500 * MS, "method": "kernel-uprobe"}
    # A tick's work takes longer than all of drop_gil, before the kernel switches.
    ready = {"state": "runnable", "start_ns": T0 + 500 * MS + 30_000, "dur_ns": ms * MS}
    kernel = in_drop(T0 + 500 * MS + 30_000, **meanwhile)
    metrics = of_holds("gil_hold_ns", 540 * MS, 500 * MS)
    [row] = gil.compare_holds(made(kernel=kernel, threads=[ALIVE], metrics=metrics, holds=[hold], sched=[ready]))
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("ms", "entered_ms", "slept_ms", "verdict"),
    [
        (40, -50, -100, "ok"),
        (20, -50, -100, "fail"),
        (40, -5, -100, "fail"),
        (40, -50, -49, "fail"),
        (40, -50, -2, "fail"),
    ],
)
def test_a_thread_preempted_in_take_gil_may_hold_it_already(
    ms: int, entered_ms: int, slept_ms: int, verdict: str
) -> None:
    hold = {"object": "gil 1", "start_ns": T0, "end_ns": T0 + 500 * MS, "method": "kernel-uprobe"}
    before = {"state": "runnable", "start_ns": T0 - 45 * MS, "dur_ns": ms * MS}
    kernel = KernelReference(
        gil=True,
        switches={TID: (np.array([T0 + slept_ms * MS]), np.array([T0 - 45 * MS]))},
        takes=(np.array([T0 + entered_ms * MS]), np.array([TID])),
        taken=(np.array([T0]), np.array([TID])),
    )
    metrics = of_holds("gil_hold_ns", 540 * MS, 500 * MS)
    [row] = gil.compare_holds(made(kernel=kernel, threads=[ALIVE], metrics=metrics, holds=[hold], sched=[before]))
    assert row.verdict == verdict


def test_the_longest_hold_and_how_many_were_too_long_are_compared() -> None:
    holds = of_holds("gil_hold_longest_ns", 90 * MS, 93 * MS) + of_holds("gil_holds_over_interval", 17, 20)
    longest, too_long = gil.compare_holds(made(threads=[ALIVE], metrics=holds))
    assert (longest.what.endswith(", longest"), longest.verdict, longest.difference) == (True, "fail", -3 * MS)
    assert (too_long.unit, too_long.verdict, too_long.difference) == ("count", "fail", -3)


@pytest.mark.parametrize(("lower", "upper", "verdict"), [(0, 90, "ok"), (0, 47, "fail"), (53, 90, "fail")])
def test_the_wait_for_the_next_holder_lies_in_its_interval(lower: float, upper: float, verdict: str) -> None:
    bound = number("gil_switch_wait_ns", 1.0 * MS, quality="bound", lower=lower * MS, upper=upper * MS)
    seen = made(threads=[ALIVE], waits=[wait("gil-switch", 0, 50, "kernel-uprobe")], metrics=[bound])
    [row] = handoffs.compare_switch_waits(seen)
    assert (row.verdict, row.metric) == (verdict, "gil_switch_wait_ns")


@pytest.mark.parametrize(
    ("ms", "slept", "meanwhile", "verdict"),
    [
        (10, 50, {}, "ok"),
        (6, 50, {}, "fail"),
        (10, 50, {"returned_ns": 50 * MS + 20_000}, "fail"),
        (10, 50, {"slept_ns": 50 * MS + 20_000}, "fail"),
        (10, 0, {}, "fail"),
    ],
)
def test_a_thread_preempted_on_its_way_out_of_a_forced_switch_still_waits(
    ms: int, slept: int, meanwhile: dict[str, int], verdict: str
) -> None:
    kernel = in_drop(T0 + 50 * MS + 30_000, **meanwhile)
    bound = number("gil_switch_wait_ns", 60.0 * MS, quality="bound", lower=60.0 * MS, upper=90.0 * MS)
    ready = {"state": "runnable", "start_ns": T0 + 50 * MS + 30_000, "dur_ns": ms * MS}
    waits = [wait("gil-switch", 0, slept, "kernel-uprobe")] if slept else []
    [row] = handoffs.compare_switch_waits(
        made(kernel=kernel, threads=[ALIVE], waits=waits, metrics=[bound], sched=[ready])
    )
    assert (row.verdict, row.reference) == (verdict, slept * MS)
