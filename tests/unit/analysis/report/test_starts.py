"""The report of `start-stop`: verdict, tables, figure and download say what a worker costs, and in which stage."""

from __future__ import annotations

import pytest

from tests import table_factory
from tests.table_factory import MS, SECOND, Maker, stamps_of
from tests.unit.analysis.report.made_starts import (
    ALL,
    LEGEND,
    METRICS_READ,
    ORDER,
    US,
    VERDICT,
    add_model,
    bars_of,
    beside,
    computed,
    figures_of,
    in_one_line,
    lines_of,
    numbers_of,
    rows_of,
    stages_of,
    start_stop,
)
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.metrics.startup.stages import CALL, LIFE, READY, RECORDING, STAGES
from tracekit.analysis.report.build import build
from tracekit.analysis.report.figures import style
from tracekit.analysis.report.pages.starts.page import CAVEATS
from tracekit.analysis.report.pages.starts.stages import TITLES
from tracekit.analysis.report.render.markdown import escaped, to_markdown
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.report.views import ReportView
from tracekit.analysis.tables import from_rows
from tracekit.core.units import format_ns


@pytest.fixture(scope="module")
def whole() -> ReportView:
    """Every model, untraced and under the stage probe."""
    return build(start_stop(ALL))


def test_the_verdict_is_what_every_kind_of_worker_costs_and_where_the_dearest_spends_it(whole: ReportView) -> None:
    (verdict,) = whole.verdicts
    assert verdict.sentence == VERDICT
    assert (verdict.outcome, verdict.label) == ("threads", "Linux · Python 3.13")


def test_the_verdict_is_about_raw_workers_where_there_are_no_others() -> None:
    (verdict,) = build(start_stop(("raw-fork", "raw-forkserver"))).verdicts
    assert verdict.sentence == (
        "Starting a worker, one empty task and joining it take 995 µs for a forked process and 20.0 ms for a process "
        "of the fork server (the first one 60.0 ms). The longest stages of a process of the fork server are main "
        "module (10.0 ms) and unpickling (5.30 ms)."
    )
    assert verdict.outcome == "processes"


def test_of_threads_alone_no_stage_is_worth_a_word() -> None:
    (verdict,) = build(start_stop(("threads",))).verdicts
    assert verdict.sentence == "Starting a worker, one empty task and joining it take 100 µs for a thread."


def test_a_first_start_is_told_where_it_costs_more_than_half_as_much_again() -> None:
    maker = Maker(workload="start-stop", page="starts")
    add_model(maker, "threads")
    add_model(maker, "fork")
    tables = maker.tables()
    # The parent is 600 µs later to join the first of each process: 740 µs are much for a thread, 1.6 ms for a fork.
    tables.starts["joined_ns"] += (tables.starts["worker"] == 0).astype("Int64") * 600 * US
    tables.metrics = compute_all(Analysis(tables), METRICS_READ)
    (verdict,) = build(tables).verdicts
    assert verdict.lead.endswith(
        "100 µs for a thread (the first one 740 µs) and 1.00 ms for a forked process (the first one 1.60 ms)"
    )


def test_the_longest_import_of_the_main_module_has_a_name() -> None:
    maker = Maker(workload="start-stop", page="starts")
    add_model(maker, "spawn")
    run = maker.run("spawn", SECOND, warmup=True, repeat=0, kind="io", workers=1)
    for section, module, took in (("start", "site", 90), ("main", "pandas", 19), ("main", "json", 1)):
        took_ns = {"self_ns": took * MS, "cumulative_ns": took * MS}
        maker.row("imports", run_id=run["run_id"], section=section, module=module, depth=0, **took_ns)
    view = build(computed(maker))
    assert "are main module (20.0 ms, mostly pandas) and imports (10.0 ms)." in view.verdicts[0].rest
    assert [section.slug for section in view.sections] == ["stages", "imports"]


