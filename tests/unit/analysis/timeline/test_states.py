"""GIL states and waits as tracks, and the kernel's scheduling record as Perfetto reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.table_factory import BOOT_NS, MS, Maker, full_run
from tests.unit.analysis.report import made_program as made
from tests.unit.analysis.report.made_program import FEEDER, HOG, MAIN, RUN, Rows, loaded, rows, sched
from tests.unit.analysis.timeline.test_trace import Event, events, names
from tracekit.analysis.metrics.names import process_names, processes_of
from tracekit.analysis.timeline import SuitePart, TraceFacts, build_run, build_suite
from tracekit.analysis.timeline.process_tracks import make_run_tracks
from tracekit.analysis.timeline.scheduling import format_scheduling
from tracekit.analysis.timeline.states import make_state_tracks

SWITCH = re.compile(
    r"^(?P<comm>.+)-(?P<tid>\d+) +\((?P<group>[\d-]+)\) \[(?P<cpu>\d{3})\] d\.\.\. (?P<at>\d+\.\d{9}): sched_switch: "
    r"prev_comm=\S+ prev_pid=(?P<left>\d+) prev_prio=120 prev_state=(?P<state>[RSDX]) ==> "
    r"next_comm=\S+ next_pid=(?P<came>\d+) next_prio=120$"
)


def built(found: Rows, folder: Path) -> tuple[TraceFacts, list[Event]]:
    path = folder / "trace.json"
    return build_run(loaded(found), RUN, path), events(path)


def bars(found: list[Event], track: str) -> list[tuple[str, float, float]]:
    """(name, start, end) in microseconds of the bars of a track: every begin is followed by its own end."""
    mine = [event for event in found if event["ph"] in "be" and event["id2"]["local"] == f"{track} 0"]
    begins, ends = mine[::2], mine[1::2]
    assert [event["ph"] for event in begins] == ["b"] * len(ends)
    assert [event["name"] for event in begins] == [event["name"] for event in ends]
    return [(begin["name"], begin["ts"], end["ts"]) for begin, end in zip(begins, ends, strict=True)]


def test_a_thread_holds_the_gil_and_waits_for_it_on_a_track_of_its_own(tmp_path: Path) -> None:
    _, found = built(rows(), tmp_path)
    assert bars(found, "GIL · feeder")[:3] == [
        ("waiting · small", 0, 100_000),
        ("held · small", 100_000, 110_000),
        ("waiting · small", 130_000, 230_000),
    ]
    assert bars(found, "GIL · thread 101")[:2] == [("held · hog", 0, 100_000), ("waiting · hog", 100_000, 110_000)]
    assert len(bars(found, "GIL · feeder")) == len(bars(found, "GIL · thread 101")) == 14


def test_other_waits_are_on_another_track_named_by_kind_and_function(tmp_path: Path) -> None:
    facts, found = built(rows(), tmp_path)
    assert bars(found, "waits · main thread") == [("lock · Thread.join", 100_000, 1_000_000)]
    assert bars(found, "waits · feeder")[0] == ("sleep · small", 110_000, 130_000)
    assert facts.waits == 14 + 14 + 14 + 7 + 1
    assert facts.shortest_wait_ns == 0


def test_the_gil_of_a_process_shows_who_held_it(tmp_path: Path) -> None:
    facts, found = built(rows(), tmp_path)
    assert bars(found, "GIL of main")[:2] == [
        ("thread 101 · hog", 0, 100_000),
        ("feeder · small", 100_000, 110_000),
    ]
    assert facts.overview == ("GIL of main", "GIL · thread 101", "GIL · feeder")


def test_a_process_is_called_by_its_name_else_by_its_program() -> None:
    """As the report calls it; a name that several have is told apart by the id."""
    tables = loaded(rows())
    main = tables.processes.iloc[0]
    others = {
        300: (None, "/bin/dash"),
        301: ("ForkPoolWorker-1", "/usr/bin/python3"),
        302: ("app.py", "/usr/bin/python3"),
        303: ("app.py", "/usr/bin/python3"),
        304: (None, "/usr/bin/python3.11"),
    }
    added = [
        main.to_frame().T.assign(pid=pid, role="other", name=name, executable=executable)
        for pid, (name, executable) in others.items()
    ]
    tables.processes = pd.concat([tables.processes, *added], ignore_index=True)
    tracks, called = make_run_tracks(tables, {}), process_names(processes_of(tables, RUN))
    named = ["dash 300", "ForkPoolWorker-1", "app.py 302", "app.py 303", "process 304"]
    assert [called[pid] for pid in others] == [tracks.label_process(tracks.processes[pid]) for pid in others] == named
    assert tracks.processes[301].label == "ForkPoolWorker-1"


def test_a_bar_tells_where_and_for_whom(tmp_path: Path) -> None:
    _, found = built(rows(), tmp_path)
    (first, *_) = [event for event in found if event["ph"] == "b" and event["name"] == "waiting · small"]
    assert first["args"] == {
        "kind": "gil",
        "function begins at": "me/app.py:20",
        "holder when it began": "thread 101",
    }


def test_a_bar_of_a_long_wait_or_hold_has_its_stack(tmp_path: Path) -> None:
    found = rows()
    wait = next(row for row in found["waits"] if row["kind"] == "gil" and row["tid"] == FEEDER)
    hold = next(row for row in found["holds"] if row["tid"] == HOG)
    place = {"run_id": RUN, "pid": MAIN}
    found["wait_stacks"] += [
        {
            **place,
            "tid": FEEDER,
            "kind": "gil",
            "at_ns": wait["start_ns"],
            "stack": "main (app.py:3);small (app.py:21)",
        },
        {**place, "tid": HOG, "kind": "hold", "at_ns": hold["end_ns"], "stack": "hog (app.py:\x1b11)"},
        {**place, "tid": HOG, "kind": "gil", "at_ns": hold["end_ns"] + 1, "stack": "of no wait"},
    ]
    _, seen = built(found, tmp_path)
    stacks = {
        event["name"]: event["args"]["stack, innermost first"]
        for event in seen
        if "stack, innermost first" in str(event)
    }
    assert stacks["waiting · small"] == ["small (app.py:21)", "main (app.py:3)"]
    assert stacks["held · hog"] == ["hog (app.py:\\x1b11)"]
    assert sum("stack, innermost first" in str(event) for event in seen) == 3


def test_tracks_of_subinterpreters_gils_are_told_apart(tmp_path: Path) -> None:
    found = rows()
    for row in found["holds"]:
        row["object"] = "gil 2" if row["tid"] == FEEDER else "gil 1"
    facts, _ = built(found, tmp_path)
    assert facts.overview[:2] == ("GIL 1 of main", "GIL 2 of main")


def test_bars_of_one_track_never_overlap_whatever_the_stamps(tmp_path: Path) -> None:
    found = rows()
    for index, row in enumerate(found["holds"]):
        row["end_ns"] += 1_000 * (index % 3)
    tables = loaded(found)
    tracks, _ = make_state_tracks(tables, make_run_tracks(tables, {}), BOOT_NS)
    for track in tracks:
        ends = track.bars["end"].tolist()
        starts = track.bars["start"].tolist()
        assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))
        assert all(end > start for start, end in zip(starts, ends, strict=True))


def test_what_ended_before_the_run_began_is_left_out_and_what_reached_into_it_is_cut() -> None:
    found = rows()
    found["waits"] = [made.wait(HOG, "lock", -50, 20, "hog"), made.wait(HOG, "lock", -10, 30, "hog")]
    found["holds"] = []
    tables = loaded(found)
    ((track,), _) = make_state_tracks(tables, make_run_tracks(tables, {}), BOOT_NS)
    assert track.bars[["start", "end"]].to_numpy().tolist() == [[0, 20 * MS]]


def test_of_too_many_the_longest_are_kept_and_it_is_said() -> None:
    tables = loaded(rows())
    tracks, least = make_state_tracks(tables, make_run_tracks(tables, {}), BOOT_NS, limit=10)
    assert least == 100 * MS
    assert min((track.bars["end"] - track.bars["start"]).min() for track in tracks) == 100 * MS


def test_the_probe_is_taken_where_two_watched(tmp_path: Path) -> None:
    found = rows()
    found["waits"] += [{**row, "method": "kernel-uprobe", "function": None} for row in found["waits"]]
    facts, _ = built(found, tmp_path)
    assert facts.waits == 14 + 14 + 14 + 7 + 1


def test_a_run_without_waits_has_no_such_tracks(tmp_path: Path) -> None:
    found = rows()
    found["waits"], found["holds"] = [], []
    facts, write_state_track = built(found, tmp_path)
    assert facts.overview == ()
    assert not [event for event in write_state_track if event["ph"] == "b"]
    assert "systemTraceEvents" not in json.loads((tmp_path / "trace.json").read_text())


def test_threads_of_a_program_are_named_as_the_report_names_them(tmp_path: Path) -> None:
    _, found = built(rows(), tmp_path)
    assert names(found, "process_name") == {100: "main (app.py)", 200: "process (app.py)"}
    assert names(found, "thread_name") == {100: "main thread", 101: "thread", 102: "feeder", 200: "main thread"}


def test_workers_of_a_suite_are_called_so(tmp_path: Path) -> None:
    maker = Maker()
    run = full_run(maker, "threads", task_ns=100 * MS, capture="waits")
    tid = run["main_pid"] + 2
    place = {"run_id": run["run_id"], "pid": run["main_pid"], "tid": tid, "method": "waits-probe", "object": "gil 1"}
    maker.row("waits", **place, kind="gil", start_ns=run["start_ns"] + MS, dur_ns=MS)
    path = tmp_path / "trace.json"
    facts = build_run(maker.tables(), run["run_id"], path)
    assert facts.overview == ("phases", "tasks · worker 1", "tasks · worker 2", "GIL · worker 2")
    assert bars(events(path), "GIL · worker 2") == [("waiting", 1_000, 2_000)]


# The kernel's record


def scheduled() -> Rows:
    """The hog runs on CPU 0 for 10 ms, is preempted by the feeder for 5 ms, goes on, and ends; main sleeps."""
    found = rows()
    found["sched"] = [
        sched(HOG, "running", 0, 10, cpu=0),
        sched(HOG, "runnable", 10, 5),
        sched(HOG, "running", 15, 20, cpu=0),
        sched(FEEDER, "sleeping", 0, 8),
        sched(FEEDER, "runnable", 8, 2),
        sched(FEEDER, "running", 10, 5, cpu=0),
        sched(FEEDER, "disk", 15, 50),
        sched(MAIN, "running", 2, 1, cpu=1),
        sched(MAIN, "sleeping", 3, 900),
    ]
    return found


def text_of(found: Rows) -> list[str]:
    tables = loaded(found)
    return format_scheduling(tables.sched, make_run_tracks(tables, {}), BOOT_NS).lines


def switches(lines: list[str]) -> list[tuple[int, float, int, str, int]]:
    """(cpu, ms, who left, as what, who came)."""
    matches = [SWITCH.match(line) for line in lines if "sched_switch" in line]
    assert all(matches), lines
    return [
        (int(m["cpu"]), float(m["at"]) * 1000, int(m["left"]), m["state"], int(m["came"]))
        for m in matches
        if m is not None
    ]


def test_a_cpu_goes_from_thread_to_thread_and_idles_between() -> None:
    found = [item for item in switches(text_of(scheduled())) if item[0] == 0]
    assert [(round(at), left, state, came) for _, at, left, state, came in found] == [
        (0, 0, "R", HOG),
        (10, HOG, "R", FEEDER),
        (15, FEEDER, "D", HOG),
        (35, HOG, "X", 0),
    ]


def test_a_thread_that_blocks_leaves_as_sleeping() -> None:
    found = [item for item in switches(text_of(scheduled())) if item[0] == 1]
    assert [(round(at), left, state, came) for _, at, left, state, came in found] == [
        (2, 0, "R", MAIN),
        (3, MAIN, "S", 0),
    ]


def test_the_end_of_a_sleep_is_a_waking_and_a_preemption_is_none() -> None:
    wakings = [line for line in text_of(scheduled()) if "sched_waking" in line]
    assert [re.search(r"(\S+): sched_waking: comm=(\S+) pid=(\d+)", line).groups() for line in wakings] == [  # type: ignore[union-attr]
        ("0.008000000", "feeder", str(FEEDER))
    ]


def test_lines_are_in_order_of_time_with_all_nanoseconds() -> None:
    found = scheduled()
    found["sched"][0]["dur_ns"] += 1
    found["sched"][1]["start_ns"] += 1
    lines = text_of(found)
    stamps = [match[1] for line in lines if (match := re.search(r"(\d+\.\d+): sched", line))]
    assert len(stamps) == len(lines)
    assert stamps == sorted(stamps)
    assert "0.010000001" in stamps


def test_the_text_is_one_string_beside_the_events(tmp_path: Path) -> None:
    facts, _ = built(scheduled(), tmp_path)
    document = json.loads((tmp_path / "trace.json").read_text())
    assert document["systemTraceEvents"].startswith("# tracer: nop\n")
    assert document["systemTraceEvents"].count("sched_switch") == 6
    assert facts.overview[:2] == ("CPU 0 Scheduling", "CPU 1 Scheduling")
    assert facts.sched_ends_ns is None


@pytest.mark.parametrize("hostile", ["two words", "prev_pid=7", "a\nb", '"', "\\", "ü·行"])
def test_a_hostile_thread_name_stays_one_word(hostile: str) -> None:
    found = scheduled()
    found["threads"][1]["name"] = hostile
    assert len(switches(text_of(found))) == 6


def test_a_record_that_is_too_long_ends_at_some_moment() -> None:
    tables = loaded(scheduled())
    cut = format_scheduling(tables.sched, make_run_tracks(tables, {}), BOOT_NS, limit=3)
    assert cut.ends_ns == 3 * MS
    # Who is cut off has not ended.
    assert {state for _, _, left, state, _ in switches(cut.lines) if left} == {"R"}
    assert format_scheduling(tables.sched, make_run_tracks(tables, {}), BOOT_NS, limit=100).ends_ns is None


def test_in_a_trace_of_several_runs_nobody_is_on_a_cpu(tmp_path: Path) -> None:
    tables = loaded(scheduled())
    path = tmp_path / "trace.json"
    facts = build_suite([SuitePart(tables, RUN, "one"), SuitePart(tables, RUN, "two")], path)
    assert "systemTraceEvents" not in json.loads(path.read_text())
    assert not [title for title in facts.overview if "CPU" in title]
    assert "one · GIL of main" in facts.overview
