"""Who held the GIL while whom waited, by hand; and that every ns of a wait has one place."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table_factory import MS
from tests.unit.analysis.metrics.metric_rows import all_rows, analyse
from tests.unit.analysis.metrics.watched_program import Program
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.gil.attribution import COLUMNS
from tracekit.analysis.metrics.gil.wait_stacks import collapse_waits
from tracekit.analysis.tables import Tables, records

FILE = "/app/app.py"


def three() -> Program:
    program = Program()
    for tid, name in ((7, "hog"), (8, "small"), (9, "small")):
        program.thread(tid, cpu_ms=10, name=name)
    return program


def rows(tables: Tables) -> list[tuple[int, int | None, str | None, float]]:
    """waiter, holder, the holder's function, ms: as blame orders them."""
    found = records(Analysis(tables).contention_attribution(tables.runs["run_id"].iloc[0]))
    return [(row["waiter_tid"], row["holder_tid"], row["holder_function"], row["wait_ns"] / MS) for row in found]


def test_each_part_of_a_wait_goes_to_who_held_the_gil_then() -> None:
    program = three()
    program.wait(8, "gil", 10, 60, holder_tid=7, function="step", file=FILE, line=4)
    program.hold(7, 2, 20, function="crunch", file=FILE)
    program.hold(9, 22, 40, function="other", file=FILE)
    program.hold(7, None, 57, function="again", file=FILE)
    # 10-20 by 7; 20-22 nobody; 22-40 by 9; the hold of unknown beginning reaches back to 40; 57-60 nobody.
    assert rows(program.tables()) == [
        (8, 9, "other", 18),
        (8, 7, "again", 17),
        (8, 7, "crunch", 10),
        (8, None, None, 5),
    ]
    found = Analysis(program.tables()).contention_attribution(program.run["run_id"])
    assert list(found.columns) == COLUMNS
    assert found["waits"].tolist() == [1, 1, 1, 1]
    assert found["share"].tolist() == [0.36, 0.34, 0.2, 0.1]
    assert set(found["method"]) == {"waits-probe"}


def test_before_the_first_hold_it_is_who_held_it_when_the_wait_began() -> None:
    program = three()
    program.wait(8, "gil", 10, 30, holder_tid=7)
    program.hold(9, 20, 29, function="other")
    program.wait(8, "gil", 40, 50, holder_tid=9)
    program.hold(9, 42, 50, function="late")
    # The second hold's own thread held it already at 40: its beginning was stamped late.
    assert rows(program.tables()) == [(8, 7, None, 10), (8, 9, "late", 10), (8, 9, "other", 9), (8, None, None, 1)]


def test_without_holds_the_holder_has_all_of_it_and_without_a_holder_nobody() -> None:
    program = three()
    program.wait(8, "gil", 10, 30, holder_tid=7)
    program.wait(9, "gil", 10, 25)
    assert rows(program.tables()) == [(8, 7, None, 20), (9, None, None, 15)]


def test_several_wait_for_one_hold_and_one_wait_counts_once_in_a_row() -> None:
    program = three()
    for tid in (8, 9):
        program.wait(tid, "gil", 10, 30, holder_tid=7, function="step", file=FILE)
    program.wait(8, "gil", 40, 50, holder_tid=7, function="step", file=FILE)
    program.hold(7, 5, 20, function="crunch", file=FILE)
    program.hold(7, 20, 30, function="crunch", file=FILE)
    program.hold(7, 35, 50, function="crunch", file=FILE)
    found = records(Analysis(program.tables()).contention_attribution(program.run["run_id"]))
    assert [(row["waiter_tid"], row["wait_ns"] / MS, row["waits"]) for row in found] == [(8, 30, 2), (9, 20, 1)]


def test_nobody_waits_for_himself_and_two_gils_are_two() -> None:
    program = three()
    program.wait(8, "gil", 10, 30)
    program.hold(8, 25, 40, function="mine")
    program.wait(9, "gil", 10, 30, object="gil 2")
    program.hold(7, 0, 30, function="theirs", object="gil 2")
    assert rows(program.tables()) == [(8, None, None, 20), (9, 7, "theirs", 20)]


def test_the_kernel_alone_knows_threads_only() -> None:
    program = Program(capture="kernel")
    program.thread(7)
    program.wait(8, "gil", 10, 30, holder_tid=7, method="kernel-uprobe", object=None)
    program.hold(7, 5, 28, method="kernel-uprobe", object=None)
    assert rows(program.tables()) == [(8, 7, None, 18), (8, None, None, 2)]
    assert (
        Analysis(program.tables()).contention_attribution(program.run["run_id"])["method"].tolist()
        == ["kernel-uprobe"] * 2
    )


def test_a_run_that_nobody_watched_is_empty() -> None:
    program = Program(capture="none")
    program.thread(7)
    assert Analysis(program.tables()).contention_attribution(program.run["run_id"]).empty
    assert collapse_waits(Analysis(program.tables()), program.run["run_id"]) == []


TIMES = st.tuples(st.sampled_from([7, 8, 9]), st.integers(0, 100), st.integers(1, 40))


