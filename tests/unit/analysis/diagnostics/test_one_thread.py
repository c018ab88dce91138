"""One thread computes nearly all the time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.table_factory import ENVIRONMENT, MS
from tests.unit.analysis.diagnostics.found import found, only
from tests.unit.analysis.metrics.watched_program import Program


def program(cpu_ms: int = 950, whole_ms: int | None = 970, wall_ms: int = 1_000, **environment: Any) -> Program:
    """Main is on a CPU for 950 ms of 1 s, all of the process for 970 ms."""
    made = Program(wall_ms)
    made.maker.facts["environments"] = [{**ENVIRONMENT, "usable_cpus": 4, **environment}]
    made.maker.rows["processes"][0]["cpu_ns"] = None if whole_ms is None else whole_ms * MS
    made.thread(made.pid, cpu_ms, role="main", end_ms=wall_ms)
    return made


def test_the_thread_is_named_and_the_capture_that_says_more() -> None:
    finding = only(program(), "one-thread")
    assert finding.sentence == (
        "One thread computed nearly all the time: main thread was on a CPU for 950 ms of 1.00 s (95 %), everything "
        "else for 20.0 ms."
    )
    assert finding.weight_ns == 712.5 * MS
    assert "--capture waits,py-spy" in finding.advice
    assert "4 CPUs can do it at once" in finding.advice


def test_a_thread_that_was_killed_used_at_least_what_was_read() -> None:
    made = program(cpu_ms=850)
    made.maker.rows["threads"][0]["cpu_read_ns"] = made.at(940)
    assert only(made, "one-thread").sentence.endswith(
        "on a CPU for at least 850 ms of 1.00 s (85 %), everything else for at most 120 ms."
    )


def test_samples_name_the_functions() -> None:
    made = program()
    for leaf, weight in (("crunch (app.py:9)", 70), ("parse (app.py:3)", 20), ("a", 6), ("b", 4)):
        place = {"run_id": made.run["run_id"], "pid": made.pid, "tid": made.pid}
        made.maker.row("samples", **place, weight_ns=weight * MS, leaf=leaf, stack_id="1")
    finding = only(made, "one-thread")
    assert finding.sentence.endswith(
        "for 20.0 ms, by its samples in `crunch (app.py:9)` (70 %), `parse (app.py:3)` (20 %) and `a` (6 %)."
    )
    assert "py-spy" not in finding.advice


@pytest.mark.parametrize(
    "changed",
    [
        {"cpu_ms": 790, "whole_ms": 800},
        {"whole_ms": 1_160},
        {"whole_ms": None},
        {"cpu_ms": 190, "whole_ms": 195, "wall_ms": 200},
        {"usable_cpus": 1},
    ],
    ids=["it waits a fifth", "others compute as well", "others may have computed", "a start", "one CPU"],
)
def test_what_is_not_one_thread_that_computes(changed: dict[str, Any]) -> None:
    assert found(program(**changed), "one-thread") == []
