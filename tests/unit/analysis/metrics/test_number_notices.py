"""When a doubt is voiced, and when not."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pandas as pd
import pytest

from tests import table_factory
from tests.table_factory import ENVIRONMENT, MS, Maker, full_run
from tests.unit.analysis.metrics.watched_program import Program
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.interval_timeline import IntervalTimeline
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.number_notices import find_notices
from tracekit.analysis.tables import Tables


def computed(tables: Tables) -> pd.DataFrame:
    """Only what doubts look at: the whole table takes ten times as long."""
    names = ["wall_ns", "speedup", "cpu_ns", "steal_ns", "ceiling_share", "uss_bytes", "pss_bytes"]
    return compute_all(Analysis(tables), [*names, "thread_wall_ns", "thread_run_queue_ns"])


def codes(tables: Tables) -> list[str]:
    return [item.code for item in find_notices(Analysis(tables), computed(tables))]


def small(*, repeats: int = 5, task_ms: int = 100, **environment: Any) -> Maker:
    """serial and fork with warm-ups and the spin control: nothing to complain about."""
    maker = Maker()
    maker.facts["environments"] = [{**ENVIRONMENT, **environment}]
    for workload, control in (("matmul", False), ("spin", True)):
        for repeat in range(repeats + 1):
            for model in ("serial", "fork"):
                values: dict[str, Any] = {"workload": workload, "control": control, "repeat": repeat}
                full_run(maker, model, task_ns=task_ms * MS, warmup=repeat == 0, **values)
    return maker


def test_a_good_suite_has_no_notice() -> None:
    assert codes(small().tables()) == []
    assert codes(table_factory.suite()) == []


def test_few_repeats_are_named_once_and_not_again_for_the_controls() -> None:
    tables = small(repeats=4).tables()
    found = [item for item in find_notices(Analysis(tables), computed(tables)) if item.code == "few-repeats"]
    assert len(found) == 1
    assert found[0].text.startswith("matmul (2 of 2 cells) has too few usable repeats (4)")
    assert "needs at least 5" in found[0].text


@pytest.mark.parametrize(("stolen_ms", "expected"), [(100, []), (400, ["steal"])])
def test_steal_is_worth_a_word_beyond_2_percent(stolen_ms: int, expected: list[str]) -> None:
    tables = small().tables()
    # The runs used 20 times 800 ms; all the steal comes in one of them.
    first = tables.runs.loc[~tables.runs["warmup"], "run_id"].iloc[0]
    hit = (tables.counters["run_id"] == first) & (tables.counters["counter"] == "steal_ns")
    tables.counters.loc[hit & (tables.counters["at"] == "end"), "value"] = stolen_ms * MS
    assert codes(tables) == expected


def test_steal_has_another_effect_and_remedy_of_a_program() -> None:
    """It has one run, and no option that would give it more."""
    program = Program()
    program.maker.counter(program.run, program.pid, "cpu_ns", 0, 80 * MS)
    program.steal(20)
    tables = program.tables()
    (found,) = [item for item in find_notices(Analysis(tables), computed(tables)) if item.code == "steal"]
    assert "during the run (25 % of what" in found.text
    assert "interval" not in found.text
    assert "--runs" not in found.remedy


def test_throttling_is_always_worth_a_word() -> None:
    tables = small().tables()
    hit = (tables.counters["counter"] == "throttled_ns") & (tables.counters["at"] == "end")
    tables.counters.loc[hit, "value"] = 3 * MS
    assert codes(tables) == ["throttled"]


@pytest.mark.parametrize(("load", "expected"), [(0.4, []), (1.6, ["load"])])
def test_a_busy_machine(load: float, expected: list[str]) -> None:
    assert codes(small(load_before=load).tables()) == expected


def test_a_busy_machine_has_another_effect_on_a_program() -> None:
    """It has no speed-up and no interval."""
    program = Program()
    program.maker.facts["environments"] = [{**ENVIRONMENT, "load_before": 1.6}]
    for tables, what in ((program.tables(), "program"), (small(load_before=1.6).tables(), "suite")):
        (found,) = [item for item in find_notices(Analysis(tables), computed(tables)) if item.code == "load"]
        assert f"when the {what} began" in found.text
        assert ("speed-ups" in found.text) == (what == "suite")


@pytest.mark.parametrize("load", [pytest.param(10**400, id="huge"), float("inf"), float("nan"), "3.0", None])
def test_a_load_that_is_no_number_is_absent(load: Any) -> None:
    assert codes(small(load_before=load).tables()) == []
    assert codes(small(load_before=3.0, usable_cpus=load).tables()) == []


def test_short_serial_runs() -> None:
    tables = small(task_ms=10).tables()
    # The control is short as well, but the suite's own size mends both.
    assert codes(tables) == ["short-runs"]
    [short] = find_notices(Analysis(tables), compute_all(Analysis(tables)))
    assert short.remedy == "tracekit run matmul --size large", "what is asked for is not what was run"


@pytest.mark.parametrize(
    ("changed", "code", "remedy"),
    [
        ({"repeats": 4}, "few-repeats", "--parameter 'n=a b' --size small --runs 7"),
        ({"repeats": 4, "task_ms": 10}, "short-runs", "--parameter 'n=a b' --runs 4 --size default"),
    ],
)
def test_a_remedy_asks_for_the_same_work_once_more(changed: dict[str, int], code: str, remedy: str) -> None:
    """With all that was said, parameters and items, but for what has to be another; and only one remedy does."""
    tables = small(**changed).tables()
    said = ["tracekit", "run", "matmul", "--parameter", "n=a b", "--size", "small", "--runs", "4"]
    tables.suite = {**tables.suite, "command": said, "size": "small"}
    found = find_notices(Analysis(tables), computed(tables))
    assert {item.code: item.remedy for item in found if item.remedy} == {code: f"tracekit run matmul {remedy}"}
    assert len(found) == len(changed)


def slow_rounds(*factors: float, **changed: Any) -> Tables:
    """Of five rounds the walls of matmul under fork are so many times those of the good suite, which are 1.97x."""
    tables = small(**changed).tables()
    runs = tables.runs
    forked = (runs["workload"] == "matmul") & (runs["model"] == "fork") & ~runs["warmup"].astype(bool)
    by_round = runs.loc[forked, "repeat"].map(dict(enumerate(factors, 1)))
    runs.loc[forked, "wall_ns"] = (runs.loc[forked, "wall_ns"] * by_round).astype("int64")
    return tables


@pytest.mark.parametrize(
    ("factors", "says", "runs"),
    [
        # Logarithms of the ratios: mean ln 1.98 + 0.004, s = 0.245; 2.776 s / sqrt(5) = 0.304.
        ((0.7, 1.0, 1.4, 1.0, 1.0), "from 1.46x to 2.69x, where the CPUs allow 2x: from", 12),
        # Mean ln 1.98 - 0.318, s = 0.208.
        ((1.1, 1.2, 1.4, 1.4, 1.9), "from 1.11x to 1.86x: from", 10),
        # Nearly the same in every round, and more than two CPUs can do: s = 0.079.
        ((0.9, 1.0, 0.9, 0.9, 0.8), "from 1.99x to 2.43x, where the CPUs allow 2x: from", 10),
    ],
)
def test_a_speed_up_that_is_known_too_badly_asks_for_more_repeats(
    factors: tuple[float, ...], says: str, runs: int
) -> None:
    tables = slow_rounds(*factors)
    (found,) = find_notices(Analysis(tables), computed(tables))
    one = "1 of 1 speed-ups are too uncertain to be claimed; that of fork with 2 workers may be anything"
    assert found.text.startswith(f"{one} {says}")
    assert found.remedy == f"tracekit run matmul --runs {runs}"


def test_where_rounds_have_nothing_in_common_repeats_are_no_remedy() -> None:
    tables = slow_rounds(1.0, 4.0, 1.0, 2.0, 6.0)
    (found,) = find_notices(Analysis(tables), computed(tables))
    assert found.remedy.startswith("measure on a machine")


@pytest.mark.parametrize("factors", [(1.1, 1.2, 1.4, 1.4, 1.6), (5.0, 9.0, 5.0, 9.0, 7.0)])
def test_a_speed_up_that_is_known_well_or_surely_none_is_no_doubt(factors: tuple[float, ...]) -> None:
    assert codes(slow_rounds(*factors)) == []


def make_serial_wait(tables: Tables, share: float) -> pd.DataFrame:
    """The metrics of the tables, in which serial was in the run queue for that part of its time."""
    metrics = computed(tables)
    serial = (metrics["scope"] == "cell") & (metrics["workload"] == "matmul") & (metrics["model"] == "serial")
    lived = metrics.loc[serial & (metrics["metric"] == "thread_wall_ns"), "value"].iloc[0]
    metrics.loc[serial & (metrics["metric"] == "thread_run_queue_ns"), "value"] = share * lived
    return metrics


def test_serial_that_waited_for_a_cpu_shows_a_busy_machine() -> None:
    tables = small().tables()
    assert not find_notices(Analysis(tables), make_serial_wait(tables, 0.04))
    (found,) = find_notices(Analysis(tables), make_serial_wait(tables, 0.48))
    assert found.text.startswith("serial waited for a CPU 48 % of its time (3")
    assert found.remedy == "wait until the machine is idle, then repeat"


def test_of_several_doubts_only_the_machine_keeps_its_remedy() -> None:
    tables = small(repeats=4, task_ms=10, load_before=1.6).tables()
    busy = find_notices(Analysis(tables), make_serial_wait(tables, 0.48))
    loaded = find_notices(Analysis(tables), computed(tables))
    assert [(item.code, bool(item.remedy)) for item in busy] == [
        ("busy", True),
        ("load", False),
        ("few-repeats", False),
        ("short-runs", False),
    ]
    assert [item.code for item in loaded if item.remedy] == ["load"]


@pytest.mark.parametrize(
    ("changed", "first"),
    [({"load_before": 1.6}, "load"), ({"task_ms": 10}, "short-runs")],
)
def test_uneven_rounds_beside_another_doubt_leave_the_remedy_to_it(changed: dict[str, Any], first: str) -> None:
    tables = slow_rounds(0.7, 1.0, 1.4, 1.0, 1.0, **changed)
    found = find_notices(Analysis(tables), computed(tables))
    assert {item.code for item in found} == {first, "uneven-rounds"}
    assert [item.code for item in found if item.remedy] == [first]


def test_no_control() -> None:
    tables = small().tables()
    tables.runs = tables.runs[tables.runs["workload"] == "matmul"].reset_index(drop=True)
    found = find_notices(Analysis(tables), computed(tables))
    assert [item.code for item in found] == ["no-control"]
    assert "no spin control at 2 workers" in found[0].text


def test_no_schedstat_names_the_source() -> None:
    tables = small().tables()
    tables.counters = tables.counters[tables.counters["counter"] != "run_queue_wait_ns"].assign(source="portable")
    found = find_notices(Analysis(tables), computed(tables))
    assert [item.code for item in found] == ["no-schedstat"]
    assert "source portable" in found[0].text


def test_that_the_machines_steal_was_read_says_nothing_of_run_queue_delays() -> None:
    program = Program()
    program.thread(7, cpu_ms=100)
    program.steal(0)
    analysis = Analysis(program.tables())
    assert find_notices(analysis, compute_all(analysis)) == []


def test_no_memory() -> None:
    tables = small().tables()
    tables.counters = tables.counters[~tables.counters["counter"].isin(["uss_bytes", "pss_bytes"])]
    assert codes(tables) == ["no-memory"]
    one_left = small().tables()
    one_left.counters = one_left.counters[one_left.counters["counter"] != "pss_bytes"]
    assert codes(one_left) == []


def test_what_all_threads_ask_for_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing two methods thread by thread asks each time which waits lie in tasks."""
    maker = Maker()
    for repeat in range(1, 6):
        run = full_run(maker, "threads", task_ns=200 * MS, cpu_share=0.5, capture="waits", repeat=repeat)
        for tid in (1, 2):
            maker.wait(run, run["main_pid"], run["main_pid"] + tid, "gil", run["start_ns"] + MS, 80 * MS)
    tables = maker.tables()
    metrics = compute_all(Analysis(tables), ["gil_wait_ns"])
    lay = mock.Mock(side_effect=IntervalTimeline.lay)
    monkeypatch.setattr(IntervalTimeline, "lay", lambda *given: lay(*given))
    find_notices(Analysis(tables), metrics)
    # The waits and the tasks.
    assert lay.call_count == 2


def test_a_fork_beside_other_threads_is_worth_a_word() -> None:
    maker = small()
    assert "forked-with-threads" not in codes(maker.tables())
    for model, threads in (("fork", 4), ("fork", 6), ("spawn", 6)):
        run = maker.run(model, 100 * MS)
        maker.counter(run, run["main_pid"], "threads", threads, threads)
    tables = maker.tables()
    (found,) = [item for item in find_notices(Analysis(tables), computed(tables)) if item.code == "forked-with-threads"]
    # Once, with the most; what spawn does is no matter.
    assert "fork forked workers from a process that had 6 threads" in found.text
    assert "forkserver" in found.remedy
