"""The summary: wall, speed-up, share of ceiling, GIL wait, worker start and CPU time of every model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.fields import TAG_TEXT, TAGS, Footnotes, field_of, how
from tracekit.analysis.report.shares import ceiling, contains_one, gil_wait, gil_wait_share, judge_speedup
from tracekit.analysis.report.views import LegendItem, RowGroup, TableField, TableRow, TableView
from tracekit.analysis.report.wording import interval_text, range_text, times, value_text
from tracekit.analysis.statistics.intervals import LEAST
from tracekit.bundle.names import is_light
from tracekit.core.units import format_ns, listed, plural

COLUMNS = (
    ("Model", "workers"),
    ("Wall", "95 % interval"),
    ("Speed-up", "against serial"),
    ("Share of ceiling", "95 % interval, control"),
    ("GIL wait", "of thread time"),
    ("Worker start", "end of all"),
    ("CPU time", "CPUs busy"),
)

EXPLAINED = {
    "Wall": ("figure-walls",),
    "Speed-up": ("figure-speedup",),
    "Share of ceiling": ("figure-speedup",),
    "GIL wait": ("attribution", "gil", "figure-thread-time"),
    "Worker start": ("figure-worker-start",),
    "CPU time": ("figure-thread-time",),
}

_FEW = re.compile(r"n = (\d+)")


def summary_table(groups: tuple[CellGroup, ...], workload: str) -> TableView:
    """Serial and every model at its largest worker count, one block of rows per group."""
    chosen = [(group, group.at_most_workers()) for group in groups]
    ns = sorted({len(cell.walls_ns) for _, cells in chosen for cell in cells})
    runs = f"{ns[0]}" if len(ns) == 1 else f"{ns[0]} to {ns[-1]}" if ns else "no"
    return _table(
        chosen,
        title=f"{workload}: every model at its largest worker count",
        caption=f"Medians of {runs} untraced repeats per model, run in turn; speed-ups are paired by round.",
    )


def tables_by_workers(groups: tuple[CellGroup, ...]) -> tuple[TableView, ...]:
    """The same table for each worker count that the summary does not show already."""
    shown = [group.at_most_workers() for group in groups]
    counts = [
        count
        for count in sorted({count for group in groups for count in group.worker_counts})
        if [group.with_workers(count) for group in groups] != shown
    ]
    return tuple(
        _table(
            [(group, group.with_workers(count)) for group in groups],
            title=plural(count, "worker"),
            caption=f"Every model that was run with {plural(count, 'worker')}, and serial.",
        )
        for count in counts
    )


def captures_table(groups: tuple[CellGroup, ...]) -> TableView | None:
    """The probe effect, a column per capture; None when nothing was traced."""
    captures = sorted({cell.capture for group in groups for cell in group.traced})
    if not captures:
        return None
    notes = Footnotes()
    blocks = tuple(
        RowGroup(label=group.label if len(groups) > 1 else "", rows=_capture_rows(group, captures, notes))
        for group in groups
        if group.traced
    )
    return TableView(
        title="Probe effect",
        caption=f"Traced wall over untraced wall. {_uses(captures)}",
        columns=(("Model", "workers"), *((capture, "traced wall") for capture in captures)),
        groups=blocks,
        legend=tuple(notes.legend()),
    )


def _uses(captures: Sequence[str]) -> str:
    """A sentence on which numbers are from traced runs."""
    light = [capture for capture in captures if is_light(capture)]
    heavy = "Traced runs are for the timeline; no other number uses one."
    if not light:
        return heavy
    named = listed([f"capture {capture}" for capture in light])
    text = f"Runs of {named} show where time went; walls and speed-ups are those of untraced runs."
    return text if len(light) == len(captures) else f"{text} The others are for the timeline."


def _capture_rows(group: CellGroup, captures: Sequence[str], notes: Footnotes) -> tuple[TableRow, ...]:
    cells = {(cell.variant, cell.workers, cell.capture): cell for cell in group.traced}
    first = {(cell.variant, cell.workers): cell for cell in reversed(group.traced)}
    return tuple(
        _row(
            cell,
            tuple(
                _capture_field(cells[(*name, capture)], notes) if (*name, capture) in cells else TableField(main="–")
                for capture in captures
            ),
        )
        for name, cell in sorted(first.items(), key=lambda item: item[1].order)
    )


def _capture_field(cell: ReportCell, notes: Footnotes) -> TableField:
    wall = f"{format_ns(median(cell.walls_ns))}" if cell.walls_ns else ""
    return field_of(cell.number("probe_effect"), wall, notes)


def _table(chosen: Sequence[tuple[CellGroup, Sequence[ReportCell]]], *, title: str, caption: str) -> TableView:
    notes = Footnotes()
    blocks = tuple(
        RowGroup(
            label=group.label if len(chosen) > 1 else "",
            rows=tuple(_row(cell, fields_of(cell, notes)) for cell in cells),
        )
        for group, cells in chosen
        if cells
    )
    return TableView(
        title=title,
        caption=caption,
        columns=COLUMNS,
        groups=blocks,
        legend=(*find_tags([row for block in blocks for row in block.rows]), *notes.legend()),
        explained=EXPLAINED,
    )


def find_tags(rows: Sequence[TableRow]) -> list[LegendItem]:
    """The meaning of what stands in these rows beside numbers."""
    fields = [field for row in rows for field in row.fields]
    used = {field.tag for field in fields}
    if any(field.main.startswith("~") for field in fields):
        used.add("~")
    few = {int(found[1]) for field in fields if (found := _FEW.fullmatch(field.sub)) and int(found[1]) < LEAST}
    too_few = f"too few repeats for an interval, which takes {LEAST}"
    tags = [LegendItem(mark=f"n = {count}", text=too_few) for count in sorted(few)]
    return [*tags, *(LegendItem(mark=tag, text=text) for tag, text in TAG_TEXT.items() if tag in used)]


def _row(cell: ReportCell, fields: tuple[TableField, ...]) -> TableRow:
    return TableRow(family=cell.family, label=cell.variant, detail=cell.detail, fields=fields)


def fields_of(cell: ReportCell, notes: Footnotes) -> tuple[TableField, ...]:
    """The cell's fields, one for each of COLUMNS after the first."""
    wall = cell.number("wall_ns")
    return (
        field_of(wall, interval_text(wall), notes),
        _speedup(cell, notes),
        _share_of_ceiling(cell, notes),
        _gil_wait(cell, notes),
        _worker_start(cell, notes),
        _cpu(cell, notes),
    )


