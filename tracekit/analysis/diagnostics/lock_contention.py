"""Threads wait for a lock of the program's own that another thread keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.metrics.interval_timeline import to_ints
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, percent, plural

_WAIT = ["pid", "tid", "start_ns"]
_PASSED_ON = 0.9
"""Part of the times at which another thread waited: the others are those of a third that was faster."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per lock."""
    waits = find_ended_waits(evidence)
    for _, own in waits.groupby(["pid", "object"]):
        if _is_passed_on(own):
            yield _describe(evidence, own)


def _is_passed_on(waits: pd.DataFrame) -> bool:
    """Whether each thread that got it released it to the next one that waited meanwhile, as with a lock. What a queue
    gives comes from elsewhere: only of several items at once its consumers wake one another."""
    order = waits.sort_values("woken_ns")
    got, starts, wakers = to_ints(order["woken_ns"]), to_ints(order["start_ns"]), to_ints(order["waker_tid"])
    meanwhile = starts[1:] < got[:-1]
    passed = wakers[1:] == to_ints(order["tid"])[:-1]
    return bool(meanwhile.any()) and float(passed[meanwhile].mean()) >= _PASSED_ON


def find_ended_waits(evidence: Evidence) -> pd.DataFrame:
    """The waits for locks outside the standard library's queues and the like of which the thread is known that ended
    them: rows of `Evidence.waits`, with woken_ns, waker_tid, by_function and by_file (where it released it)."""
    waits = evidence.waits
    waits = waits[((waits["kind"] == "lock") & ~waits["idle"] & (waits["object"] != "")).to_numpy(bool)]
    waits = waits.dropna(subset=["object", "function", "file"])
    ended = evidence.analysis.tables.wakeups
    ended = ended[(ended["run_id"] == evidence.run_id).to_numpy(bool)]
    ended = ended[[*_WAIT, "woken_ns", "waker_tid", "function", "file"]].dropna()
    texts = dict.fromkeys(("function", "file", "object"), "str")
    columns = {"function": "by_function", "file": "by_file"}
    named = ended.astype({"function": "str", "file": "str"}).rename(columns=columns)
    return waits.astype(texts).merge(named, on=_WAIT)


def _describe(evidence: Evidence, waits: pd.DataFrame) -> Finding:
    """`waits`: rows of find_ended_waits, for one lock."""
    pid = int(waits["pid"].iloc[0])
    sums = waits.groupby("tid")["dur_ns"].agg(["sum", "size"]).reset_index().sort_values("sum", ascending=False)
    longest = records(sums)[0]
    own = waits[(waits["tid"] == longest["tid"]).to_numpy(bool)]
    holder, until_ns = _find_releaser(waits, own)
    (site,) = records(own.groupby(["function", "file"])["dur_ns"].sum().reset_index().nlargest(1, "dur_ns"))
    others = f", and {plural(len(sums) - 1, 'other thread')} less" if len(sums) > 1 else ""
    where = evidence.site(holder["by_function"], holder["by_file"])
    sentence = (
        f"For one lock (or `queue.SimpleQueue`, which waits like one)"
        f"{evidence.site(site['function'], site['file'])} {evidence.thread(pid, longest['tid'])} waited "
        f"{format_ns(longest['sum'])}, in {plural(longest['size'], 'wait')}{others}: for "
        f"{percent(until_ns / longest['sum'])} of that until {evidence.thread(pid, holder['waker_tid'])} released it"
        f"{where}."
    )
    advice = (
        f"hold the lock for a shorter time{where}: do outside of it what does not need it, or give each thread data of "
        "its own; of a queue this is waiting for work"
    )
    return Finding(diagnostic="lock-contention", sentence=sentence, advice=advice, weight_ns=longest["sum"])


def _find_releaser(waits: pd.DataFrame, own: pd.DataFrame) -> tuple[dict[str, Any], int]:
    """The thread and function that released the lock after most of the time of the waits `own`, and that time.

    While one thread waits, others that waited before it get the lock and release it: the time from one release to the
    next is that of the thread that released it next.
    """
    own = own.sort_values("start_ns")
    releases = waits[["woken_ns", "waker_tid", "by_function", "by_file"]].sort_values("woken_ns")
    times, starts = to_ints(releases["woken_ns"]), to_ints(own["start_ns"])
    wait = np.searchsorted(starts, times, side="left") - 1
    inside = (wait >= 0) & (times <= to_ints(own["woken_ns"])[wait])
    wait, times = wait[inside], times[inside]
    since = np.maximum(np.concatenate([times[:1] * 0, times[:-1]]), starts[wait])
    found = releases[inside].assign(ns=times - since)
    sums = found.groupby(["waker_tid", "by_function", "by_file"])["ns"].sum().reset_index()
    (longest,) = records(sums.nlargest(1, "ns"))
    return longest, longest["ns"]


DIAGNOSTIC = Diagnostic(
    name="lock-contention",
    looks_for="Threads waited for a lock in a function of the program, and those that had waited for it released it to "
    "the next ones.",
    silent="Where those that waited do not release it to one another it is a signal: of it nothing is said. A "
    "`queue.SimpleQueue` that gets several items at once looks like a lock, and the sentence says so. Waits of less "
    "than a millisecond and locks that processes share have no known end.",
    look=look,
)
