"""The report as GitHub-flavoured Markdown, short enough to paste into a review; figures by relative link."""

from __future__ import annotations

import re

from tracekit.analysis.report.views import FigureGroup, ReportView, Section, TableField, TableView

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~!])")
_CODE = re.compile(r"`([^`\n]+)`")


def to_markdown(view: ReportView) -> str:
    """Verdict, table, figures, notices, environment and command. Every number is in metrics.csv."""
    parts = [
        f"# {escaped(view.title)}",
        escaped(view.subtitle),
        *_verdicts(view),
        *(f"{coded(item.sentence)}" + f" Try: {coded(item.advice)}." * bool(item.advice) for item in view.findings),
        _table(view.summary),
        *(part for block in view.figures for part in _figures(block)),
        *(part for section in view.sections for part in _section(section)),
        *_notices(view),
        "## When not to trust it",
        "\n".join(f"- {escaped(text)}" for text in view.caveats),
        "## Environment",
        "\n".join(f"- **{escaped(block.label)}**: {_facts(block.facts)}" for block in view.environment),
        "## How it was made",
        _fenced(view.command or "(the command was not recorded)"),
        f"tracekit {escaped(view.version)}, suite {escaped(view.suite_id)}. Every number: "
        "[metrics.csv](metrics.csv), [metrics.parquet](metrics.parquet); of cells and runs: "
        "[metrics.json](metrics.json).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str, edge: str = "") -> str:
    """Plain text that Markdown shows as it is: no markup, no HTML, no table cell and no line of its own. `edge` is what
    white space at either end becomes.
    """
    flat = " ".join(text.split())
    if edge and flat:
        flat = f"{edge if text[:1].isspace() else ''}{flat}{edge if text[-1:].isspace() else ''}"
    safe = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", safe)


def _facts(facts: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{escaped(name)}: {escaped(value)}" for name, value in facts)


def _verdicts(view: ReportView) -> list[str]:
    if len(view.verdicts) == 1:
        return [f"**{escaped(view.verdicts[0].sentence)}**"]
    return [f"**{escaped(item.label)}**: {escaped(item.sentence)}" for item in view.verdicts]


def _table(table: TableView) -> str:
    heads = [f"{name} ({below})" if below else name for name, below in table.columns]
    lines = [
        f"| {' | '.join(escaped(head) for head in heads)} |",
        f"|{'|'.join([':---', *('---:' for _ in heads[1:])])}|",
    ]
    for block in table.groups:
        if block.label:
            lines.append(f"| **{escaped(block.label)}** |{' |' * (len(heads) - 1)}")
        for row in block.rows:
            first = ", ".join([f"**{escaped(row.label)}**", *([escaped(row.detail)] if row.detail else [])])
            lines.append(f"| {' | '.join([first, *(_field(field) for field in row.fields)])} |")
    legend = "  \n".join(f"{escaped(item.mark)}: {coded(item.text)}" for item in table.legend)
    return "\n\n".join(part for part in (coded(table.caption), "\n".join(lines), legend) if part)


def _field(field: TableField) -> str:
    text = escaped(field.main)
    if field.mark:
        text += f" <sup>{escaped(field.mark)}</sup>"
    below = ", ".join(escaped(part) for part in (field.sub, field.tag) if part)
    return f"{text} ({below})" if below else text


def _section(section: Section) -> list[str]:
    parts = [f"## {escaped(section.title)}", *map(coded, section.sentences)]
    parts += [] if section.figures is None else _figures(section.figures)
    for table in section.tables:
        parts += [f"**{escaped(table.title)}**", _table(table)]
    files = [f"[{escaped(item.name)}]({item.name}) ({escaped(item.about)})" for item in section.downloads]
    return [*parts, f"Files: {', '.join(files)}."] if files else parts


def coded(text: str) -> str:
    """Plain text in which what stands in `backticks` stays code, and all else is escaped."""
    pieces = _CODE.split(text)
    return "".join(f"`{piece}`" if index % 2 else escaped(piece, " ") for index, piece in enumerate(pieces))


def _figures(block: FigureGroup) -> list[str]:
    parts = [f"## {escaped(block.label)}"] if block.label else []
    parts.extend(f"![{escaped(figure.alt)}]({figure.slug}.png)" for figure in block.figures)
    parts.extend(f"{escaped(item.title)}: not drawn, {escaped(item.reason)}." for item in block.missing)
    return parts


def _notices(view: ReportView) -> list[str]:
    if not view.notices:
        return ["## Notices", "None."]
    lines = [
        f"- **{escaped(item.severity)}** {escaped(item.text)}." + f" Remedy: {escaped(item.remedy)}" * bool(item.remedy)
        for item in view.notices
    ]
    return ["## Notices", "\n".join(lines)]


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}console\n{text}\n{fence}"
