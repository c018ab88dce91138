"""A hang: when the program was asked to end, or was killed, every thread had been in one wait for long."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.final_waits import (
    FinalWait,
    LastMoment,
    describe_wait,
    find_last_moment,
    threads_at_fork,
)
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.core.units import format_ns, listed, plural

_MOST_NAMED = 4


def look(evidence: Evidence) -> Iterator[Finding]:
    """One finding, or none."""
    moment = find_last_moment(evidence)
    stuck = find_stuck(moment)
    if moment is None or not stuck:
        return
    still_ns = moment.at_ns - moment.still_since_ns
    named, rest = stuck[:_MOST_NAMED], stuck[_MOST_NAMED:]
    told = [describe_wait(evidence, moment, wait) for wait in named]
    told += [f"{plural(len(rest), 'other thread')} waited as well"] if rest else []
    when = "was asked to end" if moment.asked else "was killed"
    since = format_ns(moment.still_since_ns - evidence.begin_ns)
    sentence = (
        f"From {since} after its start nothing moved, until it {when} {format_ns(still_ns)} later: {listed(told)}."
    )
    orphan = next((wait for wait in stuck if _is_orphaned(evidence, moment, wait)), None)
    if orphan is not None:
        sentence += f" {_explain_orphan(evidence, orphan)}"
    yield Finding(diagnostic="hang", sentence=sentence, advice=_advise(stuck, orphan), weight_ns=still_ns)


def find_stuck(moment: LastMoment | None) -> list[FinalWait]:
    """The waits of all threads, those first for which others wait; none where one of them moved, or where anything
    outside the program may have been about to wake one."""
    if moment is None or moment.moving or moment.unwatched:
        return []
    waits = list(moment.waits.values())
    several = len({wait.pid for wait in waits}) > 1
    if any(wait.waits_elsewhere(has_processes=several) for wait in waits):
        return []
    return sorted(waits, key=lambda wait: (_rank(wait), wait.since_ns))


def _rank(wait: FinalWait) -> int:
    """What nobody ended comes first, then who waited for its thread, then who waited for its process."""
    return 3 if wait.kind == "child-wait" else 2 if wait.joins else 1 if wait.idle else 0


def _is_orphaned(evidence: Evidence, moment: LastMoment, wait: FinalWait) -> bool:
    """Whether it waits for a lock in a process whose only thread it is, forked beside other threads."""
    is_lock = wait.kind == "lock" and not wait.idle
    return is_lock and moment.alive_in(wait.pid) == 1 and threads_at_fork(evidence, wait.pid) > 1


def _explain_orphan(evidence: Evidence, wait: FinalWait) -> str:
    others = threads_at_fork(evidence, wait.pid) - 1
    return (
        f"No thread of {evidence.names.process(wait.pid)} can release that lock: it was forked beside "
        f"{plural(others, 'other thread')}, which do not exist in it, and its one thread is the one that waits."
    ).replace("1 other thread, which do not", "1 other thread, which does not")


def _advise(stuck: list[FinalWait], orphan: FinalWait | None) -> str:
    if orphan is not None:
        return (
            "start processes before threads, or by another start method: "
            '`multiprocessing.get_context("forkserver")` or `"spawn"`'
        )
    if any(wait.kind == "io-write" for wait in stuck):
        return (
            "read what is written there before waiting for its writer: of a `multiprocessing.Queue`, `get()` every "
            "item before `join()`"
        )
    return "record it again with `--capture waits,py-spy`: the stacks of the last samples name the callers"


DIAGNOSTIC = Diagnostic(
    name="hang",
    looks_for="When the program was asked to end (its `--duration`, a signal) or was killed, every thread of Python in "
    "it had been in one wait, for a lock, another thread, a child, or in a read or write; since when nothing moved.",
    silent="Where a thread slept, polled, accepted connections or read its standard input, or a process was not "
    "watched, it may have been about to go on. Who holds a lock is not recorded.",
    look=look,
)
