"""GIL waits as they were seen, by hand; which method is believed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import MS, Maker, full_run
from tests.unit.analysis.metrics.metric_rows import all_rows, ends, one_row
from tests.unit.analysis.metrics.watched_program import Program
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.gil.wait_sampled import compute_wilson, waits_for_gil
from tracekit.analysis.metrics.methods import RANKS, compare_methods, find_family, measure_distance, rank
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.number_notices import find_notices
from tracekit.analysis.tables import Tables, from_rows


def test_every_method_has_its_row_and_the_best_stands_first() -> None:
    program = Program(capture="waits+kernel")
    program.thread(7, cpu_ms=40)
    program.thread(8, cpu_ms=50)
    program.wait(7, "gil", 10, 30)
    program.wait(7, "gil", 90, 120)
    program.wait(7, "gil-switch", 40, 45)
    program.wait(7, "gil", 10, 31, method="kernel-uprobe")
    program.wait(7, "gil-switch", 40, 46, method="kernel-uprobe")
    program.wait(8, "gil", 0, 10)
    tables = program.tables()
    for scope in ("run", "cell", "process"):
        found = all_rows(tables, "gil_wait_ns", scope=scope)
        assert [(row["method"], row["value"] / MS) for row in found] == [
            ("kernel-uprobe", 21),
            ("waits-probe", 40),
            ("portable", 0),
        ]
    one = all_rows(tables, "gil_wait_ns", scope="thread", tid=7)
    # Cut to the run window; the switch is a number of its own.
    assert [(row["value"] / MS, row["n"]) for row in one][:2] == [(21, 1), (30, 2)]
    assert ends(one[2]) == (0, 0, 60 * MS)
    # Of 100 ms: 40 on a CPU, 30 for the GIL; in the other 30 it may have slept to give the GIL up. Of the 40, each of
    # its 2 waits may have 20 µs.
    assert ends(one_row(tables, "gil_switch_wait_ns", scope="thread", tid=7)) == (5 * MS, 5 * MS, 30.04 * MS)
    # The kernel sees the sleeps after a forced switch that the probe misses: in the ledger both kinds are the kernel's.
    assert one_row(tables, "thread_gil_wait_ns", scope="thread", tid=7)["value"] == 27 * MS
    assert one_row(tables, "gil_wait_share", scope="cell", method="waits-probe")["value"] == pytest.approx(0.2)


def test_a_watched_run_without_a_wait_is_0_and_measured() -> None:
    program = Program()
    program.thread(7, cpu_ms=40)
    rows = all_rows(program.tables(), "gil_wait_ns", scope="run")
    assert [(row["value"], row["quality"], row["method"]) for row in rows] == [
        (0, "measured", "waits-probe"),
        (0, "bound", "portable"),
    ]


def test_cpu_time_in_many_short_waits_leaves_room_for_a_switch_that_the_probe_missed() -> None:
    """500 waits of 100 µs and 55 ms of CPU time are more than 100 ms: some of that CPU time was inside the waits."""
    program = Program()
    program.thread(7, cpu_ms=55)
    for number in range(500):
        program.wait(7, "gil", number / 10, number / 10 + 0.1)
    program.thread(8)
    row = one_row(program.tables(), "gil_switch_wait_ns", scope="thread", tid=7)
    # 100 - 50 - (55 - 500 * 0.02); without that it would be 0, and measured.
    assert (row["value"], row["upper"], row["quality"]) == (0, 5 * MS, "bound")


def test_a_switch_that_the_probe_may_have_missed_is_no_measured_one() -> None:
    program = Program()
    # 100 - 30 (lock and GIL) - 20 (CPU, of which its reads may be a part) = 50, and 20 µs of CPU time in each
    # of 2 waits; 8 is on the CPU all its life.
    program.thread(7, cpu_ms=20)
    program.wait(7, "gil-switch", 0, 5)
    program.wait(7, "gil-switch", 6, 8)
    program.wait(7, "lock", 10, 30)
    program.wait(7, "gil", 25, 40)
    program.wait(7, "io-read", 50, 65)
    program.thread(8, cpu_ms=100)
    # Without its CPU time all but its waits may have been one.
    program.thread(9, cpu_ms=None)
    program.wait(9, "sleep", 0, 90)
    program.thread(5, cpu_ms=0, role="native")
    tables = program.tables()
    found = {row["tid"]: row for row in all_rows(tables, "gil_switch_wait_ns", scope="thread")}
    assert {tid: ends(row) for tid, row in found.items()} == {
        5: (0, 0, 0),
        7: (7 * MS, 7 * MS, 50.04 * MS),
        8: (0, 0, 0),
        9: (0, 0, 10 * MS),
    }
    assert [(found[tid]["quality"], found[tid]["n"]) for tid in (7, 8)] == [("bound", 2), ("measured", 0)]
    for scope in ("process", "run", "cell"):
        row = one_row(tables, "gil_switch_wait_ns", scope=scope)
        assert (*ends(row), row["quality"]) == (7 * MS, 7 * MS, 60.04 * MS, "bound")
        assert row["reason"].startswith("at least what the probe saw: ")


@pytest.mark.parametrize("gil", [True, False])
def test_a_switch_for_which_there_is_no_other_thread_or_no_gil_is_measured(gil: bool) -> None:
    program = Program(gil_enabled=gil)
    for tid in (7, 8)[: 1 if gil else 2]:
        program.thread(tid, cpu_ms=20)
    row = one_row(program.tables(), "gil_switch_wait_ns", scope="run")
    assert (*ends(row), row["quality"], row["reason"]) == (0, 0, 0, "measured", None)


def test_where_the_gil_is_off_only_that_is_said() -> None:
    program = Program(gil_enabled=False)
    program.thread(7, cpu_ms=40)
    program.thread(8, cpu_ms=40)
    rows = all_rows(program.tables(), "gil_wait_ns", scope="run")
    assert [(row["value"], row["quality"], row["method"]) for row in rows] == [(0, "measured", "no-gil")]


def test_workers_count_in_a_suite_and_main_has_its_own_row() -> None:
    maker = Maker()
    for repeat in (1, 2):
        run = full_run(maker, "threads", task_ns=20 * MS, cpu_share=0.5, repeat=repeat, capture="waits")
        main, begin = run["main_pid"], run["start_ns"]
        for tid, length in ((main, 5), (main + 1, 7 * repeat), (main + 2, 11)):
            maker.wait(run, main, tid, "gil", begin + 10 * MS, length * MS)
    tables = maker.tables()
    runs = all_rows(tables, "gil_wait_ns", scope="run", method="waits-probe")
    assert [row["value"] / MS for row in runs] == [18, 25]
    mains = [row["value"] / MS for row in all_rows(tables, "gil_wait_ns", scope="thread") if row["value"] == 5 * MS]
    assert mains == [5, 5]
    # Light captures have cells; the timings have none there.
    cell = one_row(tables, "gil_wait_ns", scope="cell", capture="waits", method="waits-probe")
    assert (cell["value"] / MS, cell["n"], cell["quality"]) == (21.5, 2, "measured")
    assert one_row(tables, "gil_wait_ns", scope="cell", capture="waits", method="schedstat")["quality"] == "bound"
    assert all_rows(tables, "wall_ns", scope="cell") == []
    assert len(all_rows(tables, "wall_ns", scope="run")) == 2


def test_heavy_captures_have_no_cell_and_a_program_always_has_one() -> None:
    maker = Maker()
    full_run(maker, "threads", task_ns=20 * MS, capture="viztracer")
    assert all_rows(maker.tables(), "gil_wait_ns", scope="cell") == []
    program = Program(capture="viztracer", status="failed")
    assert one_row(program.tables(), "wall_ns", scope="cell")["value"] == 100 * MS


PYTHON = "spin (/app/app.py:4)"
COND = "pthread_cond_timedwait (libc.so.6)"


@pytest.mark.parametrize(
    ("stack", "waits"),
    [
        ((PYTHON, COND), True),
        ((PYTHON, "0x7f21a3b4 (libc-2.31.so)"), True),
        ((PYTHON, "__futex_abstimed_wait_common64 (libc.so.6)", COND), True),
        ((PYTHON, "take_gil.lto_priv.0 (libpython3.11.so.1.0)", COND), True),
        ((PYTHON, "os_read (libpython3.13.so.1.0)", "PyEval_RestoreThread (libpython3.13.so.1.0)", COND), True),
        # Beside the probe and the kernel's uprobes.
        ((PYTHON, "pthread_cond_timedwait (/venv/measure/probe/waits.so)", "0x7fff21a3b000 (?)", COND), True),
        (
            (
                PYTHON,
                "os_read (libpython3.13.so.1.0)",
                "read (/venv/measure/probe/waits.so)",
                "0x7f (libc.so.6)",
            ),
            False,
        ),
        # Python's locks are semaphores: a condition is the GIL's, which it takes after the lock.
        ((PYTHON, "lock_PyThread_acquire_lock (python3.11)", "sem_clockwait (libc.so.6)"), False),
        ((PYTHON, "lock_PyThread_acquire_lock (python3.11)", COND), True),
        ((PYTHON, "os_read (/opt/bin/python3.15)", COND, "0x7f21a3b4 (libc.so.6)"), True),
        ((PYTHON, "time_sleep (/opt/lib/libpython3.11.so.1.0)", COND, "0x7f21a3b4 (libc.so.6)"), True),
        # A thread that has not run yet; what called take_gil is hidden behind the page of the uprobes.
        (("thread (7)", "0x7f21a3 (libc.so.6)", "pythread_wrapper (libpython3.11.so.1.0)", COND), True),
        (("thread (7)", "0x7fffffffe000 (?)", COND, "0x7f21a3b4 (libc.so.6)"), True),
        (("thread (7)", "0x7f21a3 (libc.so.6)", "0x7fffffffe000 (?)", COND), True),
        (("thread (7)", "0x7fffffffe000 (?)", "read (libc.so.6)"), False),
        (("thread (7)", "0x7f21a3 (libc.so.6)", COND), False),
        ((PYTHON, "blas_thread (/opt/lib/libopenblas.so.0)", COND), False),
        ((PYTHON, "0x55d0aa (python3.11)", "0x7f21a3b4 (libc.so.6)"), False),
        (("wait (/usr/lib/python3.9/threading.py:312)", COND), False),
        ((PYTHON, "clock_nanosleep (libc.so.6)"), False),
        ((PYTHON,), False),
        ((COND,), False),
        ((), False),
    ],
)
def test_native_stacks_of_a_gil_waiter(stack: tuple[str, ...], waits: bool) -> None:
    assert waits_for_gil(stack) is waits


def sampled(waiting: int, working: int, *, alone: bool = False) -> Tables:
    program = Program(capture="py-spy")
    for tid, counts in ((7, (waiting, working)),) if alone else ((7, (waiting, working)), (8, (0, 10))):
        program.thread(tid, cpu_ms=40)
        for stack, count in zip(("w", "p"), counts, strict=True):
            for _ in range(count):
                place = {"run_id": program.run["run_id"], "pid": program.pid, "tid": tid, "weight_ns": MS}
                program.maker.row("samples", **place, state="unknown", stack_id=stack)
    program.maker.facts["stacks"] = {"w": (PYTHON, COND), "p": (PYTHON,)}
    return program.tables()


def test_samples_give_a_share_of_the_life_with_wilsons_interval() -> None:
    row = all_rows(sampled(30, 70), "gil_wait_ns", scope="thread", tid=7)[0]
    assert (row["method"], row["quality"], row["n"]) == ("py-spy-native", "estimated", 100)
    # Wilson, 30 of 100: 0.2189 to 0.3958, as in the tables of the literature.
    assert [end / MS for end in ends(row)] == pytest.approx([21.89, 30, 39.58], abs=0.01)
    run = all_rows(sampled(30, 70), "gil_wait_ns", scope="cell")[0]
    assert (run["method"], run["quality"]) == ("py-spy-native", "estimated")
    assert run["value"] == 30 * MS


def test_samples_that_are_missing_may_have_been_waits_or_not() -> None:
    """py-spy read the thread in 40 of 100 ms; the other 60 could all be waits, or none."""
    row = all_rows(sampled(20, 20), "gil_wait_ns", scope="thread", tid=7)[0]
    low, high = compute_wilson(0.5, 40)
    assert [end / MS for end in ends(row)] == pytest.approx([40 * low, 50, 60 + 40 * high])


def test_a_thread_that_is_alone_in_its_process_waits_for_no_gil() -> None:
    row = all_rows(sampled(30, 70, alone=True), "gil_wait_ns", scope="thread", tid=7)[0]
    assert (row["method"], row["value"]) == ("py-spy-native", 0)


def test_wilson_holds_its_share_and_stays_a_share() -> None:
    assert compute_wilson(0, 10) == (0, pytest.approx(0.2775, abs=1e-4))
    assert compute_wilson(1, 10) == (pytest.approx(0.7225, abs=1e-4), 1)
    assert compute_wilson(0, 0) == (0, 1)


def test_methods_by_rank() -> None:
    given = ["portable", "no-gil", "py-spy-native", "waits-probe, thread ends", "kernel-sched", "kernel-uprobe"]
    assert [rank(method) for method in given] == [5, 4, 3, 2, 1, 0]
    assert [find_family(method) for method in ("linux", "waits-probe + schedstat", "")][:2] == [
        "accounting",
        "waits-probe",
    ]
    assert rank("") == len(RANKS)


def row(value: float, method: str, **values: Any) -> dict[str, Any]:
    names = ("suite_id", "run_id", "scope", "pid", "tid", "metric", "workload", "size", "parameters", "model")
    place = dict.fromkeys((*names, "workers", "start_method", "capture", "os", "python"))
    ends_of = {"lower": value, "upper": value, "quality": "measured"}
    return {**place, "value": value, "method": method, **ends_of, **values}


def test_how_far_methods_are_apart() -> None:
    best, other = row(10.0, "kernel-uprobe"), row(13.0, "waits-probe")
    inside = row(0.0, "schedstat", quality="bound", lower=0.0, upper=50.0)
    below = row(3.0, "schedstat", quality="bound", lower=0.0, upper=4.0)
    above = row(30.0, "schedstat", quality="bound", lower=12.0, upper=40.0)
    assert [measure_distance(best, item) for item in (other, inside, below, above)] == [3, 0, 6, 2]
    found = list(compare_methods([below, other, best]))
    assert [(item.best["method"], item.other["method"], item.apart) for item in found] == [
        ("kernel-uprobe", "waits-probe", 3),
        ("kernel-uprobe", "schedstat", 6),
    ]


def doubts(program: Program) -> list[str]:
    tables = program.tables()
    metrics = compute_all(Analysis(tables), ["gil_wait_ns", "run_queue_wait_ns", "thread_wall_ns", "unattributed_ns"])
    return [
        item.code for item in find_notices(Analysis(tables), metrics) if item.code in ("methods-differ", "ledger-open")
    ]


@pytest.mark.parametrize(("kernel_ms", "expected"), [(60, []), (56, []), (53, ["methods-differ"])])
def test_methods_that_disagree_are_a_doubt(kernel_ms: int, expected: list[str]) -> None:
    program = Program(capture="waits+kernel")
    program.thread(7, cpu_ms=40)
    program.thread(8, cpu_ms=100)
    program.wait(7, "gil", 0, 60)
    program.wait(7, "gil", 0, kernel_ms, method="kernel-uprobe")
    assert doubts(program) == expected


def test_little_is_no_doubt_however_large_its_share() -> None:
    program = Program(capture="waits+kernel")
    program.thread(7, cpu_ms=95)
    program.thread(8, cpu_ms=100)
    program.wait(7, "gil", 0, 4)
    program.wait(7, "gil", 0, 1, method="kernel-uprobe")
    assert doubts(program) == []


@pytest.mark.parametrize(("cpu_ms", "expected"), [(95, []), (94, ["ledger-open"])])
def test_a_ledger_that_is_open_is_a_doubt(cpu_ms: int, expected: list[str]) -> None:
    program = Program()
    program.thread(7, cpu_ms=cpu_ms)
    assert doubts(program) == expected


@pytest.mark.parametrize(("wall_ms", "expected"), [(10, []), (20, []), (21, ["ledger-open"])])
def test_a_ledger_that_is_open_by_a_moment_is_none(wall_ms: int, expected: list[str]) -> None:
    """A tenth of a thread's life is left over: little time in a short one."""
    program = Program(wall_ms=wall_ms)
    program.maker.thread(
        program.run, program.pid, 7, program.at(0), program.at(wall_ms), role="other", cpu_ns=wall_ms * MS * 9 // 10
    )
    assert doubts(program) == expected


