"""The report of `start-stop`: what a worker costs, from asking for it until it is joined, and in which stage."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from tracekit.analysis.metrics.startup.stages import CALL, LIFE, READY, RECORDING, STAGES, metric_name
from tracekit.analysis.report.cells import Cell, Group, Number
from tracekit.analysis.report.pages.starts.imports import Imported
from tracekit.analysis.report.views import Download, Field, Row, RowGroup, Section, TableView, Verdict
from tracekit.analysis.report.wording import interval_text, listed, value_text
from tracekit.bundle.names import STAGES as PROBE
from tracekit.bundle.names import split_capture

TITLES = {
    "exec": "asking for it",
    "image": "process image",
    "interpreter": "interpreter",
    "site": "site",
    "fork": "fork",
    "imports": "imports",
    "main": "main module",
    "unpickle": "unpickling",
    "bootstrap": "bootstrap",
    "recording": "tracekit itself, not in the sum",
    "task": "to the task",
    "result": "to the result",
    "stop": "stop",
    "exit": "leaving",
    "join": "join",
}
"""What a reader calls the stages."""

_WAYS = {"fork": "a forked process", "forkserver": "a process of the fork server", "spawn": "a spawned process"}

_FOR_TERMINAL = 8
"""Kinds of workers whose columns a terminal has room for."""

DOUBTS = (
    "Workers are started one at a time on an otherwise idle machine; several at once share the CPUs.",
    "Stages are told by a small preloaded library; what it costs is the difference between the two totals. What "
    "tracekit writes down in the worker itself is left out of both.",
    "A stage that imports modules (site, imports, main module, unpickling) takes as long as these take to read: the "
    "first time after a boot much longer.",
    "A later start under forkserver finds the server running; the first one waits until it is.",
)
"""What to keep in mind about these numbers."""


def watched(cell: Cell) -> Cell:
    """The cell whose stages are all known: the same under the stage probe, where it was watched."""
    with_probe = [twin for twin in cell.twins if PROBE in split_capture(twin.capture) and _life(twin).available]
    return with_probe[0] if with_probe else cell


def started(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups in which workers were followed from request to join; none for other workloads than `start-stop`."""
    return tuple(group for group in groups if cells_of(group))


def cells_of(group: Group) -> tuple[Cell, ...]:
    """Its cells of which that is true, in reading order."""
    known = [cell for cell in group.cells if _life(watched(cell)).available]
    return tuple(sorted(known, key=lambda cell: cell.order))


def varied(cells: Sequence[Cell]) -> dict[Cell, str]:
    """Of each cell those parameters that not all cells have in common: `parent_mb=100`; empty where all are alike."""
    own = {cell: cell.parameters.split(" ") for cell in cells}
    common = set.intersection(*map(set, own.values())) if own else set()
    return {cell: " ".join(word for word in words if word not in common) for cell, words in own.items()}


def verdict(group: Group, modules: Sequence[Imported] = ()) -> Verdict:
    """What one worker of each kind costs, in one sentence, and where the dearest spends it. `modules`: what a spawned
    one imports."""
    cells = cells_of(group)
    plain = [cell for cell in cells if not cell.raw] or list(cells)
    # Of several sets of parameters the sentence is about the first one.
    plain = [cell for cell in plain if cell.parameters == plain[0].parameters]
    said = [_said(cell) for cell in plain]
    dearest = max(plain, key=lambda cell: _life(cell).value or 0)
    cheapest = min(plain, key=lambda cell: _life(cell).value or 0)
    return Verdict(
        label=group.label,
        outcome=cheapest.family,
        lead=f"Starting a worker, one empty task and joining it take {listed(said)}",
        rest=f".{_where(dearest, modules)}",
    )


def _said(cell: Cell) -> str:
    later, first = _life(cell), cell.number(metric_name(LIFE, cold=True))
    what = f"for {_WAYS.get(cell.start_method, 'a thread')}"
    if not later.available:
        return f"{value_text(first)} {what}, the first one"
    if first.available and (first.value or 0) > 1.5 * (later.value or 0):
        return f"{value_text(later)} {what} (the first one {value_text(first)})"
    return f"{value_text(later)} {what}"


def _where(cell: Cell, modules: Sequence[Imported]) -> str:
    """The two longest stages of the dearest worker; of its main module the longest import by name."""
    of_stages = {name: watched(cell).number(metric_name(name, cold=False)) for name in STAGES}
    known = sorted(
        (item for item in of_stages.items() if item[1].available and item[0] != RECORDING),
        key=lambda item: -(item[1].value or 0),
    )
    if len(known) < 2 or cell.start_method not in _WAYS:
        return ""
    of_main = next((item.module for item in modules if item.section == "main"), "")
    named = {"main": f", mostly {of_main}"} if of_main else {}
    longest = listed([f"{TITLES[name]} ({value_text(number)}{named.get(name, '')})" for name, number in known[:2]])
    return f" Most of {_WAYS[cell.start_method]} is {longest}."


def summary_table(groups: Sequence[Group]) -> TableView:
    """A row per kind of worker: the whole of a later and of a first start."""
    several = len(groups) > 1
    return TableView(
        title="What a worker costs",
        caption="From asking for one worker until it is joined, one task that does nothing included, without any "
        "capture; mean over the middle half. First: of a process, when nothing is there yet that later starts find.",
        columns=(
            ("Worker", ""),
            ("Later start", "95 % interval"),
            ("Median", "n"),
            ("95th percentile", ""),
            ("First start", "95 % interval"),
            ("Its first instruction after", "later start"),
            ("The call keeps the parent", "later start"),
        ),
        groups=tuple(
            RowGroup(
                label=group.label if several else "",
                rows=tuple(_total(cell, which) for cell, which in varied(cells_of(group)).items()),
            )
            for group in groups
        ),
        legend=(),
    )


