"""wall_ns, cpu_ns, speedup, ceiling_share, probe_effect and load_balance, computed by hand."""

from __future__ import annotations

import pytest

from tests.table_factory import MS, Maker, full_run
from tests.unit.analysis.metrics.metric_rows import all_rows, ends, one_row
from tests.unit.analysis.metrics.watched_program import Program
from tracekit.core.notices import notice


def repeated(maker: Maker, model: str, *walls_ms: int, **values: object) -> None:
    for repeat, wall in enumerate(walls_ms, 1):
        maker.run(model, wall * MS, repeat=repeat, **values)


def test_wall_of_a_cell_is_the_median_of_its_runs() -> None:
    maker = Maker()
    repeated(maker, "threads", 30, 10, 20, 50, 40)
    cell = one_row(maker.tables(), "wall_ns", scope="cell")
    assert ends(cell) == (10 * MS, 30 * MS, 50 * MS)
    assert (cell["n"], cell["quality"], cell["run_id"]) == (5, "measured", None)
    of_runs = [row["value"] for row in all_rows(maker.tables(), "wall_ns", scope="run")]
    assert of_runs == [30 * MS, 10 * MS, 20 * MS, 50 * MS, 40 * MS]


def test_a_program_has_a_method_of_its_own() -> None:
    maker = Maker()
    maker.run("threads", 10 * MS)
    assert one_row(maker.tables(), "wall_ns", scope="run")["method"] == "run-span"
    row = one_row(Program(wall_ms=30).tables(), "wall_ns", scope="run")
    assert (row["value"], row["method"]) == (30 * MS, "program-span")


def test_four_repeats_have_a_median_and_no_interval() -> None:
    maker = Maker()
    repeated(maker, "threads", 10, 15, 25, 30)
    cell = one_row(maker.tables(), "wall_ns", scope="cell")
    assert ends(cell) == (None, 20 * MS, None)
    assert (cell["quality"], cell["reason"]) == ("measured", "n < 5: no interval")


def test_systems_and_interpreters_are_never_pooled() -> None:
    maker = Maker()
    repeated(maker, "threads", 10)
    repeated(maker, "threads", 20, os="Darwin")
    repeated(maker, "threads", 30, python="3.14t")
    assert [row["value"] for row in all_rows(maker.tables(), "wall_ns", scope="cell")] == [10 * MS, 20 * MS, 30 * MS]


def test_a_worker_counts_since_birth_and_the_main_process_in_the_window() -> None:
    maker = Maker()
    run = maker.run("spawn", 500 * MS)
    worker = maker.pid()
    maker.process(run, worker, "worker", worker=0)
    maker.counter(run, run["main_pid"], "cpu_ns", 100 * MS, 130 * MS)
    # 80 ms of starting the interpreter came before the worker's first reading.
    maker.counter(run, worker, "cpu_ns", 80 * MS, 380 * MS)
    rows = {row["pid"]: row["value"] for row in all_rows(maker.tables(), "cpu_ns", scope="process")}
    assert rows == {run["main_pid"]: 30 * MS, worker: 380 * MS}
    assert one_row(maker.tables(), "cpu_ns", scope="run")["value"] == 410 * MS


def test_a_total_that_lacks_a_worker_is_not_given() -> None:
    maker = Maker()
    run = maker.run("spawn", 500 * MS)
    maker.process(run, maker.pid(), "worker", worker=0)
    maker.counter(run, run["main_pid"], "cpu_ns", 0, 30 * MS)
    row = one_row(maker.tables(), "cpu_ns", scope="run")
    assert (row["value"], row["quality"]) == (None, "unavailable")
    assert row["reason"] == "1 of 2 processes gave no reading"


def test_a_killed_worker_has_no_last_reading() -> None:
    maker = Maker()
    run = maker.run("spawn", 500 * MS)
    maker.counter(run, run["main_pid"], "cpu_ns", 5 * MS, None)
    assert one_row(maker.tables(), "cpu_ns", scope="run")["quality"] == "unavailable"


def test_speedup_is_paired_by_round_so_that_noise_of_a_round_is_not_in_it() -> None:
    maker = Maker()
    repeated(maker, "serial", 900, 950, 1_000, 1_050, 1_800)
    repeated(maker, "fork", 450, 475, 500, 525, 900)
    serial, fork = all_rows(maker.tables(), "speedup")
    assert ends(serial) == (1, 1, 1)
    # Twice as fast in every round, the slow one included.
    assert ends(fork) == pytest.approx((2.0, 2.0, 2.0))
    assert (fork["method"], fork["n"]) == ("paired by round", 5)