@pytest.mark.parametrize(
    ("capture", "advice"),
    [
        ("waits", "add the capture kernel,"),
        ("kernel", "add the capture waits,"),
        ("waits+kernel", "repeat on a quiet machine"),
        ("viztracer", "add the captures waits and kernel,"),
    ],
)
def test_an_open_ledger_asks_for_no_capture_that_ran(capture: str, advice: str) -> None:
    program = Program(capture=capture)
    program.thread(7, cpu_ms=50)
    tables = program.tables()
    whole = {"scope": "run", "run_id": program.run["run_id"]}
    metrics = from_rows(
        "metrics",
        [
            {**whole, "metric": "thread_wall_ns", "value": 100.0 * MS},
            {**whole, "metric": "unattributed_ns", "value": 16.0 * MS},
        ],
    )
    (found,) = [item for item in find_notices(Analysis(tables), metrics) if item.code == "ledger-open"]
    assert found.remedy.startswith(advice)
    assert "(16 %; too much in 1 of 1 runs)" in found.text


def test_a_kernel_capture_of_which_nothing_was_kept_saw_nothing() -> None:
    program = Program(capture="kernel")
    program.thread(7, cpu_ms=50)
    assert [row["method"] for row in all_rows(program.tables(), "gil_wait_ns", scope="run")] == ["portable"]


