"""One of several sibling processes works nearly all the time, while the others wait for work."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.core.units import format_ns, percent

_LOCKS = ("multiprocessing/synchronize.py", "billiard/synchronize.py")
_WORKS = 0.8
"""Of its life: how long the busiest one has to work."""
_OTHERS = 0.5
"""Of what the busiest one worked: how long the others may work on average."""
_TOGETHER = 0.5
"""Of the life of the longest-lived: siblings that lived for less were not there to share its work."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per process that has children."""
    worked = measure_work(evidence)
    parents = {evidence.processes[pid]["ppid"] for pid in worked}
    for parent in sorted(parents):
        siblings = {pid: ns for pid, ns in worked.items() if evidence.processes[pid]["ppid"] == parent}
        longest = max(evidence.lives[pid, pid] for pid in siblings)
        siblings = {pid: ns for pid, ns in siblings.items() if evidence.lives[pid, pid] >= _TOGETHER * longest}
        busiest = max(siblings, key=lambda pid: siblings[pid])
        siblings = {pid: ns for pid, ns in siblings.items() if _lived_beside(evidence, pid, busiest)}
        others = [ns for pid, ns in siblings.items() if pid != busiest]
        if not others or siblings[busiest] < _WORKS * evidence.lives[busiest, busiest]:
            continue
        if sum(others) / len(others) <= _OTHERS * siblings[busiest]:
            yield _describe(evidence, busiest, siblings[busiest], others)


def _lived_beside(evidence: Evidence, pid: int, busiest: int) -> bool:
    """Of processes that live one after another, as with max_tasks_per_child, none could take the other's work."""
    spans = {row["pid"]: (row["born"], row["died"]) for row in evidence.threads if row["pid"] == row["tid"]}
    (born, died), (begin, end) = spans[pid], spans[busiest]
    return bool(min(died, end) - max(born, begin) >= _TOGETHER * (end - begin))


def measure_work(evidence: Evidence) -> dict[int, int]:
    """How long the main thread of each child process did something else than sleep and wait for work, where it ever
    did one of these."""
    waits, main = evidence.waits, evidence.main.get("pid")
    # Of several readers of a queue of multiprocessing one waits in it, the others for its lock.
    # CPython before 3.11 has the name without its class.
    in_lock = waits["function"].astype("str").isin(("SemLock.__enter__", "__enter__"))
    in_lock &= waits["file"].astype("str").str.endswith(_LOCKS).fillna(False)
    for_queue = (waits["kind"] == "lock") & in_lock
    rests = waits["idle"] | for_queue | (waits["kind"] == "sleep")
    resting = waits[(rests & (waits["tid"] == waits["pid"])).to_numpy(bool)]
    sums = resting.groupby("pid")["dur_ns"].sum().to_dict()
    return {
        pid: max(0, ns - int(sums[pid]))
        for (pid, tid), ns in evidence.lives.items()
        if pid == tid and pid != main and pid in sums and evidence.processes.get(pid, {}).get("ppid")
    }


def _describe(evidence: Evidence, pid: int, ns: int, others: list[int]) -> Finding:
    least, most = format_ns(min(others)), format_ns(max(others))
    each = least if least == most else f"{least} to {most}"
    one = len(others) == 1
    rest = f"The {'other' if one else 'others'} mostly waited for work: {'it' if one else 'they'} worked"
    sentence = (
        f"Of {1 + len(others)} sibling processes one worked nearly all the time: {evidence.names.process(pid)} for "
        f"{format_ns(ns)} of the {format_ns(evidence.lives[pid, pid])} that it lived. "
        f"{rest} for {each}."
    )
    advice = (
        "give out smaller pieces (`chunksize=1`), the longest ones first; in a pipeline this process is the one to "
        "speed up or to double"
    )
    saved = ns - (ns + sum(others)) // (1 + len(others))
    return Finding(diagnostic="uneven-workers", sentence=sentence, advice=advice, weight_ns=saved)


DIAGNOSTIC = Diagnostic(
    name="uneven-workers",
    looks_for=f"The main thread of one child process worked for {percent(_WORKS)} of its life, and those of its "
    f"siblings on average for at most {percent(_OTHERS)} of that: they slept, or waited for work in queues, pools and "
    "pipes of the standard library. What could be won back is what an even share would take less.",
    silent="A process that never waits for work takes none. One that could do all of the work alone, as it came, rests "
    "as well.",
    look=look,
)