def test_speedup_is_the_geometric_mean_of_the_rounds_with_a_log_t_interval() -> None:
    maker = Maker()
    repeated(maker, "serial", 1_000, 2_000, 2_000, 2_000, 4_000)
    repeated(maker, "fork", 1_000, 1_000, 1_000, 1_000, 1_000)
    # Logarithms base 2: 0, 1, 1, 1, 2: mean 1, s = sqrt(1/2), and t(4) s / sqrt(5) = 2.776 * .316 = .878.
    fork = one_row(maker.tables(), "speedup", model="fork")
    assert ends(fork) == pytest.approx((2**0.122, 2.0, 2**1.878), rel=1e-3)


def test_a_round_without_a_serial_run_is_in_no_speedup() -> None:
    maker = Maker()
    for repeat in (1, 2, 3, 4, 6):
        maker.run("serial", 1_000 * MS, repeat=repeat)
    repeated(maker, "fork", 500, 500, 500, 500, 100)
    fork = one_row(maker.tables(), "speedup", model="fork")
    assert (fork["value"], fork["n"], fork["reason"]) == (pytest.approx(2.0), 4, "n < 5: no interval")


def test_without_a_common_round_there_is_no_speedup() -> None:
    maker = Maker()
    maker.run("serial", 1_000 * MS, repeat=1)
    maker.run("fork", 500 * MS, repeat=2)
    row = one_row(maker.tables(), "speedup", model="fork")
    assert (row["quality"], row["reason"]) == ("unavailable", "no round has a run of both")


def test_speedup_needs_the_serial_run_of_the_same_work() -> None:
    maker = Maker()
    repeated(maker, "serial", 1_000, workload="other")
    repeated(maker, "serial", 1_000, os="Windows")
    repeated(maker, "fork", 500)
    row = one_row(maker.tables(), "speedup", model="fork")
    assert (row["quality"], row["reason"]) == ("unavailable", "no serial run of the same work ended ok")


def controls(maker: Maker) -> None:
    """spin: fork reaches 1.6, spawn 1.25, threads (GIL) 1.0. sleep: threads reach 2.0."""
    for model, wall in (("serial", 800), ("threads", 800), ("fork", 500), ("spawn", 640)):
        repeated(maker, model, wall, workload="spin", control=True)
    for model, wall in (("serial", 400), ("threads", 200)):
        repeated(maker, model, wall, workload="sleep", kind="io", control=True)


def test_share_is_of_the_fastest_process_model_of_spin() -> None:
    maker = Maker()
    controls(maker)
    repeated(maker, "serial", 1_000)
    repeated(maker, "fork", 800)
    row = one_row(maker.tables(), "ceiling_share", workload="matmul", model="fork")
    assert row["value"] == pytest.approx((1_000 / 800) / (800 / 500))
    assert row["method"] == "spin with fork"


def test_share_is_paired_by_round_so_that_what_takes_cpus_from_both_is_not_in_it() -> None:
    maker = Maker()
    # Other programs leave the control 2, 4, 8, 16 and 32 times serial's speed, and the work the same times as much.
    reached = (2, 4, 8, 16, 32)
    own = [number * share for number, share in zip(reached, (0.25, 0.5, 0.5, 0.5, 1.0), strict=True)]
    for workload, speedups in (("spin", reached), ("matmul", own)):
        repeated(maker, "serial", *[3_200] * 5, workload=workload, control=workload == "spin")
        walls = [int(3_200 / speedup) for speedup in speedups]
        repeated(maker, "fork", *walls, workload=workload, control=workload == "spin")
    row = one_row(maker.tables(), "ceiling_share", workload="matmul", model="fork")
    # Logarithms base 2: -2, -1, -1, -1, 0: as for the speed-up above.
    assert ends(row) == pytest.approx((2**-1.878, 0.5, 2**-0.122), rel=1e-3)
    assert (row["n"], row["quality"]) == (5, "measured")


@pytest.mark.parametrize(
    ("control_ms", "reached"),
    [((3_200,) * 5, "0.25x"), ((400, 410, 395, 405, 2_000), "1.44x")],
    ids=["slower", "not detectably faster"],
)
def test_a_control_that_was_no_faster_than_serial_is_no_ceiling(control_ms: tuple[int, ...], reached: str) -> None:
    maker = Maker()
    repeated(maker, "serial", *[800] * 5, workload="spin", control=True)
    repeated(maker, "fork", *control_ms, workload="spin", control=True)
    repeated(maker, "serial", *[1_000] * 5)
    repeated(maker, "fork", *[1_600] * 5)
    row = one_row(maker.tables(), "ceiling_share", workload="matmul", model="fork")
    assert (row["quality"], row["value"]) == ("unavailable", None)
    assert row["reason"] == (
        f"the control itself was not detectably faster than serial: spin with fork reached {reached}"
    )


