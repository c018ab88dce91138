"""A thread that mostly reads and writes: files, sockets, pipes."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.final_waits import STDIN, find_last_moment
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.diagnostics.hang import find_stuck
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, percent, plural

_SHARE = 0.2
"""Of the wall: how long a thread has to be in reads and writes."""
_BETWEEN_PROCESSES = ("multiprocessing/connection.py", "billiard/connection.py")
"""Files whose writes go to another process of the program."""
_SMALL_NS = 1_000_000
"""A write to another process that is shorter has little to send."""
_LONG = 0.5
"""Of its life: a thread beside the main one that is in one read for so long waits for work."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """One finding, about the thread that was in reads and writes longest."""
    if find_stuck(find_last_moment(evidence)):
        return
    waits, main = evidence.waits, evidence.main.get("pid")
    of_main = (waits["pid"] == main) & (waits["tid"] == main)
    # What is written to a process that starts is said by start-data.
    starts = waits["file"].astype("str").str.contains("multiprocessing/popen_", regex=False).fillna(False)
    is_io = ~starts & waits["kind"].isin(("io-read", "io-write")) & ~waits["idle"] & (waits["object"] != STDIN)
    to_process = waits["file"].astype("str").str.endswith(_BETWEEN_PROCESSES).fillna(False)
    # A thread that hands out work is in a write for as long as the others have enough of it.
    is_io &= ~(to_process & (waits["kind"] == "io-write") & (waits["tid"] != waits["pid"]))
    waits = waits[(is_io & (of_main | (waits["life"] < _LONG))).to_numpy(bool)].astype(
        {"function": "str", "file": "str"}
    )
    sums = records(waits.groupby(["pid", "tid"])["dur_ns"].agg(["sum", "size"]).reset_index().nlargest(99, "sum"))
    if not sums or sums[0]["sum"] < _SHARE * evidence.wall_ns:
        return
    most, others = sums[0], [row["sum"] for row in sums[1:] if row["sum"] >= _SHARE * evidence.wall_ns]
    own = waits[((waits["pid"] == most["pid"]) & (waits["tid"] == most["tid"])).to_numpy(bool)]
    sites = own.groupby(["kind", "function", "file"], dropna=False, observed=True)["dur_ns"].sum().reset_index()
    (site,) = records(sites.nlargest(1, "dur_ns"))
    what = "reads" if site["kind"] == "io-read" else "writes"
    share = percent(most["sum"] / evidence.wall_ns)
    sentence = (
        f"For {format_ns(most['sum'])} of {format_ns(evidence.wall_ns)} ({share}) "
        f"{evidence.thread(most['pid'], most['tid'])} was in reads and writes, {plural(most['size'], 'time')}: "
        f"{format_ns(site['dur_ns'])} of that in {what}{evidence.site(site['function'], site['file'])}."
    )
    if others:
        were = "was" if len(others) == 1 else "were"
        sentence += f" So {were} {plural(len(others), 'other thread')}, for {format_ns(sum(others))} in all."
    advice = _advise(str(site["file"]), most["sum"], most["size"], bool(others))
    yield Finding(diagnostic="io-bound", sentence=sentence, advice=advice, weight_ns=most["sum"])


def _advise(file: str, ns: int, count: int, at_once: bool) -> str:
    if file.endswith(_BETWEEN_PROCESSES) and ns < _SMALL_NS * count:
        return "give out bigger pieces of work (`chunksize=`): each of these sends something small"
    if file.endswith(_BETWEEN_PROCESSES):
        return (
            "send less to the other process: the name of the data, a part of the result, or "
            "`multiprocessing.shared_memory`"
        )
    if at_once:
        return "let more be under way at once, as far as what answers can take it; or find out why it answers so late"
    if count > 1:
        return (
            "let several be under way at once, in threads (`concurrent.futures.ThreadPoolExecutor`: a read releases "
            "the GIL) or with asyncio"
        )
    return "find out what answers so late, or do something else meanwhile"


DIAGNOSTIC = Diagnostic(
    name="io-bound",
    looks_for="One thread was in blocking reads and writes of files, sockets or pipes for "
    f"{percent(_SHARE)} of the wall.",
    silent="Reads in the standard library's queues and the like wait for work, as does a thread beside the main one "
    "that is in one read for half of its life, and a read of the standard input. A thread that hands out work to other "
    "processes waits in a write until they take more. What lies behind a descriptor is not "
    "recorded.",
    look=look,
)
