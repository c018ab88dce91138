"""The report as plain text, for a terminal or a log: verdict, summary table, leading sentences, notices.

Prose has lines of at most 100 characters, or of the terminal's width. A table takes the first form that fits: a line
per row with intervals in brackets; intervals on a second line beneath the numbers; a block per row. Without a width,
as in a log, it is always a line per row.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from tracekit.analysis.report.views import ReportView, Section, TableField, TableRow, TableView
from tracekit.analysis.report.wording import TOGETHER

_PROSE_WIDTH = 100
_MOST_COLUMNS = 8
"""Tables with more columns show numbers without intervals, for lines that fit a terminal."""
_NO_BREAK = "\N{NO-BREAK SPACE}"
_GAP = "  "


def to_text(view: ReportView, width: int | None = None) -> str:
    """The verdicts, the summary table with its legend, the leading sentences and terminal tables of the sections, and
    the notices above severity info, for a terminal of `width` columns.
    """
    shown = [item for item in view.notices if item.severity != "info"]
    notices = [
        f"{_filled(f'{item.severity}: {item.text}', width, wide=True)}"
        + f"\n{_indented(f'try: {item.remedy}', width, wide=True)}" * bool(item.remedy)
        for item in shown
    ]
    texts = [text for section in view.sections for text in _section_texts(section, width)]
    summary = [*_table(view.summary, width), _legend(view.summary, width)]
    return "\n\n".join([*_verdicts(view, width), *_findings(view, width), *summary, *texts, *notices])


def table_text(table: TableView, width: int | None = None) -> str:
    """A table with its title and legend."""
    return "\n\n".join(["\n".join([table.title, *_table(table, width)]), _legend(table, width)])


def filled(text: str, width: int | None = None) -> str:
    """Prose in lines that fit a terminal; code without backticks."""
    return _filled(text.replace("`", ""), width)


def _section_texts(section: Section, width: int | None) -> list[str]:
    texts = [_filled(text, width) for text in _leading(section)]
    for table in section.tables if section.in_terminal else ():
        texts += ["\n".join([table.title, *_table(table, width)]), _legend(table, width)]
    return texts


def _leading(section: Section) -> tuple[str, ...]:
    """The leading sentences of the section; code without backticks."""
    last = section.sentences[len(section.sentences) - section.lead :] if section.lead else ()
    return tuple(text.replace("`", "") for text in last)


def _verdicts(view: ReportView, width: int | None) -> list[str]:
    several = len(view.verdicts) > 1
    return [_filled(f"{item.label}: {item.sentence}" if several else item.sentence, width) for item in view.verdicts]


def _findings(view: ReportView, width: int | None) -> list[str]:
    return [
        filled(item.sentence, width)
        + f"\n{_indented(f'try: {item.advice}'.replace('`', ''), width)}" * bool(item.advice)
        for item in view.findings
    ]


def _table(table: TableView, width: int | None) -> list[str]:
    """A text per group of rows."""
    if table.prose:
        return _blocks(table, width)
    lines = _rows(table)
    if width is None or _widest(lines) <= width:
        return lines
    lines = _two_line_rows(table)
    return lines if _widest(lines) <= width else _blocks(table, width)


def _widest(texts: Sequence[str]) -> int:
    return max((len(line) for text in texts for line in text.splitlines()), default=0)


def _blocks(table: TableView, width: int | None) -> list[str]:
    """A block per row: its label, its fields with the names of their columns; of prose also its detail."""
    blocks = []
    for group in table.groups:
        blocks += [group.label] if group.label else []
        for row in group.rows:
            texts = [
                f"{name}: {field.main if table.prose else _text(field)}"
                for (name, _), field in zip(table.columns[1:], row.fields, strict=True)
                if field.main != "–"
            ]
            if table.prose:
                label, texts = row.label, [*texts, row.detail]
            else:
                label = _label(row)
            blocks.append("\n".join([_filled(label, width), *(_indented(text, width) for text in texts)]))
    return blocks


def _indented(text: str, width: int | None, *, wide: bool = False) -> str:
    return textwrap.indent(_filled(text, None if width is None else width - len(_GAP), wide=wide), _GAP)


def _rows(table: TableView) -> list[str]:
    """A line per row."""
    heads = [name for name, _ in table.columns]
    short = _is_wide(table)
    labels = Counter(label for label, _ in {(row.label, row.detail) for group in table.groups for row in group.rows})
    return [
        "\n".join(
            [
                *([group.label] if group.label else []),
                *_align([heads, *(_cells(row, short=short, alone=labels[row.label] == 1) for row in group.rows)]),
            ]
        )
        for group in table.groups
    ]


def _two_line_rows(table: TableView) -> list[str]:
    """Two lines per row, numbers above their intervals, and heads of several lines."""
    heads = _split_heads([name for name, _ in table.columns], table)
    texts = []
    for group in table.groups:
        lines = list(heads)
        for row in group.rows:
            lines.append([row.label, *(field.main for field in row.fields)])
            below = [_join_below(field) for field in row.fields]
            if row.detail or any(below):
                lines.append([f"{_GAP}{row.detail}" if row.detail else "", *below])
        texts.append("\n".join([*([group.label] if group.label else []), *_align(lines)]))
    return texts


def _split_heads(names: Sequence[str], table: TableView) -> list[list[str]]:
    """The names of the columns in lines no longer than the numbers beneath them, where their words allow it."""
    columns = []
    for index, name in enumerate(names):
        fields = [row.fields[index - 1] for group in table.groups for row in group.rows] if index else []
        longest = max((len(text) for field in fields for text in (field.main, _join_below(field))), default=len(name))
        most = max(longest, *map(len, name.split()), 1)
        columns.append(textwrap.wrap(name, most) or [""])
    high = max(map(len, columns))
    padded = [[""] * (high - len(lines)) + lines for lines in columns]
    return [list(line) for line in zip(*padded, strict=True)]


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(
            [row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def _is_wide(table: TableView) -> bool:
    """Whether there is no room for the intervals beside the numbers."""
    return len(table.columns) > _MOST_COLUMNS


def _cells(row: TableRow, *, short: bool, alone: bool) -> list[str]:
    """`alone`: no other row has its label, which then needs no detail where there is little room."""
    label = row.label if short and alone else _label(row)
    return [label, *(field.main if short else _text(field) for field in row.fields)]


def _label(row: TableRow) -> str:
    return f"{row.label} ({row.detail})" if row.detail else row.label


def _text(field: TableField) -> str:
    """The number with what stands beneath it, its tag and its footnote mark in brackets."""
    below = _join_below(field)
    return f"{field.main} ({below})" if below else field.main


def _join_below(field: TableField) -> str:
    return ", ".join(part for part in (field.sub, field.tag, field.mark) if part)


def _legend(table: TableView, width: int | None) -> str:
    """The caption, the meaning of what stands in brackets, and the meaning of tags and marks."""
    columns = (
        [f"{name} ({below})" for name, below in table.columns[1:] if below]
        if not table.prose and not _is_wide(table)
        else []
    )
    lines = [f"{table.caption} Columns: {', '.join(columns)}." if columns else table.caption]
    lines += [f"{item.mark}: {item.text}" for item in table.legend]
    return "\n".join(filled(line, width) for line in lines)


def _filled(text: str, width: int | None, *, wide: bool = False) -> str:
    """The text in lines, none of which ends inside `1.38 s` or `on-CPU`; `wide`: in one line without a width."""
    if wide and width is None:
        return text
    kept = TOGETHER.sub(lambda found: found.group().replace(" ", _NO_BREAK), text)
    most = min(width or _PROSE_WIDTH, _PROSE_WIDTH)
    return textwrap.fill(kept, most, break_on_hyphens=False).replace(_NO_BREAK, " ")