@settings(max_examples=25, deadline=None)
@given(
    waits=st.lists(st.tuples(TIMES, st.none() | st.sampled_from([7, 8, 9])), max_size=8),
    holds=st.lists(st.tuples(TIMES, st.booleans()), max_size=8),
    categories=st.booleans(),
)
def test_the_rows_of_a_thread_add_up_to_its_gil_wait(
    waits: list[tuple[tuple[int, int, int], int | None]],
    holds: list[tuple[tuple[int, int, int], bool]],
    categories: bool,
) -> None:
    program = three()
    for (tid, start, length), holder in waits:
        program.wait(tid, "gil", start, start + length, holder_tid=holder, function=f"f{holder}", file=FILE)
    for (tid, start, length), known in holds:
        program.hold(tid, start if known else None, start + length, function=f"h{start % 3}", file=FILE)
    tables = program.tables()
    if categories:
        # As load gives them.
        for frame in (tables.waits, tables.holds):
            for column in ("run_id", "kind", "object", "function", "file", "method"):
                if column in frame:
                    frame[column] = frame[column].astype("category")
    found = analyse(tables).contention_attribution(program.run["run_id"])
    sums = found.groupby("waiter_tid")["wait_ns"].sum()
    rows = all_rows(tables, "gil_wait_ns", scope="thread", method="waits-probe")
    for tid in (7, 8, 9):
        assert [row["value"] for row in rows if row["tid"] == tid] == [sums.get(tid, 0)]
    assert (found["wait_ns"] > 0).all()
    assert (found["holder_tid"].isna() | (found["holder_tid"] != found["waiter_tid"])).all()
    assert found["share"].sum() == pytest.approx(1 if len(found) else 0)
    weights = [int(line.rpartition(" ")[2]) for line in collapse_waits(analyse(tables), program.run["run_id"])]
    assert sum(weights) * 1_000 == found["wait_ns"].sum()


def test_collapse_waits_stacks_say_where_and_for_whom() -> None:
    program = three()
    site = {"function": "step", "file": FILE, "line": 4}
    program.wait(8, "gil", 10, 30, holder_tid=7, **site)
    program.hold(7, 2, 29, function="Outer.<locals>.crunch; x", file=FILE)
    program.wait(7, "lock", 40, 45, **site)
    program.wait(7, "io-read", 50, 50.0001)
    program.wait(9, "lock", 10, 90, function="Condition.wait", file="/usr/lib/python3.12/threading.py", line=355)
    run_id = program.run["run_id"]
    name = "main"
    found = collapse_waits(Analysis(program.tables()), run_id)
    assert found == [
        f"{name};small 8;step (app.py:4);[gil wait held by hog in Outer.<locals>.crunch x] 19000",
        f"{name};hog;step (app.py:4);[lock] 5000",
        f"{name};small 8;step (app.py:4);[gil wait, holder unknown] 1000",
    ]
    assert all(re.fullmatch(r"[^;]+(;[^;]+)+ \d+", line) for line in found)
    with_idle = collapse_waits(Analysis(program.tables()), run_id, idle=True)
    assert with_idle[0] == f"{name};small 9;Condition.wait (threading.py:355);[idle lock] 80000"


def test_stacks_call_processes_and_threads_as_the_report_does() -> None:
    program = Program()
    child = program.maker.pid()
    program.maker.process(program.run, child, "other")
    program.thread(program.pid, name="MainThread", role="main")
    program.thread(7, name="python3.13")
    program.wait(program.pid, "sleep", 0, 10)
    program.wait(7, "sleep", 0, 20)
    program.maker.thread(program.run, child, child, program.at(0), program.at(100), name="MainThread", role="other")
    program.maker.wait(program.run, child, child, "sleep", program.at(0), 30 * MS)
    assert collapse_waits(Analysis(program.tables()), program.run["run_id"]) == [
        f"process {child};main thread;[sleep] 30000",
        "main;thread 7;[sleep] 20000",
        "main;main thread;[sleep] 10000",
    ]


def test_the_order_of_the_tables_does_not_matter() -> None:
    program = three()
    for start in (0, 30, 60):
        program.wait(8, "gil", start, start + 20, holder_tid=7, function="f", file=FILE)
        program.hold(7, start, start + 18, function="g", file=FILE)
    tables = program.tables()
    before = Analysis(tables).contention_attribution(program.run["run_id"])
    for name in ("waits", "holds"):
        setattr(tables, name, tables.table(name).iloc[::-1].reset_index(drop=True))
    pd.testing.assert_frame_equal(Analysis(tables).contention_attribution(program.run["run_id"]), before)


def test_the_innermost_call_of_the_holder_where_calls_were_recorded() -> None:
    program = three()
    program.wait(8, "gil", 10, 60, holder_tid=7, function="step", file=FILE)
    program.hold(7, 2, 58, function="at drop", file=FILE)
    for tid, depth, start, end, name in (
        (7, 0, 0, 55, "main (/app/app.py:1)"),
        (7, 1, 5, 30, "inner (/app/lib.py:7)"),
        (7, 2, 20, 25, "builtins.sum"),
        (7, 1, 40, 50, "inner (/app/lib.py:7)"),
        (8, 0, 0, 100, "waiter (/app/app.py:9)"),
    ):
        place = {"run_id": program.run["run_id"], "pid": program.pid, "tid": tid, "depth": depth}
        length = program.at(end) - program.at(start)
        program.maker.row("slices", **place, start_ns=program.at(start), dur_ns=length, name=name, category="FEE")
    tables = program.tables()
    # inner 10-20, 25-30, 40-50; main 30-40, 50-55; sum 20-25; in no call 55-58; nobody 58-60.
    assert rows(tables) == [
        (8, 7, "inner", 25),
        (8, 7, "main", 15),
        (8, 7, "builtins.sum", 5),
        (8, 7, "at drop", 3),
        (8, None, None, 2),
    ]
    found = Analysis(tables).contention_attribution(program.run["run_id"])
    assert found["holder_file"].tolist()[:2] == ["/app/lib.py", FILE]
    assert found["waits"].tolist() == [1, 1, 1, 1, 1]
