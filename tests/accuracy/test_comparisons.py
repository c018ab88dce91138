"""The comparisons themselves, on tables made by hand: a wrong number must fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.accuracy.run_factory import (
    ALIVE,
    BLOCKED_AT_ONCE,
    PLACE,
    T0,
    TID,
    WATCHED,
    answers,
    made,
    number,
    thread,
    wait,
)
from tests.table_factory import MS
from tracekit.accuracy import kernel_reference, task_accounting
from tracekit.accuracy.checks import endings, gil, handoffs, ledger, switches, waits
from tracekit.accuracy.comparison import compute_wait_tolerance, judge_difference
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.known_answers import KnownChild


@pytest.mark.parametrize(
    ("probe_ms", "verdict"), [(500, "ok"), (514, "ok"), (485.5, "ok"), (516, "fail"), (484, "fail")]
)
def test_the_probe_may_be_3_percent_off_the_kernel(probe_ms: float, verdict: str) -> None:
    both = [wait("gil", 0, probe_ms), wait("gil", 0, 500, "kernel-uprobe")]
    [row] = gil.compare_with_kernel(made(threads=[ALIVE], waits=both))
    assert (row.verdict, row.reference, row.measured) == (verdict, 500 * MS, probe_ms * MS)


@pytest.mark.parametrize(("probe_ms", "verdict"), [(1.9, "ok"), (2.1, "fail")])
def test_2_ms_are_allowed_where_3_percent_are_less(probe_ms: float, verdict: str) -> None:
    [row] = gil.compare_with_kernel(made(threads=[ALIVE], waits=[wait("gil", 0, probe_ms)]))
    assert (row.verdict, row.reference) == (verdict, 0)


def test_time_ready_on_the_way_into_take_gil_is_no_wait_for_it() -> None:
    late = KernelReference(gil=True, switches={TID: (np.array([T0 + 20 * MS]), BLOCKED_AT_ONCE[1])})
    both = [wait("gil", 20, 30), wait("gil", 0, 50, "kernel-uprobe")]
    [row] = gil.compare_with_kernel(made(kernel=late, threads=[ALIVE], waits=both))
    assert (row.verdict, row.reference, row.reason) == ("ok", 30 * MS, "20.00 ms ready on the way in")
    # 15 ms too much, of which it may have been ready: nothing says what for.
    more = [wait("gil", 20, 45), both[1]]
    assert [row.verdict for row in gil.compare_with_kernel(made(kernel=late, threads=[ALIVE], waits=more))] == [
        "inconclusive"
    ]
    # It went through without blocking: whatever the probe saw then was no wait.
    never = KernelReference(gil=True, switches={TID: (np.array([T0 + 60 * MS]), BLOCKED_AT_ONCE[1])})
    [row] = gil.compare_with_kernel(made(kernel=never, threads=[ALIVE], waits=both))
    assert (row.verdict, row.reference) == ("fail", 0)


def test_a_difference_that_a_busy_machine_explains_is_inconclusive() -> None:
    both = [wait("gil", 0, 450), wait("gil", 0, 500, "kernel-uprobe")]
    for queued_ms, verdict in ((0, "fail"), (30, "fail"), (40, "inconclusive")):
        [row] = gil.compare_with_kernel(made(threads=[{**ALIVE, "run_queue_wait_ns": queued_ms * MS}], waits=both))
        assert row.verdict == verdict
    for stolen_ms, verdict in ((30, "fail"), (40, "inconclusive")):
        place = replace(PLACE, steal_ns=stolen_ms * MS)
        [row] = gil.compare_with_kernel(made(threads=[ALIVE], waits=both, place=place))
        assert row.verdict == verdict


def test_each_wait_may_be_a_microsecond_off() -> None:
    starts = [number / 10 for number in range(5000)]
    at = KernelReference(gil=True, switches={TID: (np.array([T0 + int(s * MS) for s in starts]), BLOCKED_AT_ONCE[1])})
    for short_us, verdict in ((1.3, "ok"), (1.5, "fail")):
        both = [wait("gil", start, 0.010, "kernel-uprobe") for start in starts]
        both += [wait("gil", start, 0.010 - short_us / 1000) for start in starts]
        [row] = gil.compare_with_kernel(made(kernel=at, threads=[ALIVE], waits=both))
        assert row.verdict == verdict


def test_a_thread_that_only_the_kernel_saw_waiting_fails() -> None:
    seen = made(threads=[ALIVE, {**ALIVE, "tid": 102}], waits=[wait("gil", 0, 50, "kernel-uprobe", tid=102)])
    assert [row.verdict for row in gil.compare_with_kernel(seen)] == ["ok", "fail"]


def test_waits_in_a_thread_of_the_same_id_in_another_process_are_not_this_ones() -> None:
    seen = made(threads=[ALIVE], waits=[wait("gil", 0, 50, "kernel-uprobe"), wait("gil", 0, 50, pid=999)])
    assert [row.verdict for row in gil.compare_with_kernel(seen)] == ["fail"]


def test_without_uprobes_there_is_no_verdict() -> None:
    for silent in (None, KernelReference(gil=False), KernelReference(gil=True, lost=1)):
        [row] = gil.compare_with_kernel(made(kernel=silent, threads=[ALIVE], waits=[wait("gil", 0, 5)]))
        assert row.verdict == "unavailable"
        assert row.reason


def test_without_a_gil_any_wait_for_it_fails() -> None:
    free = answers(gil=False)
    assert [row.verdict for row in gil.compare_with_kernel(made(known=free))] == ["ok"]
    assert [row.verdict for row in gil.compare_with_kernel(made(known=free, waits=[wait("gil", 0, 1)]))] == ["fail"]


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"), [(0, 600, "ok"), (510, 600, "ok"), (516, 600, "fail"), (0, 484, "fail")]
)
def test_the_interval_has_to_contain_the_truth(lower: float, upper: float, verdict: str) -> None:
    metric = {
        "metric": "gil_wait_ns",
        "scope": "thread",
        "method": "schedstat",
        "quality": "bound",
        "value": 300.0 * MS,
        "lower": lower * MS,
        "upper": upper * MS,
    }
    seen = made(threads=[ALIVE], waits=[wait("gil", 0, 500, "kernel-uprobe")], metrics=[metric])
    assert [row.verdict for row in gil.compare_accounting(seen)] == [verdict]


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.45, "ok"), (0.59, "ok"), (0.61, "inconclusive"), (0.39, "inconclusive"), (0.66, "fail"), (0.34, "fail")],
)
def test_py_spy_may_be_10_points_off_the_time_in_take_gil_and_drop_gil(share: float, verdict: str) -> None:
    metric = {
        "metric": "gil_wait_ns",
        "scope": "thread",
        "method": "py-spy-native",
        "quality": "estimated",
        "value": share * 1000 * MS,
        "n": 100,
        "lower": (share - 0.05) * 1000 * MS,
        "upper": (share + 0.05) * 1000 * MS,
    }
    seen = made(
        known=answers(thread()),
        threads=[ALIVE, {**ALIVE, "tid": 102}],
        waits=[wait("gil", 0, 450, "kernel-uprobe"), wait("gil-switch", 450, 50, "kernel-uprobe")],
        metrics=[metric, {**metric, "tid": 102}],
    )
    assert [row.verdict for row in gil.compare_pyspy(seen)] == [verdict]
    seen.tables.metrics["n"] = 3
    assert [row.verdict for row in gil.compare_pyspy(seen)] == ["unavailable"]


def test_only_what_lies_in_the_thread_s_window_is_compared_and_it_is_cut_there() -> None:
    known = answers(thread(waits={"sleep": 30 * MS}))
    seen = made(known=known, waits=[wait("sleep", -50, 60), wait("sleep", 100, 20), wait("sleep", 2000, 500)])
    [row] = waits.compare_with_known(seen)
    assert (row.verdict, row.measured) == ("ok", 30 * MS)


@pytest.mark.parametrize(("stolen_ms", "verdict"), [(0, "fail"), (10, "inconclusive"), (200, "inconclusive")])
def test_a_difference_that_steal_explains_is_inconclusive(stolen_ms: int, verdict: str) -> None:
    place = replace(PLACE, steal_ns=stolen_ms * MS)
    seen = made(known=answers(thread(waits={"io-read": 100 * MS})), waits=[wait("io-read", 0, 110)], place=place)
    [row] = waits.compare_with_known(seen)
    assert (row.verdict, row.steal_ns) == (verdict, stolen_ms * MS)


def test_a_wait_of_another_kind_does_not_count() -> None:
    seen = made(known=answers(thread(waits={"lock": 100 * MS})), waits=[wait("poll", 0, 100)])
    assert [row.verdict for row in waits.compare_with_known(seen)] == ["fail"]


def test_at_least_may_be_more_but_not_less() -> None:
    known = answers(thread(at_least={"gil": 100 * MS}))
    assert [row.verdict for row in gil.compare_with_known(made(known=known, waits=[wait("gil", 0, 300)]))] == ["ok"]
    assert [row.verdict for row in gil.compare_with_known(made(known=known, waits=[wait("gil", 0, 90)]))] == ["fail"]


def test_switches_are_counted_by_who_left_and_the_last_one_is_left_out() -> None:
    running, preempted, asleep, disk, dead, zombie = 0, 0x100, 1, 2, 0x10, 0x20
    tids = np.array([1, 1, 2, 1, 1, 2, 2, 1])
    states = np.array([asleep, preempted, disk, running, asleep, preempted, zombie, dead])
    seen = KernelReference(gil=True, switches=kernel_reference.switches(tids, states, np.arange(8)))
    assert [seen.count_switches(tid, 0, 100) for tid in (1, 2, 3)] == [(2, 2), (1, 1), (0, 0)]
    assert seen.count_switches(1, 0, 3) == (1, 2)


@pytest.mark.parametrize(("voluntary", "verdict"), [(100, "ok"), (103, "ok"), (104, "fail"), (96, "fail")])
def test_switches_may_be_1_percent_and_2_different(voluntary: int, verdict: str) -> None:
    late = np.full(50, ALIVE["end_ns"] + 1)
    times = (np.append(np.full(100, T0), late), np.append(np.full(10, T0), late))
    events = KernelReference(gil=True, switches={TID: times})
    counts = [number("voluntary_switches", voluntary), number("involuntary_switches", 10)]
    forced, wanted = switches.compare_with_kernel(made(kernel=events, threads=[ALIVE], metrics=counts))[::-1]
    assert (wanted.verdict, wanted.reference, wanted.metric) == (verdict, 100, "voluntary_switches")
    assert (forced.verdict, forced.reference, forced.metric) == ("ok", 10, "involuntary_switches")
    killed = [{"ended": "signal", "exit_code": -9}]
    [row] = switches.compare_with_kernel(made(kernel=events, threads=[ALIVE], metrics=counts, processes=killed))
    assert row.verdict == "unavailable"


@pytest.mark.parametrize(("rest_ms", "verdict"), [(0, "ok"), (19, "ok"), (-19, "ok"), (21, "fail"), (-21, "fail")])
def test_the_ledger_may_leave_2_percent(rest_ms: float, verdict: str) -> None:
    plain = {"scope": "run", "quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "unattributed_ns", "value": rest_ms * MS},
        {**plain, "metric": "thread_wall_ns", "value": 1000.0 * MS},
    ]
    assert [row.verdict for row in ledger.compare_unattributed(made(metrics=metrics))] == [verdict]


@pytest.mark.parametrize(("stolen_ms", "verdict"), [(0, "fail"), (20, "fail"), (40, "inconclusive")])
def test_a_rest_that_steal_explains_is_inconclusive(stolen_ms: int, verdict: str) -> None:
    plain = {"scope": "run", "quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "unattributed_ns", "value": 50.0 * MS},
        {**plain, "metric": "thread_wall_ns", "value": 1000.0 * MS},
    ]
    [row] = ledger.compare_unattributed(made(metrics=metrics, place=replace(PLACE, steal_ns=stolen_ms * MS)))
    assert row.verdict == verdict


def test_a_rest_without_kernel_may_be_a_sleep_until_other_threads_had_a_cpu() -> None:
    plain = {"scope": "run", "quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "unattributed_ns", "value": 50.0 * MS},
        {**plain, "metric": "thread_wall_ns", "value": 1000.0 * MS},
    ]
    threads = [{"role": "other", "run_queue_wait_ns": 40 * MS, "start_ns": 0, "end_ns": 1000 * MS}]
    for kernel, verdict in ((None, "inconclusive"), (WATCHED, "fail")):
        [row] = ledger.compare_unattributed(made(metrics=metrics, threads=threads, kernel=kernel))
        assert row.verdict == verdict


def test_a_ledger_of_events_with_holes_is_inconclusive() -> None:
    plain = {"scope": "run", "quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "unattributed_ns", "value": 100.0 * MS},
        {**plain, "metric": "thread_wall_ns", "value": 1000.0 * MS},
    ]
    known = answers(thread(cpu_ns=300 * MS))
    running = {"state": "running", "start_ns": T0 - 50 * MS}
    for running_ms, verdict in ((345, "fail"), (330, "inconclusive")):
        sched = [{**running, "dur_ns": running_ms * MS}]
        [row] = ledger.compare_unattributed(made(known=known, sched=sched, metrics=metrics))
        assert row.verdict == verdict
    assert [row.verdict for row in ledger.compare_unattributed(made(known=known, kernel=None, metrics=metrics))] == [
        "fail"
    ]


def test_an_unknown_ledger_is_not_a_closed_one() -> None:
    [row] = ledger.compare_unattributed(made())
    assert row.verdict == "unavailable"


CHILDREN = (
    KnownChild(pid=7, ended="exit", exit_code=0),
    KnownChild(pid=8, ended="exit", exit_code=0),
    KnownChild(pid=9, ended="signal", exit_code=-9),
)


def process(pid: int, ended: str, code: int) -> dict[str, Any]:
    return {"pid": pid, "ended": ended, "exit_code": code}


LINES = [process(7, "exit", 0), process(8, "exit", 0), process(9, "signal", -9)]


def test_children_must_be_in_the_table_and_in_the_manifest() -> None:
    known = answers(children=CHILDREN)
    assert [
        (row.verdict, row.measured)
        for row in endings.compare_children(made(known=known, manifest=LINES, processes=LINES))
    ] == [
        ("ok", 2),
        ("ok", 1),
    ]
    for table, lines in ((LINES, LINES[1:]), (LINES[1:], LINES)):
        rows = endings.compare_children(made(known=known, manifest=lines, processes=table))
        assert [(row.verdict, row.measured) for row in rows] == [("fail", 1), ("ok", 1)]
        assert "7 is missing" in rows[0].reason


def test_an_ending_of_another_kind_fails() -> None:
    wrong = [*LINES[:2], process(9, "exit", -9)]
    rows = endings.compare_children(made(known=answers(children=CHILDREN), manifest=wrong, processes=LINES))
    assert [row.verdict for row in rows] == ["ok", "fail"]


def test_tolerances() -> None:
    assert compute_wait_tolerance(0) == 2 * MS
    assert compute_wait_tolerance(1000 * MS) == 30 * MS
    assert [judge_difference(-3, 3), judge_difference(4, 3), judge_difference(4, 3, 1), judge_difference(5, 3, 1)] == [
        "ok",
        "fail",
        "inconclusive",
        "fail",
    ]


def test_the_accounting_of_tasks_is_compared_with_the_waits_inside_them() -> None:
    spans = [{"name": "task", "start_ns": T0 + at * MS, "dur_ns": 100 * MS} for at in (0, 200)]
    spans.append({"name": "run", "start_ns": T0, "dur_ns": 400 * MS})
    found = [wait("gil", 50, 100, "kernel-uprobe"), wait("gil", 210, 20, "kernel-uprobe"), wait("gil", 0, 99)]
    bound = {"metric": "gil_wait_ns", "scope": "thread", "method": "schedstat", "quality": "bound", "value": 60.0 * MS}
    for lower, upper, verdict in ((10, 100, "ok"), (75, 100, "fail"), (10, 65, "fail")):
        metrics = [{**bound, "lower": lower * MS, "upper": upper * MS}]
        [row] = task_accounting.compare_intervals(made(spans=spans, waits=found, metrics=metrics).tables, PLACE)
        assert (row.verdict, row.reference) == (verdict, 70 * MS)


@pytest.mark.parametrize(("found", "verdict"), [(100, "ok"), (103, "ok"), (104, "fail")])
def test_the_switches_of_a_thread_that_waits_for_nothing_but_the_gil_are_for_it(found: int, verdict: str) -> None:
    known = thread(sites={"gil": ["f"]}, holds=["f"], life={"voluntary_switches": 100})
    metrics = [number("gil_waiter_switches", found, "kernel-sched")]
    [row] = switches.compare_with_kernel(made(known=answers(known), threads=[ALIVE], metrics=metrics))
    assert (row.verdict, row.metric) == (verdict, "gil_waiter_switches")
    other = thread(sites={"gil": ["f"], "sleep": ["f"]}, holds=["f"], life={"voluntary_switches": 100})
    [row] = switches.compare_with_kernel(made(known=answers(other), threads=[ALIVE], metrics=metrics))
    assert row.verdict == "unavailable"


def test_each_take_that_slept_is_a_handoff_from_the_last_drop_by_another_thread() -> None:
    drops = (np.array([T0 + 10 * MS, T0 + 30 * MS, T0 + 49 * MS]), np.array([TID + 1, TID + 1, TID]))
    events = KernelReference(gil=True, switches={TID: (np.array([T0, T0 + 41 * MS]), BLOCKED_AT_ONCE[1])}, drops=drops)
    slept = [wait("gil", 0, 30.5, "kernel-uprobe"), wait("gil", 40, 10, "kernel-uprobe")] * 10
    many = [number("gil_handoffs", 20, scope="run"), number("gil_handoff_latency_ns", 9 * MS, scope="run")]
    count, median, late = handoffs.compare_handoffs(made(kernel=events, waits=slept, metrics=many))
    assert (count.verdict, count.reference) == ("ok", 20)
    assert (median.verdict, median.reference) == ("ok", (0.5 + 20) / 2 * MS)
    assert (late.verdict, late.reference) == ("fail", 20 * MS)
    # In half of the waits the drop began before them: these are one or none.
    for found, wanted, verdict in ((12, 12, "ok"), (31, 20, "fail")):
        metrics = [number("gil_handoffs", found, scope="run")]
        count = handoffs.compare_handoffs(made(kernel=events, waits=slept, metrics=metrics))[0]
        assert (count.verdict, count.reference) == (verdict, wanted)


def test_without_an_interval_of_tasks_there_is_no_verdict() -> None:
    assert [row.verdict for row in task_accounting.compare_intervals(made().tables, PLACE)] == ["unavailable"]
