"""An event loop that could not run: its thread blocked in something else than its poll."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.metrics.interval_timeline import to_ints
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, listed, plural

_POLLS = ("EpollSelector.select", "KqueueSelector.select")
"""Functions of selectors.py in which asyncio waits; multiprocessing and subprocess use other selectors."""
_LOOP = "/asyncio/base_events.py"
"""File that stands in the stack of all that runs in asyncio's loop."""
_NO_LOOPS = ("concurrent/futures/thread.py", "multiprocessing/forkserver.py")
"""Files in which a thread waits for work that has no loop of its own, though it may poll with the same selector: they
decide where no stacks were recorded."""
_LEAST_NS = 10_000_000
"""A wait that blocks a loop for less is not noticed."""
_MOST_SITES = 3
_DOES = {
    "sleep": "slept",
    "lock": "waited for a lock",
    "io-read": "was in a read",
    "io-write": "was in a write",
    "child-wait": "waited for a child process",
    "poll": "was in another poll",
}


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per thread with a loop."""
    waits = evidence.waits
    polls = waits[(_is_poll(waits)).to_numpy(bool)]
    for place in records(polls[["pid", "tid"]].drop_duplicates()):
        of_thread, own = (
            rows[((rows["pid"] == place["pid"]) & (rows["tid"] == place["tid"])).to_numpy(bool)]
            for rows in (waits, polls)
        )
        blocks = _find_blocks(of_thread, own)
        stacks = evidence.stacks(place["pid"], place["tid"])
        if len(stacks):
            blocks = blocks[[_is_in_loop(stacks, row) for row in records(blocks)]]
        elif of_thread["file"].astype("str").str.endswith(_NO_LOOPS).fillna(False).any():
            continue
        if len(blocks):
            yield _describe(evidence, place["pid"], place["tid"], blocks)


def _is_poll(waits: pd.DataFrame) -> pd.Series[bool]:
    in_selector = waits["file"].astype("str").str.endswith("selectors.py").fillna(False)
    return (waits["kind"] == "poll") & waits["function"].isin(_POLLS) & in_selector


def _find_blocks(waits: pd.DataFrame, polls: pd.DataFrame) -> pd.DataFrame:
    """Waits of the thread between two of its polls, each so long that it is noticed; not those for the GIL."""
    first, last = int(polls["end_ns"].min()), int(polls["start_ns"].max())
    starts, ends = to_ints(waits["start_ns"]), waits["end_ns"].to_numpy(np.int64)
    chosen = waits["kind"].isin(_DOES) & ~_is_poll(waits) & (waits["dur_ns"] >= _LEAST_NS)
    # Between two runs of a loop a module may well sleep.
    chosen &= waits["function"].notna() & (waits["function"].astype("str") != "<module>")
    found = waits[chosen.to_numpy(bool) & (starts >= first) & (ends <= last)]
    return found.astype({"function": "str", "file": "str"})


def _is_in_loop(stacks: pd.DataFrame, block: Mapping[str, Any]) -> bool:
    """Whether a wait is below asyncio's loop, as far as its stack was recorded."""
    own = stacks[(stacks["at_ns"] == block["start_ns"]).to_numpy(bool)]
    return own.empty or bool(own["stack"].astype("str").str.contains(_LOOP, regex=False).any())


def _describe(evidence: Evidence, pid: int, tid: int, blocks: pd.DataFrame) -> Finding:
    whole, longest = int(blocks["dur_ns"].sum()), int(blocks["dur_ns"].max())
    sums = blocks.groupby(["kind", "function", "file"], dropna=False, observed=True)["dur_ns"].sum().reset_index()
    sites = records(sums.sort_values("dur_ns", ascending=False))
    named = [
        f"it {_DOES[site['kind']]} for {format_ns(site['dur_ns'])}{evidence.site(site['function'], site['file'])}"
        for site in sites[:_MOST_SITES]
    ]
    rest = len(sites) - _MOST_SITES
    named += [f"in {plural(rest, 'other function')}"] if rest > 0 else []
    sentence = (
        f"The event loop of {evidence.thread(pid, tid)} could not run for {format_ns(whole)}, up to "
        f"{format_ns(longest)} at a time: {listed(named)}."
    )
    advice = (
        "`await asyncio.sleep(...)` instead of `time.sleep`"
        if sites[0]["kind"] == "sleep"
        else "in asyncio `await asyncio.to_thread(...)` around what blocks, or its asynchronous counterpart"
    )
    return Finding(diagnostic="event-loop", sentence=sentence, advice=advice, weight_ns=whole)


DIAGNOSTIC = Diagnostic(
    name="event-loop",
    looks_for="A thread that polls in asyncio's selector blocked in something else between two polls (a sleep, a lock, "
    f"a read or write, a child process), for {format_ns(_LEAST_NS)} and more at a time: all of its coroutines waited.",
    silent="Its waits for the GIL are said by gil-convoy and gil-turns. Which coroutine computes between two polls is "
    "not recorded: `--capture waits,py-spy` samples it. Where no stacks were recorded, other "
    "loops than asyncio's that poll in its selector count as one; those that do not poll by `selectors` (uvloop) are "
    "not known.",
    look=look,
)
