"""The analysis wing: from sealed bundles to tables, metrics and reports.

Imports nothing of `measure`. Open `tables.py` first.
"""
