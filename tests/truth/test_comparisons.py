"""The comparisons themselves, on tables made by hand: a wrong number must come out as off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.made_tables import MS
from tracekit import tables
from tracekit.errors import BundleCorrupt
from tracekit.tables import Tables
from tracekit.truth import effect, kernel, tasks
from tracekit.truth.answers import Active, Known, KnownChild, KnownThread
from tracekit.truth.cases import Case
from tracekit.truth.checks import endings, gil, ledger, sites, switches, waits
from tracekit.truth.kernel import KernelSaw
from tracekit.truth.result import Group, read, result_of, strain, write
from tracekit.truth.rows import Place, wait_tolerance, within
from tracekit.truth.table import line, markdown, summary
from tracekit.truth.watching import Seen

PID, TID = 100, 101
T0 = 1_000_000 * MS
BLOCKED_AT_ONCE = (np.array([T0]), np.array([], dtype=np.int64))
WATCHED = KernelSaw(gil=True, switches={TID: BLOCKED_AT_ONCE, TID + 1: BLOCKED_AT_ONCE})
PLACE = Place(program="made", python="3.13.0", steal_ns=0)


def made(
    *,
    known: Known | None = None,
    kernel: KernelSaw | None = WATCHED,
    manifest: Sequence[Mapping[str, Any]] = (),
    place: Place = PLACE,
    **rows: Sequence[Mapping[str, Any]],
) -> Seen:
    """A run with those rows; a table that is not given has none."""
    frames = {
        name: tables.from_rows(name, [{"run_id": "r", "pid": PID, "tid": TID, **row} for row in rows[name]])
        if name in rows
        else tables.empty(name)
        for name in tables.COLUMNS
    }
    return Seen(
        case=Case(name="made", program="made"),
        place=place,
        capture="",
        kernel=kernel,
        known=known or answers(),
        tables=Tables(suite={}, **frames),
        processes=tuple(dict(line) for line in manifest),
    )


def answers(*threads: KnownThread, **more: Any) -> Known:
    return Known(**{"program": "made", "python": (3, 13, 0), "gil": True, "threads": threads, **more})


def thread(**more: Any) -> KnownThread:
    plain = {
        "pid": PID,
        "tid": TID,
        "name": "one",
        "start_ns": T0,
        "end_ns": T0 + 1000 * MS,
        "cpu_ns": None,
        "waits": {},
        "calls": {},
        "at_least": {},
        "sites": {},
        "holds": [],
    }
    return KnownThread(**{**plain, **more})


def wait(kind: str, at_ms: float, ms: float, method: str = "waits-probe", **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "start_ns": T0 + int(at_ms * MS),
        "dur_ns": int(ms * MS),
        "method": method,
        "object": "x",
        **more,
    }


ALIVE = {"start_ns": T0, "end_ns": T0 + 1000 * MS}


@pytest.mark.parametrize(("probe_ms", "verdict"), [(500, "ok"), (514, "ok"), (485.5, "ok"), (516, "off"), (484, "off")])
def test_the_probe_may_be_3_percent_off_the_kernel(probe_ms: float, verdict: str) -> None:
    both = [wait("gil", 0, probe_ms), wait("gil", 0, 500, "kernel-uprobe")]
    [row] = gil.against_kernel(made(threads=[ALIVE], waits=both))
    assert (row.verdict, row.truth, row.measured) == (verdict, 500 * MS, probe_ms * MS)


@pytest.mark.parametrize(("probe_ms", "verdict"), [(1.9, "ok"), (2.1, "off")])
def test_2_ms_are_allowed_where_3_percent_are_less(probe_ms: float, verdict: str) -> None:
    [row] = gil.against_kernel(made(threads=[ALIVE], waits=[wait("gil", 0, probe_ms)]))
    assert (row.verdict, row.truth) == (verdict, 0)


def test_time_ready_on_the_way_into_take_gil_is_no_wait_for_it() -> None:
    late = KernelSaw(gil=True, switches={TID: (np.array([T0 + 20 * MS]), BLOCKED_AT_ONCE[1])})
    both = [wait("gil", 20, 30), wait("gil", 0, 50, "kernel-uprobe")]
    [row] = gil.against_kernel(made(kernel=late, threads=[ALIVE], waits=both))
    assert (row.verdict, row.truth, row.reason) == ("ok", 30 * MS, "20.00 ms ready on the way in")
    # It went through without blocking: whatever the probe saw then was no wait.
    never = KernelSaw(gil=True, switches={TID: (np.array([T0 + 60 * MS]), BLOCKED_AT_ONCE[1])})
    [row] = gil.against_kernel(made(kernel=never, threads=[ALIVE], waits=both))
    assert (row.verdict, row.truth) == ("off", 0)


def test_a_difference_that_a_busy_machine_explains_is_unclear() -> None:
    both = [wait("gil", 0, 450), wait("gil", 0, 500, "kernel-uprobe")]
    for queued_ms, verdict in ((0, "off"), (30, "off"), (40, "unclear")):
        [row] = gil.against_kernel(made(threads=[{**ALIVE, "run_queue_wait_ns": queued_ms * MS}], waits=both))
        assert row.verdict == verdict


def test_each_wait_may_be_a_microsecond_off() -> None:
    starts = [number / 10 for number in range(5000)]
    at = KernelSaw(gil=True, switches={TID: (np.array([T0 + int(s * MS) for s in starts]), BLOCKED_AT_ONCE[1])})
    for short_us, verdict in ((1.3, "ok"), (1.5, "off")):
        both = [wait("gil", start, 0.010, "kernel-uprobe") for start in starts]
        both += [wait("gil", start, 0.010 - short_us / 1000) for start in starts]
        [row] = gil.against_kernel(made(kernel=at, threads=[ALIVE], waits=both))
        assert row.verdict == verdict


def test_a_thread_that_only_the_kernel_saw_waiting_is_off() -> None:
    seen = made(threads=[ALIVE, {**ALIVE, "tid": 102}], waits=[wait("gil", 0, 50, "kernel-uprobe", tid=102)])
    assert [row.verdict for row in gil.against_kernel(seen)] == ["ok", "off"]


def test_waits_in_a_thread_of_the_same_id_in_another_process_are_not_this_ones() -> None:
    seen = made(threads=[ALIVE], waits=[wait("gil", 0, 50, "kernel-uprobe"), wait("gil", 0, 50, pid=999)])
    assert [row.verdict for row in gil.against_kernel(seen)] == ["off"]


def test_without_uprobes_there_is_no_verdict() -> None:
    for silent in (None, KernelSaw(gil=False), KernelSaw(gil=True, lost=1)):
        [row] = gil.against_kernel(made(kernel=silent, threads=[ALIVE], waits=[wait("gil", 0, 5)]))
        assert row.verdict == "unavailable"
        assert row.reason


def test_without_a_gil_any_wait_for_it_is_off() -> None:
    free = answers(gil=False)
    assert [row.verdict for row in gil.against_kernel(made(known=free))] == ["ok"]
    assert [row.verdict for row in gil.against_kernel(made(known=free, waits=[wait("gil", 0, 1)]))] == ["off"]


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"), [(0, 600, "ok"), (510, 600, "ok"), (516, 600, "off"), (0, 484, "off")]
)
def test_the_interval_has_to_contain_the_truth(lower: float, upper: float, verdict: str) -> None:
    metric = {
        "metric": "gil_wait_ns",
        "scope": "thread",
        "method": "schedstat",
        "quality": "bound",
        "value": 300.0 * MS,
        "lower": lower * MS,
        "upper": upper * MS,
    }
    seen = made(threads=[ALIVE], waits=[wait("gil", 0, 500, "kernel-uprobe")], metrics=[metric])
    assert [row.verdict for row in gil.accounting(seen)] == [verdict]


@pytest.mark.parametrize(("share", "verdict"), [(0.45, "ok"), (0.59, "ok"), (0.61, "off"), (0.39, "off")])
def test_py_spy_may_be_10_points_off_the_time_in_take_gil_and_drop_gil(share: float, verdict: str) -> None:
    metric = {
        "metric": "gil_wait_ns",
        "scope": "thread",
        "method": "py-spy-native",
        "quality": "estimated",
        "value": share * 1000 * MS,
    }
    seen = made(
        known=answers(thread()),
        threads=[ALIVE, {**ALIVE, "tid": 102}],
        waits=[wait("gil", 0, 450, "kernel-uprobe"), wait("gil-switch", 450, 50, "kernel-uprobe")],
        metrics=[metric, {**metric, "tid": 102}],
    )
    assert [row.verdict for row in gil.py_spy(seen)] == [verdict]


def test_only_what_lies_in_the_thread_s_window_is_compared_and_it_is_cut_there() -> None:
    known = answers(thread(waits={"sleep": 30 * MS}))
    seen = made(known=known, waits=[wait("sleep", -50, 60), wait("sleep", 100, 20), wait("sleep", 2000, 500)])
    [row] = waits.against_known(seen)
    assert (row.verdict, row.measured) == ("ok", 30 * MS)


@pytest.mark.parametrize(("stolen_ms", "verdict"), [(0, "off"), (10, "unclear"), (200, "unclear")])
def test_a_difference_that_steal_explains_is_unclear(stolen_ms: int, verdict: str) -> None:
    place = replace(PLACE, steal_ns=stolen_ms * MS)
    seen = made(known=answers(thread(waits={"io-read": 100 * MS})), waits=[wait("io-read", 0, 110)], place=place)
    [row] = waits.against_known(seen)
    assert (row.verdict, row.steal_ns) == (verdict, stolen_ms * MS)


def test_a_wait_of_another_kind_does_not_count() -> None:
    seen = made(known=answers(thread(waits={"lock": 100 * MS})), waits=[wait("poll", 0, 100)])
    assert [row.verdict for row in waits.against_known(seen)] == ["off"]


def test_at_least_may_be_more_but_not_less() -> None:
    known = answers(thread(at_least={"gil": 100 * MS}))
    assert [row.verdict for row in gil.against_known(made(known=known, waits=[wait("gil", 0, 300)]))] == ["ok"]
    assert [row.verdict for row in gil.against_known(made(known=known, waits=[wait("gil", 0, 90)]))] == ["off"]


def test_switches_are_counted_by_who_left_and_the_last_one_is_left_out() -> None:
    running, preempted, asleep, disk, dead, zombie = 0, 0x100, 1, 2, 0x10, 0x20
    tids = np.array([1, 1, 2, 1, 1, 2, 2, 1])
    states = np.array([asleep, preempted, disk, running, asleep, preempted, zombie, dead])
    seen = KernelSaw(gil=True, switches=kernel.switches(tids, states, np.arange(8)))
    assert [seen.counted(tid, 0, 100) for tid in (1, 2, 3)] == [(2, 2), (1, 1), (0, 0)]
    assert seen.counted(1, 0, 3) == (1, 2)


@pytest.mark.parametrize(("voluntary", "verdict"), [(100, "ok"), (103, "ok"), (104, "off"), (96, "off")])
def test_switches_may_be_1_percent_and_2_off(voluntary: int, verdict: str) -> None:
    counts = {"voluntary_switches": voluntary, "involuntary_switches": 0}
    late = np.full(50, ALIVE["end_ns"] + 1)
    times = (np.append(np.full(90, T0), late), np.append(np.full(10, T0), late))
    events = KernelSaw(gil=True, switches={TID: times})
    [row] = switches.against_kernel(made(kernel=events, threads=[{**ALIVE, **counts}]))
    assert (row.verdict, row.truth) == (verdict, 100)
    killed = [{"ended": "signal", "exit_code": -9}]
    [row] = switches.against_kernel(made(kernel=events, threads=[{**ALIVE, **counts}], processes=killed))
    assert row.verdict == "unavailable"


@pytest.mark.parametrize(("rest_ms", "verdict"), [(0, "ok"), (19, "ok"), (-19, "ok"), (21, "off"), (-21, "off")])
def test_the_ledger_may_leave_2_percent(rest_ms: float, verdict: str) -> None:
    plain = {"scope": "run", "quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "unattributed_ns", "value": rest_ms * MS},
        {**plain, "metric": "thread_wall_ns", "value": 1000.0 * MS},
    ]
    assert [row.verdict for row in ledger.unattributed(made(metrics=metrics))] == [verdict]


def test_a_ledger_of_events_with_holes_is_unclear() -> None:
    plain = {"scope": "run", "quality": "measured", "method": "m"}
    metrics = [
        {**plain, "metric": "unattributed_ns", "value": 100.0 * MS},
        {**plain, "metric": "thread_wall_ns", "value": 1000.0 * MS},
    ]
    known = answers(thread(cpu_ns=300 * MS))
    running = {"state": "running", "start_ns": T0 - 50 * MS}
    for running_ms, verdict in ((345, "off"), (330, "unclear")):
        sched = [{**running, "dur_ns": running_ms * MS}]
        [row] = ledger.unattributed(made(known=known, sched=sched, metrics=metrics))
        assert row.verdict == verdict
    assert [row.verdict for row in ledger.unattributed(made(known=known, kernel=None, metrics=metrics))] == ["off"]


def test_an_unknown_ledger_is_not_a_closed_one() -> None:
    [row] = ledger.unattributed(made())
    assert row.verdict == "unavailable"


SPIN = {"function": "spin", "file": "/any/where/made.py"}


def test_sites_are_right_when_no_wait_is_booked_elsewhere() -> None:
    known = answers(thread(sites={"gil": ["made.py:spin", "made.py:other"]}))
    found = [wait("gil", 1, 5, **SPIN), wait("gil", 10, 5, function="Thread.end", file="known.py")]
    assert [row.verdict for row in sites.named(made(known=known, waits=found))] == ["ok"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"function": "spun", "file": "/any/where/made.py"},
        {"function": "spin", "file": "/any/where/else.py"},
        {"function": None, "file": None},
    ],
)
def test_a_wait_in_another_function_or_file_or_in_none_is_off(wrong: dict[str, str | None]) -> None:
    known = answers(thread(sites={"gil": ["made.py:spin"]}))
    found = [wait("gil", 1, 5, **SPIN), wait("gil", 10, 5, **wrong)]
    [row] = sites.named(made(known=known, waits=found))
    assert row.verdict == "off"
    assert row.measured == pytest.approx(0.5)


def test_old_code_objects_have_no_qualified_names() -> None:
    place = "threading.py:Condition.wait"
    found = [wait("lock", 1, 5, function="wait", file="/lib/threading.py")]
    for version, verdict in (((3, 10, 1), "ok"), ((3, 11, 1), "off")):
        known = answers(thread(sites={"lock": [place]}), python=version)
        assert [row.verdict for row in sites.named(made(known=known, waits=found))] == [verdict]


def test_holds_are_judged_by_where_they_ended() -> None:
    known = answers(thread(holds=["made.py:spin"]))
    hold = {"start_ns": None, "end_ns": T0 + MS, "method": "waits-probe", "object": "g"}
    assert [row.verdict for row in sites.named(made(known=known, holds=[{**hold, **SPIN}]))] == ["ok"]
    assert [row.verdict for row in sites.named(made(known=known, holds=[{**hold, **SPIN, "function": "f"}]))] == ["off"]


def test_a_python_without_sites_gives_no_verdict() -> None:
    known = answers(thread(sites={"gil": ["made.py:spin"]}))
    assert [row.verdict for row in sites.named(made(known=known, waits=[wait("gil", 1, 5)]))] == ["unavailable"]


ACTIVE = (
    Active(tid=TID, start_ns=T0, end_ns=T0 + 10 * MS, name="executed_0"),
    Active(tid=TID, start_ns=T0 + 11 * MS, end_ns=T0 + 20 * MS, name="executed_1"),
)


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ({"function": "executed_1", "file": "<executed 1>"}, "ok"),
        ({"function": "churn", "file": "/x/comes_and_goes.py"}, "ok"),
        ({"function": "executed_0", "file": "<executed 0>"}, "off"),
        ({"function": "executed_1", "file": "<executed 0>"}, "off"),
    ],
)
def test_a_function_that_is_gone_must_not_be_named(second: dict[str, str], verdict: str) -> None:
    found = [wait("gil", 1, 5, function="executed_0", file="<executed 0>"), wait("gil", 12, 5, **second)]
    [row] = sites.moving(made(known=answers(active=ACTIVE), waits=found))
    assert row.verdict == verdict, row.reason


def test_naming_nothing_is_not_naming_rightly() -> None:
    [row] = sites.moving(made(known=answers(active=ACTIVE), waits=[wait("gil", 1, 5)]))
    assert row.verdict == "off"


CHILDREN = (
    KnownChild(pid=7, ended="exit", exit_code=0),
    KnownChild(pid=8, ended="exit", exit_code=0),
    KnownChild(pid=9, ended="signal", exit_code=-9),
)


def process(pid: int, ended: str, code: int) -> dict[str, Any]:
    return {"pid": pid, "ended": ended, "exit_code": code}


LINES = [process(7, "exit", 0), process(8, "exit", 0), process(9, "signal", -9)]


def test_children_must_be_in_the_table_and_in_the_manifest() -> None:
    known = answers(children=CHILDREN)
    assert [
        (row.verdict, row.measured) for row in endings.children(made(known=known, manifest=LINES, processes=LINES))
    ] == [
        ("ok", 2),
        ("ok", 1),
    ]
    for table, lines in ((LINES, LINES[1:]), (LINES[1:], LINES)):
        rows = endings.children(made(known=known, manifest=lines, processes=table))
        assert [(row.verdict, row.measured) for row in rows] == [("off", 1), ("ok", 1)]
        assert "7 is missing" in rows[0].reason


def test_an_ending_of_another_kind_is_off() -> None:
    wrong = [*LINES[:2], process(9, "exit", -9)]
    rows = endings.children(made(known=answers(children=CHILDREN), manifest=wrong, processes=LINES))
    assert [row.verdict for row in rows] == ["ok", "off"]


@pytest.mark.parametrize(
    ("with_ns", "verdict"),
    [
        ([100.0] * 9, "ok"),
        ([100.9] * 9, "ok"),
        ([101.1] * 9, "off"),
        ([95.0, 96.0, 97.0, 104.0, 105.0, 106.0, 103.0, 99.0, 100.0], "unclear"),
        ([100.0] * 8 + [300.0], "ok"),
    ],
)
def test_a_cost_is_judged_by_the_pairs_ratios(with_ns: list[float], verdict: str) -> None:
    subject = effect.Subject(name="work", capture="waits", most=0.01)
    row = effect.judged(PLACE, "effect", subject, [(value, 100.0) for value in with_ns])
    assert row.verdict == verdict, row


def test_too_few_pairs_have_no_verdict() -> None:
    subject = effect.Subject(name="work", capture="waits", most=0.01)
    assert effect.judged(PLACE, "effect", subject, [(1.0, 1.0)] * 4).verdict == "unavailable"


def test_the_order_turns_round_from_pair_to_pair() -> None:
    assert list(effect.order(3)) == [(False, True), (True, False), (False, True)]


def test_tolerances() -> None:
    assert wait_tolerance(0) == 2 * MS
    assert wait_tolerance(1000 * MS) == 30 * MS
    assert [within(-3, 3), within(4, 3), within(4, 3, 1), within(5, 3, 1)] == ["ok", "off", "unclear", "off"]


ROWS = (
    PLACE.row("gil-kernel", "one", "ok", unit="ns", measured=5e6, truth=6e6, difference=-1e6, tolerance=2e6),
    PLACE.row("gil-kernel", "two", "off", unit="ns", measured=9e6, truth=6e6, difference=3e6, tolerance=2e6),
    replace(PLACE, python="3.9.18").row("sites", "one", "off", unit="share", measured=0.5, truth=1.0, reason="f 50.0%"),
    PLACE.unavailable("switches", "no events"),
    PLACE.row(
        "effect", "waits", "ok", unit="ratio", measured=1.001, lower=0.999, upper=1.004, tolerance=0.01, reason="9"
    ),
)
RESULT = result_of(ROWS, "2026-01-01")


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "accuracy.json"
    write(RESULT, path)
    assert read(path) == RESULT
    assert [row.what for row in RESULT.rows] == ["two", "one", "waits"]
    assert RESULT.groups[0] == Group("gil-kernel", "made", "3.13.0", compared=2, ok=1, worst=1.5, steal_ns=0)
    assert [(group.check, group.compared) for group in RESULT.groups] == [
        ("gil-kernel", 2),
        ("sites", 1),
        ("switches", 0),
    ]


def test_what_is_no_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    for text in ("", "[]", '{"rows": [{}], "made": "", "machine": {}}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BundleCorrupt, match=r"accuracy\.json"):
            read(path)


def test_where_nothing_is_allowed_any_difference_is_too_much() -> None:
    assert strain(PLACE.row("names-move", "", "off", difference=1.0, tolerance=0.0)) > 1
    assert strain(PLACE.row("names-move", "", "ok", difference=0.0, tolerance=0.0)) == 0


def test_tables_show_what_is_off_and_which_python() -> None:
    text = summary(ROWS)
    assert text.splitlines()[0].split() == ["check", "3.9.18", "3.13.0"]
    assert "1/2, 150%" in text
    page = markdown(RESULT)
    assert "1/2, 150%" in page
    assert "- off: made on 3.9.18, sites, one: 50.00% for 100.00% (f 50.0%)" in page
    assert "1.001 [0.999, 1.004]" in page
    assert "1.0010" in text
    assert "two" in line(ROWS[1])
    assert "off by 3.00 ms, allowed 2.00 ms" in line(ROWS[1])


def test_the_accounting_of_tasks_is_compared_with_the_waits_inside_them() -> None:
    spans = [{"name": "task", "start_ns": T0 + at * MS, "dur_ns": 100 * MS} for at in (0, 200)]
    spans.append({"name": "run", "start_ns": T0, "dur_ns": 400 * MS})
    found = [wait("gil", 50, 100, "kernel-uprobe"), wait("gil", 210, 20, "kernel-uprobe"), wait("gil", 0, 99)]
    bound = {"metric": "gil_wait_ns", "scope": "thread", "method": "schedstat", "quality": "bound", "value": 60.0 * MS}
    for lower, upper, verdict in ((10, 100, "ok"), (75, 100, "off"), (10, 65, "off")):
        metrics = [{**bound, "lower": lower * MS, "upper": upper * MS}]
        [row] = tasks.compared(made(spans=spans, waits=found, metrics=metrics).tables, PLACE)
        assert (row.verdict, row.truth) == (verdict, 70 * MS)


def test_without_an_interval_of_tasks_there_is_no_verdict() -> None:
    assert [row.verdict for row in tasks.compared(made().tables, PLACE)] == ["unavailable"]
