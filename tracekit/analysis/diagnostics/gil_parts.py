"""What threads waited for the GIL, by who held it: in long holds, or in holds of about a switch interval."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from tracekit.analysis.diagnostics.evidence import Evidence

HOLDER = ["pid", "holder", "function", "file"]
"""The columns that name a function of a thread that held the GIL."""

BEYOND = 2
"""A hold is long from so many switch intervals on: a thread that reacts gives the GIL up after about one."""
_MOSTLY = 0.5
"""Part of what others waited for a function that long holds have to be: on a busy machine any hold may be long."""


class GilParts(NamedTuple):
    """Rows of `Evidence.gil_parts` that have a holder: those of long holds, and all others. None is in both."""

    long: pd.DataFrame
    others: pd.DataFrame


def split_parts(evidence: Evidence) -> GilParts:
    """Long are the long holds of the functions most of whose holds are long."""
    parts = evidence.gil_parts
    parts = parts[(parts["holder"] > 0).to_numpy(bool)]
    limits = {pid: BEYOND * evidence.switch_interval_ns(int(pid)) for pid in parts["pid"].unique()}
    is_long = (parts["ns"] > parts["pid"].map(limits)).to_numpy(bool)
    parts = parts.assign(long_ns=parts["ns"].where(is_long, 0))
    sums = parts.groupby(HOLDER, dropna=False)[["ns", "long_ns"]].transform("sum")
    chosen = is_long & (sums["long_ns"] > _MOSTLY * sums["ns"]).to_numpy(bool)
    return GilParts(long=parts[chosen], others=parts[~chosen])
