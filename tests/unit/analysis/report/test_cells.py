"""The metrics table as the report reads it."""

from tests.unit.analysis.report.made_numbers import Suite, typical
from tracekit.analysis.report.grouping import groups


def test_cells_come_in_reading_order_whatever_the_order_of_rows() -> None:
    suite = Suite().cell("spawn", 4).cell("fork", 2).cell("threads").cell("serial").cell("spawn", 2)
    (group,) = groups(suite.tables())
    named = [(cell.variant, cell.workers) for cell in group.cells]
    assert named == [
        ("serial", 1),
        ("threads", 2),
        ("processes (fork)", 2),
        ("processes (spawn)", 2),
        ("processes (spawn)", 4),
    ]


def test_a_model_stands_at_its_own_largest_worker_count() -> None:
    suite = Suite().cell("serial").cell("threads", 2).cell("threads", 8).cell("fork", 4)
    (group,) = groups(suite.tables())
    assert [cell.counted for cell in group.at_most_workers()] == ["serial", "8 threads", "4 processes (fork)"]
    assert [cell.counted for cell in group.with_workers(2)] == ["serial", "2 threads"]


def test_systems_and_interpreters_are_never_mixed() -> None:
    suite = Suite().cell("serial").cell("serial", python="3.14t").cell("serial", os="Darwin")
    found = groups(suite.tables())
    assert [(group.os, group.python) for group in found] == [("Linux", "3.13"), ("Linux", "3.14t"), ("Darwin", "3.13")]
    assert found[0].label == "Linux · Python 3.13"


def test_controls_and_traced_cells_stand_apart() -> None:
    suite = Suite().cell("serial").cell("serial", workload="spin").cell("serial", capture="viztracer")
    (group,) = groups(suite.tables())
    assert [len(group.cells), len(group.controls), len(group.traced)] == [1, 1, 1]


def test_an_absent_number_says_why() -> None:
    suite = typical().cell("forkserver", n=0, failed=3).cell("dask", lacks={"cpu_ns": "no counter here"})
    (group,) = groups(suite.tables())
    cells = {cell.model: cell for cell in group.cells}
    assert cells["dask"].number("cpu_ns").reason == "no counter here"
    assert cells["forkserver"].number("wall_ns").reason == "none of its 3 runs is usable"
    assert cells["serial"].number("uss_bytes").reason == "not part of this suite"
    assert not cells["dask"].number("cpu_ns").available


def test_names_of_one_worker_are_singular() -> None:
    suite = Suite().cell("threads", 1).cell("fork", 1).cell("asyncio", 1)
    (group,) = groups(suite.tables())
    assert [cell.counted for cell in group.cells] == ["1 thread", "1 process (fork)", "asyncio with 1 worker"]
