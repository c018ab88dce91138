"""The report of a recorded program: no comparison, but all of its time and who kept whom waiting."""

import csv
import io
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.table_factory import MS
from tests.unit.analysis.report import made_program as made
from tests.unit.analysis.report.made_program import (
    CHILD,
    FEEDER,
    HOG,
    MAIN,
    lines,
    loaded,
    rows,
    section,
    tables,
    view,
    whole,
)
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.names import names_of
from tracekit.analysis.metrics.window import cut_to_window
from tracekit.analysis.report.build import build
from tracekit.analysis.report.ledger import PARTS, UNATTRIBUTED
from tracekit.analysis.report.pages.program.recorded_program import ended_text, read_program
from tracekit.analysis.report.render.markdown import coded, to_markdown
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.report.write import write


def test_the_headline_says_how_long_how_it_ended_and_where_the_time_went() -> None:
    (verdict,) = view().verdicts
    assert verdict.outcome == "program"
    assert verdict.lead.startswith("app.py took 1.00 s")
    assert "it ended with exit code 3" in verdict.rest
    assert "Its 4 threads spent 3.50 s: on-CPU 1.50 s (43 %), idle 900 ms (26 %), GIL wait 770 ms (22 %)" in (
        verdict.rest
    )


@pytest.mark.parametrize("method", ["waits-probe", "kernel-uprobe"])
def test_there_is_one_gil_wait_on_the_first_screen(method: str) -> None:
    """A forced switch is in the headline, so it is in the column as well, whoever saw it."""
    found = rows()
    for row in (*found["waits"], *found["holds"]):
        row["method"] = method if row.get("kind") in (None, "gil") else row["method"]
    found["waits"].append({**made.wait(HOG, "gil-switch", 950, 30, "hog"), "method": method})
    found["runs"][0]["capture"] = "waits" if method == "waits-probe" else "kernel"
    if method == "kernel-uprobe":
        found["waits"] = [row for row in found["waits"] if row["method"] == method]
        found["sched"] = [made.sched(HOG, "running", 0, 900), made.sched(HOG, "sleeping", 900, 100)]
        found["sched"] += [made.sched(FEEDER, "sleeping", 0, 1000)]
    shown = build(tables(found))
    field = shown.summary.groups[0].rows[0].fields[2]
    assert f"GIL wait {field.main} ({field.sub})" in shown.verdicts[0].rest
    assert field.tag == method
    notes = {item.mark: item.text for item in shown.summary.legend}
    assert "forced switches included" in notes["GIL wait"]
    (there,) = section(shown, "gil").tables
    assert "forced switches" in {item.mark: item.text for item in there.legend}["GIL wait"]


@pytest.mark.parametrize(("capture", "left"), [("py-spy", "export"), ("viztracer", "view")])
def test_a_program_that_only_another_capture_watched_says_so_where_the_waits_would_be(capture: str, left: str) -> None:
    found = rows()
    for name in ("waits", "holds", "threads"):
        found[name] = []
    found["runs"][0].update(capture=capture, traces=1)
    shown = build(tables(found))
    said = section(shown, "sites").sentences
    assert said[0].startswith("Without capture waits, ")
    assert f"`tracekit {left} 20250101-000000-app.py" in said[1]
    assert f"--capture waits,{capture}" in said[2]
    assert "Without capture waits" in to_text(shown)


def test_a_program_that_viztracer_could_not_enter_has_no_calls_to_look_at() -> None:
    found = rows()
    for name in ("waits", "holds", "threads"):
        found[name] = []
    found["runs"][0].update(capture="viztracer", traces=0)
    assert not any("timeline" in text for text in section(build(tables(found)), "sites").sentences)


def test_a_report_of_a_window_names_it_and_has_nothing_of_the_rest() -> None:
    """The child was killed at 600 ms; at 800 the hog has the GIL and `feeder` waits for it, until 880."""
    cut = cut_to_window(made.loaded(rows()), "800ms..880ms")
    cut.metrics = compute_all(Analysis(cut), made.METRICS_READ)
    shown = build(cut)
    assert shown.verdicts[0].lead.startswith("app.py, window 800ms..880ms of 1.00 s: 80.0 ms")
    assert "; it ran on." in shown.verdicts[0].rest
    assert "GIL wait 80.0 ms (33 %)" in shown.verdicts[0].rest
    assert "window=0.8s..0.88s" in {row.label.split("(")[1].split(")")[0] for row in shown.every}
    (whole,) = shown.summary.groups[0].rows
    assert whole.fields[0].sub == "ran on"
    assert whole.fields[-1].main == "n/a"
    (sites,) = section(shown, "sites").tables
    assert {row.label: (row.fields[1].main, row.fields[3].main) for block in sites.groups for row in block.rows} == {
        "small": ("80.0 ms", "80.0 ms"),
        "Thread.join": ("80.0 ms", "80.0 ms"),
    }


