"""One thread computes nearly all the time, and nothing else uses a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.core.units import format_ns, listed, percent, plural

_COMPUTES = 0.8
_OTHERS = 0.2
"""Of the wall: what the thread has to be on a CPU for, and what everything else may use at most."""
_LEAST_NS = 200_000_000
"""Less is mostly the start of the interpreter, and imports."""
_MOST_FUNCTIONS = 3


def look(evidence: Evidence) -> Iterator[Finding]:
    """One finding, or none."""
    on_cpu = {(row["pid"], row["tid"]): evidence.on_cpu_ns(row["pid"], row["tid"])[0] for row in evidence.threads}
    whole = evidence.cpu_ns
    if not on_cpu or whole is None or evidence.cpus < 2:
        return
    place = max(on_cpu, key=lambda place: on_cpu[place])
    own = on_cpu[place]
    if own < max(_COMPUTES * evidence.wall_ns, _LEAST_NS) or whole - own > _OTHERS * evidence.wall_ns:
        return
    least, most = ("at least ", "at most ") if evidence.on_cpu_ns(*place)[1] > own else ("", "")
    functions = _name_functions(evidence, *place)
    sentence = (
        f"One thread computed nearly all the time: {evidence.thread(*place)} was on a CPU for {least}{format_ns(own)} "
        f"of {format_ns(evidence.wall_ns)} ({percent(own / evidence.wall_ns)}), everything else for "
        f"{most}{format_ns(max(0, whole - own))}{functions}."
    )
    advice = (
        f"divide its work among processes (`concurrent.futures.ProcessPoolExecutor`): {plural(evidence.cpus, 'CPU')} "
        "can do it at once"
    )
    if not functions:
        advice = f"record it with `--capture waits,py-spy`, which says in which functions; then {advice}"
    saved = round(own * (1 - 1 / evidence.cpus))
    yield Finding(diagnostic="one-thread", sentence=sentence, advice=advice, weight_ns=saved)


def _name_functions(evidence: Evidence, pid: int, tid: int) -> str:
    """`, most of it in `f` (60 %) and `g` (20 %)`, where samples of its stack were taken."""
    samples = evidence.analysis.tables.samples
    own: Any = samples[
        (samples["run_id"] == evidence.run_id) & (samples["pid"] == pid) & (samples["tid"] == tid)
    ].dropna(subset=["leaf"])
    sums = own.groupby("leaf")["weight_ns"].sum().sort_values(ascending=False)
    if not len(sums) or not sums.sum():
        return ""
    named = [f"`{leaf}` ({percent(ns / sums.sum())})" for leaf, ns in sums.iloc[:_MOST_FUNCTIONS].items()]
    return f", by its samples in {listed(named)}"


DIAGNOSTIC = Diagnostic(
    name="one-thread",
    looks_for=f"One thread of Python was on a CPU for {percent(_COMPUTES)} of the wall, and all other threads and "
    f"processes together used at most {percent(_OTHERS)} of it; there are more CPUs. What could be won back is "
    "what all of them would save, if the work can be divided.",
    silent="Where the CPU time of a process is not known, others may have computed.",
    look=look,
)
