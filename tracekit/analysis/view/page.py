"""Makes the page that lists the traces, without scripts, fonts or images."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tracekit.analysis.view.items import ViewItem
from tracekit.core.units import format_bytes, format_ns
from tracekit.core.visible_text import make_visible

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .45rem .9rem .45rem 0; vertical-align: top; }
tr { border-bottom: 1px solid #8886; }
th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
small, .note { opacity: .75; }
a { color: inherit; text-underline-offset: .2em; }
"""

_HEAD = """<tr><th scope="col">Trace</th><th scope="col" class="number">Workers</th>
<th scope="col" class="number">Traced wall</th><th scope="col" class="number">Python calls</th>
<th scope="col" class="number">Size</th><th scope="col">File</th></tr>"""


def make_landing_page(entries: Sequence[tuple[ViewItem, str, str]]) -> str:
    """Make the page; an entry is an item, the address that opens it, and the address of its file."""
    rows = "\n".join(_row(*entry) for entry in entries)
    suites = {item.suite_id for item, _, _ in entries if item.suite_id}
    heading = escape(f"Traces of {suites.pop()}" if len(suites) == 1 else "Traces")
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading} · tracekit</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<h1>{heading}</h1>
<div class="wide">
<table>
<thead>{_HEAD}</thead>
<tbody>
{rows}
</tbody>
</table>
</div>
<p class="note">Tracing slows down every Python call, so a traced wall is not a result: compare the models in
the report, and see here what happens when. In the viewer W and S zoom, A and D move, F fits the selected
slice.</p>
</body>
</html>
"""
    return make_visible(page)


def _row(item: ViewItem, link: str, file: str) -> str:
    detail = f"<br><small>{escape(item.detail)}</small>" if item.detail else ""
    cells = (
        "" if item.workers is None else str(item.workers),
        "" if item.wall_ns is None else format_ns(item.wall_ns),
        "" if item.calls is None else f"{item.calls:,}",
        format_bytes(item.size_bytes),
    )
    numbers = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)
    return (
        f'<tr><td><a href="{escape(link)}">{escape(item.title)}</a>{detail}</td>{numbers}'
        f'<td><a href="{escape(file)}" download>save</a></td></tr>'
    )
