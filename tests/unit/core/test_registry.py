"""The one kind of table behind all plug points."""

from __future__ import annotations

import pytest

from tracekit.analysis.metrics import METRICS
from tracekit.bundle.names import EXECUTORS, START_METHODS, start_method_of
from tracekit.core.errors import UsageError
from tracekit.core.registry import Registry
from tracekit.measure.capture import CAPTURES
from tracekit.measure.inside.counters import COUNTERS
from tracekit.measure.inside.models import MODELS
from tracekit.measure.planning.workload_registry import WORKLOADS

ALL = [WORKLOADS, MODELS, CAPTURES, COUNTERS, METRICS]


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.point)
def test_every_row_loads_and_bears_its_name(registry: Registry) -> None:
    assert list(registry)
    for name in registry:
        assert registry.load(name).name == name
        summary = registry.summary(name)
        assert summary
        assert "\n" not in summary


def test_a_workload_says_the_same_in_its_file_and_in_the_list() -> None:
    for name in WORKLOADS:
        assert WORKLOADS.load(name).summary == WORKLOADS.summary(name)


def test_models_name_their_start_method() -> None:
    assert {name: MODELS.load(name).start_method for name in MODELS} == {
        "serial": "",
        "threads": "",
        "raw-threads": "",
        **{name: name for name in START_METHODS},
        **{f"raw-{name}": name for name in START_METHODS},
    }
    assert all(MODELS.load(name).start_method == start_method_of(name) for name in MODELS)
    assert tuple(name for name in MODELS if not name.startswith("raw-")) == EXECUTORS


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'forkserver'") as caught:
        MODELS.load("forkserve")
    assert caught.value.hint == "tracekit list models"
    with pytest.raises(UsageError) as caught:
        MODELS.load("qqqqqq")
    assert "did you mean" not in str(caught.value)
    assert "serial, threads" in str(caught.value)


def test_import_paths_are_taken() -> None:
    assert WORKLOADS.load("workloads.spin:WORKLOAD").name == "spin"
    with pytest.raises(UsageError, match="cannot be imported"):
        WORKLOADS.load("no.such.module:X")
    with pytest.raises(UsageError, match="has no 'MISSING'"):
        WORKLOADS.load("workloads.spin:MISSING")


def test_a_name_given_twice_counts_once() -> None:
    assert MODELS.check_all(["fork", "serial", "fork"]) == ["fork", "serial"]
