"""Which runs, how often, in which order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tracekit.bundle.spec import Suite
from tracekit.bundle.store import Store
from tracekit.core.errors import UsageError
from tracekit.measure.planning.duration_estimate import estimate_duration
from tracekit.measure.planning.plan import (
    PlannedCell,
    add_waits_to_traces,
    new_suite_id,
    plan_cells,
    plan_suite,
    safe_name,
)
from tracekit.measure.planning.request import Request, default_workers, resolve_request
from tracekit.system.interpreters import Interpreter

PYTHON = Interpreter(executable="/p", version="3.11.7", free_threaded=False, build="", label="3.11.7")
OTHER = Interpreter(executable="/q", version="3.9.1", free_threaded=False, build="", label="3.9.1")
REQUEST = Request(workload="matmul", models=("serial", "threads", "fork"), workers=(1, 2), runs=4)


def planned(request: Request = REQUEST, captures: dict[tuple[str, str], str] | None = None) -> Suite:
    return plan_suite(resolve_request(request), [PYTHON], "s", captures or {}, ())


def cells(request: Request = REQUEST, interpreters: tuple[Interpreter, ...] = (PYTHON,)) -> list[PlannedCell]:
    return plan_cells(resolve_request(request), interpreters)


@pytest.mark.parametrize(
    ("usable", "expected"), [(1, (1, 2)), (2, (1, 2)), (4, (1, 2, 4)), (6, (1, 2, 4, 6)), (16, (1, 2, 4, 8, 16))]
)
def test_default_worker_counts(usable: int, expected: tuple[int, ...]) -> None:
    assert default_workers(usable) == expected


def test_the_cells_hold_the_models_and_the_controls() -> None:
    found = {(cell.workload, cell.model, cell.workers) for cell in cells()}
    assert {item for item in found if item[0] == "matmul"} == {
        ("matmul", "serial", 1),
        ("matmul", "threads", 1),
        ("matmul", "threads", 2),
        ("matmul", "fork", 1),
        ("matmul", "fork", 2),
    }
    assert {item for item in found if item[0] == "spin"} == {
        ("spin", "serial", 1),
        ("spin", "threads", 2),
        ("spin", "fork", 2),
    }
    # What workers cost is measured under every process model: it is predicted for all of them.
    assert {item for item in found if item[0] == "worker-costs"} == {
        ("worker-costs", "fork", 2),
        ("worker-costs", "forkserver", 2),
        ("worker-costs", "spawn", 2),
    }
    assert {item[0] for item in found} == {"matmul", "spin", "sleep", "worker-costs"}


@pytest.mark.parametrize(
    ("models", "workers"), [(("serial", "fork"), (2,)), (("serial", "threads"), (1,))], ids=["no threads", "1 worker"]
)
def test_what_workers_cost_is_not_measured_where_nothing_is_predicted(
    models: tuple[str, ...], workers: tuple[int, ...]
) -> None:
    request = Request(workload="matmul", models=models, workers=workers)
    assert "worker-costs" not in {cell.workload for cell in cells(request)}


def test_a_control_that_is_the_workload_is_not_run_twice() -> None:
    request = Request(workload="spin", models=("serial", "fork"), workers=(2,))
    found = [(cell.workload, cell.model, cell.workers) for cell in cells(request)]
    assert len(found) == len(set(found))
    assert ("spin", "fork", 2) in found


def test_every_round_runs_every_cell_once_and_starts_elsewhere() -> None:
    suite = planned()
    count = len(cells())
    timed = [spec for spec in suite.specs if not spec.warmup]
    rounds = [timed[start : start + count] for start in range(0, len(timed), count)]
    assert len(rounds) == REQUEST.runs
    for number, of_round in enumerate(rounds, start=1):
        assert {spec.repeat for spec in of_round} == {number}
        assert len({spec.cell for spec in of_round}) == count
    assert len({of_round[0].cell for of_round in rounds}) > 1


def test_the_warm_up_comes_first_and_the_traced_runs_last() -> None:
    suite = planned(captures={("viztracer", "3.11.7"): "/extra"})
    kinds = ["warmup" if spec.warmup else spec.capture for spec in suite.specs]
    assert kinds == sorted(kinds, key=["warmup", "none", "viztracer"].index)
    traced = [spec for spec in suite.specs if spec.capture == "viztracer"]
    assert {(spec.model, spec.workers) for spec in traced} == {("serial", 1), ("threads", 2), ("fork", 2)}
    assert {spec.extra_path for spec in traced} == {"/extra"}
    assert {spec.workload for spec in traced} == {"matmul"}


def test_viztracers_run_carries_the_wait_probe_where_both_work() -> None:
    captures = {
        ("waits", "3.11.7"): "",
        ("viztracer", "3.11.7"): "/extra",
        ("viztracer", "3.9.1"): "",
        ("py-spy", "3.11.7"): "",
    }
    assert add_waits_to_traces(captures) == {
        ("waits", "3.11.7"): "",
        ("waits+viztracer", "3.11.7"): "/extra",
        ("viztracer", "3.9.1"): "",
        ("py-spy", "3.11.7"): "",
    }


def test_light_captures_run_beside_the_untraced_runs_and_as_often() -> None:
    captures = {("waits", "3.11.7"): "", ("waits+kernel", "3.11.7"): "", ("py-spy", "3.11.7"): ""}
    specs = planned(captures=captures).specs
    light = [spec for spec in specs if spec.capture in ("waits", "waits+kernel")]
    assert {(spec.model, spec.workers, spec.workload) for spec in light} == {
        ("serial", 1, "matmul"),
        ("threads", 2, "matmul"),
        ("fork", 2, "matmul"),
    }
    assert {spec.cell: [other.repeat for other in light if other.cell == spec.cell] for spec in light} == {
        spec.cell: list(range(1, REQUEST.runs + 1)) for spec in light
    }
    first = set()
    for number in range(1, REQUEST.runs + 1):
        places = [
            (place, spec.capture)
            for place, spec in enumerate(specs)
            if (spec.workload, spec.model, spec.workers, spec.repeat) == ("matmul", "threads", 2, number)
            and spec.capture != "py-spy"
            and not spec.warmup
        ]
        assert [place for place, _ in places] == list(range(places[0][0], places[0][0] + 3)), "side by side"
        assert {capture for _, capture in places} == {"none", "waits", "waits+kernel"}
        first.add(places[0][1])
    assert first == {"none", "waits", "waits+kernel"}, "each has its turn to be first"
    assert [spec.capture for spec in specs if spec.capture == "py-spy"] == ["py-spy"] * 3
    assert {spec.capture for spec in specs[-3:]} == {"py-spy"}


def test_a_light_capture_costs_what_an_untraced_run_costs(tmp_path: Path) -> None:
    """Nothing was measured before, so the estimate is by size and number of runs."""
    store = Store(tmp_path)
    plain = estimate_duration(planned(), store)
    light = estimate_duration(planned(captures={("waits", "3.11.7"): ""}), store)
    heavy = estimate_duration(planned(captures={("viztracer", "3.11.7"): ""}), store)
    one = plain.default_ns
    assert light.total_ns - plain.total_ns == 3 * REQUEST.runs * one
    assert heavy.total_ns - plain.total_ns == 3 * 2 * one


@pytest.mark.parametrize("combination", ["none+waits", "waits+waits", "waits+", "waits+nosuch"])
def test_what_is_no_combination(combination: str) -> None:
    with pytest.raises(UsageError):
        resolve_request(replace(REQUEST, captures=(combination,)))


def test_names_of_folders_hold_only_what_a_bundle_may_be_called(tmp_path: Path) -> None:
    assert safe_name("modülé:WORK LOAD") == "mod-l-WORK-LOAD"
    assert safe_name("../..") == "program"
    assert new_suite_id(safe_name("a/b"), Store(tmp_path)).endswith("-a-b")
    taken = set()
    for _ in range(3):
        name = new_suite_id("x", Store(tmp_path))
        assert name not in taken
        (tmp_path / name).mkdir()
        taken.add(name)


def test_run_ids_are_unique_and_sort_in_the_order_of_the_runs() -> None:
    names = [spec.run_id for spec in planned().specs]
    assert len(set(names)) == len(names)
    assert names == sorted(names)


def test_start_methods_are_always_explicit() -> None:
    asked = {spec.model: spec.start_method for spec in planned().specs if not spec.control}
    assert asked == {"serial": "", "threads": "", "fork": "fork"}
    # And of what the controls add.
    assert all(spec.start_method == spec.model for spec in planned().specs if spec.workload == "worker-costs")


def test_every_interpreter_gets_every_cell() -> None:
    both = cells(REQUEST, (PYTHON, OTHER))
    assert len(both) == 2 * len(cells())
