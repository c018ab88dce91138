"""Context switches, run-queue wait and migrations from the kernel's record and from thread ends, by hand."""

from __future__ import annotations

import pytest

from tests.table_factory import MS, Maker, full_run
from tests.unit.analysis.metrics.metric_rows import all_rows, ends, one_row
from tests.unit.analysis.metrics.watched_program import Program
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import records


def scheduled() -> Program:
    """Thread 7 waits for the GIL from 10 to 27 ms, waking once to ask, then is preempted and at last blocks. The kernel
    sees the switches only: this Python has no symbols."""
    program = Program(capture="waits+kernel")
    facts = {"severity": "info", "text": "", "remedy": ""}
    program.maker.row("notices", run_id=program.run["run_id"], code="kernel-no-symbols", **facts)
    program.thread(7, cpu_ms=50, voluntary_switches=9, involuntary_switches=4, run_queue_wait_ns=11 * MS)
    program.thread(8, cpu_ms=50, voluntary_switches=1, involuntary_switches=0, run_queue_wait_ns=0)
    program.scheduled(7, ("running", 11), ("sleeping", 4), ("running", 1), ("sleeping", 6), ("runnable", 4))
    program.scheduled(7, ("running", 14), ("runnable", 6), start_ms=26, cpu=1)
    program.scheduled(7, ("running", 4), ("disk", 10), ("running", 30), ("sleeping", 10), start_ms=46)
    program.scheduled(8, ("running", 100))
    program.wait(7, "gil", 10, 27)
    return program


def test_switches_of_the_kernels_record() -> None:
    tables = scheduled().tables()
    voluntary = all_rows(tables, "voluntary_switches", scope="thread", tid=7)
    assert [(row["method"], row["value"]) for row in voluntary] == [
        ("kernel-sched", 4),
        ("waits-probe, thread ends", 9),
    ]
    assert [row["value"] for row in all_rows(tables, "involuntary_switches", scope="run")] == [1, 4]
    # Thread 8 ends its record running, beside the next thread's lane: no switch.
    assert all_rows(tables, "voluntary_switches", scope="thread", tid=8)[0]["value"] == 0


def test_of_two_methods_the_table_says_which_one_the_report_uses() -> None:
    metrics = compute_all(Analysis(scheduled().tables()), ["voluntary_switches"])
    rows = records(metrics[metrics["tid"] == 7])
    assert [(row["method"], row["preferred"]) for row in rows] == [
        ("kernel-sched", True),
        ("waits-probe, thread ends", False),
    ]


def test_waking_to_ask_for_the_gil_is_told_from_other_switches() -> None:
    tables = scheduled().tables()
    waiters = all_rows(tables, "gil_waiter_switches", scope="run")
    # By the probe alone 17 ms are 4 intervals of 5 ms begun.
    assert [(row["method"].split(",")[0], row["value"], row["quality"]) for row in waiters] == [
        ("kernel-sched", 2, "measured"),
        ("waits-probe", 4, "estimated"),
    ]
    others = all_rows(tables, "other_voluntary_switches", scope="run")
    assert [(row["value"], row["quality"]) for row in others] == [(2, "measured"), (6, "estimated")]


def test_the_switch_interval_is_that_of_each_process_and_an_assumed_one_is_named() -> None:
    program = Program()
    program.maker.facts["environments"] = []
    first, second = program.pid, program.pid + 1
    program.maker.process(program.run, second, "other")
    program.maker.rows["processes"][0]["switch_interval_ns"] = 3 * MS
    for program.pid in (first, second):
        program.thread(program.pid)
        program.wait(program.pid, "gil", 10, 27)
        program.hold(program.pid, 22, 26)
    tables = program.tables()
    # 17 ms are 6 intervals of 3 ms begun, and 4 of 5 ms; a hold of 4 ms is longer than the one, not than the other.
    for metric, known, assumed in (("gil_waiter_switches", 6, 4), ("gil_holds_over_interval", 1, 0)):
        rows = {row["pid"]: row for row in all_rows(tables, metric, scope="process")}
        assert (rows[first]["value"], rows[first]["reason"]) == (known, None)
        run = one_row(tables, metric, scope="run")
        assert (rows[second]["value"], run["value"]) == (assumed, known + assumed)
        for row in (rows[second], run):
            assert row["quality"] == "estimated"
            assert row["reason"].startswith("assumes CPython's default switch interval, 5 ms")


