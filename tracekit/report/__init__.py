"""The report: what a person reads about a suite, as HTML, Markdown, PNG, CSV and JSON.

    tables ─▶ cells ─▶ verdict, summary, figures, ... ─▶ one ReportView ─▶ html · markdown · tabular ─▶ write

Everything up to the view is pure; only `write` touches the disk.
"""
