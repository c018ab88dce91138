"""The report as plain text, for a terminal or a log: verdict, summary table, leading sentences, notices."""

from __future__ import annotations

import textwrap
from collections import Counter

from tracekit.analysis.report.views import ReportView, Section, TableField, TableRow, TableView
from tracekit.analysis.report.wording import TOGETHER

_WIDTH = 100
_MOST_COLUMNS = 8
"""Tables with more columns show numbers without intervals, for lines that fit a terminal."""
_NO_BREAK = "\N{NO-BREAK SPACE}"


def to_text(view: ReportView) -> str:
    """The verdicts, the summary table with a line per row and its legend, the leading sentences and terminal tables of
    the sections, and the notices above severity info."""
    shown = [item for item in view.notices if item.severity != "info"]
    notices = [f"{item.severity}: {item.text}" + f"\n  try: {item.remedy}" * bool(item.remedy) for item in shown]
    texts = [text for section in view.sections for text in _section_texts(section)]
    return "\n\n".join([*_verdicts(view), *_table(view.summary), _legend(view.summary), *texts, *notices])


def table_text(table: TableView) -> str:
    """A table with its title and legend."""
    return "\n\n".join(["\n".join([table.title, *_table(table)]), _legend(table)])


def filled(text: str) -> str:
    """Prose in lines that fit a terminal; code without backticks."""
    return _filled(text.replace("`", ""))


def _section_texts(section: Section) -> list[str]:
    texts = [_filled(text) for text in _leading(section)]
    for table in section.tables if section.in_terminal else ():
        texts += ["\n".join([table.title, *_table(table)]), _legend(table)]
    return texts


def _leading(section: Section) -> tuple[str, ...]:
    """The leading sentences of the section; code without backticks."""
    last = section.sentences[len(section.sentences) - section.lead :] if section.lead else ()
    return tuple(text.replace("`", "") for text in last)


def _verdicts(view: ReportView) -> list[str]:
    several = len(view.verdicts) > 1
    return [_filled(f"{item.label}: {item.sentence}" if several else item.sentence) for item in view.verdicts]


def _table(table: TableView) -> list[str]:
    return _blocks(table) if table.prose else _rows(table)


def _blocks(table: TableView) -> list[str]:
    """A block per row: its label, its fields with the names of their columns, its detail."""
    blocks = []
    for group in table.groups:
        blocks += [group.label] if group.label else []
        for row in group.rows:
            texts = [
                f"{name}: {field.main}"
                for (name, _), field in zip(table.columns[1:], row.fields, strict=True)
                if field.main != "–"
            ]
            blocks.append("\n".join([_filled(row.label), *(_indented(text) for text in [*texts, row.detail])]))
    return blocks


def _indented(text: str) -> str:
    return textwrap.indent(_filled(text), "  ")


def _rows(table: TableView) -> list[str]:
    heads = [name for name, _ in table.columns]
    blocks = []
    short = _is_wide(table)
    labels = Counter(label for label, _ in {(row.label, row.detail) for group in table.groups for row in group.rows})
    for group in table.groups:
        rows = [heads, *(_cells(row, short=short, alone=labels[row.label] == 1) for row in group.rows)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
        lines = [group.label] if group.label else []
        lines += [
            "  ".join(
                [row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True))]
            ).rstrip()
            for row in rows
        ]
        blocks.append("\n".join(lines))
    return blocks


def _is_wide(table: TableView) -> bool:
    """Whether there is no room for the intervals beside the numbers."""
    return len(table.columns) > _MOST_COLUMNS


def _cells(row: TableRow, *, short: bool, alone: bool) -> list[str]:
    """`alone`: no other row has its label, which then needs no detail where there is little room."""
    label = row.label if short and alone else f"{row.label} ({row.detail})"
    return [label, *(field.main if short else _text(field) for field in row.fields)]


def _text(field: TableField) -> str:
    """The number with what stands beneath it, its tag and its footnote mark in brackets."""
    below = ", ".join(part for part in (field.sub, field.tag, field.mark) if part)
    return f"{field.main} ({below})" if below else field.main


def _legend(table: TableView) -> str:
    """The caption, the meaning of what stands in brackets, and the meaning of tags and marks."""
    columns = (
        [f"{name} ({below})" for name, below in table.columns[1:] if below]
        if not table.prose and not _is_wide(table)
        else []
    )
    lines = [f"{table.caption} Columns: {', '.join(columns)}." if columns else table.caption]
    lines += [f"{item.mark}: {item.text}" for item in table.legend]
    return "\n".join(map(_filled, lines))


def _filled(text: str) -> str:
    """The text in lines, none of which ends inside `1.38 s` or `on-CPU`."""
    kept = TOGETHER.sub(lambda found: found.group().replace(" ", _NO_BREAK), text)
    return textwrap.fill(kept, _WIDTH, break_on_hyphens=False).replace(_NO_BREAK, " ")
