"""The report: what a person reads about a suite, as HTML, Markdown, PNG, CSV and JSON.

    tables, Analysis ─▶ cells, grouping ─▶ one page of pages/ ─▶ ReportView ─▶ render/ ─▶ write

The suite names its page (`pages.PAGES`); `sections/` and `figures/` have what pages share. Everything up to the view is
pure, the renderers know views only, and only `write` touches the disk. Open `build.py` first.
"""
