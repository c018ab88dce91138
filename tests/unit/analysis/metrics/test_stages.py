"""What a worker costs stage by stage, with answers computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.table_factory import SECOND, Maker
from tests.unit.analysis.metrics.metric_rows import all_rows
from tracekit.analysis.metrics.startup.stages import LIFE, READY, RECORDING, measure_stages
from tracekit.analysis.tables import COLUMNS

COLUMNS_OF_STAMPS = [name for name in COLUMNS["starts"] if name.endswith("_ns")]
NEW_IMAGE = frozenset({"exec", "image", "interpreter", "site"})
FORKED = frozenset({"fork"})
NONE: frozenset[str] = frozenset()


def start(**stamps: int) -> dict[str, Any]:
    """A row of `starts`; a stamp that is not given was not taken."""
    return {**dict.fromkeys(COLUMNS_OF_STAMPS), **{f"{name}_ns": value for name, value in stamps.items()}}


THREAD = start(requested=100, returned=180, first_instruction=150, first_task=160, result=200, joined=230)
FORK = start(
    requested=100,
    returned=400,
    forked=300,
    first_instruction=500,
    recording=620,
    first_task=650,
    result=700,
    done=800,
    recorded=850,
    exit=900,
    joined=1000,
)
SPAWN = start(
    requested=0,
    exec=10,
    image=30,
    interpreter=60,
    site=100,
    main_begun=150,
    main_imported=210,
    unpickled=280,
    first_instruction=360,
    recording=450,
    first_task=550,
    result=660,
    done=780,
    recorded=910,
    exit=1050,
    joined=1200,
)


def test_the_stages_of_a_thread() -> None:
    assert measure_stages(THREAD, NONE) == {
        "bootstrap": 50,
        "task": 10,
        "result": 40,
        "join": 30,
        LIFE: 130,
        READY: 50,
        "call": 80,
    }


def test_the_stages_of_a_forked_process_and_what_tracekit_adds_is_left_out() -> None:
    assert measure_stages(FORK, FORKED) == {
        "fork": 200,
        "bootstrap": 200,
        RECORDING: 120 + 50,
        "task": 30,
        "result": 50,
        "stop": 100,
        "exit": 50,
        "join": 100,
        LIFE: 900 - 170,
        READY: 400,
        "call": 300,
    }


def test_the_stages_of_a_spawned_process() -> None:
    lengths = measure_stages(SPAWN, NEW_IMAGE)
    names = ("exec", "image", "interpreter", "site", "imports", "main", "unpickle", "bootstrap")
    assert [lengths[name] for name in names] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert [lengths[name] for name in (RECORDING, "task", "result", "stop", "exit", "join")] == [
        90 + 130,
        100,
        110,
        120,
        140,
        150,
    ]
    assert lengths[LIFE] == 1200 - 220


def test_the_first_start_under_a_fork_server_has_the_servers_image_before_the_fork() -> None:
    row = {**SPAWN, "forked_ns": 130, "main_begun_ns": 150}
    lengths = measure_stages(row, NEW_IMAGE | FORKED)
    assert (lengths["site"], lengths["fork"], lengths["imports"]) == (40, 30, 20)


def test_what_ended_before_the_parent_had_the_result_kept_nobody() -> None:
    """A worker without an executor sends its results and is gone: the parent's own stamp may come later."""
    row = {**FORK, "result_ns": 875}
    lengths = measure_stages(row, FORKED)
    assert (lengths["result"], lengths["stop"], lengths[RECORDING]) == (225, 0, 120)
    assert (lengths["exit"], lengths["join"]) == (25, 100)
    assert lengths[LIFE] == 900 - 120


def test_without_the_stage_probe_the_whole_is_known_and_its_ends_are_not() -> None:
    unwatched = {**SPAWN, **dict.fromkeys(("exec_ns", "image_ns", "interpreter_ns", "site_ns", "exit_ns"))}
    lengths = measure_stages(unwatched, NEW_IMAGE)
    unknown = {name for name, value in lengths.items() if value is None}
    assert unknown == NEW_IMAGE | {"imports", "exit", "join"}
    assert (lengths["main"], lengths["result"], lengths[LIFE]) == (60, 110, 980)


@pytest.mark.parametrize("lacking", ["requested_ns", "result_ns", "joined_ns"])
def test_a_start_that_was_not_followed_to_its_end_has_no_stages(lacking: str) -> None:
    assert measure_stages({**FORK, lacking: None}, FORKED) == {}


def test_stamps_that_contradict_one_another_give_nothing() -> None:
    assert measure_stages({**FORK, "forked_ns": 50}, FORKED) == {}
    assert measure_stages({**FORK, "exit_ns": 1001}, FORKED) == {}