def test_the_summary_has_a_row_per_model(whole: ReportView) -> None:
    assert whole.summary.title == "Cost of a worker"
    rows = {
        (row.label, row.detail): [field.main for field in row.fields]
        for group in whole.summary.groups
        for row in group.rows
    }
    later = {where: numbers[0] for where, numbers in rows.items()}
    assert later == {
        ("threads", "an executor's"): "100 µs",
        ("raw threads", "without executor"): "95.0 µs",
        ("processes (fork)", "an executor's"): "1.00 ms",
        ("raw processes (fork)", "without executor"): "995 µs",
        ("processes (forkserver)", "an executor's"): "20.0 ms",
        ("raw processes (forkserver)", "without executor"): "20.0 ms",
        ("processes (spawn)", "an executor's"): "50.0 ms",
        ("raw processes (spawn)", "without executor"): "50.0 ms",
    }
    assert [row.label for row in whole.summary.groups[0].rows] == [label for label, _ in later]
    # Later start, median, 95th percentile, first start, first instruction, the call: its first instruction is after
    # the fork, 300 µs, and the bootstrap, 100 µs; of 10 starts the 95 % are those of +2 µs.
    assert rows["processes (fork)", "an executor's"] == [
        "1.00 ms",
        "1.00 ms",
        "1.00 ms",
        "1.00 ms",
        "400 µs",
        "40.0 µs",
    ]
    assert rows["threads", "an executor's"] == ["100 µs", "100 µs", "102 µs", "140 µs", "60.0 µs", "40.0 µs"]
    assert rows["processes (forkserver)", "an executor's"][3] == "60.0 ms"


def test_the_summary_shows_its_intervals_and_how_many_starts_there_were(whole: ReportView) -> None:
    row = rows_of(whole.summary)["threads"]
    later, median, _, first, *_ = row.fields
    assert later.sub.endswith(" µs")
    assert "–" in later.sub
    assert "–" in first.sub
    assert median.sub == "n = 10"


def test_the_tables_have_a_row_per_stage_that_any_model_has(whole: ReportView) -> None:
    later, first = stages_of(whole).tables
    assert (later.title, first.title) == ("Later starts", "First start")
    for table in (later, first):
        assert [name for name, _ in table.columns] == ["Stage", *ORDER]
        assert list(rows_of(table)) == [
            *(TITLES[stage] for stage in STAGES if stage != RECORDING),
            "sum of the stages",
            "request to join",
            TITLES[RECORDING],
        ]
    few = stages_of(build(start_stop(("threads",)))).tables[0]
    assert list(rows_of(few)) == [
        "bootstrap",
        "to the task",
        "to the result",
        "join",
        "sum of the stages",
        "request to join",
    ]


def test_a_stage_that_a_start_does_not_have_is_a_dash(whole: ReportView) -> None:
    later, first = map(numbers_of, stages_of(whole).tables)
    assert [later["main module"][model] for model in ORDER] == [*["–"] * 4, *["10.0 ms"] * 2, *["20.0 ms"] * 2]
    assert [later["fork"][model] for model in ORDER] == [*["–"] * 2, *["300 µs"] * 2, *["1.00 ms"] * 2, *["–"] * 2]
    assert [later["interpreter"][model] for model in ORDER] == [*["–"] * 6, *["7.00 ms"] * 2]
    # The first worker of the fork server waits for a new process; the image is the server's.
    assert [first["interpreter"][model] for model in ORDER] == [*["–"] * 4, *["7.00 ms"] * 4]
    assert [first["fork"][model] for model in ORDER] == [*["–"] * 2, *["300 µs"] * 2, *["28.0 ms"] * 2, *["–"] * 2]
    assert "n/a" not in {number for table in (later, first) for row in table.values() for number in row.values()}


def test_the_tables_are_those_of_the_stage_probe(whole: ReportView) -> None:
    """Its runs take 1 ms longer than the untraced ones of the summary, a thread's 10 µs."""
    later = numbers_of(stages_of(whole).tables[0])
    assert [later["sum of the stages"][model] for model in ("threads", "fork", "forkserver", "spawn")] == [
        "110 µs",
        "2.00 ms",
        "21.0 ms",
        "51.0 ms",
    ]
    assert later["to the result"]["fork"] == "1.15 ms"


def test_from_request_to_join_there_is_one_number_on_the_page(whole: ReportView) -> None:
    """That of the summary and the verdict, later and first; the sum of the stages says what it is."""
    for table, column in zip(stages_of(whole).tables, (0, 3), strict=True):
        summary = [row.fields[column].main for row in whole.summary.groups[0].rows]
        assert [field.main for field in rows_of(table)["request to join"].fields] == summary
        assert rows_of(table)["sum of the stages"].detail == "under the stage probe"
    assert "50.0 ms for a spawned process" in whole.verdicts[0].lead


def test_what_tracekit_does_itself_is_the_last_row_and_not_in_the_sum(whole: ReportView) -> None:
    for table in stages_of(whole).tables:
        *_, last = table.groups[0].rows
        assert last.label == "tracekit itself, not in the sum"
        assert [field.main for field in last.fields] == ["–", "–", *["800 µs"] * 6]


