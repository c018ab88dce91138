"""Threads whose work is mostly sleep: they take an item, sleep, and take the next one."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, percent, plural

_SHARE = 0.2
"""Of the wall: how long a thread has to sleep."""
_LEAST_SLEEPS = 10
_WORK_BETWEEN = 0.5
"""Waits for work per sleep: a thread that only sleeps is a ticker."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """One finding, about the thread that slept longest."""
    waits = evidence.waits
    # An event loop that sleeps is said by event-loop.
    of_loop = waits["file"].astype("str").str.endswith("selectors.py").fillna(False)
    own = waits.assign(
        sleeps=(waits["kind"] == "sleep") & waits["function"].notna(),
        takes=(waits["idle"] | (waits["kind"] == "poll")) & ~of_loop,
    ).astype({"function": "str", "file": "str"})
    own["ns"] = own["dur_ns"].where(own["sleeps"], 0)
    sums = own.groupby(["pid", "tid"])[["sleeps", "takes", "ns"]].sum().reset_index()
    sums = sums[
        (sums["sleeps"] >= _LEAST_SLEEPS)
        & (sums["takes"] >= _WORK_BETWEEN * sums["sleeps"])
        & (sums["ns"] >= _SHARE * evidence.wall_ns)
    ]
    threads = records(sums.sort_values("ns", ascending=False))
    if not threads:
        return
    most, others = threads[0], threads[1:]
    asleep = own[(own["sleeps"] & (own["pid"] == most["pid"]) & (own["tid"] == most["tid"])).to_numpy(bool)]
    sites = asleep.groupby(["function", "file"])["dur_ns"].sum().reset_index()
    (site,) = records(sites.nlargest(1, "dur_ns"))
    sentence = (
        f"Between waits for work {evidence.thread(most['pid'], most['tid'])} slept for {format_ns(most['ns'])} of "
        f"{format_ns(evidence.wall_ns)} ({percent(most['ns'] / evidence.wall_ns)}), "
        f"{plural(int(most['sleeps']), 'time')}: {format_ns(site['dur_ns'])} of that"
        f"{evidence.site(site['function'], site['file'])}."
    )
    if others:
        sentence += f" So did {plural(len(others), 'other thread')}, for {format_ns(sum(row['ns'] for row in others))}."
    advice = (
        "let what it sleeps for wake it (`threading.Event`, a read that blocks, a callback), or have more threads: a "
        "sleep takes a thread but no CPU"
    )
    yield Finding(diagnostic="sleeping-work", sentence=sentence, advice=advice, weight_ns=int(most["ns"]))


DIAGNOSTIC = Diagnostic(
    name="sleeping-work",
    looks_for=f"A thread slept at least {_LEAST_SLEEPS} times, for {percent(_SHARE)} of the wall, and between these "
    "sleeps it waited for work or polled.",
    silent="A thread that sleeps and never waits for work is a ticker, or its work never ran out: of it nothing is "
    "said. What a sleep stands for is not recorded.",
    look=look,
)
