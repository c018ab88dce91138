"""The measuring wing: from a request to sealed bundles.

Imports nothing of `analysis`. Open `running/suite_runner.py` first.
"""
