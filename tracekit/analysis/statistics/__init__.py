"""Intervals of what was measured several times: numbers in, numbers out, without I/O and without tables.

In: the values of the runs of one cell, or of several cells by round. Out: a mean, a median or a ratio, and its 95 %
interval. `ratios.py` has the ratio of what was measured in the same rounds, which every speed-up is; `intervals.py` the
interval of a mean and of a ratio of sums; `bootstrap.py` that of a median. Open `ratios.py` first.
"""
