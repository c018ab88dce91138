"""Suites of `start-stop` made by hand, and what is read off their reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tests.table_factory import MS, SECOND, Maker, stamps_of
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.report.views import FigureView, ReportView, Section, TableRow, TableView
from tracekit.analysis.tables import Tables

US = 1_000
LEGEND = 3
"""Names to a line of a legend."""

WORK = {
    "first_instruction_ns": 100 * US,
    "recording_ns": 500 * US,
    "first_task_ns": 50 * US,
    "result_ns": 150 * US,
    "done_ns": 100 * US,
    "recorded_ns": 300 * US,
    "exit_ns": 100 * US,
    "joined_ns": 200 * US,
}
"""700 µs, and 800 µs of tracekit's own."""
OF_IMAGE = {"exec_ns": 1 * MS, "image_ns": 2 * MS, "interpreter_ns": 7 * MS, "site_ns": 3 * MS}
AGAIN = {"main_begun_ns": 3 * MS, "main_imported_ns": 10 * MS, "unpickled_ns": 5_300 * US}
LATER: dict[str, dict[str, int]] = {
    "threads": {"first_instruction_ns": 60 * US, "first_task_ns": 5 * US, "result_ns": 10 * US, "joined_ns": 25 * US},
    "fork": {"forked_ns": 300 * US, **WORK},
    "forkserver": {"forked_ns": 1 * MS, **AGAIN, **WORK},
    "spawn": {
        **OF_IMAGE,
        **{"main_begun_ns": 10 * MS, "main_imported_ns": 20 * MS, "unpickled_ns": 6_300 * US},
        **WORK,
    },
}
"""100 µs, 1 ms, 20 ms and 50 ms from the request to the join."""
FIRST = {
    **LATER,
    "threads": {**LATER["threads"], "first_instruction_ns": 100 * US},
    "forkserver": {**OF_IMAGE, "forked_ns": 28 * MS, **AGAIN, **WORK},
}
"""140 µs for a thread, 60 ms for a worker of the fork server, else as later ones."""

JITTER = (-2, -1, 0, 1, 2)
"""By repeat: the middle half is as long as without it."""
ALL = ("threads", "raw-threads", "fork", "raw-fork", "forkserver", "raw-forkserver", "spawn", "raw-spawn")
EXECUTORS = ("threads", "fork", "forkserver", "spawn")
ORDER = ["threads", "raw threads", "fork", "raw fork", "forkserver", "raw forkserver", "spawn", "raw spawn"]
"""Columns of the tables of stages, as a reader looks for them."""

VERDICT = (
    "Starting a worker, one empty task and joining it take 100 µs for a thread, 1.00 ms for a forked process, "
    "20.0 ms for a process of the fork server (the first one 60.0 ms) and 50.0 ms for a spawned process. "
    "The longest stages of a spawned process are main module (20.0 ms) and imports (10.0 ms)."
)


METRICS_READ = (
    *("wall_ns", "speedup", "spawn_first_instruction_ns", "spawn_first_worker_ns", "spawn_total_ns", "teardown_ns"),
    *("spawn_stages", "probe_effect"),
)
"""The metrics that the report of starts shows."""


def add_model(
    maker: Maker,
    model: str,
    *,
    captures: Sequence[str] = ("none", "stages"),
    more: Mapping[str, int] = {},
    **values: Any,
) -> None:
    """Five runs of one first and two later starts under each capture. Without an executor the result is there 5 µs
    sooner, under the stage probe 1 ms later, for a thread 10 µs. `more`: what else takes longer."""
    method = model.removeprefix("raw-")
    of_process = method != "threads"
    columns = {"kind": "io", "workers": 1, "start_method": method if of_process else "", **values}
    for capture in captures:
        extra = {"result_ns": (-5 * US if model.startswith("raw-") else 0), **more}
        extra["result_ns"] += 0 if capture == "none" else 1 * MS if of_process else 10 * US
        for repeat, jitter in enumerate(JITTER, 1):
            run = maker.run(model, SECOND, capture=capture, repeat=repeat, **columns)
            extra["joined_ns"] = jitter * US
            for worker, by_method in enumerate((FIRST, LATER, LATER)):
                took = {name: length + extra.get(name, 0) for name, length in by_method[method].items()}
                add_start(maker, run, worker, took, of_process=of_process)


def add_start(maker: Maker, run: Mapping[str, Any], worker: int, took: Mapping[str, int], *, of_process: bool) -> None:
    asked = run["start_ns"] + worker * 100 * MS
    own = stamps_of(took, asked, watched=run["capture"] != "none")
    row = maker.start(run, worker, **own, returned_ns=asked + 40 * US)
    ready = own["first_instruction_ns"]
    if of_process:
        seen = {"spawn_requested_ns": asked, "interpreter_ready_ns": ready}
        maker.process(run, row["pid"], "worker", worker=worker, **seen)
    else:
        main = run["main_pid"]
        maker.thread(run, main, row["tid"], ready, own["joined_ns"], worker=worker, spawn_requested_ns=asked)


def computed(maker: Maker) -> Tables:
    tables = maker.tables()
    tables.metrics = compute_all(Analysis(tables), METRICS_READ)
    return tables


def start_stop(models: Sequence[str] = EXECUTORS, **values: Any) -> Tables:
    maker = Maker(workload="start-stop", page="starts")
    for model in models:
        add_model(maker, model, **values)
    return computed(maker)


def stages_of(view: ReportView) -> Section:
    (section,) = [section for section in view.sections if section.slug == "stages"]
    return section


def rows_of(table: TableView) -> dict[str, TableRow]:
    """Label -> row, of the only group."""
    (group,) = table.groups
    return {row.label: row for row in group.rows}


def numbers_of(table: TableView) -> dict[str, dict[str, str]]:
    """Stage -> column -> number."""
    names = [name for name, _ in table.columns[1:]]
    return {
        label: dict(zip(names, (field.main for field in row.fields), strict=True))
        for label, row in rows_of(table).items()
    }


def lines_of(view: ReportView) -> list[dict[str, str]]:
    """The lines of spawn-stages.csv."""
    (download,) = view.downloads
    assert download.name == "spawn-stages.csv"
    return list(csv.DictReader(io.StringIO(download.content)))


def figures_of(view: ReportView) -> tuple[FigureView, ...]:
    (block,) = view.figures
    assert block.missing == ()
    return block.figures


def bars_of(axes: Axes) -> dict[str, list[Rectangle]]:
    """Label of a row -> its patches from left to right."""
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    found: dict[str, list[Rectangle]] = {label: [] for label in labels}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        found[labels[round(patch.get_y() + patch.get_height() / 2)]].append(patch)
    return found


def beside(axes: Axes) -> dict[str, str]:
    """Label of a row -> the number beside its bar."""
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    return {labels[round(text.get_position()[1])]: text.get_text() for text in axes.texts}


def in_one_line(text: str) -> str:
    return " ".join(text.split())