def test_run_queue_wait_and_migrations() -> None:
    tables = scheduled().tables()
    waits = all_rows(tables, "run_queue_wait_ns", scope="run")
    assert [(row["method"], row["value"] / MS) for row in waits] == [
        ("kernel-sched", 10),
        ("waits-probe, thread ends", 11),
    ]
    # 0 to 1 and back.
    assert one_row(tables, "cpu_migrations", scope="run")["value"] == 2
    assert one_row(tables, "cpu_migrations", scope="thread", tid=8)["value"] == 0


def test_the_run_queue_wait_of_a_thread_that_was_killed_is_a_bound() -> None:
    """It was last read at 90 ms at the latest, and may then have been half a second old."""
    program = Program()
    program.thread(7, run_queue_wait_ns=4 * MS, cpu_read_ns=program.at(90))
    program.thread(8, run_queue_wait_ns=2 * MS)
    tables = program.tables()
    run = one_row(tables, "run_queue_wait_ns", scope="run")
    assert (*ends(run), run["quality"]) == (6 * MS, 6 * MS, (6 + 10 + 500) * MS, "bound")
    other = one_row(tables, "run_queue_wait_ns", scope="thread", tid=8)
    assert (other["value"], other["quality"]) == (2 * MS, "measured")


def test_the_kernels_record_takes_no_time_after_the_last_reading_for_steal() -> None:
    program = Program(capture="waits+kernel")
    program.thread(7, cpu_ms=30, cpu_read_ns=program.at(50))
    program.scheduled(7, ("running", 100))
    program.steal(60)
    tables = program.tables()
    assert one_row(tables, "thread_on_cpu_ns", scope="thread", tid=7)["value"] == 80 * MS
    assert one_row(tables, "thread_steal_ns", scope="thread", tid=7)["value"] == 20 * MS


def test_a_new_thread_waits_for_a_cpu_before_its_first_instruction() -> None:
    """Asked for at 5 ms, it ran its first instruction at 30; so did a forked child. schedstat counts that as well."""
    program, child = Program(capture="waits+kernel"), 4711
    program.maker.process(program.run, child, "other", spawn_requested_ns=program.at(5), exec_ns=None)
    program.thread(7, start_ms=30, spawn_requested_ns=program.at(5), run_queue_wait_ns=29 * MS)
    program.maker.thread(
        program.run, child, child, program.at(30), program.at(100), role="other", cpu_ns=0, run_queue_wait_ns=24 * MS
    )
    program.scheduled(7, ("runnable", 24), ("running", 40), ("runnable", 5), ("running", 25), start_ms=6)
    program.maker.scheduled(
        program.run, child, child, program.at(6), ("runnable", 24 * MS), ("running", 70 * MS), cpu=0
    )
    tables = program.tables()
    for tid, waited in ((7, 29), (child, 24)):
        found = {row["method"]: row["value"] for row in all_rows(tables, "run_queue_wait_ns", scope="thread", tid=tid)}
        assert found == {"kernel-sched": waited * MS, "waits-probe, thread ends": waited * MS}
    # Its life, of which the ledger is, begins with its first instruction.
    assert one_row(tables, "thread_wall_ns", scope="thread", tid=7)["value"] == 70 * MS


def test_what_native_threads_waited_for_a_cpu_is_in_the_sums() -> None:
    """A pool of BLAS that has more threads than there are CPUs waits there instead of the Python threads."""
    program = scheduled()
    program.thread(9, cpu_ms=60, role="native", run_queue_wait_ns=30 * MS)
    program.scheduled(9, ("running", 60), ("runnable", 32), ("sleeping", 8))
    tables = program.tables()
    for scope in ("process", "run"):
        waits = all_rows(tables, "run_queue_wait_ns", scope=scope)
        assert [(row["method"], row["value"] / MS) for row in waits] == [
            ("kernel-sched", 10 + 32),
            ("waits-probe, thread ends", 11 + 30),
        ]


