"""The report: what a person reads about a suite, as HTML, Markdown, PNG, CSV and JSON.

    tables ─▶ cells ─▶ verdict, summary, figures, sections ─┐
                                                            ├─▶ one ReportView ─▶ html · markdown · tabular ─▶ write
    tables ─▶ program ─▶ headline, processes, lives, ... ───┘

A suite compares models; a recorded program was run once and is compared with nothing. Everything up to the view is
pure; only `write` touches the disk.
"""