def test_without_the_stage_probe_what_it_sees_is_not_known() -> None:
    view = build(start_stop(("threads", "fork", "forkserver"), captures=("none",)))
    later, first = map(numbers_of, stages_of(view).tables)
    for stage in ("fork", "bootstrap", "exit", "join"):
        assert later[stage]["fork"] == "n/a", stage
    assert {stage for stage, row in later.items() if row["forkserver"] == "n/a"} == {
        "fork",
        "imports",
        "exit",
        "join",
    }
    assert {stage for stage, row in first.items() if row["forkserver"] == "n/a"} == {
        "process image",
        "request",
        "interpreter",
        "site",
        "fork",
        "imports",
        "exit",
        "join",
    }
    assert "n/a" not in {row["threads"] for row in (*later.values(), *first.values())}
    assert later["request to join"] == {"threads": "100 µs", "fork": "1.00 ms", "forkserver": "20.0 ms"}
    assert later["to the result"] == {"threads": "10.0 µs", "fork": "150 µs", "forkserver": "150 µs"}
    assert view.verdicts[0].lead == (
        "Starting a worker, one empty task and joining it take 100 µs for a thread, 1.00 ms for a forked process and "
        "20.0 ms for a process of the fork server (the first one 60.0 ms)"
    )


def test_without_the_stage_probe_only_threads_have_a_bar() -> None:
    (view,) = figures_of(build(start_stop(("threads", "fork"), captures=("none",))))
    assert list(bars_of(view.figure.axes[0])) == ["threads", "threads, first"]
    assert figures_of(build(start_stop(("fork",), captures=("none",)))) == ()


def test_the_download_has_stages_that_sum_to_their_life(whole: ReportView) -> None:
    lines = lines_of(whole)
    parts: dict[tuple[str, str], dict[str, float]] = {}
    for line in lines:
        assert (line["os"], line["python"], line["parameters"]) == ("Linux", "3.13", "")
        parts.setdefault((line["model"], line["start"]), {})[line["stage"]] = float(line["mean_ns"])
    assert parts.keys() == {(model, start) for model in ALL for start in ("later", "first")}
    assert len(lines) == sum(map(len, parts.values()))
    for where, means in parts.items():
        stages = [mean for stage, mean in means.items() if stage not in (LIFE, CALL, READY, RECORDING)]
        assert sum(stages) == pytest.approx(means[LIFE], rel=1e-12), where
        assert means[CALL] == 40 * US
    assert parts["spawn", "later"][LIFE] == pytest.approx(51 * MS)
    assert parts["raw-forkserver", "first"][LIFE] == pytest.approx(61 * MS - 5 * US)
    assert parts["fork", "later"][RECORDING] == 800 * US
    assert parts["threads", "first"].keys() == {"bootstrap", "task", "result", "join", LIFE, CALL, READY}


def test_the_download_has_intervals_quantiles_and_counts(whole: ReportView) -> None:
    by_place = {(line["model"], line["start"], line["stage"]): line for line in lines_of(whole)}
    life = by_place["threads", "later", LIFE]
    assert (float(life["mean_ns"]), float(life["p50_ns"]), float(life["p95_ns"])) == (110 * US, 110 * US, 112 * US)
    assert 108 * US <= float(life["lower_ns"]) < 110 * US < float(life["upper_ns"]) <= 112 * US
    assert (life["n"], by_place["threads", "first", LIFE]["n"]) == ("10", "5")


def test_a_download_without_the_stage_probe_has_no_line_for_what_is_not_known() -> None:
    found = {(line["start"], line["stage"]) for line in lines_of(build(start_stop(("fork",), captures=("none",))))}
    assert found == {(start, stage) for start in ("later", "first") for stage in ("task", "result", "stop", *OTHERS)}


OTHERS = (RECORDING, LIFE, CALL, READY)


def test_the_bars_sum_to_the_numbers_beside_them(whole: ReportView) -> None:
    (view,) = figures_of(whole)
    axes = view.figure.axes[0]
    bars, said = bars_of(axes), beside(axes)
    assert list(bars) == list(said) == [f"{model}{which}" for model in ORDER for which in ("", ", first")]
    for label, patches in bars.items():
        assert format_ns(sum(patch.get_width() for patch in patches) * 1e6) == said[label]
        # Each begins where the one before it ends.
        left = 0.0
        for patch in patches:
            assert patch.get_x() == pytest.approx(left)
            left += patch.get_width()
    assert (said["spawn"], said["forkserver, first"], said["threads"]) == ("51.0 ms", "61.0 ms", "110 µs")
    assert [patch.get_width() for patch in bars["fork"]] == pytest.approx([0.3, 0.1, 0.05, 1.15, 0.1, 0.1, 0.2])
    assert axes.get_xlim()[1] >= 61


