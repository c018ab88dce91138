"""The comparisons of lives, CPU time and ledger, on tables made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.accuracy.run_factory import ALIVE, PID, PLACE, T0, TID, answers, made, number, thread, wait
from tests.table_factory import MS
from tracekit.accuracy import kernel_reference
from tracekit.accuracy.checks import ledger, lifetimes, scheduling
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.known_answers import KnownProcess
from tracekit.analysis.load.kernel.trace import KernelEvents


def test_lives_and_cpu_times_are_compared_with_the_kernel_s_events() -> None:
    events = KernelReference(gil=True, born={PID: T0, TID: T0}, ended={PID: T0 + 900 * MS, TID: T0 + 500 * MS})
    sched = [{"state": "running", "start_ns": T0 + 880 * MS, "dur_ns": 40 * MS, "tid": PID}]
    sched.append({"state": "runnable", "start_ns": T0, "dur_ns": 100 * MS, "tid": TID})
    metrics = [
        number("wall_ns", 1000.0 * MS, scope="run"),
        number("thread_wall_ns", 400.0 * MS),
        number("cpu_ns", 230.0 * MS, scope="process"),
    ]
    known = answers(processes=(KnownProcess(pid=PID, cpu_ns=200 * MS, at_ns=T0 + 890 * MS),))
    rows = lifetimes.compare_with_kernel(
        made(
            known=known,
            kernel=events,
            sched=sched,
            metrics=metrics,
            threads=[{**ALIVE, "start_ns": T0 + 100 * MS}],
            processes=[{"role": "main"}],
        )
    )
    assert [(row.metric, row.verdict, row.difference) for row in rows] == [
        ("wall_ns", "fail", 100 * MS),
        # What it waited for a CPU before its first instruction is part of its life.
        ("thread_wall_ns", "ok", 0),
        ("cpu_ns", "ok", 0),
    ]


def test_a_thread_s_own_readings_are_compared_where_it_ends_with_its_window() -> None:
    known = thread(
        sites={"gil": ["f"]},
        waits={"gil": 0},
        life={"cpu_ns": 300 * MS, "run_queue_wait_ns": 100 * MS},
        migrations=40,
    )
    metrics = [
        number("thread_on_cpu_ns", 320.0 * MS),
        number("run_queue_wait_ns", 90.0 * MS, "kernel-sched"),
        number("run_queue_wait_ns", 120.0 * MS),
        number("thread_run_queue_ns", 90.0 * MS, "kernel-sched"),
        number("cpu_migrations", 44, "kernel-sched"),
    ]
    sched = [{"state": "runnable", "start_ns": at, "dur_ns": ms * MS} for at, ms in ((T0, 10), (ALIVE["end_ns"], 20))]
    begun = {**ALIVE, "start_ns": T0 + 10 * MS}
    seen = made(known=answers(known), kernel=KernelReference(gil=True), threads=[begun], sched=sched, metrics=metrics)
    rows = scheduling.compare_with_known(seen)
    assert [(row.metric, row.verdict, row.difference) for row in rows] == [
        ("thread_on_cpu_ns", "fail", 20 * MS),
        # Both the kernel's and the probe's go on after the thread's own reading; only its ledger begins later.
        ("run_queue_wait_ns", "fail", -30 * MS),
        ("run_queue_wait_ns", "ok", 0),
        ("thread_run_queue_ns", "fail", -20 * MS),
        ("cpu_migrations", "fail", 4),
    ]
    # The thread's own reading may have a sleep in it.
    slept = [*sched, {"state": "sleeping", "start_ns": T0 + 100 * MS, "dur_ns": 30 * MS}]
    seen = made(known=answers(known), kernel=KernelReference(gil=True), threads=[begun], sched=slept, metrics=metrics)
    verdicts = [row.verdict for row in scheduling.compare_with_known(seen)]
    assert verdicts == ["fail", "inconclusive", "ok", "inconclusive", "fail"]
    missing = KernelReference(gil=True, missing={TID: 30 * MS})
    seen = made(known=answers(known), kernel=missing, threads=[begun], sched=sched, metrics=metrics)
    assert [row.verdict for row in scheduling.compare_with_known(seen)][:2] == ["inconclusive", "inconclusive"]
    longer = {**begun, "end_ns": ALIVE["end_ns"] + 30 * MS}
    assert scheduling.compare_with_known(made(known=answers(known), threads=[longer], metrics=metrics)) == []


def test_steal_of_threads_is_what_they_ran_longer_than_their_clocks_say() -> None:
    known = answers(thread(cpu_ns=300 * MS))
    sched = [{"state": "running", "start_ns": T0, "dur_ns": 340 * MS}]
    for stolen, found, wanted, verdict in ((0, 0, 0, "ok"), (30, 28, 30, "ok"), (60, 0, 40, "inconclusive")):
        metrics = [number("thread_steal_ns", found * MS, "kernel-sched")]
        place = replace(PLACE, steal_ns=stolen * MS)
        [row] = scheduling.compare_with_known(made(known=known, sched=sched, metrics=metrics, place=place))
        assert (row.verdict, row.reference) == (verdict, wanted * MS)


def test_parts_of_the_ledger_are_compared_with_what_the_program_knows_and_idle_apart() -> None:
    known = answers(thread(waits={"lock": 300 * MS, "io-read": 100 * MS}, idle={"lock": 200 * MS}))
    metrics = [
        number("thread_lock_wait_ns", 300.0 * MS),
        number("thread_io_wait_ns", 101.0 * MS),
        number("thread_idle_ns", 200.0 * MS),
    ]
    rows = ledger.compare_known(made(known=known, threads=[ALIVE], metrics=metrics))
    assert [(row.metric, row.verdict, row.reference) for row in rows] == [
        ("thread_lock_wait_ns", "fail", 100 * MS),
        ("thread_idle_ns", "ok", 200 * MS),
        ("thread_io_wait_ns", "ok", 100 * MS),
    ]


def test_the_ledger_s_gil_wait_is_compared_with_the_other_record_of_each_wait_less_what_ran_in_it() -> None:
    found = [wait("gil", 0, 100), wait("gil", 0, 90, "kernel-uprobe"), wait("gil-switch", 200, 50, "kernel-uprobe")]
    sched = [{"state": "running", "start_ns": T0 + at * MS, "dur_ns": 20 * MS} for at in (-10, 50, 190, 300)]
    metrics = [number("thread_gil_wait_ns", 110.0 * MS, "kernel-sched")]
    [row] = ledger.compare_known(made(threads=[ALIVE], waits=found, sched=sched, metrics=metrics))
    assert (row.verdict, row.reference) == ("ok", (150 - 10 - 20 - 10) * MS)


def events(**columns: list[int]) -> KernelEvents:
    return KernelEvents(columns={name: np.array(values) for name, values in columns.items()}, texts=[])


def test_events_that_cannot_follow_one_another_leave_the_time_between_unknown() -> None:
    switched = events(
        ts_ns=[10, 20, 30, 50, 90, 95],
        prev_pid=[0, 1, 0, 1, 2, 1],
        next_pid=[1, 0, 1, 2, 1, 0],
        prev_state=[0, 1, 0, 0, 1, 1],
        cpu=[0] * 6,
    )
    woken = events(ts_ns=[5], pid=[1])
    # 1 slept from 20 and ran at 30 without having been woken; it was preempted at 50, which needs no waking.
    assert kernel_reference.sum_missing(switched, woken) == {1: 10}
    late = events(ts_ns=[10, 40], prev_pid=[1, 1], next_pid=[0, 0], prev_state=[1, 1], cpu=[0, 0])
    assert kernel_reference.sum_missing(late, events(ts_ns=[20], pid=[1])) == {1: 20}
