"""What the runs of light captures tell: the GIL wait, the ledger, holds and handoffs, and how sure it is."""

from typing import Any

import pandas as pd
import pytest
from matplotlib.container import BarContainer

from tests.table_factory import MS as MS_INT
from tests.table_factory import Maker, full_run
from tests.unit.analysis.report.made_numbers import MS, Interval, Suite, typical
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.number_notices import find_notices
from tracekit.analysis.report.build import build
from tracekit.analysis.report.cells import ReportCell
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.ledger import ledger_of_cell
from tracekit.analysis.report.render.markdown import to_markdown
from tracekit.analysis.report.shares import gil_wait, gil_wait_share
from tracekit.analysis.report.views import ReportView, Section, TableField, TableView
from tracekit.analysis.tables import Tables, from_rows


def seen(**parts: float) -> dict[str, tuple[Interval, str]]:
    """Numbers of the wait probe in ms, by metric: a GIL wait of 790 ms is 48.75 % of 1,620 ms."""
    values = {
        "gil_wait_ns": 790.0,
        "thread_wall_ns": 1620.0,
        "thread_on_cpu_ns": 800.0,
        "thread_gil_wait_ns": 788.0,
        "thread_idle_ns": 30.0,
        "unattributed_ns": 2.0,
        "gil_hold_longest_ns": 12.0,
        "gil_handoff_latency_ns": 0.02,
        "gil_handoff_latency_p95_ns": 0.4,
        **parts,
    }
    numbers: dict[str, tuple[Interval, str]] = {
        name: ((value * MS, value * 0.98 * MS, value * 1.02 * MS), "ns") for name, value in values.items()
    }
    numbers["gil_wait_share"] = ((0.4875, 0.478, 0.497), "share")
    numbers["gil_holds_over_interval"] = ((40.0, 38.0, 43.0), "count")
    numbers["gil_handoffs"] = ((162.0, 160.0, 165.0), "count")
    return numbers


def watched() -> Suite:
    """The typical suite, whose threads the wait probe watched too."""
    return typical().cell("threads", wall_ms=812, capture="waits", method="waits-probe", numbers=seen())


def threads_of(suite: Suite) -> ReportCell:
    (group,) = groups(suite.tables())
    (cell,) = [cell for cell in group.cells if cell.model == "threads"]
    return cell


def section(view: ReportView, slug: str) -> Section | None:
    return next((item for item in view.sections if item.slug == slug), None)


def table_of(view: ReportView, slug: str) -> TableView:
    found = section(view, slug)
    assert found is not None
    return found.tables[0]


def fields(table: TableView, label: str) -> list[TableField]:
    (row,) = [row for block in table.groups for row in block.rows if row.label == label]
    return list(row.fields)


def test_the_gil_wait_is_the_one_that_was_seen_and_says_so() -> None:
    summary = build(watched().tables()).summary
    field = fields(summary, "threads")[3]
    assert (field.main, field.sub, field.tag) == ("790 ms", "48–50 %", "waits-probe")
    assert "waits-probe" in {item.mark for item in summary.legend}
    # Nobody watched the processes: theirs is what the accounting says.
    assert fields(summary, "processes (fork)")[3].tag == ""


def test_without_a_light_capture_it_is_the_bound() -> None:
    field = fields(build(typical().tables()).summary, "threads")[3]
    assert (field.main, field.tag) == ("780–830 ms", "bound")


def test_what_is_a_range_is_said_of_those_numbers_only() -> None:
    def said(suite: Suite) -> list[str]:
        return [text for text in build(suite.tables()).caveats if text.startswith("As an exact GIL wait")]

    assert said(watched()) == []
    assert "it is a range here" in said(typical())[0]
    (text,) = said(watched().cell("threads", workers=4, gil_wait_ms=(800.0, 780.0, 830.0)))
    assert text.startswith("As an exact GIL wait where it is marked bound: it is a range there")


def test_the_kernel_outranks_the_probe() -> None:
    suite = watched().cell("threads", capture="kernel", method="kernel-uprobe", numbers=seen(gil_wait_ns=795.0))
    number, share = gil_wait(threads_of(suite))
    assert (number.method, number.capture, number.value) == ("kernel-uprobe", "kernel", 795 * MS)
    assert share.method == "kernel-uprobe"


def test_the_walls_and_speed_ups_stay_those_of_untraced_runs() -> None:
    cell = threads_of(watched())
    assert cell.number("wall_ns").value == 810 * MS
    assert cell.best_number("wall_ns").value == 810 * MS
    assert fields(build(watched().tables()).summary, "threads")[0].main == "810 ms"


def test_the_verdict_gives_the_share_that_was_seen() -> None:
    (verdict,) = build(watched().tables()).verdicts
    assert "they wait for the GIL 48–50 % of the time" in verdict.rest


