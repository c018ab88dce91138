"""The report of a recorded program: who kept whom waiting for the GIL, and in which functions threads waited."""

import pytest

from tests.table_factory import MS
from tests.unit.analysis.report import made_program as made
from tests.unit.analysis.report.made_program import FEEDER, HOG, lines, loaded, rows, section, tables, view, whole
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.names import names_of, short_place
from tracekit.analysis.report.build import build
from tracekit.analysis.report.sections.contention_attribution import attribution_sentences, read_attribution
from tracekit.analysis.report.sections.wait_sites import UNKNOWN, sites_of


def test_blame_says_who_held_the_gil_in_which_function() -> None:
    attributed = read_attribution(Analysis(whole()), made.RUN, names_of(whole(), made.RUN))
    assert attributed is not None
    assert attribution_sentences(attributed) == (
        "Thread 101 in `hog` held the GIL for 100 % of the time that feeder in `small` waited for it "
        "(700 ms of 700 ms).",
    )
    assert lines(section(view(), "attribution").tables[0]) == {
        "feeder, small · me/app.py": ["thread 101", "700 ms", "100 %", "7"],
        "thread 101, hog · me/app.py": ["feeder", "70.0 ms", "100 %", "7"],
    }


def test_time_in_which_nobody_held_the_gil_is_nobodys() -> None:
    found = rows()
    # The hog drops the GIL 40 ms before the first wait for it ends.
    found["holds"][0]["end_ns"] -= 40 * MS
    made_so = loaded(found)
    found_blame = read_attribution(Analysis(made_so), made.RUN, names_of(made_so, made.RUN))
    assert found_blame is not None
    by_holder = {entry.holder.thread: entry.ns for entry in found_blame.entries if entry.waiter.thread == "feeder"}
    assert by_holder == {"thread 101": 660 * MS, "nobody": 40 * MS}
    assert found_blame.whole == 770 * MS


def test_a_program_that_never_waited_for_the_gil_has_no_blame() -> None:
    found = rows()
    found["waits"] = [row for row in found["waits"] if row["kind"] == "sleep"]
    found["holds"] = []
    shown = build(tables(found))
    blame = section(shown, "attribution")
    assert blame.tables == ()
    assert blame.figures is not None
    assert [figure.slug for figure in blame.figures.figures] == ["wait-flame"]
    assert "gil" not in [item.slug for item in shown.sections]


def test_sites_are_functions_with_what_they_wait_for_and_idle_ones_apart() -> None:
    (table,) = section(view(), "sites").tables
    waits, idle = table.groups
    assert [(row.label, row.detail, row.fields[0].main, row.fields[1].main) for row in waits.rows] == [
        ("small", "me/app.py:20", "the GIL", "700 ms"),
        ("small", "me/app.py:20", "sleep", "140 ms"),
        ("hog", "me/app.py:10", "the GIL", "70.0 ms"),
    ]
    assert [(row.label, row.fields[1].sub, row.fields[3].main) for row in idle.rows] == [
        ("Thread.join", "50 %", "900 ms")
    ]


def test_a_site_names_the_thread_that_ended_most_of_its_waits() -> None:
    """Of 50 ms in `small` the hog ended 40, the feeder itself nothing, and of 10 it is not known who did."""
    found = rows()
    found["waits"] += [made.wait(FEEDER, "lock", 920, 40, "small"), made.wait(FEEDER, "lock", 970, 10, "small")]
    waited = found["waits"][-2]
    woken = {
        "start_ns": waited["start_ns"],
        "woken_ns": waited["start_ns"] + 39 * MS,
        "waker_tid": HOG,
        "object": "0x1",
    }
    place = {name: waited[name] for name in ("run_id", "pid", "tid")}
    found["wakeups"].append({**place, **woken, "function": "lets_go", "file": "/home/me/app.py", "line": 3})
    (table,) = section(build(tables(found)), "sites").tables
    (row,) = [row for row in table.groups[0].rows if row.fields[0].main == "a lock"]
    assert row.fields[0].sub == "1 thread; 80 % ended by thread 101 in lets_go"
    assert "ended by" in {item.mark for item in table.legend}


