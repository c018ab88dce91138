"""The report's first screen as plain text, for a terminal or a log: verdict, table, who kept whom waiting, notices."""

from __future__ import annotations

import textwrap

from tracekit.analysis.report.views import Field, ReportView, Row, Section, TableView
from tracekit.analysis.report.wording import TOGETHER

_WIDTH = 100
_MOST_COLUMNS = 8
"""More than these are numbers alone: their intervals would make lines that no terminal has room for."""
_NO_BREAK = "\N{NO-BREAK SPACE}"


def to_text(view: ReportView) -> str:
    """Verdict sentences, the summary table with one line per row and its legend, what the sections say first, and the
    notices that are not mere information.
    """
    doubts = [f"{item.severity}: {item.text}\n  try: {item.remedy}" for item in view.notices if item.severity != "info"]
    said = [text for section in view.sections for text in _of_section(section)]
    return "\n\n".join([*_verdicts(view), *_table(view.summary), _legend(view.summary), *said, *doubts])


def table_text(table: TableView) -> str:
    """A table with its title and legend."""
    return "\n\n".join(["\n".join([table.title, *_table(table)]), _legend(table)])


def filled(text: str) -> str:
    """Prose in lines that a terminal has room for."""
    return _filled(text.replace("`", ""))


def _of_section(section: Section) -> list[str]:
    said = [_filled(text) for text in _leading(section)]
    for table in section.tables if section.in_terminal else ():
        said += ["\n".join([table.title, *_table(table)]), _legend(table)]
    return said


def _leading(section: Section) -> tuple[str, ...]:
    """What the section says first; the code in it reads without backticks."""
    last = section.sentences[len(section.sentences) - section.lead :] if section.lead else ()
    return tuple(text.replace("`", "") for text in last)


def _verdicts(view: ReportView) -> list[str]:
    several = len(view.verdicts) > 1
    return [_filled(f"{item.label}: {item.sentence}" if several else item.sentence) for item in view.verdicts]


def _table(table: TableView) -> list[str]:
    return _blocks(table) if table.prose else _rows(table)


def _blocks(table: TableView) -> list[str]:
    """A block per row: its label, then its fields, each with the column's name, and what it is about at the end."""
    blocks = []
    for group in table.groups:
        blocks += [group.label] if group.label else []
        for row in group.rows:
            said = [
                f"{name}: {field.main}"
                for (name, _), field in zip(table.columns[1:], row.fields, strict=True)
                if field.main != "–"
            ]
            blocks.append("\n".join([_filled(row.label), *(_indented(text) for text in [*said, row.detail])]))
    return blocks


def _indented(text: str) -> str:
    return textwrap.indent(_filled(text), "  ")


def _rows(table: TableView) -> list[str]:
    heads = [name for name, _ in table.columns]
    blocks = []
    short = _is_wide(table)
    for group in table.groups:
        rows = [heads, *(_cells(row, short=short) for row in group.rows)]
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
    """Whether what stands beneath the numbers has no room beside them."""
    return len(table.columns) > _MOST_COLUMNS


def _cells(row: Row, *, short: bool) -> list[str]:
    if short:
        return [row.label, *(field.main for field in row.fields)]
    return [f"{row.label} ({row.detail})", *map(_text, row.fields)]


def _text(field: Field) -> str:
    """The number with what stands beneath it, its tag and its footnote mark in brackets."""
    below = ", ".join(part for part in (field.sub, field.tag, field.mark) if part)
    return f"{field.main} ({below})" if below else field.main


def _legend(table: TableView) -> str:
    """What the numbers are, what stands beside them, and what tags and marks mean."""
    columns = (
        [f"{name} ({below})" for name, below in table.columns[1:] if below]
        if not table.prose and not _is_wide(table)
        else []
    )
    said = [f"{table.caption} Columns: {', '.join(columns)}." if columns else table.caption]
    said += [f"{item.mark}: {item.text}" for item in table.legend]
    return "\n".join(map(_filled, said))


def _filled(text: str) -> str:
    """The text in lines, none of which ends inside `1.38 s` or `on-CPU`."""
    kept = TOGETHER.sub(lambda found: found.group().replace(" ", _NO_BREAK), text)
    return textwrap.fill(kept, _WIDTH, break_on_hyphens=False).replace(_NO_BREAK, " ")