def test_a_stage_has_one_colour_and_one_name_in_the_legend(whole: ReportView) -> None:
    (view,) = figures_of(whole)
    axes = view.figure.axes[0]
    assert style.STAGE_COLOURS.keys() == STAGES.keys() - {RECORDING} == TITLES.keys() - {RECORDING}
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    titles = [TITLES[stage] for stage in STAGES if stage != RECORDING]
    # matplotlib fills columns first, so that along the lines they read in the order of the stages.
    assert names == [titles[index] for column in range(LEGEND) for index in range(column, len(titles), LEGEND)]
    bars = bars_of(axes)["forkserver, first"]
    assert len(bars) == len(titles)
    assert len({patch.get_facecolor() for patch in bars}) == len(titles)


def test_the_figure_says_in_words_what_it_shows(whole: ReportView) -> None:
    (view,) = figures_of(whole)
    assert view.slug == "spawn-stages"
    assert view.figure.texts[1].get_text() == "Linux · Python 3.13, n = 5/10 starts"
    assert (
        "processes (spawn), later start: 51.0 ms, of which main module 20.0 ms, imports 10.0 ms, interpreter 7.00 ms"
    ) in view.alt
    assert "raw processes (forkserver), first start: 61.0 ms, of which fork 28.0 ms" in view.alt
    assert style.png(view.figure).startswith(b"\x89PNG")


def test_the_report_is_about_starts_and_nothing_else(whole: ReportView) -> None:
    assert (whole.by_workers, whole.captures) == ((), None)
    assert [section.slug for section in whole.sections] == ["stages"]
    assert whole.caveats[: len(CAVEATS)] == CAVEATS
    assert not any("speed-up" in verdict.sentence for verdict in whole.verdicts)


@pytest.mark.parametrize("followed", [False, True], ids=["not followed", "nothing recorded"])
def test_another_workload_keeps_its_usual_report(followed: bool) -> None:
    tables = table_factory.suite(models=("serial", "fork"), captures=(), controls=False)
    if not followed:
        own = {"forked_ns": MS, "first_instruction_ns": MS, "first_task_ns": MS}
        rows = [
            {"run_id": run_id, "worker": worker, **stamps_of(own)}
            for run_id in tables.runs["run_id"]
            for worker in (0, 1)
        ]
        tables.starts = from_rows("starts", rows)
    tables.metrics = compute_all(Analysis(tables), METRICS_READ)
    view = build(tables)
    assert view.summary.title != "Cost of a worker"
    assert "speedup" in {figure.slug for block in view.figures for figure in block.figures}
    assert "stages" not in {section.slug for section in view.sections}
    assert view.downloads == ()
    assert "as fast as serial" in view.verdicts[0].sentence
    assert not set(CAVEATS) & set(view.caveats)


def test_models_that_start_nobody_are_left_out() -> None:
    maker = Maker(workload="start-stop", page="starts")
    for repeat in range(1, 6):
        maker.run("serial", SECOND, repeat=repeat, kind="io")
    add_model(maker, "fork")
    view = build(computed(maker))
    assert [row.label for row in view.summary.groups[0].rows] == ["processes (fork)"]
    assert [name for name, _ in stages_of(view).tables[0].columns] == ["Stage", "fork"]


def test_an_interrupted_suite_says_so() -> None:
    maker = Maker(workload="start-stop", page="starts")
    add_model(maker, "threads")
    maker.facts |= {"status": "interrupted", "planned_runs": 40}
    (verdict,) = build(computed(maker)).verdicts
    assert verdict.sentence.endswith("100 µs for a thread. The suite was interrupted after 10 of 40 runs.")


def test_markdown_and_terminal_say_the_verdict_and_every_stage(whole: ReportView) -> None:
    markdown, text = to_markdown(whole), to_text(whole)
    assert f"**{escaped(VERDICT)}**" in markdown
    assert VERDICT in in_one_line(text)
    assert "| **raw processes (fork)**, without executor | 995 µs" in markdown
    assert "[spawn-stages.csv](spawn-stages.csv)" in markdown
    assert "(spawn-stages.png)" in markdown
    lines = [line.split() for line in text.splitlines()]
    assert ["main", "module", *["–"] * 4, *["10.0", "ms"] * 2, *["20.0", "ms"] * 2] in lines
    assert "**main module**, until the main module is imported again" in markdown
    for title in ("Later starts", "First start"):
        assert title in text
        assert f"**{title}**" in markdown