def test_sites_under_1_percent_are_one_row_with_their_sum() -> None:
    found = rows()
    found["waits"] += [made.wait(HOG, "lock", 920 + index, 0.5, f"lock_{index:02}") for index in range(30)]
    (table,) = section(build(tables(found)), "sites").tables
    *top, rest = table.groups[0].rows
    assert len(top) == 3
    # 15 ms of 1825 ms.
    assert [field.main for field in rest.fields] == ["–", "15.0 ms", "30", "500 µs"]
    assert (rest.label, rest.fields[1].sub) == ("30 other sites", "0.8 %")
    assert [(row.label, row.fields[1].main) for row in rest.folded] == [
        (f"lock_{index:02}", "500 µs") for index in range(30)
    ]


def test_pairs_under_1_percent_are_one_row_with_their_sum() -> None:
    found = rows()
    found["waits"] += [made.wait(FEEDER, "gil", 920 + index, 0.5, f"late_{index}", holder=HOG) for index in range(9)]
    (table,) = section(build(tables(found)), "attribution").tables
    *top, rest = table.groups[0].rows
    assert table.closed
    assert len(top) == 2
    assert [field.main for field in rest.fields] == ["–", "4.50 ms", "–", "9"]
    assert (rest.label, rest.fields[1].sub, len(rest.folded)) == ("9 other pairs", "0.6 %", 9)


def test_a_wait_outside_any_python_function_is_said_so() -> None:
    found = rows()
    found["waits"].append(made.wait(HOG, "lock", 950, 30, ""))
    shown = build(tables(found))
    assert UNKNOWN in [row.label for row in section(shown, "sites").tables[0].groups[0].rows]


def test_where_functions_could_not_be_read_the_report_says_why_and_shows_no_sites() -> None:
    found = rows()
    for row in found["processes"]:
        row["no_functions"] = "its version is not known"
    for table in ("waits", "holds"):
        for row in found[table]:
            row.update(function=None, file=None, line=None)
    shown = build(tables(found))
    said = "The functions of the threads are not known: Python's could not be read, its version is not known."
    sites, attribution = section(shown, "sites"), section(shown, "attribution")
    assert (sites.sentences, sites.tables) == ((said,), ())
    assert attribution.sentences == (said,)
    assert ", by thread 101: feeder waited 700 ms for that in 7 holds" in shown.findings[0].sentence
    (stacks,) = [item.content for item in attribution.downloads if item.name == "wait.collapsed.txt"]
    assert "[lock, perhaps idle]" in stacks
    assert "gil wait, perhaps" not in stacks
    assert shown.summary is not None
    idle = [row.fields[4].main for group in shown.summary.groups for row in group.rows]
    assert set(idle) == {"n/a"}


def test_of_two_watchers_the_one_that_knows_functions_gives_the_sites() -> None:
    found = rows()
    by_kernel = [{**row, "method": "kernel-uprobe", "function": None} for row in found["waits"] if row["kind"] == "gil"]
    found["waits"] += by_kernel
    assert sum(site.total for site in sites_of(loaded(found), made.RUN) if site.kind == "gil") == 770 * MS
    found["waits"] = by_kernel
    assert {site.function for site in sites_of(loaded(found), made.RUN)} == {""}


@pytest.mark.parametrize(
    ("file", "line", "place"),
    [
        ("/usr/lib/python3/concurrent/futures/thread.py", 69, "futures/thread.py:69"),
        ("app.py", None, "app.py"),
        (r"C:\work\app.py", 3, "work/app.py:3"),
        ("<string>", 1, "<string>:1"),
        ("", None, ""),
    ],
)
def test_a_place_is_short_enough_for_a_table(file: str, line: int | None, place: str) -> None:
    assert short_place(file, line) == place


def test_what_happens_in_a_subinterpreter_is_not_blamed_on_another_gil() -> None:
    found = rows()
    for row in (*found["waits"], *found["holds"]):
        if row["tid"] == FEEDER and row["object"] == "gil 1":
            row["object"] = "gil 2"
    made_so = loaded(found)
    found_blame = read_attribution(Analysis(made_so), made.RUN, names_of(made_so, made.RUN))
    assert found_blame is not None
    # What the probe itself named as holder stays; no hold of another GIL is taken for one.
    functions = {entry.holder.function for entry in found_blame.entries if entry.holder.thread != "nobody"}
    assert functions == {""}
