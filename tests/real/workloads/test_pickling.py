"""What goes through pickle in a real run, against a count of its own."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest

from tests.conftest import Tracekit, read_rows
from tests.real.quick import QUICK, measure
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.workload import Workload


@pytest.mark.parametrize("name", ["json", "big-results", "skewed-tasks"])
def test_the_bytes_are_those_that_pickling_gives(name: str, tmp_path: Path) -> None:
    measure(tmp_path, name, warmup=1, models=("serial", "threads", "fork", "spawn", "forkserver"))
    workload: Workload = WORKLOADS.load(name)
    with workload.items("smoke", 1, {}) as items:
        expected = sum(len(ForkingPickler.dumps(value)) for item in items for value in (item, workload.task(item)))
        count = len(items)
    rows = read_rows(tmp_path, "metrics")
    found = {row["model"]: row for row in rows if row["metric"] == "pickled_bytes"}
    for model in ("fork", "spawn", "forkserver"):
        assert (found[model]["value"], found[model]["method"]) == (expected, f"counted, {count} tasks")
    for model in ("serial", "threads"):
        assert found[model]["quality"] == "unavailable"
        assert "within one process" in found[model]["reason"]
    took = {row["model"]: row["value"] for row in rows if row["metric"] == "pickling_ns" and row["value"] is not None}
    assert took.keys() == {"fork", "spawn", "forkserver"}
    assert min(took.values()) > 0
    pickles = read_rows(tmp_path, "pickles")
    # What processes would pay is counted for threads as well: predictions are made from them.
    assert len(pickles) == 4 * count
    by_run: dict[str, int] = {}
    for row in pickles:
        by_run[row["run_id"]] = by_run.get(row["run_id"], 0) + row["item_bytes"] + row["result_bytes"]
    assert set(by_run.values()) == {expected}


def test_items_that_cannot_be_pickled_fail_the_run_with_their_name(tracekit: Tracekit) -> None:
    said = tracekit("run", "operator:call", "--items", "[lambda: 1]", *QUICK, "--models", "fork")
    assert said.code != 0
    assert "Traceback" not in said.err
    assert "pickle" in said.err.lower()