@pytest.mark.parametrize("window", ["..500ms", "0s..1ns"])
def test_of_a_program_that_ended_after_the_window_its_end_is_known_without_processes(window: str) -> None:
    """As under py-spy alone; and in its first moment, before its exec."""
    found = rows()
    for name in ("waits", "holds", "threads", "processes"):
        found[name] = []
    shown = build(cut_to_window(made.loaded(found), window))
    assert shown.verdicts[0].rest == "; it ran on."
    assert shown.summary.groups[0].rows[0].fields[0].sub == "ran on"


def test_the_rest_of_a_thread_that_hardly_lived_is_no_doubt() -> None:
    found = rows()
    found["waits"], found["holds"] = [], []
    found["threads"] = [made.thread(MAIN, MAIN, "MainThread", 0, 20, cpu=18, role="main")]
    found["processes"] = found["processes"][:1]
    assert not any(text.startswith("As the whole story") for text in build(tables(found)).caveats)
    found["threads"][0]["cpu_ns"] -= MS
    assert any(text.startswith("As the whole story: 15 %") for text in build(tables(found)).caveats)


def test_threads_that_the_ledger_is_not_about_are_not_counted_as_living_in_it() -> None:
    found = rows()
    shell = {"executable": "/usr/bin/dash", "ended": "_exit", "exit_code": 0, "pid": 300, "start_ticks": 300}
    found["processes"].append({**found["processes"][1], **shell})
    found["threads"].append({**made.thread(300, 300, "dash", 200, 300, cpu=1), "role": "native", "cpu_ns": None})
    shown = build(tables(found))
    assert "Its 4 threads spent 3.50 s" in shown.verdicts[0].rest
    (dash,) = [row for row in shown.summary.groups[0].rows if row.label == "dash 300"]
    assert dash.detail == "1 thread"
    # One reason why it has no ledger, not one per column.
    assert {field.mark for field in dash.fields[1:5]} == {"a"}


def test_what_a_table_of_one_run_says_of_repeats_is_nothing() -> None:
    for found in (section(view(), "gil"), section(view(), "method-comparison")):
        (table,) = found.tables
        assert table.columns[0] == ("Program", "")
        assert not any("n = " in field.sub for block in table.groups for row in block.rows for field in row.fields)
    (gil,) = section(view(), "gil").tables
    assert "95 % interval" not in {below for _, below in gil.columns}
    legend = {item.mark: item.text for item in gil.legend}
    assert legend["waits-probe"] == "every wait that capture waits recorded"
    # The probe sees waits and no samples.
    assert legend["est."].startswith("not counted: a wake-up per switch interval")


def test_a_program_without_python_has_no_facts_about_one() -> None:
    found = tables(rows())
    known = {**found.suite["environments"][0], "python_label": "", "python": {"version": None}}
    found.suite["environments"] = [known]
    assert [block.label for block in build(found).environment] == ["Linux", "app.py"]
    # Nobody asked a recorded Python which build it is.
    found.suite["environments"] = [{**known, "python": {"version": "3.14.0"}}]
    (_, python, _) = build(found).environment
    assert dict(python.facts)["GIL"] == "not recorded"


def test_nothing_is_compared() -> None:
    shown = view()
    said = f"{to_text(shown)} {shown.summary.columns} {[item.title for item in shown.sections]}"
    for word in ("speed-up", "Speed-up", "ceiling", "serial", "n/a"):
        assert word not in said
    assert shown.captures is None
    assert shown.by_workers == ()


def test_each_process_says_how_it_ended_and_what_its_threads_did() -> None:
    found = lines(view().summary)
    assert list(found) == ["app.py, 2 processes, 4 threads", "main, pid 100 · 3 threads", "process 200, 1 thread"]
    assert found["main, pid 100 · 3 threads"] == ["1.00 s", "1.00 s", "770 ms", "140 ms", "900 ms", "60 / 6"]
    assert found["process 200, 1 thread"] == ["500 ms", "500 ms", "0 s", "0 s", "0 s", "20 / 2"]
    ends = [row.fields[0].sub for row in view().summary.groups[0].rows]
    assert ends == ["exit code 3", "exit code 3", "SIGKILL"]


@pytest.mark.parametrize(
    ("ended", "code", "text"),
    [
        ("exit", 0, "exit code 0"),
        ("_exit", 7, "os._exit, code 7"),
        ("_exit", None, "os._exit"),
        ("signal", -signal.SIGTERM, "SIGTERM"),
        ("signal", -200, "signal 200"),
        ("signal", None, "a signal"),
        ("unknown", None, "not known"),
        ("", None, "not known"),
        ("exit", None, "exit"),
    ],
)
def test_an_end_in_words(ended: str, code: int | None, text: str) -> None:
    assert ended_text({"ended": ended, "exit_code": code}) == text


