"""Starting processes takes long because of what they are handed: it goes to them through a pipe."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns, plural

_LAUNCHES = ("multiprocessing/popen_spawn_posix.py", "multiprocessing/popen_forkserver.py")
"""Files whose writes go to a process that starts."""


def look(evidence: Evidence) -> Iterator[Finding]:
    """A finding per thread that starts processes."""
    waits = evidence.waits
    ends = tuple(f"/{name}" for name in _LAUNCHES)
    to_child = (waits["kind"] == "io-write") & waits["file"].astype("str").str.endswith(ends).fillna(False)
    own = waits[to_child.to_numpy(bool)].astype({"function": "str", "file": "str"})
    sums = own.groupby(["pid", "tid", "function", "file"])["dur_ns"].agg(["sum", "size"]).reset_index()
    for row in records(sums):
        where = evidence.site(row["function"], row["file"])
        sentence = (
            f"While {evidence.thread(row['pid'], row['tid'])} started processes it waited "
            f"{format_ns(row['sum'])} in {plural(row['size'], 'write')}{where}: what each of them is handed is pickled "
            "and goes to it through a pipe."
        )
        advice = (
            "hand them the name of the data, and let each load or make its own; or use `multiprocessing.shared_memory`"
        )
        yield Finding(diagnostic="start-data", sentence=sentence, advice=advice, weight_ns=row["sum"])


DIAGNOSTIC = Diagnostic(
    name="start-data",
    looks_for="A thread that starts processes by spawn or forkserver waits in the write with which it hands them their "
    "function and arguments.",
    silent="The time to pickle them, before, and to unpickle them, in the new process, is CPU time that is not told "
    "apart. By fork nothing is handed over.",
    look=look,
)
