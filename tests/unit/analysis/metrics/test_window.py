"""A window of a recorded program: what is inside it counts, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.table_factory import MS, Maker
from tests.unit.analysis.metrics.metric_rows import ends, one_row
from tests.unit.analysis.metrics.watched_program import PART_NAMES, Program
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.window import WINDOW, cut_to_window, explain_uncut
from tracekit.analysis.tables import Tables, from_rows, records
from tracekit.core.errors import UsageError

OURS = {"function": "work", "file": "/app/app.py", "line": 3}
JOIN = {"function": "Thread.join", "file": "/usr/lib/python3.13/threading.py", "line": 1056}
WALL = 100


def idle_then_busy(**values: Any) -> Program:
    """Thread 7 waits for work for 80 ms, and then computes for 20."""
    program = Program(**values)
    program.thread(7, cpu_ms=20, voluntary_switches=9, involuntary_switches=1, run_queue_wait_ns=0)
    program.wait(7, "lock", 0, 80, **JOIN)
    program.steal(4)
    return program


def amounts(tables: Tables) -> dict[str, float]:
    """Every ledger part of the run that is known, ns."""
    analysis, place = Analysis(tables), (tables.runs["run_id"].iloc[0],)
    found = {part: analysis.thread_time(part).get(place) for part in ("thread_wall_ns", *PART_NAMES)}
    return {part: item.value for part, item in found.items() if item is not None and item.available}


def with_reasons(tables: Tables) -> Tables:
    return replace(tables, metrics=explain_uncut(compute_all(Analysis(tables))))


def test_idle_time_outside_does_not_dilute_what_is_inside() -> None:
    tables = idle_then_busy().tables()
    whole, inside = amounts(tables), amounts(cut_to_window(tables, "80ms.."))
    assert whole["thread_idle_ns"] == 80 * MS
    assert inside["thread_wall_ns"] == 20 * MS
    assert inside["thread_idle_ns"] == 0
    # The 80 ms outside hold one wait, which takes at most 20 µs of CPU time: all else was inside.
    on_cpu = one_row(cut_to_window(tables, "80ms.."), "thread_on_cpu_ns", scope="run")
    assert (*ends(on_cpu), on_cpu["quality"]) == (20 * MS - 20_000, 20 * MS - 20_000 + 19, 20 * MS, "bound")
    assert "beyond the window" in on_cpu["reason"]
    # Unless the wait was a read, which may copy all the time: likely it computed a fifth of the time, as all its life.
    copied = idle_then_busy()
    copied.maker.rows["waits"][0]["kind"] = "io-read"
    on_cpu = one_row(cut_to_window(copied.tables(), "80ms.."), "thread_on_cpu_ns", scope="run")
    assert ends(on_cpu) == (0, 4 * MS, 20 * MS)


def test_what_was_counted_over_the_whole_life_is_not_known_inside_and_says_why() -> None:
    program = idle_then_busy()
    program.thread(8, cpu_ms=3, start_ms=85, end_ms=90, voluntary_switches=2, involuntary_switches=0)
    program.maker.rows["runs"][0]["exit_code"] = 3
    for text, code in (("80ms..95ms", None), ("80ms..", 3)):
        cut = cut_to_window(program.tables(), text)
        metrics = with_reasons(cut).metrics
        of_run = metrics[metrics["scope"] == "run"].set_index("metric")
        for name in ("steal_ns", "steal_share", "timeslices", "voluntary_switches_per_s"):
            assert of_run.loc[name, "quality"] == "unavailable", name
            assert "window" in str(of_run.loc[name, "reason"]), name
        assert [row["exit_code"] for row in records(cut.runs)] == [code]
    # A thread that lived inside keeps its counts, and the run has no sum of them.
    switches = metrics[metrics["metric"] == "voluntary_switches"].set_index("scope")
    assert switches.loc["thread", "value"] == 2
    assert switches.loc["run", "quality"] == "unavailable"
    assert "capture kernel" in str(switches.loc["run", "reason"])
    assert one_row(cut, "thread_on_cpu_ns", scope="thread", tid=8)["quality"] == "measured"


def test_waits_holds_and_handoffs_are_those_inside() -> None:
    program = Program()
    program.thread(7, cpu_ms=50)
    program.thread(8, cpu_ms=50)
    for at in (0, 40, 80):
        program.hold(7, at, at + 10, object="gil 1", **OURS)
        program.wait(8, "gil", at, at + 10, object="gil 1", holder_tid=7, **OURS)
    tables = program.tables()
    assert one_row(tables, "gil_handoffs", scope="run", method="waits-probe")["value"] == 3
    for text, wait, handoffs in (
        ("20ms..60ms", 10, 1),
        ("45ms..85ms", 10, 1),
        ("42ms..48ms", 6, 0),
        ("50ms..80ms", 0, 0),
    ):
        cut = cut_to_window(tables, text)
        assert one_row(cut, "gil_wait_ns", scope="run", method="waits-probe")["value"] == wait * MS, text
        row = one_row(cut, "gil_handoffs", scope="run")
        assert (row["value"] or 0) == handoffs, text
        hold = one_row(cut, "gil_hold_ns", scope="run")
        assert (hold["value"] or 0) == wait * MS, text


def test_a_process_counts_where_it_lived_and_one_that_lived_on_has_no_end() -> None:
    program = idle_then_busy()
    for pid, start, end in ((50, 10, 30), (51, 85, 90), (52, 85, 100)):
        program.maker.process(
            program.run,
            pid,
            "other",
            exec_ns=program.at(start),
            exit_ns=program.at(end),
            exit_code=0,
            ended="exit",
            cpu_ns=MS,
        )
    cut = cut_to_window(program.tables(), "80ms..95ms")
    found = {row["pid"]: (row["ended"], row["exit_code"], row["cpu_ns"]) for row in records(cut.processes)}
    assert found.keys() == {program.pid, 51, 52}
    assert found[51] == ("exit", 0, MS)
    assert found[52] == ("ran on", None, None)


def test_the_window_is_named_in_every_row_and_the_whole_run_as_a_window_changes_nothing_else() -> None:
    program = idle_then_busy(capture="waits+kernel")
    program.scheduled(7, ("running", 10), ("sleeping", 70), ("running", 20))
    tables = program.tables()
    cut = cut_to_window(tables, "0s..5s")
    assert cut.suite[WINDOW] == "0s..0.1s"
    before, after = compute_all(Analysis(tables)), compute_all(Analysis(cut))
    assert set(after["parameters"]) == {"window=0s..0.1s"}
    pd.testing.assert_frame_equal(after.drop(columns="parameters"), before.drop(columns="parameters"))


STATES = st.lists(
    st.tuples(st.sampled_from(["running", "runnable", "sleeping", "disk"]), st.integers(1, 30)), min_size=1, max_size=12
)
WAITS = st.lists(
    st.tuples(
        st.sampled_from(["gil", "gil-switch", "lock", "poll", "io-read", "sleep"]),
        st.integers(0, 99),
        st.integers(1, 60),
        st.sampled_from([OURS, JOIN]),
    ),
    max_size=6,
)
CUTS = st.lists(st.integers(1, WALL * MS - 1), min_size=1, max_size=2, unique=True).map(sorted)


@settings(max_examples=15, deadline=None)
@given(states=st.lists(STATES, min_size=1, max_size=3), waits=WAITS, cuts=CUTS, probe=st.booleans())
def test_by_the_kernel_the_parts_of_neighbouring_windows_add_up_to_those_of_both(
    states: list[list[tuple[str, int]]], waits: list[tuple[str, int, int, Any]], cuts: list[int], probe: bool
) -> None:
    program = Program(capture="waits+kernel" if probe else "kernel")
    for tid, of_thread in enumerate(states, start=7):
        used = sum(length for state, length in of_thread if state == "running")
        # As long as the kernel's record of it, which loading makes as long as its life.
        program.thread(tid, cpu_ms=used, start_ms=tid, end_ms=tid + sum(length for _, length in of_thread))
        program.scheduled(tid, *of_thread, start_ms=tid)
    for number, (kind, at, length, site) in enumerate(waits if probe else ()):
        program.wait(7 + number % len(states), kind, at, min(at + length, WALL), **site)
    tables = program.tables()
    edges = [0, *cuts, WALL * MS]
    found = [amounts(cut_to_window(tables, f"{a}ns..{b}ns")) for a, b in pairwise(edges)]
    whole = amounts(tables)
    for part in whole:
        assert sum(window.get(part, 0) for window in found) == whole[part], part
    for window in found:
        assert sum(window.get(part, 0) for part in PART_NAMES) == window.get("thread_wall_ns", 0)


@settings(max_examples=15, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=1, max_size=12),
    cuts=CUTS,
    late=st.booleans(),
)
def test_the_bounds_of_the_cpu_time_contain_it(pieces: list[tuple[bool, int]], cuts: list[int], late: bool) -> None:
    """A thread that computes, waits, or is ready, all of it known to the test and only the waits to the probe."""
    program = Program()
    opens, closes = (cuts[0], WALL * MS) if late else (0, cuts[-1])
    at = used = inside = waited = 0
    for number, (computes, length) in enumerate(pieces):
        end = min(at + length, WALL)
        common = max(0, min(end * MS, closes) - max(at * MS, opens))
        if computes:
            used, inside = used + end - at, inside + common
        elif number % 2 and end > at:
            program.wait(7, "lock", at, end, **OURS)
            waited += common
        at = end
    program.thread(7, cpu_ms=used)
    cut = cut_to_window(program.tables(), f"{opens}ns..{closes}ns")
    for name in ("thread_on_cpu_ns", "cpu_ns"):
        row = one_row(cut, name, scope="run")
        assert row["lower"] <= inside <= row["upper"], name
    rest, ready = (one_row(cut, name, scope="run") for name in ("unattributed_ns", "thread_run_queue_ns"))
    assert rest["lower"] <= closes - opens - waited - inside <= rest["upper"] + ready["upper"]
    rows = amounts(cut)
    assert sum(rows.get(part, 0) for part in PART_NAMES) == rows["thread_wall_ns"] == closes - opens


def marked(*marks: tuple[str, float]) -> Tables:
    program = idle_then_busy()
    rows = [
        {"run_id": program.run["run_id"], "pid": 1, "tid": 1, "ts_ns": program.at(ms), "name": name}
        for name, ms in marks
    ]
    return replace(program.tables(), marks=from_rows("marks", rows))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20ms..60ms", "0.02s..0.06s"),
        ("0.02..0.06", "0.02s..0.06s"),
        (" 20 ms .. ", "0.02s..0.1s"),
        ("..60000us", "0s..0.06s"),
        ("..9min", "0s..0.1s"),
        ("1ns..2ns", "0.000000001s..0.000000002s"),
        ("load begins..load ends", "0.01s..0.07s"),
        ("load begins..", "0.01s..0.1s"),
        ("30ms..load ends", "0.03s..0.07s"),
    ],
)
def test_the_ends_of_a_window(text: str, expected: str) -> None:
    tables = marked(("load begins", 10), ("load begins", 20), ("load ends", 50), ("load ends", 70))
    assert cut_to_window(tables, text).suite[WINDOW] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60ms..20ms", "ends where it begins"),
        ("20ms..20ms", "ends where it begins"),
        ("load ends..load begins", "ends where it begins"),
        ("200ms..300ms", "outside the run, which took 100 ms"),
        ("1s..", "outside the run"),
        ("..", "not FROM..TO"),
        ("20ms", "not FROM..TO"),
        ("-5ms..", "no time, like 8s or 500ms, and no mark of the program"),
        ("nan..", "no time"),
        ("1h..", "no time"),
        ("load..", "'load begins', 'load ends'"),
    ],
)
def test_a_window_that_the_run_does_not_have_is_refused(text: str, expected: str) -> None:
    tables = marked(("load begins", 10), ("load ends", 50))
    with pytest.raises(UsageError, match=expected):
        cut_to_window(tables, text)


def test_a_suite_of_models_and_a_program_without_an_end_have_no_window() -> None:
    maker = Maker()
    maker.run(model="threads", wall_ns=MS)
    with pytest.raises(UsageError, match="for recorded programs"):
        cut_to_window(maker.tables(), "1s..2s")
    program = idle_then_busy()
    program.maker.rows["runs"][0]["wall_ns"] = None
    with pytest.raises(UsageError, match="not recorded to its end"):
        cut_to_window(program.tables(), "1ms..2ms")