def test_a_shell_that_leaves_as_shells_do_just_ends() -> None:
    assert ended_text({"ended": "_exit", "exit_code": 4, "executable": "/usr/bin/dash"}) == "exit code 4"
    assert ended_text({"ended": "_exit", "exit_code": 4, "executable": "/usr/bin/python3.11"}) == "os._exit, code 4"


def test_an_unknown_end_is_a_doubt_and_no_guess() -> None:
    found = rows()
    found["processes"][1].update(ended="unknown", exit_code=None)
    shown = build(tables(found))
    assert shown.summary.groups[0].rows[2].fields[0].sub == "not known"
    assert any("how process 200 ended" in text for text in shown.caveats)


def test_the_ledger_of_every_place_closes() -> None:
    program = read_program(whole())
    assert program is not None
    places = [(None, None), (MAIN, None), (CHILD, None), (MAIN, MAIN), (MAIN, HOG), (MAIN, FEEDER), (CHILD, CHILD)]
    for pid, tid in places:
        ledger = program.ledger(pid, tid)
        assert ledger is not None
        assert sum(ledger.parts[part] for part in PARTS if part in ledger.parts) == ledger.whole
        assert UNATTRIBUTED in ledger.parts
        assert "unattributed 0 %" in ledger.sentence
    assert program.ledger(MAIN, 999) is None


def test_the_idle_rule_stands_under_the_figure() -> None:
    figures = [figure for block in view().figures for figure in block.figures]
    assert [figure.title for figure in figures] == ["Time of each process", "Time of each thread"]
    assert all("Idle: waits in queues, joins" in figure.caption for figure in figures)
    assert all("By waits-probe." in figure.caption for figure in figures)


def test_a_thread_without_a_name_of_its_own_is_called_by_its_id_and_function() -> None:
    names = names_of(whole(), made.RUN)
    assert names.thread(MAIN, MAIN) == "main thread"
    assert names.thread(MAIN, HOG) == "thread 101"
    assert names.thread(MAIN, FEEDER) == "feeder"
    assert names.thread(CHILD, CHILD) == "process 200"
    assert names.thread(MAIN, None) == "not known"
    assert names.functions[MAIN, HOG] == "hog"


def test_threads_that_share_a_name_are_told_apart() -> None:
    found = rows()
    found["threads"][1]["name"] = "feeder"
    names = names_of(loaded(found), made.RUN)
    assert {names.thread(MAIN, tid) for tid in (HOG, FEEDER)} == {"feeder 101", "feeder 102"}


def test_the_methods_stand_side_by_side() -> None:
    (table,) = section(view(), "method-comparison").tables
    best, bound = table.groups[0].rows
    assert [field.main for field in best.fields] == ["waits-probe", "770 ms", "the best"]
    assert [field.main for field in bound.fields] == ["schedstat", "0–2.00 s", "inside"]


def test_the_files_beside_the_page_hold_everything(tmp_path: Path) -> None:
    files = write(whole(), tmp_path)
    assert {path.name for path in files.downloads} == {"wait.collapsed.txt", "attribution.csv", "wait-sites.csv"}
    stacks = (tmp_path / "wait.collapsed.txt").read_text().splitlines()
    # GIL waits of both threads and the sleep; idleness is left out.
    assert sum(int(line.rpartition(" ")[2]) for line in stacks) == (700 + 70 + 140) * 1000
    assert all(line.rpartition(" ")[0].count(";") == 3 for line in stacks)
    blame = list(csv.DictReader(io.StringIO((tmp_path / "attribution.csv").read_text())))
    assert [(row["waiter_tid"], row["holder_tid"], row["wait_ns"]) for row in blame] == [
        (str(FEEDER), str(HOG), str(700 * MS)),
        (str(HOG), str(FEEDER), str(70 * MS)),
    ]
    sites = list(csv.DictReader(io.StringIO((tmp_path / "wait-sites.csv").read_text())))
    assert sum(int(row["total_ns"]) for row in sites) == (700 + 70 + 140 + 900) * MS
    # Where a home folder lies is nobody's business.
    assert all(not row[name].startswith("/") for row in blame for name in ("waiter_file", "holder_file"))
    assert all(row["file"] and not row["file"].startswith("/") for row in sites if row["function"])
    for name in ("wait.collapsed.txt", "attribution.csv", "wait-sites.csv"):
        assert f'href="{name}"' in files.html.read_text()
        assert f"({name})" in files.markdown.read_text()


