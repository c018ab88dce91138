"""The threads of each run with their lives inside the run window: whose time it is that has to go somewhere.

In a suite the threads that count are the workers: from the request that started one to its end. A worker process
counts with its main thread, serial with the main thread over the whole window. All other threads (main, the
executor's) have rows of their own and are in no sum: what they wait for is the workers. In a program every Python
thread counts, since nobody knows which of them does the work; threads that never touch the interpreter do not:
they are `native`, and only what the kernel counts (switches, run-queue wait) is told of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.cells.cell_runs import usable_runs
from tracekit.analysis.metrics.once import once
from tracekit.analysis.tables import Tables
from tracekit.bundle.names import PROGRAM, SERIAL

KEYS = ["run_id", "pid", "tid"]
_COUNTED = ["cpu_ns", "run_queue_wait_ns", "voluntary_switches", "involuntary_switches"]
NATIVE = "native"
"""Role of a thread without a Python thread state."""


@once
def lives(tables: Tables) -> pd.DataFrame:
    """One row per thread of a usable run, sorted by run_id, pid, tid.

    KEYS; `role`; `program`: whether the run is one; `native`; `counts`: whether it is in its run's sums; `opens`,
    `closes`: the run window; `born`, `died`: its life cut to that, missing where a stamp of a worker was not taken; and
    what was counted of its whole life, as recorded.
    """
    runs = tables.runs[["run_id", "model", "start_ns", "wall_ns"]].rename(columns={"start_ns": "opens"})
    usable = {run["run_id"] for run in usable_runs(tables)}
    runs = runs[runs["run_id"].isin(usable) & runs["opens"].notna() & runs["wall_ns"].notna()]
    threads = _known(tables).merge(runs, on="run_id")
    threads = threads.sort_values(KEYS, kind="stable", ignore_index=True)
    native = (threads["role"] == NATIVE).fillna(False).astype(bool)
    role, serial, program = threads["role"], threads["model"] == SERIAL, threads["model"] == PROGRAM
    alone = (serial & (role == "main")).fillna(False).astype(bool)
    counts = (alone | (role == "worker") | (program & ~native)).fillna(False).astype(bool)
    opens, closes = threads["opens"], threads["opens"] + threads["wall_ns"]
    asked = threads["spawn_requested_ns"].where(counts & ~program)
    born = asked.fillna(threads["start_ns"]).where(~alone, opens)
    died = threads["end_ns"].where(~alone, closes)
    # A worker without a stamp has no known life. Whatever else lived, lived inside the window.
    strict = counts & ~program
    born = born.where(strict | born.notna(), opens)
    died = died.where(strict | died.notna(), closes)
    born = born.where(born.isna() | (born >= opens), opens)
    died = died.where(died.isna() | (died <= closes), closes)
    # Who began when the window was over, or had ended before it, has no life in it, and none of less than nothing.
    born = born.where(born.isna() | (born <= closes), closes)
    died = died.where(died.isna() | born.isna() | (died >= born), born)
    frame = threads[[*KEYS, "role", *_COUNTED]]
    return frame.assign(
        program=program.to_numpy(bool), native=native, counts=counts, opens=opens, closes=closes, born=born, died=died
    )


def known(threads: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of `lives` have both ends."""
    return (threads["born"].notna() & threads["died"].notna()).to_numpy(bool)


def _known(tables: Tables) -> pd.DataFrame:
    """The table `threads` and whoever else waited: a thread that is in no other record."""
    threads = tables.threads
    if not len(tables.waits):
        return threads
    ended = tables.processes.drop_duplicates(["run_id", "pid"])[["run_id", "pid", "exit_ns"]]
    waiting = tables.waits[KEYS].drop_duplicates().astype(dict(threads.dtypes[KEYS]))
    waiting = waiting.merge(threads[KEYS].drop_duplicates(), on=KEYS, how="left", indicator=True)
    others = waiting.loc[waiting["_merge"] == "left_only", KEYS]
    if len(others):
        others = others.merge(ended, on=["run_id", "pid"], how="left").rename(columns={"exit_ns": "end_ns"})
        threads = pd.concat([threads, others.reindex(columns=threads.columns).astype(threads.dtypes)])
    return threads