def test_the_share_of_a_program_is_also_of_threads_whose_cpu_time_nobody_read() -> None:
    program = Program()
    program.thread(7, cpu_ms=50)
    program.thread(8, cpu_ms=None)
    program.wait(7, "gil", 0, 50)
    program.wait(8, "gil", 50, 100)
    assert one_row(program.tables(), "thread_wall_ns", scope="run")["value"] == 100 * MS
    assert one_row(program.tables(), "gil_wait_share", scope="run")["value"] == 0.5


def test_a_thread_outside_the_run_has_no_life_and_not_less_than_none() -> None:
    program = Program(capture="py-spy")
    program.thread(7, cpu_ms=50)
    program.thread(8, cpu_ms=1, start_ms=150, end_ms=200)
    program.thread(9, cpu_ms=1, start_ms=-50, end_ms=-10)
    for tid in (7, 8, 9):
        place = {"run_id": program.run["run_id"], "pid": program.pid, "tid": tid, "weight_ns": MS}
        program.maker.row("samples", **place, state="unknown", stack_id="p" if tid == 7 else "w")
    program.maker.facts["stacks"] = {"w": (PYTHON, COND), "p": (PYTHON,)}
    rows = [row for row in all_rows(program.tables(), "gil_wait_ns") if row["method"] == "py-spy-native"]
    assert {row["tid"] for row in rows if row["scope"] == "thread"} == {7}
    assert all(0 <= row["lower"] <= row["value"] <= row["upper"] for row in rows)
