"""The report's first screen as plain text, for a terminal or a log: verdict, table, who kept whom waiting, notices."""

from __future__ import annotations

import textwrap

from tracekit.report.views import Field, ReportView, Section, TableView

_WIDTH = 100


def to_text(view: ReportView) -> str:
    """Verdict sentences, the summary table with one line per row, and the notices that are not mere information."""
    doubts = [f"{item.severity}: {item.text}\n  try: {item.remedy}" for item in view.notices if item.severity != "info"]
    said = [textwrap.fill(text, _WIDTH) for section in view.sections for text in _leading(section)]
    return "\n\n".join([*_verdicts(view), *_table(view.summary), *said, *doubts])


def _leading(section: Section) -> tuple[str, ...]:
    """What the section says first; the code in it reads without backticks."""
    last = section.sentences[len(section.sentences) - section.lead :] if section.lead else ()
    return tuple(text.replace("`", "") for text in last)


def _verdicts(view: ReportView) -> list[str]:
    several = len(view.verdicts) > 1
    return [
        textwrap.fill(f"{item.label}: {item.sentence}" if several else item.sentence, _WIDTH) for item in view.verdicts
    ]


def _table(table: TableView) -> list[str]:
    heads = [name for name, _ in table.columns]
    blocks = []
    for group in table.groups:
        rows = [heads, *([f"{row.label} ({row.detail})", *map(_text, row.fields)] for row in group.rows)]
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


def _text(field: Field) -> str:
    """The number with what stands beneath it in brackets."""
    return f"{field.main} ({field.sub})" if field.sub else field.main
