"""The names of the processes and threads of one run in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tracekit.analysis.metrics.names import MAIN, MAIN_THREAD, process_name, processes_of, thread_names, threads_of
from tracekit.analysis.tables import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`processes` by pid, `threads` by (pid, tid); thread names begin with the process where they would be equal."""

    processes: Mapping[int, str]
    threads: Mapping[tuple[int, int], str]
    functions: Mapping[tuple[int, int], str]
    """The function in which each thread held the GIL or waited for it longest."""

    def process(self, pid: int) -> str:
        """`main`, `worker 2`, `process 4711`."""
        return self.processes.get(pid, f"process {pid}")

    def thread(self, pid: int | None, tid: int | None) -> str:
        """`worker 2`, `main thread`, `thread 4712`."""
        if tid is None:
            return "not known"
        return self.threads.get((pid or 0, tid), f"thread {tid}")


def names_of(tables: Tables, run_id: str) -> Names:
    """The names of all processes and threads of the run."""
    processes = processes_of(tables, run_id)
    called = {pid: process_name(row) for pid, row in processes.items()}
    return Names(
        processes=called,
        threads=_threads(thread_names(threads_of(tables, run_id), processes), called),
        functions=_functions(tables, run_id),
    )


def _threads(own: Mapping[tuple[int, int], str], called: Mapping[int, str]) -> dict[tuple[int, int], str]:
    names = {}
    for (pid, tid), name in own.items():
        process = called.get(pid, f"process {pid}")
        # A name that ends in the id is unique.
        if process in (MAIN, name) or name.endswith(f" {tid}"):
            names[pid, tid] = name
        else:
            names[pid, tid] = process if name == MAIN_THREAD else f"{process} · {name}"
    return names


def _functions(tables: Tables, run_id: str) -> dict[tuple[int, int], str]:
    waits = tables.waits[(tables.waits["run_id"] == run_id) & (tables.waits["kind"] == "gil")]
    holds = tables.holds[tables.holds["run_id"] == run_id]
    seen = pd.concat(
        [
            _sites(waits).assign(ns=waits["dur_ns"].astype("float64")),
            _sites(holds).assign(ns=(holds["end_ns"] - holds["start_ns"]).astype("float64")),
        ]
    ).dropna(subset=["function"])
    sums = seen.groupby(["pid", "tid", "function"], observed=True)["ns"].sum().sort_values(ascending=False)
    found: dict[tuple[int, int], str] = {}
    for place in sums.index.tolist():
        pid, tid, function = place
        found.setdefault((int(pid), int(tid)), str(function))
    return found


def _sites(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a wait or hold that name its place, text as text (it comes as categories)."""
    return frame[["pid", "tid", "function"]].astype({"function": "str"})
