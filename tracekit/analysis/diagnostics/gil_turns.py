"""Threads that compute in Python take turns: together they are as fast as one."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.diagnostics.gil_convoy import COMPUTES, HAND_OUT, SMALL_PIECES, find_waiters
from tracekit.core.units import format_ns, listed, plural

_LEAST_SHARE = 0.1
"""Part of the wall that a thread has to compute to count."""
_MOST_NAMED = 4


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per process."""
    waited: dict[int, dict[int, int]] = {}
    for pid, tid, ns in find_waiters(evidence):
        on_cpu, _ = evidence.on_cpu_ns(pid, tid)
        if on_cpu > COMPUTES * ns and on_cpu >= _LEAST_SHARE * evidence.wall_ns:
            waited.setdefault(pid, {})[tid] = ns
    for pid, of_process in waited.items():
        if len(of_process) > 1:
            yield _describe(evidence, pid, of_process)


def _describe(evidence: Evidence, pid: int, waited: dict[int, int]) -> Finding:
    """`waited`: by thread that computes, how long it waited for the GIL."""
    used = {tid: evidence.on_cpu_ns(pid, tid)[0] for tid in waited}
    least = "at least " if any(evidence.on_cpu_ns(pid, tid)[1] > ns for tid, ns in used.items()) else ""
    most = sorted(waited, key=lambda tid: -used[tid])
    named = [f"{evidence.thread(pid, tid)} {format_ns(used[tid])}" for tid in most[:_MOST_NAMED]]
    named += [f"{plural(len(most) - _MOST_NAMED, 'other')} less"] if len(most) > _MOST_NAMED else []
    waited_ns = sum(waited.values())
    hand_out = all(evidence.thread(pid, tid).endswith(HAND_OUT) for tid in waited)
    what = "that hand out and collect the work of processes" if hand_out else "computed in Python and"
    sentence = (
        f"{plural(len(waited), 'thread')} of {evidence.names.process(pid)} {what} took turns: they "
        f"used {least}{format_ns(sum(used.values()))} of CPU time ({listed(named)}) and waited "
        f"{format_ns(waited_ns)} for the GIL."
    )
    at_once = min(len(waited), evidence.cpus)
    saved = min(max(waited.values()), round(sum(used.values()) * (1 - 1 / at_once)))
    advice = (
        f"run them as processes (`concurrent.futures.ProcessPoolExecutor`), {at_once} at once on these CPUs; whether "
        "that pays for work like yours `tracekit run module:function` measures"
    )
    if hand_out:
        advice = SMALL_PIECES
    return Finding(diagnostic="gil-turns", sentence=sentence, advice=advice, weight_ns=saved)


DIAGNOSTIC = Diagnostic(
    name="gil-turns",
    looks_for="Two threads of one process or more each computed for a tenth of the wall, waited for the GIL while "
    "another one had it, and gave it up when they were asked to. What could be won back is what they would save on the "
    "CPUs that there are.",
    silent="On one CPU processes would take turns as well. What they would have to send to each other is not known.",
    look=look,
)
