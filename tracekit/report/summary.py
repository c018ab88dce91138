"""The seven columns a reader needs first: how long, how much faster, how near the ceiling, and why not nearer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from tracekit.metrics.bootstrap import LEAST
from tracekit.report.cells import Cell, Group, Number
from tracekit.report.change import change, contains_one
from tracekit.report.shares import ceiling, gil_wait_share
from tracekit.report.views import Field, LegendItem, Row, RowGroup, TableView
from tracekit.report.wording import interval_text, plural, range_text, times, value_text
from tracekit.units import format_ns

COLUMNS = (
    ("Model", "workers"),
    ("Wall", "95 % interval"),
    ("Speed-up", "against serial"),
    ("Share of ceiling", "95 % interval, control"),
    ("GIL wait", "of thread time"),
    ("Worker start", "end of all"),
    ("CPU time", "CPUs busy"),
)

_FEW = re.compile(r"n = (\d+)")
_TAGS = {"bound": "bound", "estimated": "est."}
_TAG_TEXT = {
    "bound": "only the range is known; the true value lies inside it",
    "est.": "computed from samples, not read off a clock",
    "~": "no detectable difference from serial (1x) or from the control (100 %), which the interval contains",
}


class _Footnotes:
    """Gives one letter to each distinct reason why a number is absent."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def mark(self, reason: str) -> str:
        if not reason:
            return ""
        return self._marks.setdefault(reason, chr(ord("a") + len(self._marks) % 26))

    def legend(self) -> list[LegendItem]:
        return [LegendItem(mark=mark, text=f"not available: {reason}") for reason, mark in self._marks.items()]


def summary_table(groups: tuple[Group, ...], workload: str) -> TableView:
    """Serial and every model at its largest worker count, one block of rows per group."""
    chosen = [(group, group.at_most_workers()) for group in groups]
    ns = sorted({len(cell.walls_ns) for _, cells in chosen for cell in cells})
    runs = f"{ns[0]}" if len(ns) == 1 else f"{ns[0]} to {ns[-1]}" if ns else "no"
    return _table(
        chosen,
        title=f"{workload}: every model at its largest worker count",
        caption=f"Medians of {runs} untraced repeats per model, run in turn.",
    )


def tables_by_workers(groups: tuple[Group, ...]) -> tuple[TableView, ...]:
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


def captures_table(groups: tuple[Group, ...]) -> TableView | None:
    """What being watched did to the walls, a column per capture; None when nothing was traced."""
    captures = sorted({cell.capture for group in groups for cell in group.traced})
    if not captures:
        return None
    notes = _Footnotes()
    blocks = tuple(
        RowGroup(label=group.label if len(groups) > 1 else "", rows=_capture_rows(group, captures, notes))
        for group in groups
        if group.traced
    )
    return TableView(
        title="Probe effect",
        caption="Traced wall over untraced wall. Traced runs are for the timeline; no other number uses one.",
        columns=(("Model", "workers"), *((capture, "traced wall") for capture in captures)),
        groups=blocks,
        legend=tuple(notes.legend()),
    )


def _capture_rows(group: Group, captures: Sequence[str], notes: _Footnotes) -> tuple[Row, ...]:
    cells = {(cell.variant, cell.workers, cell.capture): cell for cell in group.traced}
    first = {(cell.variant, cell.workers): cell for cell in reversed(group.traced)}
    return tuple(
        _row(
            cell,
            tuple(
                _capture_field(cells[(*name, capture)], notes) if (*name, capture) in cells else Field(main="–")
                for capture in captures
            ),
        )
        for name, cell in sorted(first.items(), key=lambda item: item[1].order)
    )


def _capture_field(cell: Cell, notes: _Footnotes) -> Field:
    wall = f"{format_ns(median(cell.walls_ns))}" if cell.walls_ns else ""
    return _field(cell.number("probe_effect"), wall, notes)


