"""What threads waited for the GIL, by who held it: in long holds, or in holds of about a switch interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from tracekit.analysis.diagnostics.evidence import Evidence

HOLDER = ["pid", "holder", "function", "file"]
"""The columns that name a function of a thread that held the GIL."""

BEYOND = 2
"""A hold is long from so many switch intervals on: a thread that reacts gives the GIL up after about one."""
BEYOND_OF_PREEMPTED = 6
"""The same for a thread that lacked a CPU for long: it may have held the GIL meanwhile."""
PREEMPTED = 0.3
"""Part of its CPU time for which such a thread was ready and had no CPU."""
_MOSTLY = 0.5
"""Part of what others waited for a function that long holds have to be: on a busy machine any hold may be long."""


class GilParts(NamedTuple):
    """Rows of `Evidence.gil_parts` that have a holder: those of long holds, and all others. None is in both."""

    long: pd.DataFrame
    others: pd.DataFrame


def split_parts(evidence: Evidence) -> GilParts:
    """Long are the long holds of the functions most of whose holds are long."""
    return evidence.keep(GilParts, lambda: _split(evidence))


def _split(evidence: Evidence) -> GilParts:
    parts = evidence.gil_parts
    parts = parts[(parts["holder"] > 0).to_numpy(bool)]
    places = list(zip(parts["pid"].tolist(), parts["holder"].tolist(), strict=True))
    limits = {place: _find_limit(evidence, *place) for place in set(places)}
    is_long = parts["ns"].to_numpy(np.int64) > np.array([limits[place] for place in places], dtype=np.int64)
    parts = parts.assign(long_ns=parts["ns"].where(is_long, 0))
    sums = parts.groupby(HOLDER, dropna=False)[["ns", "long_ns"]].transform("sum")
    chosen = is_long & (sums["long_ns"] > _MOSTLY * sums["ns"]).to_numpy(bool)
    return GilParts(long=parts[chosen], others=parts[~chosen])


def is_preempted(evidence: Evidence, pid: int, tid: int) -> bool:
    """Whether a thread lacked a CPU for so long that a hold of the GIL may have been long for that."""
    return (evidence.find_queued_ns(pid, tid) or 0) > PREEMPTED * evidence.on_cpu_ns(pid, tid)[0]


def _find_limit(evidence: Evidence, pid: int, tid: int) -> int:
    beyond = BEYOND_OF_PREEMPTED if is_preempted(evidence, pid, tid) else BEYOND
    return beyond * evidence.switch_interval_ns(pid)