def test_a_killed_process_leaves_a_program_the_sum_of_the_others() -> None:
    program = Program()
    program.thread(7, voluntary_switches=9)
    for tid, switches in ((20, 5), (30, None), (40, 1)):
        program.maker.process(program.run, tid, "other")
        times = (program.at(0), program.at(100))
        program.maker.thread(program.run, tid, tid, *times, role="other", cpu_ns=0, voluntary_switches=switches)
    tables = program.tables()
    for scope in ("run", "cell"):
        row = one_row(tables, "voluntary_switches", scope=scope)
        # Not "measured": a part is missing, and how large it is nobody knows.
        assert (row["value"], row["lower"], row["upper"], row["quality"]) == (15, 15, None, "estimated")
        assert row["reason"].startswith("at least: without process 30, ")


def test_a_thread_without_its_end_leaves_the_run_without_that_count() -> None:
    program = Program()
    program.thread(7, voluntary_switches=9)
    program.thread(8, voluntary_switches=None)
    tables = program.tables()
    assert one_row(tables, "voluntary_switches", scope="run")["quality"] == "unavailable"
    assert one_row(tables, "voluntary_switches", scope="thread", tid=7)["value"] == 9


def test_untraced_runs_have_none_of_it() -> None:
    maker = Maker()
    full_run(maker, "threads", task_ns=20 * MS)
    for metric in ("gil_waiter_switches", "other_voluntary_switches", "cpu_migrations", "gil_hold_ns", "lock_wait_ns"):
        row = one_row(maker.tables(), metric, scope="cell")
        assert (row["quality"], "capture" in row["reason"]) == ("unavailable", True)


def test_steal_share_is_of_what_was_wanted() -> None:
    maker = Maker()
    for repeat, stolen in enumerate((0, 30), 1):
        run = maker.run("serial", 100 * MS, repeat=repeat)
        maker.counter(run, run["main_pid"], "steal_ns", 0, stolen * MS, scope="machine")
        maker.counter(run, run["main_pid"], "cpu_ns", 0, 60 * MS)
    assert [row["value"] for row in all_rows(maker.tables(), "steal_share", scope="run")] == [0, pytest.approx(1 / 3)]
    assert one_row(maker.tables(), "steal_share", scope="cell")["value"] == pytest.approx(30 / 150)


def test_probe_effect_of_repeated_light_captures_is_paired_by_round() -> None:
    maker = Maker()
    for repeat, (plain, watched) in enumerate(((100, 101), (110, 112), (120, 119), (130, 133), (150, 150)), 1):
        maker.run("fork", plain * MS, repeat=repeat)
        maker.run("fork", watched * MS, repeat=repeat, capture="waits")
    row = one_row(maker.tables(), "probe_effect")
    assert (row["capture"], row["n"], row["method"], row["quality"]) == ("waits", 5, "paired by round", "measured")
    # Logarithms of the rounds' ratios: mean .00848, s = .01279, t(4) s / sqrt(5) = .01588.
    assert ends(row) == pytest.approx((0.9926, 1.0085, 1.0247), abs=2e-4)


def test_a_program_has_no_probe_effect_to_speak_of() -> None:
    program = Program()
    assert all_rows(program.tables(), "probe_effect") == []
    assert all_rows(program.tables(), "speedup") == []


def test_the_switch_that_begins_a_wait_is_in_it() -> None:
    """A thread that was preempted on its way into take_gil waits from its first sleep on."""
    program = Program(capture="kernel")
    program.thread(7, cpu_ms=50)
    program.scheduled(7, ("running", 10), ("runnable", 5), ("running", 1), ("sleeping", 10), ("running", 74))
    program.wait(7, "gil", 16, 27, method="kernel-uprobe")
    assert one_row(program.tables(), "gil_waiter_switches", scope="run")["value"] == 1
    assert one_row(program.tables(), "other_voluntary_switches", scope="run")["value"] == 0


def test_estimates_without_an_interval_get_that_of_their_spread() -> None:
    maker = Maker()
    for repeat, waits in enumerate((10, 20, 30, 40, 100), 1):
        run = full_run(maker, "threads", task_ns=200 * MS, capture="waits", repeat=repeat)
        for number in range(waits):
            maker.wait(run, run["main_pid"], run["main_pid"] + 1, "gil", run["start_ns"] + (1 + number) * MS, MS // 2)
    row = one_row(maker.tables(), "gil_waiter_switches", scope="cell")
    assert (ends(row), row["quality"], row["n"]) == ((10, 30, 100), "estimated", 5)