def test_the_terminal_says_who_kept_whom_waiting_without_markup() -> None:
    text = " ".join(to_text(view()).split())
    assert "by thread 101 in hog (me/app.py:10): feeder waited 700 ms for that in 7 holds" in text
    assert "main (pid 100 · 3 threads)" in text
    assert "`" not in text


def test_no_line_of_the_terminal_ends_inside_a_number_or_a_word() -> None:
    shown = view()
    # Every place at which the line could end, once.
    for padding in range(60):
        rest = f"{'x' * padding} {shown.verdicts[0].rest}"
        text = to_text(replace(shown, verdicts=(replace(shown.verdicts[0], rest=rest),)))
        assert not re.search(r"\d\n(ms|us|s|%)\b|on-\n", text)
    assert "waits-probe: every wait that capture waits recorded" in to_text(shown)
    assert "GIL wait (of thread time)" in to_text(shown)


def test_markdown_keeps_functions_as_code() -> None:
    text = to_markdown(view())
    assert "by thread 101 in `hog` (me/app.py:10): feeder waited 700 ms for that in 7 holds" in text
    assert "## Contention attribution" in text
    assert "![" in text
    assert coded("a_b in `c_d` *e*") == r"a\_b in `c_d` \*e\*"


def test_a_program_whose_record_was_not_finished_still_has_a_report(tmp_path: Path) -> None:
    found = rows()
    for name in ("processes", "threads", "waits", "holds"):
        found[name] = []
    found["runs"][0].update(status="unfinished", wall_ns=None, start_ns=None, exit_code=None)
    files = write(tables(found), tmp_path)
    (verdict,) = files.view.verdicts
    assert verdict.sentence == "app.py was not recorded to its end: its run is unfinished."
    assert files.figures == ()
    (missing,) = files.view.figures[0].missing
    assert "no Python thread" in missing.reason
    # Nobody saw a thread: that does not make them none.
    assert [row.detail for row in files.view.summary.groups[0].rows] == ["one run"]


def test_a_storm_of_processes_is_cut_to_a_table_one_can_read() -> None:
    found = rows()
    for pid in range(300, 340):
        found["processes"].append({**found["processes"][1], "pid": pid, "exit_code": 0, "ended": "exit"})
        found["threads"].append(made.thread(pid, pid, "MainThread", 100, 600, cpu=10))
    shown = build(tables(found))
    *top, rest = shown.summary.groups[0].rows
    assert len(top) == 13
    assert rest.label == "30 other processes"
    (processes, threads) = [figure for block in shown.figures for figure in block.figures]
    assert "Not shown: 28" in processes.caption
    assert "Not shown: 30" in threads.caption


def test_every_figure_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = write(whole(), tmp_path)
    names = {"process-time.png", "thread-time.png", "attribution.png", "wait-flame.png"}
    assert {path.name for path in files.figures} == names
    assert {f"{figure.slug}.png" for figure in view().every_figure} == names


def test_native_threads_are_in_the_cpu_time_and_named_beside_the_ledger() -> None:
    """A program whose BLAS thread did half of the work was said to keep 0.09 CPUs busy."""
    found = rows()
    before = build(tables(found)).verdicts[0]
    found["threads"].append({**made.thread(MAIN, 900, "libblas.so", 0, 1_000, cpu=700), "role": "native"})
    shown = tables(found)
    cells = shown.metrics[(shown.metrics["metric"] == "cpu_ns") & (shown.metrics["scope"] == "run")]
    assert cells["value"].tolist() == [sum(thread["cpu_ns"] for thread in found["threads"])]
    verdict = build(shown).verdicts[0]
    named = "1 native thread (libblas.so), which never ran Python, used 700 ms of CPU time and waited 300 ms for work."
    assert named in verdict.rest
    assert " Python threads spent 3.50 s" in verdict.rest
    # 1.50 s of the four Python threads and 700 ms of the native one, in 1 s.
    assert (before.lead, verdict.lead) == tuple(
        f"app.py took 1.00 s and {cpu} s of CPU time" for cpu in ("1.50", "2.20")
    )
    assert (before.rest.split(";")[0], verdict.rest.split(";")[0]) == (" (1.50 CPUs busy)", " (2.20 CPUs busy)")
    whole_program, main, child = (row.detail for row in build(shown).summary.groups[0].rows)
    assert (whole_program, main, child) == ("2 processes, 5 threads", "pid 100 · 4 threads", "1 thread")
    assert "native" not in before.rest
    found["threads"][-1]["cpu_ns"] = None
    unknown = tables(found).metrics
    assert unknown[(unknown["metric"] == "cpu_ns") & (unknown["scope"] == "run")]["quality"].tolist() == ["unavailable"]
