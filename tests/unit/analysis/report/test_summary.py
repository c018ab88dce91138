"""The tables of the report."""

from tests.unit.analysis.report.made_numbers import Suite, typical
from tracekit.analysis.report.build import build
from tracekit.analysis.report.views import TableField, TableView


def column(table: TableView, name: str) -> list[TableField]:
    place = [title for title, _ in table.columns].index(name) - 1
    return [row.fields[place] for block in table.groups for row in block.rows]


def test_seven_columns_at_most() -> None:
    assert len(build(typical().tables()).summary.columns) <= 7


def test_serial_comes_first_and_every_variant_once() -> None:
    (block,) = build(typical().tables()).summary.groups
    assert [row.label for row in block.rows] == ["serial", "threads", "processes (fork)", "processes (spawn)"]
    assert [row.detail for row in block.rows] == ["one thread", "2 workers", "2 workers", "2 workers"]


def test_no_detectable_change_is_marked_and_explained() -> None:
    table = build(typical().tables()).summary
    assert [field.main for field in column(table, "Speed-up")] == ["1x", "~0.99x", "1.82x", "1.51x"]
    assert [item.text for item in table.legend if item.mark == "~"] == [
        "no detectable difference from serial (1x) or from the control (100 %), which the interval contains"
    ]


def test_gil_wait_is_seconds_first_then_its_share_marked_as_a_bound() -> None:
    threads = column(build(typical().tables()).summary, "GIL wait")[1]
    assert (threads.main, threads.sub, threads.tag) == ("780–830 ms", "48–51 %", "bound")


def test_the_share_of_the_ceiling_has_its_interval_and_names_the_ceiling() -> None:
    shares = {
        "fork": (1.36, 0.77, 1.36),
        "forkserver": (0.93, 0.90, 0.97),
        "spawn": (1.2, 1.1, 1.3),
        "threads": (0.5, None, None),
    }
    suite = Suite().cell("serial", speedup=(1.0, 1.0, 1.0))
    for model, share in shares.items():
        speedup = 1.66 * (share[0] or 0.0)
        suite.cell(model, speedup=(speedup, speedup, speedup), numbers={"ceiling_share": (share, "share")})
    _, *found = column(build(suite.tables()).summary, "Share of ceiling")
    assert [(field.main, field.sub) for field in found] == [
        ("50 %", "of 1.66x"),
        ("~136 %", "77–136 % of 1.66x"),
        ("93 %", "90–97 % of 1.66x"),
        ("120 %", "110–130 % of 1.66x"),
    ]


def test_an_interval_of_the_ceiling_that_reads_as_100_percent_contains_it() -> None:
    suite = Suite().cell("serial", speedup=(1.0, 1.0, 1.0))
    suite.cell("fork", speedup=(1.9, 1.9, 1.9), numbers={"ceiling_share": ((0.97, 0.95, 0.996), "share")})
    table = build(suite.tables()).summary
    assert column(table, "Share of ceiling")[1].main == "~97 %"
    assert "~" in {item.mark for item in table.legend}


def test_the_share_of_gil_wait_is_that_of_the_runs_and_not_a_quotient_of_pooled_numbers() -> None:
    """Five runs that wait half the time, one three times as long: median wait 200 ms, mean thread time 560 ms."""
    half = {"thread_wall_ns": ((560e6, 560e6, 560e6), "ns"), "thread_on_cpu_ns": ((560e6, 560e6, 560e6), "ns")}
    suite = Suite().cell("threads", gil_wait_ms=(200.0, 200.0, 200.0), numbers=half)
    tables = suite.tables()
    share = tables.metrics["metric"] == "gil_wait_share"
    tables.metrics.loc[share, ["value", "lower", "upper"]] = 0.5
    assert column(build(tables).summary, "GIL wait")[0].sub == "50 %"


def test_an_absent_number_has_a_footnote_with_its_reason() -> None:
    suite = Suite().cell("serial").cell("threads", lacks={"cpu_ns": "not read here", "gil_wait_ns": "no counters"})
    table = build(suite.tables()).summary
    mark = column(table, "CPU time")[1].mark
    assert {item.mark: item.text for item in table.legend}[mark] == "not available: not read here"
    assert column(table, "GIL wait")[1].mark != mark


def test_few_repeats_are_explained_once() -> None:
    suite = Suite().cell("serial", n=2, speedup=(1.0, None, None)).cell("fork", n=4, speedup=(1.8, None, None))
    table = build(suite.tables()).summary
    assert column(table, "Speed-up")[1].sub == "n = 4"
    assert [(item.mark, item.text) for item in table.legend if item.mark.startswith("n")] == [
        ("n = 2", "too few repeats for an interval, which takes 5"),
        ("n = 4", "too few repeats for an interval, which takes 5"),
    ]


def test_each_worker_count_has_a_table_unless_the_summary_is_that_table() -> None:
    assert build(typical().tables()).by_workers == ()
    suite = Suite().cell("serial").cell("threads", 2).cell("threads", 4).cell("fork", 4)
    assert [table.title for table in build(suite.tables()).by_workers] == ["2 workers"]


def test_the_probe_effect_has_a_column_per_capture() -> None:
    suite = typical()
    for capture, effect in (("viztracer", 3.0), ("py-spy", 1.1)):
        suite.cell("serial", capture=capture, n=1, numbers={"probe_effect": ((effect, effect, effect), "ratio")})
    suite.cell("threads", capture="viztracer", n=1, numbers={"probe_effect": ((2.5, 2.5, 2.5), "ratio")})
    table = build(suite.tables()).captures
    assert table is not None
    assert [name for name, _ in table.columns] == ["Model", "py-spy", "viztracer"]
    assert [field.main for field in column(table, "viztracer")] == ["3.00x", "2.50x"]
    assert [field.main for field in column(table, "py-spy")] == ["1.10x", "–"]


def test_every_number_is_listed_the_unavailable_ones_with_reason() -> None:
    suite = typical().cell("forkserver", lacks={"gil_wait_ns": "no task was recorded"})
    view = build(suite.tables())
    rows = [(cell.label, row) for cell in view.every for row in cell.rows]
    assert len(rows) == view.every_count == len(suite.tables().metrics)
    (absent,) = [row for label, row in rows if "forkserver" in label and row.metric == "gil_wait_ns"]
    assert (absent.value, absent.quality, absent.reason) == ("n/a", "unavailable", "no task was recorded")
    (bound,) = [row for label, row in rows if "threads" in label and row.metric == "gil_wait_ns"]
    assert (bound.value, bound.interval, bound.quality) == ("800 ms", "780–830 ms", "bound")