def _table(chosen: Sequence[tuple[Group, Sequence[Cell]]], *, title: str, caption: str) -> TableView:
    notes = _Footnotes()
    blocks = tuple(
        RowGroup(
            label=group.label if len(chosen) > 1 else "",
            rows=tuple(_row(cell, _fields(cell, notes)) for cell in cells),
        )
        for group, cells in chosen
        if cells
    )
    used = {field.tag for block in blocks for row in block.rows for field in row.fields}
    if any(field.main.startswith("~") for block in blocks for row in block.rows for field in row.fields):
        used.add("~")
    few = {
        int(found[1])
        for block in blocks
        for row in block.rows
        for field in row.fields
        if (found := _FEW.fullmatch(field.sub)) and int(found[1]) < LEAST
    }
    too_few = f"too few repeats for an interval, which takes {LEAST}"
    tags = [LegendItem(mark=f"n = {count}", text=too_few) for count in sorted(few)]
    tags += [LegendItem(mark=tag, text=text) for tag, text in _TAG_TEXT.items() if tag in used]
    return TableView(title=title, caption=caption, columns=COLUMNS, groups=blocks, legend=(*tags, *notes.legend()))


def _row(cell: Cell, fields: tuple[Field, ...]) -> Row:
    detail = plural(cell.workers, "worker") if cell.family != "serial" else "one thread"
    return Row(family=cell.family, label=cell.variant, detail=detail, fields=fields)


def _fields(cell: Cell, notes: _Footnotes) -> tuple[Field, ...]:
    wall = cell.number("wall_ns")
    return (
        _field(wall, interval_text(wall), notes),
        _speedup(cell, notes),
        _share_of_ceiling(cell, notes),
        _gil_wait(cell, notes),
        _worker_start(cell, notes),
        _cpu(cell, notes),
    )


def _speedup(cell: Cell, notes: _Footnotes) -> Field:
    number = cell.number("speedup")
    if cell.family == "serial":
        return Field(main="1x", sub="reference")
    if not number.available or number.centre is None:
        return _field(number, "", notes)
    main = f"~{times(number.centre)}" if change(number) == "level" else times(number.centre)
    return Field(main=main, sub=interval_text(number), tag=_TAGS.get(number.quality, ""))


def _share_of_ceiling(cell: Cell, notes: _Footnotes) -> Field:
    """The share, and beneath it its interval and the ceiling itself: more than 100 % is chance unless both ends are."""
    number, reached = cell.number("ceiling_share"), ceiling(cell)
    if cell.family == "serial":
        return Field(main="–")
    interval = "" if number.interval is None else interval_text(number)
    control = "" if reached is None else f"of {times(reached)}"
    field = _field(number, " ".join(part for part in (interval, control) if part), notes)
    return replace(field, main=f"~{field.main}") if number.available and contains_one(number) else field


def _gil_wait(cell: Cell, notes: _Footnotes) -> Field:
    number = cell.number("gil_wait_ns")
    share = gil_wait_share(cell)
    if not number.available or share is None:
        return _field(number, "", notes)
    if number.method in ("single-thread", "no-gil") or not (number.upper or number.centre):
        sub = {"single-thread": "one thread per GIL", "no-gil": "build without GIL"}.get(number.method, "")
        return Field(main="0 s", sub=sub)
    main = range_text(*(number.interval or (number.centre or 0.0,) * 2), "ns")
    return Field(main=main, sub=range_text(*share, "share"), tag=_TAGS.get(number.quality, ""))


def _worker_start(cell: Cell, notes: _Footnotes) -> Field:
    if cell.family == "serial":
        return Field(main="–")
    end = cell.number("teardown_ns")
    sub = f"end {format_ns(end.centre)}" if end.available and end.centre is not None else ""
    return _field(cell.number("spawn_first_instruction_ns"), sub, notes)


def _cpu(cell: Cell, notes: _Footnotes) -> Field:
    cpu, wall = cell.number("cpu_ns"), cell.number("wall_ns")
    busy = f"{cpu.centre / wall.centre:.2f} CPUs" if cpu.centre is not None and wall.centre else ""
    return _field(cpu, busy, notes)


def _field(number: Number, sub: str, notes: _Footnotes) -> Field:
    if not number.available:
        return Field(main="n/a", mark=notes.mark(number.reason))
    return Field(main=value_text(number), sub=sub, tag=_TAGS.get(number.quality, ""))
