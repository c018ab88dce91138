"""Puts a report into a folder."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from tracekit.analysis.report.build import build
from tracekit.analysis.report.figures.style import png
from tracekit.analysis.report.render.html import to_html
from tracekit.analysis.report.render.markdown import to_markdown
from tracekit.analysis.report.render.tabular import encode_parquet, findings_json, to_csv, to_json
from tracekit.analysis.report.views import ReportView
from tracekit.analysis.tables import Tables
from tracekit.bundle.files import make_output_folder
from tracekit.bundle.store import explained_os_errors
from tracekit.core.visible_text import make_visible


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """What was written, and the view it was written from (its verdict is what a terminal shows)."""

    folder: Path
    html: Path
    markdown: Path
    csv: Path
    json: Path
    parquet: Path
    figures: tuple[Path, ...]
    downloads: tuple[Path, ...]
    view: ReportView


def write(tables: Tables, folder: Path) -> ReportFiles:
    """Write index.html, report.md, metrics.csv, metrics.json, metrics.parquet, of a recorded program findings.json, the
    figures and what the sections offer to download; existing files are replaced.

    Everything is made in a temporary folder in its place and moved in by rename, the page last, so a reader
    never meets half a file. Raises OutputUnwritable.
    """
    with warnings.catch_warnings():
        # A name whose characters the font lacks has boxes in a figure; the page has the name.
        warnings.filterwarnings("ignore", message="Glyph ", category=UserWarning)
        view = build(tables)
        pictures = {figure.slug: png(figure.figure) for figure in view.every_figure}
    texts = {
        **{item.name: item.content for item in view.downloads},
        "metrics.csv": to_csv(tables),
        "metrics.json": to_json(tables),
        **({"findings.json": findings_json(view)} if view.findings else {}),
        "report.md": to_markdown(view),
        "index.html": to_html(view, pictures),
    }
    contents = {f"{slug}.png": data for slug, data in pictures.items()}
    contents["metrics.parquet"] = encode_parquet(tables.metrics)
    contents.update({name: make_visible(text).encode() for name, text in texts.items()})
    with explained_os_errors(folder):
        make_output_folder(folder.parent)
        make_output_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as draft:
            for name, data in contents.items():
                (Path(draft) / name).write_bytes(data)
            for name in contents:
                (Path(draft) / name).replace(folder / name)
    return ReportFiles(
        folder=folder,
        html=folder / "index.html",
        markdown=folder / "report.md",
        csv=folder / "metrics.csv",
        json=folder / "metrics.json",
        parquet=folder / "metrics.parquet",
        figures=tuple(folder / f"{slug}.png" for slug in pictures),
        downloads=tuple(folder / item.name for item in view.downloads),
        view=view,
    )