def _speedup(cell: ReportCell, notes: Footnotes) -> TableField:
    number = cell.number("speedup")
    if cell.family == "serial":
        return TableField(main="1x", sub="reference")
    if not number.available or number.centre is None:
        return field_of(number, "", notes)
    main = f"~{times(number.centre)}" if judge_speedup(number) == "level" else times(number.centre)
    return TableField(main=main, sub=interval_text(number), tag=TAGS.get(number.quality, ""))


def _share_of_ceiling(cell: ReportCell, notes: Footnotes) -> TableField:
    """The share, and beneath it its interval and the ceiling itself: more than 100 % is chance unless both ends are."""
    number, reached = cell.number("ceiling_share"), ceiling(cell)
    if cell.family == "serial":
        return TableField(main="–")
    interval = "" if number.interval is None else interval_text(number)
    control = "" if reached is None else f"of {times(reached)}"
    field = field_of(number, " ".join(part for part in (interval, control) if part), notes)
    return replace(field, main=f"~{field.main}") if number.available and contains_one(number) else field


def _gil_wait(cell: ReportCell, notes: Footnotes) -> TableField:
    number, _ = gil_wait(cell)
    share = gil_wait_share(cell)
    if not number.available or share is None:
        return field_of(number, "", notes)
    if number.method in ("single-thread", "no-gil") or not (number.upper or number.centre):
        sub = {"single-thread": "one thread per GIL", "no-gil": "build without GIL"}.get(number.method, "")
        return TableField(main="0 s", sub=sub or range_text(*share, "share"), tag="" if sub else how(number))
    return TableField(main=value_text(number), sub=range_text(*share, "share"), tag=how(number))


def _worker_start(cell: ReportCell, notes: Footnotes) -> TableField:
    if cell.family == "serial":
        return TableField(main="–")
    end = cell.number("teardown_ns")
    sub = f"end {format_ns(end.centre)}" if end.available and end.centre is not None else ""
    return field_of(cell.number("spawn_first_instruction_ns"), sub, notes)


def _cpu(cell: ReportCell, notes: Footnotes) -> TableField:
    cpu, wall = cell.number("cpu_ns"), cell.number("wall_ns")
    busy = f"{cpu.centre / wall.centre:.2f} CPUs" if cpu.centre is not None and wall.centre else ""
    return field_of(cpu, busy, notes)
