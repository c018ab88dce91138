"""Threads that were ready and had no CPU: other programs had them, or the program has more threads than CPUs."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.core.units import format_ns, percent, plural

_SHARE = 0.1
"""Of the wall: how long a thread has to be ready without a CPU."""
_COMPUTES = 0.05
"""Of the wall: a thread that was on a CPU for less had no part in it."""
_FULL = 0.9
"""Part of the CPUs from which on the program itself had them all."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """One finding, about the thread that lacked a CPU longest."""
    lacked = {(row["pid"], row["tid"]): evidence.lacked_cpu_ns(row["pid"], row["tid"]) for row in evidence.threads}
    if not lacked or evidence.cpu_ns is None:
        return
    place = max(lacked, key=lambda place: lacked[place][0])
    least_ns, _ = lacked[place]
    if least_ns < _SHARE * evidence.wall_ns:
        return
    busy = evidence.cpu_ns / evidence.wall_ns
    sentence = (
        f"For {format_ns(least_ns)} of {format_ns(evidence.wall_ns)} "
        f"({percent(least_ns / evidence.wall_ns)}) {evidence.thread(*place)} was ready and had no CPU"
    )
    kept = f"the program kept {busy:.2f} of {plural(evidence.cpus, 'CPU')} busy"
    again = "record it again on a machine that has nothing else to do: the other times are too long as well"
    if evidence.count_computing(_COMPUTES) <= evidence.cpus:
        sentence += f": {kept}, with no more threads that compute than CPUs, so others had them."
        advice = again
    elif busy < _FULL * evidence.cpus:
        sentence += f": {kept} on average."
        advice = f"{again}; where that changes nothing, start fewer threads and processes at once"
    else:
        sentence += f": {kept}."
        advice = (
            "start no more threads and processes that compute than there are CPUs; native libraries have their own "
            "threads in each process (`OMP_NUM_THREADS=1`)"
        )
    yield Finding(diagnostic="no-cpu", sentence=sentence, advice=advice, weight_ns=least_ns)


DIAGNOSTIC = Diagnostic(
    name="no-cpu",
    looks_for=f"A thread of Python was ready to run and had no CPU for {percent(_SHARE)} of the wall. Whether the "
    "program itself had them all, its CPU time tells.",
    silent="What lies inside of waits is not counted. More threads than CPUs need not cost anything but their turns.",
    look=look,
)