def test_the_ledger_is_the_one_with_more_parts() -> None:
    ledger = ledger_of_cell(threads_of(watched()))
    assert ledger is not None
    assert ledger.method == "waits-probe"
    assert ledger.share("thread_gil_wait_ns") == pytest.approx(788 / 1620)
    only_blocked = ledger_of_cell(threads_of(typical()))
    assert only_blocked is not None
    assert "thread_gil_wait_ns" not in only_blocked.parts


def test_the_figure_shows_gil_wait_where_it_is_known_and_blocked_elsewhere() -> None:
    suite = watched()
    for block in build(suite.tables()).figures:
        (figure,) = [figure for figure in block.figures if figure.slug == "thread-time"]
    names = {
        str(item.get_label()).lstrip("_") for item in figure.figure.axes[0].containers if isinstance(item, BarContainer)
    }
    assert {"GIL wait", "unattributed"} <= names
    assert "2 threads (1.62 s in all): on-CPU 49 %, GIL wait 49 %, idle 2 %, unattributed 0.1 %" in figure.alt


def test_holds_and_handoffs_have_a_table_with_what_they_are() -> None:
    table = table_of(build(watched().tables()), "gil")
    found = fields(table, "threads")
    assert [field.main for field in found[:5]] == ["790 ms", "12.0 ms", "40", "162", "20.0 µs"]
    # 162 handoffs in a wall of 812 ms, that of the runs they were counted in.
    assert [field.sub for field in found[:5]] == ["48–50 %", "11.8–12.2 ms", "38–43", "200/s", "95 % within 400 µs"]
    assert [row.label for block in table.groups for row in block.rows] == ["threads"]
    assert {"hold", "handoff", "waits-probe"} <= {item.mark for item in table.legend}


def test_where_nobody_saw_the_gil_change_hands_there_is_no_such_table() -> None:
    view = build(typical().tables())
    assert section(view, "gil") is None
    assert section(view, "method-comparison") is None


def test_methods_stand_side_by_side_with_how_far_they_are_apart() -> None:
    suite = watched().cell("threads", capture="kernel", method="kernel-uprobe", numbers=seen(gil_wait_ns=800.0))
    table = table_of(build(suite.tables()), "method-comparison")
    rows = [row for block in table.groups for row in block.rows if row.label == "threads"]
    assert [row.fields[0].main for row in rows] == ["kernel-uprobe", "waits-probe", "schedstat"]
    assert [row.fields[0].sub for row in rows] == ["capture kernel", "capture waits", "untraced"]
    assert [(row.fields[2].main, row.fields[2].sub) for row in rows] == [
        ("the best", ""),
        ("10.0 ms", "1.2 %"),
        ("inside", "a range of 780–830 ms"),
    ]


def test_a_bound_that_does_not_hold_the_best_number_says_by_how_much() -> None:
    suite = typical().cell(
        "threads", capture="kernel", method="kernel-uprobe", numbers={"gil_wait_ns": ((1e9, 0.99e9, 1.01e9), "ns")}
    )
    rows = [row for block in table_of(build(suite.tables()), "method-comparison").groups for row in block.rows]
    assert (rows[1].fields[2].main, rows[1].fields[2].sub) == ("160 ms", "16.0 %")


def test_a_single_traced_run_that_knows_better_than_the_bound_stands_there_too() -> None:
    tables = watched().tables()
    cell = tables.metrics[(tables.metrics["metric"] == "gil_wait_ns") & (tables.metrics["capture"] == "waits")]
    of_run = cell.assign(capture="py-spy", scope="run", run_id="099", method="py-spy-native", quality="estimated", n=1)
    runs = tables.runs[tables.runs["capture"] == "waits"].iloc[:1].assign(capture="py-spy", run_id="099")
    tables.metrics = pd.concat([tables.metrics, of_run], ignore_index=True)
    tables.runs = pd.concat([tables.runs, runs], ignore_index=True)
    rows = [row for block in table_of(build(tables), "method-comparison").groups for row in block.rows]
    assert [row.fields[0].main for row in rows] == ["waits-probe", "py-spy-native", "schedstat"]
    assert rows[1].fields[1].tag == "est."
    # Both say 790 ms.
    assert (rows[1].fields[2].main, rows[1].fields[2].sub) == ("0 s", "inside its interval")


def test_light_captures_have_a_probe_effect_and_the_caption_says_what_they_are_for() -> None:
    suite = watched()
    suite.cell("threads", capture="viztracer", n=1, numbers={"probe_effect": ((3.0, 3.0, 3.0), "ratio")})
    table = build(suite.tables()).captures
    assert table is not None
    assert "Runs of capture waits show where time went" in table.caption
    assert "The others are for the timeline" in table.caption


