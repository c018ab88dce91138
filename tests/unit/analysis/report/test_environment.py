"""What a report says of the machine and of the runtime's settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.table_factory import ENVIRONMENT
from tests.unit.analysis.report import made_program as made
from tests.unit.analysis.report.made_numbers import typical
from tracekit.analysis.report.build import build
from tracekit.analysis.report.environment import program_facts
from tracekit.analysis.tables import Tables
from tracekit.system.machine import RUNTIME_VARIABLES, read_variables


def facts(tables: Tables) -> dict[str, str]:
    return {name: text for group in build(tables).environment for name, text in group.facts}


def with_environment(tables: Tables, **values: Any) -> Tables:
    return replace(tables, suite={**tables.suite, "environments": [{**ENVIRONMENT, **values}]})


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ({"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}, "MALLOC_ARENA_MAX=2, OMP_NUM_THREADS=1"),
        ({}, "none that matters is set"),
        (None, "not recorded"),
        ("x", "not recorded"),
    ],
)
def test_the_variables_that_change_the_runtime(recorded: object, shown: str) -> None:
    assert facts(with_environment(made.whole(), variables=recorded))["Environment variables"] == shown


def test_only_variables_of_the_list_are_read_and_no_long_value() -> None:
    env = {"AWS_SECRET_ACCESS_KEY": "s", "HOME": "/root", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "9" * 999}
    found = read_variables({**env, "PYTHON_GIL": "\udc80"})
    assert found == {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "9" * 100, "PYTHON_GIL": "\ufffd"}
    secret = ("KEY", "TOKEN", "SECRET", "PASS", "PATH", "PRELOAD")
    assert not [name for name in RUNTIME_VARIABLES if any(part in name for part in secret)]


def test_the_switch_interval_of_a_program_is_that_of_its_last_wait() -> None:
    python = {**ENVIRONMENT["python"], "switch_interval_s": None, "switch_interval_seen_s": 0.001}
    assert facts(with_environment(made.whole(), python=python))["Switch interval"] == "1.00 ms"


def test_processes_and_native_threads_of_a_program_are_counted() -> None:
    found = made.rows()
    found["processes"] += [
        {**found["processes"][1], "pid": 201, "exec_ns": None},
        {**found["processes"][1], "pid": 202, "exec_ns": None},
    ]
    blas = {**found["threads"][1], "name": "libopenblas.so", "role": "native"}
    found["threads"] += [{**blas, "tid": 300 + number} for number in range(3)]
    # A shell's own thread is no pool of a library.
    found["threads"].append({**blas, "pid": 201, "tid": 201, "name": None})
    shown = facts(made.loaded(found))
    assert shown["Processes it started"] == "2 by fork, 1 by exec"
    assert shown["Native threads (BLAS, OpenMP)"] == "3 of libopenblas.so"
    found["processes"], found["threads"] = found["processes"][:1], found["threads"][:1]
    assert set(dict(program_facts(made.loaded(found))[0].facts).values()) == {"none"}


def test_of_models_and_where_nothing_sees_processes_nothing_is_said() -> None:
    assert program_facts(typical().tables()) == ()
    found = made.rows()
    found["runs"][0]["capture"] = "viztracer"
    assert program_facts(made.loaded(found)) == ()
