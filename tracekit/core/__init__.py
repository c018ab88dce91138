"""What every part of tracekit uses: errors, notices, the clock, units and the registry. Standard library, Python 3.9.

Nothing in here knows of a workload, a capture or a table. Open `errors.py` first.
"""