@pytest.mark.parametrize("kind", ["io", "mixed"])
def test_work_that_waits_is_measured_against_sleep(kind: str) -> None:
    maker = Maker()
    controls(maker)
    repeated(maker, "serial", 1_000, kind=kind)
    repeated(maker, "threads", 800, kind=kind)
    row = one_row(maker.tables(), "ceiling_share", workload="matmul", model="threads")
    assert row["value"] == pytest.approx(1.25 / 2.0)
    assert row["method"] == "sleep with threads"


def test_threads_that_share_a_gil_are_no_ceiling() -> None:
    maker = Maker()
    repeated(maker, "serial", 800, workload="spin", control=True)
    repeated(maker, "threads", 800, workload="spin", control=True)
    repeated(maker, "serial", 1_000)
    repeated(maker, "threads", 1_000)
    row = one_row(maker.tables(), "ceiling_share", workload="matmul", model="threads")
    assert (row["quality"], row["reason"]) == ("unavailable", "no control was measured at this worker count")


def test_threads_without_a_gil_are_a_ceiling() -> None:
    maker = Maker()
    free = {"gil_enabled": False, "python": "3.14t"}
    repeated(maker, "serial", 800, workload="spin", control=True, **free)
    repeated(maker, "threads", 400, workload="spin", control=True, **free)
    repeated(maker, "serial", 1_000, **free)
    repeated(maker, "threads", 1_000, **free)
    row = one_row(maker.tables(), "ceiling_share", workload="matmul", model="threads")
    assert (row["value"], row["method"]) == (0.5, "spin with threads")


def test_the_control_itself_and_other_worker_counts_have_no_share() -> None:
    maker = Maker()
    controls(maker)
    repeated(maker, "serial", 1_000)
    repeated(maker, "fork", 400, workers=4)
    rows = {(row["workload"], row["model"]): row for row in all_rows(maker.tables(), "ceiling_share")}
    assert rows["spin", "fork"]["reason"] == "is the control"
    assert rows["matmul", "serial"]["reason"] == "one worker has no ceiling to reach"
    assert rows["matmul", "fork"]["reason"] == "no control was measured at this worker count"


def test_probe_effect_of_one_traced_run_takes_its_spread_from_the_untraced() -> None:
    maker = Maker()
    repeated(maker, "fork", 50, 100, 100, 100, 200)
    repeated(maker, "fork", 300, capture="viztracer")
    row = one_row(maker.tables(), "probe_effect")
    assert (row["scope"], row["capture"], row["n"]) == ("cell", "viztracer", 1)
    # Base 2 the logarithms are -1, 0, 0, 0, 1 with s = sqrt(1/2); t(4) s sqrt(1/1 + 1/5) = 2.150.
    assert ends(row) == pytest.approx((3.0 * 2**-2.150, 3.0, 3.0 * 2**2.150), rel=1e-3)


def test_probe_effect_needs_the_same_cell_untraced() -> None:
    maker = Maker()
    repeated(maker, "fork", 100, workers=4)
    repeated(maker, "fork", 360, capture="py-spy")
    row = one_row(maker.tables(), "probe_effect")
    assert (row["quality"], row["reason"]) == ("unavailable", "no untraced run of the same cell ended ok")


def test_balance_is_mean_over_busiest() -> None:
    maker = Maker()
    # 3 items for 2 workers: CPU times 200 and 100 ms, mean 150 over 200.
    full_run(maker, "fork", task_ns=100 * MS, items=3)
    assert one_row(maker.tables(), "load_balance", scope="run")["value"] == 0.75


def test_a_worker_that_got_nothing_counts_in_the_balance() -> None:
    maker = Maker()
    full_run(maker, "fork", task_ns=100 * MS, items=1)
    assert one_row(maker.tables(), "load_balance", scope="run")["value"] == 0.5


@pytest.mark.parametrize("kind", ["io", "mixed"])
def test_workers_that_wait_are_balanced_by_the_time_they_wait(kind: str) -> None:
    maker = Maker()
    run = maker.run("threads", 400 * MS, kind=kind)
    main, begin = run["main_pid"], run["start_ns"]
    # 300 and 200 ms of sleep, whose CPU time is that of asking for it: 3 µs and 30 µs.
    for tid, wall_ms, cpu_us in ((main + 1, 300, 3), (main + 2, 200, 30)):
        maker.span(run, main, tid, "task", begin, wall_ms * MS, item=tid, cpu_ns=cpu_us * 1_000)
    row = one_row(maker.tables(), "load_balance", scope="run")
    assert (row["value"], row["method"]) == (pytest.approx(250 / 300), "task wall")


def test_a_balance_without_tasks_says_why() -> None:
    maker = Maker()
    maker.run("threads", 400 * MS)
    row = one_row(maker.tables(), "load_balance", scope="run")
    assert (row["quality"], row["reason"]) == ("unavailable", "no task was recorded in this run")


