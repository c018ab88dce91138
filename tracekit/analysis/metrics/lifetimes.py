"""The threads of each run and their lifetimes within the run window.

In a suite the threads that count are the workers: from the request that started one to its end. A worker process
counts with its main thread, serial with the main thread over the whole window. All other threads (main, the
executor's) have rows of their own and are in no sum: what they wait for is the workers. In a program every Python
thread counts, since it is not known which of them does the work. Threads that never touch the interpreter (role
`native`) do not count. In a program those beside a main thread (a pool of BLAS or OpenMP) have a ledger of their own.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from tracekit.analysis.tables import Tables
from tracekit.bundle.names import PROGRAM, SERIAL

KEYS = ["run_id", "pid", "tid"]
_COUNTED = ["cpu_ns", "run_queue_wait_ns", "voluntary_switches", "involuntary_switches"]
LIKELY = "likely_cpu_ns"
"""A column of `threads` that a window adds: of a thread that lived beyond it, the likely CPU time inside it."""
NATIVE = "native"
"""Role of a thread without a Python thread state."""


def compute_lifetimes(tables: Tables, usable: Collection[str]) -> pd.DataFrame:
    """One row per thread of the runs `usable`, sorted by run_id, pid, tid.

    run_id, pid, tid, role
    program         bool: the run is a recorded program
    native, counts  bool: without a thread state; in the sums of its run
    pool            bool: a native thread of a program beside a main thread
    opens, closes   the run window, CLOCK_MONOTONIC ns
    born, died      its lifetime cut to the window (Int64); missing where a stamp of a worker was not taken
    cpu_ns, run_queue_wait_ns, voluntary_switches, involuntary_switches   of its whole life, as recorded (Int64)
    created         of a thread of a program, and of a child that was forked: when it was asked for (Int64), else born;
                    it has waited for a CPU since then
    more_ns         int64: how much more than cpu_ns, a least, it is likely to have used in a window; 0 without one
    unread_ns       int64: how long it lived on after its cpu_ns was read, because it was killed; 0 where it was read
                    at its end
    """
    runs = tables.runs[["run_id", "model", "start_ns", "wall_ns"]].rename(columns={"start_ns": "opens"})
    runs = runs[runs["run_id"].isin(list(usable)) & runs["opens"].notna() & runs["wall_ns"].notna()]
    threads = _recorded_threads(tables).merge(runs, on="run_id")
    threads = threads.sort_values(KEYS, kind="stable", ignore_index=True)
    native = (threads["role"] == NATIVE).fillna(False).astype(bool)
    role, serial, program = threads["role"], threads["model"] == SERIAL, threads["model"] == PROGRAM
    alone = (serial & (role == "main")).fillna(False).astype(bool)
    counts = (alone | (role == "worker") | (program & ~native)).fillna(False).astype(bool)
    opens, closes = threads["opens"], threads["opens"] + threads["wall_ns"]
    asked = threads["spawn_requested_ns"].where(counts & ~program)
    born = asked.fillna(threads["start_ns"]).where(~alone, opens)
    died = threads["end_ns"].where(~alone, closes)
    # A worker without a stamp has no known lifetime. All other threads lived inside the window.
    strict = counts & ~program
    born = born.where(strict | born.notna(), opens)
    died = died.where(strict | died.notna(), closes)
    born = born.where(born.isna() | (born >= opens), opens)
    died = died.where(died.isna() | (died <= closes), closes)
    # A thread that began after the window, or ended before it, has a lifetime of 0 in it, not a negative one.
    born = born.where(born.isna() | (born <= closes), closes)
    died = died.where(died.isna() | born.isna() | (died >= born), born)
    frame = threads[[*KEYS, "role", *_COUNTED]]
    pool = native & program & (threads["tid"] != threads["pid"]).fillna(False).astype(bool)
    frame = frame.assign(program=program.to_numpy(bool), native=native, pool=pool, counts=counts)
    # The first thread of a new image has a clock that began with it.
    processes = tables.processes.drop_duplicates(["run_id", "pid"])
    forked = processes.loc[processes["exec_ns"].isna(), ["run_id", "pid", "spawn_requested_ns"]]
    by_fork = threads[["run_id", "pid"]].merge(forked, on=["run_id", "pid"], how="left")["spawn_requested_ns"]
    requested = threads["spawn_requested_ns"].fillna(by_fork.where(threads["tid"] == threads["pid"]))
    created = requested.where(requested.notna() & (requested >= opens) & (requested < born), born)
    unread = (died - threads["cpu_read_ns"]).clip(lower=0).fillna(0).astype("int64")
    likely = threads[LIKELY] if LIKELY in threads else threads["cpu_ns"]
    more = (likely - threads["cpu_ns"]).fillna(0).astype("int64")
    frame = frame.assign(unread_ns=unread, more_ns=more)
    return frame.assign(opens=opens, closes=closes, born=born, died=died, created=created)


def can_have_ledgers(threads: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows of the lifetimes table have both ends, and are of Python or in a pool."""
    ends = threads["born"].notna() & threads["died"].notna()
    return (ends & (~threads["native"] | threads["pool"])).to_numpy(bool)


def _recorded_threads(tables: Tables) -> pd.DataFrame:
    """The table `threads`, and threads that are in no other record than that of their waits."""
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
