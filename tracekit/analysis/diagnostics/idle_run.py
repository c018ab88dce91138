"""A run in which nearly nothing happened: its threads slept, or waited for something to come."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from tracekit.analysis.diagnostics import lock_contention, sleeping_work
from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.final_waits import find_last_moment
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.diagnostics.hang import find_stuck
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, listed, percent, plural

_CPU = 0.1
"""Of the wall: so little CPU time is nearly nothing."""
_RESTS = 0.9
"""Part of the threads' time that has to be sleep and waits for something to come."""
_LONG = 0.25
"""A wait for a lock, in a read or in a poll is for something to come where it lasts this part of its thread's life."""
_OTHERS = 0.1
"""Of the wall: how long a process without Python may live at most; what it does is not known."""
_LEAST_NS = 500_000_000
_MOST_NAMED = 4


def look(evidence: Evidence) -> Iterator[Finding]:
    """One finding, or none."""
    cpu_ns, wall_ns = evidence.cpu_ns, evidence.wall_ns
    if cpu_ns is None or wall_ns < _LEAST_NS or cpu_ns > _CPU * wall_ns or _has_other_programs(evidence):
        return
    if find_stuck(find_last_moment(evidence)):
        return
    if any(finding.weight_ns > _CPU * wall_ns for finding in lock_contention.look(evidence)):
        return
    if any(sleeping_work.look(evidence)):
        return
    resting = _select_rests(evidence)
    rested, whole = int(resting["dur_ns"].sum()), sum(evidence.lives.values())
    own = resting[((resting["tid"] == resting["pid"]) & (resting["pid"] == evidence.main.get("pid"))).to_numpy(bool)]
    # What the main thread waits for in a read may be an answer, not work.
    own = own[(own["idle"] | own["kind"].isin(("sleep", "poll"))).to_numpy(bool)]
    if rested < _RESTS * whole or int(own["dur_ns"].sum()) < _RESTS * wall_ns:
        return
    sites = records(resting.groupby(["function", "file"])["dur_ns"].sum().reset_index().nlargest(99, "dur_ns"))
    named = [evidence.site(site["function"], site["file"]).removeprefix(" in ") for site in sites[:_MOST_NAMED]]
    named += [plural(len(sites) - _MOST_NAMED, "other function")] if len(sites) > _MOST_NAMED else []
    count = len(evidence.lives)
    threads = "its time its one thread" if count == 1 else f"their time its {count} threads"
    sentence = (
        f"This run was idle: {format_ns(cpu_ns)} of CPU time in {format_ns(wall_ns)}. For {percent(rested / whole)} of "
        f"{threads} slept or waited for something to come"
        f"{f', in {listed(named)}' if named else ''}."
    )
    advice = (
        "measure it under load: let requests or jobs come in while it is recorded; if they did, they slept and waited "
        "in these functions"
    )
    if evidence.run["asked_ns"] is None and evidence.main.get("ended") == "exit":
        advice = "it ended by itself: if it was not to wait so long, look at what it slept and waited for"
    yield Finding(diagnostic="idle-run", sentence=sentence, advice=advice, weight_ns=wall_ns - cpu_ns)


def _select_rests(evidence: Evidence) -> pd.DataFrame:
    waits = evidence.waits
    is_long = waits["kind"].isin(("lock", "io-read", "poll")) & (waits["life"] >= _LONG)
    found = waits[(waits["idle"] | (waits["kind"] == "sleep") | is_long).to_numpy(bool)]
    return found.astype({"function": "str", "file": "str"})


def _has_other_programs(evidence: Evidence) -> bool:
    seen = evidence.helpers | {row["pid"] for row in evidence.threads}
    for pid, row in evidence.processes.items():
        begun = [row[name] for name in ("spawn_requested_ns", "exec_ns") if row[name] is not None]
        if pid not in seen and (not begun or row["exit_ns"] is None):
            return True
        if pid not in seen and row["exit_ns"] - min(begun) > _OTHERS * evidence.wall_ns:
            return True
    return False


DIAGNOSTIC = Diagnostic(
    name="idle-run",
    looks_for=f"The program used at most {percent(_CPU)} of the wall as CPU time, and for {percent(_RESTS)} of their "
    "time its threads slept, waited for work in the standard library (queues, events, joins, event loops), or were in "
    "one long wait for a lock, a read or a poll.",
    silent="A main thread in a long read may wait for an answer: then it is io-bound. A program without Python beside "
    "it may have worked. Where everything stood still when it was asked to end, that is a hang.",
    look=look,
)