def test_a_program_s_cpu_time_is_that_of_its_processes_clocks() -> None:
    """Also of threads that nobody saw, or whose own clock was not read; a process that was killed has its threads'."""
    program = Program()
    process, other = program.maker.rows["processes"][0], program.pid + 1
    process.update(before_cpu_ns=3 * MS, cpu_ns=340 * MS)
    program.maker.process(program.run, other, "other")
    program.thread(program.pid, 40)
    program.thread(program.pid + 9, None)
    program.maker.thread(program.run, other, other, program.at(0), program.at(100), cpu_ns=20 * MS)
    tables = program.tables()
    processes = {row["pid"]: row["value"] for row in all_rows(tables, "cpu_ns", scope="process")}
    assert processes == {program.pid: 340 * MS, other: 20 * MS}
    run = one_row(tables, "cpu_ns", scope="run")
    assert (run["value"], run["lower"], run["upper"], run["quality"]) == (360 * MS, 360 * MS, 360 * MS, "measured")
    process["cpu_ns"] = None
    qualities = {row["pid"]: row["quality"] for row in all_rows(program.tables(), "cpu_ns", scope="process")}
    assert qualities == {program.pid: "unavailable", other: "measured"}
    assert one_row(program.tables(), "cpu_ns", scope="run")["quality"] == "unavailable"


def test_a_program_s_cpu_time_has_what_its_processes_used_before_the_probe_came() -> None:
    program = Program()
    program.maker.rows["processes"][0]["before_cpu_ns"] = 3 * MS
    program.maker.process(program.run, program.pid + 1, "other")
    for pid, cpu in ((program.pid, 40), (program.pid + 1, 20)):
        program.maker.thread(
            program.run, pid, pid, program.at(0), program.at(100), cpu_ns=cpu * MS, run_queue_wait_ns=0
        )
    tables = program.tables()
    processes = {row["pid"]: row["value"] for row in all_rows(tables, "cpu_ns", scope="process")}
    assert processes == {program.pid: 43 * MS, program.pid + 1: 20 * MS}
    run = one_row(tables, "cpu_ns", scope="run")
    assert (run["value"], run["lower"], run["upper"], run["quality"]) == (63 * MS, 63 * MS, 63 * MS, "measured")


def test_the_cpu_time_of_a_child_that_was_killed_is_a_bound() -> None:
    """Its thread's clock was last read at 70 ms: it may have computed for the 30 ms after that, or not at all."""
    program, child = Program(), 4711
    program.maker.rows["processes"][0]["cpu_ns"] = 11 * MS
    program.maker.process(program.run, child, "other", before_cpu_ns=2 * MS)
    program.maker.thread(
        program.run, child, child, program.at(0), program.at(100), cpu_ns=20 * MS, cpu_read_ns=program.at(70)
    )
    tables = program.tables()
    rows = {row["pid"]: row for row in all_rows(tables, "cpu_ns", scope="process")}
    assert (*ends(rows[child]), rows[child]["quality"]) == (22 * MS, 22 * MS, 52 * MS, "bound")
    assert rows[child]["reason"].startswith("at least: ")
    run = one_row(tables, "cpu_ns", scope="run")
    assert (*ends(run), run["quality"]) == (33 * MS, 33 * MS, 63 * MS, "bound")
    program.maker.rows["processes"][1]["cpu_ns"] = 50 * MS
    run = one_row(program.tables(), "cpu_ns", scope="run")
    assert (run["value"], run["quality"]) == (61 * MS, "measured")


@pytest.mark.parametrize(("capture", "quality"), [("waits", "measured"), ("kernel", "measured"), ("viztracer", None)])
def test_the_cpu_time_of_a_program_needs_a_capture_that_sees_all_its_processes(
    capture: str, quality: str | None
) -> None:
    program = Program(capture=capture)
    program.maker.rows["processes"][0]["cpu_ns"] = 11 * MS
    run = one_row(program.tables(), "cpu_ns", scope="run")
    assert run["quality"] == (quality or "unavailable")
    assert quality or "capture waits or kernel" in run["reason"]
    process = one_row(program.tables(), "cpu_ns", scope="process")
    assert (process["value"], process["quality"]) == (11 * MS, "measured")


def test_the_wall_of_a_program_is_a_bound_where_only_its_tool_was_timed() -> None:
    program = Program(wall_ms=30, capture="py-spy")
    given = notice("wall-of-tool", program="app.py", run_id=program.run["run_id"])
    program.maker.rows["notices"].append({"run_id": program.run["run_id"], **given._asdict()})
    row = one_row(program.tables(), "wall_ns", scope="run")
    assert (*ends(row), row["quality"]) == (0, 30 * MS, 30 * MS, "bound")
    assert row["reason"].startswith("at most: ")
