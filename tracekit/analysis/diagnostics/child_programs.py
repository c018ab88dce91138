"""A thread that waits for programs without Python which it has started."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.metrics.interval_timeline import to_ints
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, percent, plural

_SHARE = 0.1
"""Of the wall: how long a thread has to wait for them."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """One finding, about the thread that waited for them longest."""
    waits = find_waits_for_programs(evidence)
    sums = records(waits.groupby(["pid", "tid"])["dur_ns"].sum().reset_index().nlargest(1, "dur_ns"))
    if not sums or sums[0]["dur_ns"] < _SHARE * evidence.wall_ns:
        return
    pid, tid, ns = sums[0]["pid"], sums[0]["tid"], sums[0]["dur_ns"]
    own = waits[((waits["pid"] == pid) & (waits["tid"] == tid)).to_numpy(bool)]
    by_child = own.groupby("child")["dur_ns"].sum().sort_values(ascending=False)
    longest = evidence.names.process(int(by_child.index[0]))
    which = longest if len(by_child) == 1 else f"{plural(len(by_child), 'program')}, the longest for {longest}"
    sentence = (
        f"For {format_ns(ns)} of {format_ns(evidence.wall_ns)} ({percent(ns / evidence.wall_ns)}) "
        f"{evidence.thread(pid, tid)} waited for {which}"
        f"{f' ({format_ns(int(by_child.iloc[0]))})' if len(by_child) > 1 else ''}: what it did is not recorded."
    )
    advice = "look into that program; or start it earlier and do something else meanwhile (`subprocess.Popen`)"
    yield Finding(diagnostic="child-programs", sentence=sentence, advice=advice, weight_ns=ns)


def find_waits_for_programs(evidence: Evidence) -> pd.DataFrame:
    """The waits for children, and for what they write to subprocess's pipes, during which a child without Python lived:
    rows of `Evidence.waits`, with `child`, its pid."""
    waits = evidence.waits
    of_subprocess = waits["file"].astype("str").str.endswith("/subprocess.py").fillna(False)
    chosen = waits[
        ((waits["kind"] == "child-wait") | (of_subprocess & waits["kind"].isin(("poll", "io-read")))).to_numpy(bool)
    ]
    found = np.full(len(chosen), -1, dtype=np.int64)
    starts, ends, parents = to_ints(chosen["start_ns"]), to_ints(chosen["end_ns"]), to_ints(chosen["pid"])
    objects = chosen["object"].astype("str").fillna("")
    names_child = objects.str.startswith("pid ").to_numpy(bool)
    python = evidence.helpers | {row["pid"] for row in evidence.threads}
    for pid, row in evidence.processes.items():
        begun = [row[name] for name in ("spawn_requested_ns", "exec_ns") if row[name] is not None]
        if pid in python or not begun or row["exit_ns"] is None:
            continue
        # Its end is seen where the wait for it ends.
        its_own = ~names_child | (objects == f"pid {pid}").to_numpy(bool)
        found[its_own & (parents == row["ppid"]) & (starts < row["exit_ns"]) & (ends > min(begun))] = pid
    return chosen.assign(child=found)[found >= 0]


DIAGNOSTIC = Diagnostic(
    name="child-programs",
    looks_for="A thread of Python waited for programs without Python, by waitpid or in the pipes of `subprocess`, for "
    f"{percent(_SHARE)} of the wall.",
    silent="What a child of Python did is in its own times. Of several children at once the last one counts.",
    look=look,
)