def _total(cell: Cell, which: str) -> Row:
    later, first = _life(cell), cell.number(metric_name(LIFE, cold=True))
    p50, p95 = (cell.number(metric_name(LIFE, cold=False, of=of)) for of in ("p50", "p95"))
    return Row(
        family=cell.family,
        label=cell.variant,
        detail=", ".join(filter(None, ("without executor" if cell.raw else "an executor's", which))),
        fields=(
            _field(later),
            Field(main=value_text(p50), sub=f"n = {p50.n}" if p50.available else ""),
            Field(main=value_text(p95)),
            _field(first),
            Field(main=value_text(cell.number(metric_name(READY, cold=False)))),
            Field(main=value_text(cell.number(metric_name(CALL, cold=False)))),
        ),
    )


def section(groups: Sequence[Group]) -> Section:
    """The stages of every kind of worker, later and first."""
    return Section(
        slug="stages",
        title="Stage by stage",
        sentences=(
            "A stage begins where the one above it ends, and the stages sum to the total. `–`: such a start has no "
            "such stage. `n/a`: capture `stages` did not watch.",
        ),
        tables=tuple(
            _stages(cells, " · ".join(filter(None, (group.label if len(groups) > 1 else "", which))), cold=cold)
            for group in groups
            for which, cells in _by_parameters(group).items()
            for cold in (False, True)
        ),
        downloads=(
            Download(
                name="spawn-stages.csv",
                about="every stage with mean, interval, median, 95th percentile and n",
                content=stages_csv(groups),
            ),
        ),
        in_terminal=max(len(cells_of(group)) for group in groups) <= _FOR_TERMINAL,
    )


def _by_parameters(group: Group) -> dict[str, list[Cell]]:
    """The cells of each set of parameters, by what is its own: side by side they would be too wide for a page."""
    found: dict[str, list[Cell]] = {}
    for cell, which in varied(cells_of(group)).items():
        found.setdefault(which, []).append(watched(cell))
    return found


def _stages(cells: Sequence[Cell], about: str, *, cold: bool) -> TableView:
    which = "First start" if cold else "Later starts"
    present = [name for name in STAGES if any(_has(cell, name, cold=cold) for cell in cells)]
    rows = [_stage_row(name, cells, cold=cold) for name in present if name != RECORDING]
    rows += [_total_row(title, below, of, cells, cold=cold) for title, below, of in _TOTALS]
    rows += [_stage_row(RECORDING, cells, cold=cold)] if RECORDING in present else []
    return TableView(
        title=" · ".join(filter(None, (which, about))),
        caption="Means over the starts in the middle half by their total, with 95 % intervals; under the stage probe.",
        columns=(("Stage", "ends"), *((_short(cell), "") for cell in cells)),
        groups=(RowGroup(label="", rows=tuple(rows)),),
        legend=(),
    )


_TOTALS = (
    ("request to join", "the sum of the stages", ""),
    ("median", "of the totals", "p50"),
    ("95th percentile", "of the totals", "p95"),
)


def _total_row(title: str, below: str, of: str, cells: Sequence[Cell], *, cold: bool) -> Row:
    numbers = [cell.number(metric_name(LIFE, cold=cold, of=of)) for cell in cells]
    counts = [f"n = {number.n}" if of and number.available else interval_text(number) for number in numbers]
    return Row(
        family="",
        label=title,
        detail=below,
        fields=tuple(Field(main=value_text(number), sub=sub) for number, sub in zip(numbers, counts, strict=True)),
    )


def _stage_row(name: str, cells: Sequence[Cell], *, cold: bool) -> Row:
    return Row(
        family="",
        label=TITLES[name],
        detail=STAGES[name],
        fields=tuple(
            _field(cell.number(metric_name(name, cold=cold))) if _has(cell, name, cold=cold) else Field(main="–")
            for cell in cells
        ),
    )


def _field(number: Number) -> Field:
    return Field(main=value_text(number), sub=interval_text(number))


def _has(cell: Cell, name: str, *, cold: bool) -> bool:
    return any(number.metric == metric_name(name, cold=cold) for number in cell.every)


def _short(cell: Cell) -> str:
    """`fork`, `raw fork`, `threads`: a column's heading."""
    return cell.model.replace("-", " ")


def _life(cell: Cell) -> Number:
    return cell.number(metric_name(LIFE, cold=False))


def stages_csv(groups: Sequence[Group]) -> str:
    """A line per interpreter, model, kind of start and stage."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "os",
            "python",
            "model",
            "parameters",
            "start",
            "stage",
            "mean_ns",
            "lower_ns",
            "upper_ns",
            "p50_ns",
            "p95_ns",
            "n",
        ]
    )
    for group in groups:
        for cell in map(watched, cells_of(group)):
            for cold in (False, True):
                for name in (*STAGES, LIFE, CALL, READY):
                    number = cell.number(metric_name(name, cold=cold))
                    if number.available:
                        of = [cell.number(metric_name(name, cold=cold, of=of)).value for of in ("p50", "p95")]
                        writer.writerow(
                            [
                                group.os,
                                group.python,
                                cell.model,
                                cell.parameters,
                                "first" if cold else "later",
                                name,
                                number.value,
                                *("" if value is None else value for value in (number.lower, number.upper, *of)),
                                number.n,
                            ]
                        )
    return text.getvalue()