def contended(repeats: int = 3) -> Tables:
    """Two models under the wait probe; the threads' GIL waits are 100, 200, 300 ms in the three repeats."""
    tables = _contended(repeats).tables()
    tables.metrics = compute_all(Analysis(tables), ("wall_ns", "gil_wait_ns", "gil_wait_share", "thread_wall_ns"))
    return tables


def _contended(repeats: int) -> Maker:
    maker = Maker()
    for repeat in range(repeats + 1):
        for model in ("threads", "fork"):
            for capture in ("none", "waits"):
                run = full_run(maker, model, task_ns=100 * MS_INT, capture=capture, repeat=repeat, warmup=repeat == 0)
                if capture == "waits" and model == "threads":
                    _wait(maker, run, 100 * repeat)
    return maker


def _traced(*, waits: bool) -> Tables:
    """The same with runs of the threads under VizTracer, which carry the wait probe or do not; four threads had no run
    under the probe alone."""
    maker = _contended(3)
    for repeat in (1, 2, 3):
        full_run(maker, "threads", task_ns=100 * MS_INT, workers=4, repeat=repeat)
    capture = "waits+viztracer" if waits else "viztracer"
    for workers in (2, 4):
        run = full_run(
            maker, "threads", task_ns=300 * MS_INT, workers=workers, capture=capture, run_id=f"traced{workers}"
        )
        if waits:
            _wait(maker, run, 500)
            thread, late = run["main_pid"] + 1, run["start_ns"] + 550 * MS_INT
            maker.wait(run, run["main_pid"], thread, "io-read", late, 10 * MS_INT)
    tables = maker.tables()
    analysis = Analysis(tables)
    tables.metrics = compute_all(analysis)
    found = [item._asdict() for item in find_notices(analysis, tables.metrics)]
    tables.notices = pd.concat([tables.notices, from_rows("notices", found)], ignore_index=True)
    return tables


def test_waits_beside_viztracer_change_no_number_but_those_of_that_run() -> None:
    with_waits, without = _traced(waits=True), _traced(waits=False)

    def others(tables: Tables) -> pd.DataFrame:
        rows = tables.metrics[~tables.metrics["run_id"].isin(["traced2", "traced4"])]
        return rows.assign(capture=rows["capture"].replace("waits+viztracer", "viztracer")).reset_index(drop=True)

    pd.testing.assert_frame_equal(others(with_waits), others(without))
    of_run = with_waits.metrics["run_id"].eq("traced2")
    own = with_waits.metrics[of_run & with_waits.metrics["method"].eq("waits-probe")]
    assert {"gil_wait_ns", "io_wait_ns", "gil_hold_longest_ns"} <= set(own["metric"])
    texts = [to_markdown(build(tables)).replace("waits+viztracer", "viztracer") for tables in (with_waits, without)]
    assert texts[0] == texts[1]


def _wait(maker: Maker, run: dict[str, Any], length_ms: int) -> None:
    main = run["main_pid"]
    site = {"run_id": run["run_id"], "pid": main, "object": "gil 1", "method": "waits-probe", "line": 9}
    at = run["start_ns"] + MS_INT
    maker.row(
        "waits",
        **site,
        tid=main + 1,
        kind="gil",
        start_ns=at,
        dur_ns=length_ms * MS_INT,
        holder_tid=main + 2,
        function="small",
        file="app.py",
    )
    ends = at + length_ms * MS_INT
    maker.row("holds", **site, tid=main + 2, start_ns=at, end_ns=ends, function="hog", file="app.py")


def test_blame_is_about_the_contended_model_and_a_run_in_the_middle() -> None:
    view = build(contended())
    found = section(view, "attribution")
    assert found is not None
    sites = section(view, "sites")
    assert sites is not None
    assert sites.sentences == found.sentences[:1]
    assert found.sentences == (
        "This is matmul, 2 threads, one run with capture waits.",
        "Worker 2 in `hog` held the GIL for 100 % of the time that worker 1 in `small` waited for it "
        "(200 ms of 200 ms).",
    )
    assert found.figures is not None
    assert [figure.slug for figure in found.figures.figures] == ["attribution", "wait-flame"]
    assert found.lead == 1


def test_the_share_comes_from_the_same_method_as_the_wait() -> None:
    (group,) = groups(contended())
    (cell,) = [cell for cell in group.cells if cell.model == "threads"]
    number, share = gil_wait(cell)
    assert number.method == share.method == "waits-probe"
    assert number.centre == 200 * MS_INT
    low, high = gil_wait_share(cell) or (0.0, 0.0)
    assert 0 < low <= (share.centre or 0) <= high < 1