@given(
    stamps=st.lists(st.integers(0, 10**12), min_size=16, max_size=16).map(sorted),
    shape=st.sampled_from([(THREAD, NONE), (FORK, FORKED), (SPAWN, NEW_IMAGE)]),
)
def test_the_stages_sum_to_the_life(stamps: list[int], shape: tuple[dict[str, Any], frozenset[str]]) -> None:
    model, probed = shape
    order = sorted(
        (name for name, value in model.items() if value is not None and name != "returned_ns"),
        key=lambda name: model[name],
    )
    row = {**dict.fromkeys(COLUMNS_OF_STAMPS), **dict(zip(order, stamps, strict=False))}
    lengths = measure_stages(row, probed)
    whole = lengths.pop(LIFE)
    recording = lengths.pop(RECORDING, 0) or 0
    assert lengths.pop(READY) == row["first_instruction_ns"] - row["requested_ns"]
    assert sum(value for value in lengths.values() if value is not None) == whole
    assert whole is not None
    assert whole + recording == row["joined_ns"] - row["requested_ns"]


def started(maker: Maker, run: dict[str, Any], worker: int, factor: int, **changes: Any) -> None:
    """A forked start in which everything takes `factor` times as long as in FORK."""
    stamps = {name: None if value is None else value * factor for name, value in FORK.items()}
    maker.row("starts", run_id=run["run_id"], worker=worker, pid=1, tid=1, **{**stamps, **changes})


def cell_row(maker: Maker, metric: str) -> dict[str, Any]:
    """The only row of that name about a cell."""
    (row,) = [row for row in all_rows(maker.tables(), "spawn_stages", scope="cell") if row["metric"] == metric]
    return row


def value(maker: Maker, metric: str) -> Any:
    return cell_row(maker, metric)["value"]


def test_a_cell_is_the_mean_over_the_middle_half_of_its_later_starts() -> None:
    maker = Maker(workload="start-stop")
    for repeat, factors in enumerate([(1, 2), (3, 4), (5, 6), (7, 1000)], start=1):
        run = maker.run("fork", SECOND, repeat=repeat, capture="stages")
        for worker, factor in enumerate((50, *factors)):
            started(maker, run, worker, factor)
    # Of 8 the quarter at each end is out: 3, 4, 5 and 6 are left.
    assert value(maker, "spawn_life_ns") == pytest.approx(730 * 4.5)
    assert value(maker, "spawn_fork_ns") == pytest.approx(200 * 4.5)
    assert value(maker, "spawn_recording_ns") == pytest.approx(170 * 4.5)
    assert value(maker, "spawn_life_p50_ns") == pytest.approx(730 * 4.5)
    assert value(maker, "spawn_life_p95_ns") == pytest.approx(730 * (7 + (1000 - 7) * 0.65))
    assert value(maker, "spawn_cold_life_ns") == pytest.approx(730 * 50)
    row = cell_row(maker, "spawn_life_ns")
    assert (row["n"], row["lower"], row["quality"]) == (8, None, "measured")
    assert "no interval" in row["reason"]


def test_five_runs_give_an_interval_that_holds_the_value() -> None:
    maker = Maker(workload="start-stop")
    for repeat in range(1, 6):
        run = maker.run("fork", SECOND, repeat=repeat, capture="stages")
        for worker, factor in enumerate((10, repeat, repeat)):
            started(maker, run, worker, factor)
    row = cell_row(maker, "spawn_life_ns")
    assert 730 <= row["lower"] < row["value"] < row["upper"] <= 730 * 5
    assert 730 <= cell_row(maker, "spawn_life_p50_ns")["lower"] < row["value"]
    # Ten starts: of drawn ones none is longer than the longest, and the true percentile may well be.
    near_longest = cell_row(maker, "spawn_life_p95_ns")
    assert (near_longest["value"], near_longest["lower"]) == (pytest.approx(730 * 5), None)
    assert near_longest["reason"].startswith("no interval")


def test_only_starts_that_count_count() -> None:
    maker = Maker(workload="start-stop")
    started(maker, maker.run("fork", SECOND), 1, 2)
    started(maker, maker.run("fork", SECOND, warmup=True), 1, 100)
    started(maker, maker.run("fork", SECOND, status="failed"), 1, 100)
    started(maker, maker.run("fork", SECOND, workload="matmul"), 1, 100, joined_ns=None)
    rows = all_rows(maker.tables(), "spawn_stages", scope="cell")
    assert {row["workload"] for row in rows} == {"start-stop"}
    assert {row["n"] for row in rows} == {1}
    assert value(maker, "spawn_life_ns") == 1460


def test_an_untraced_cell_says_what_only_the_probe_can_tell() -> None:
    maker = Maker(workload="start-stop")
    started(maker, maker.run("fork", SECOND), 1, 1, forked_ns=None, exit_ns=None)
    rows = {row["metric"]: row for row in all_rows(maker.tables(), "spawn_stages", scope="cell")}
    lacking = {name for name, row in rows.items() if row["quality"] == "unavailable" and "_p" not in name}
    assert lacking == {"spawn_fork_ns", "spawn_bootstrap_ns", "spawn_exit_ns", "spawn_join_ns"}
    assert all("capture `stages`" in rows[name]["reason"] for name in lacking)
    assert rows["spawn_life_ns"]["quality"] == "measured"
