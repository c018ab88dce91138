"""Puts the events of the kernel's trace in order along each thread's lifetime, for context switches and GIL events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracekit.analysis.load.kernel.lineage import KernelProcess

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

NO_END = 2**62
"""`ended_ns` of a thread whose end is not in the trace."""


@dataclass(frozen=True, slots=True)
class ThreadLifetimes:
    """The lifetimes of all threads as equally long int64 arrays; `ended_ns` is NO_END where no end was recorded."""

    tid: Array
    pid: Array
    born_ns: Array
    ended_ns: Array

    @classmethod
    def from_processes(cls, processes: Sequence[KernelProcess]) -> ThreadLifetimes:
        """The lifetimes of these processes' threads, process by process."""
        threads = [thread for process in processes for thread in process.threads]
        rows = [
            (thread.tid, thread.pid, thread.born_ns, NO_END if thread.ended_ns is None else thread.ended_ns)
            for thread in threads
        ]
        table = np.array(rows, dtype=np.int64).reshape(len(rows), 4)
        return cls(*table.T)


@dataclass(frozen=True, slots=True)
class ThreadEvents:
    """The events of all threads as equally long int64 arrays, sorted by thread and time.

    `thread` is an index into ThreadLifetimes, `what` the caller's code for the kind of event, `value` its one argument.
    """

    thread: Array
    ts_ns: Array
    what: Array
    value: Array

    def __len__(self) -> int:
        return len(self.thread)

    def select(self, chosen: Array) -> ThreadEvents:
        """The events that a mask or an array of indexes chooses, in the same order."""
        return ThreadEvents(self.thread[chosen], self.ts_ns[chosen], self.what[chosen], self.value[chosen])

    def follows(self) -> Array:
        """A mask of the events that have an event of the same thread before them."""
        found = np.zeros(len(self), dtype=bool)
        found[1:] = self.thread[1:] == self.thread[:-1]
        return found


def order_by_thread(
    lifetimes: ThreadLifetimes, parts: Sequence[tuple[Array, Array, Array | int, Array | int]]
) -> ThreadEvents:
    """Sort parts (thread ids, ns, what, value), each of any order; events outside every lifetime are left out."""
    tid = np.concatenate([part[0] for part in parts])
    ts_ns = np.concatenate([part[1] for part in parts])
    what = np.concatenate([np.broadcast_to(part[2], len(part[0])) for part in parts])
    value = np.concatenate([np.broadcast_to(part[3], len(part[0])) for part in parts])
    ours = np.isin(tid, lifetimes.tid)
    tid, ts_ns, what, value = tid[ours], ts_ns[ours], what[ours], value[ours]
    thread = find_last_before(lifetimes.tid, lifetimes.born_ns, tid, ts_ns)
    within = np.flatnonzero(thread >= 0)
    within = within[ts_ns[within] <= lifetimes.ended_ns[thread[within]]]
    order = within[np.lexsort((ts_ns[within], thread[within]))]
    return ThreadEvents(thread[order], ts_ns[order], what[order], value[order])


def find_last_before(group: Array, at: Array, query_group: Array, query_at: Array) -> Array:
    """For each query, the index of the last element of `at` in the query's group that is not later; -1 without any.

    `group` and `at` are int64 of one length, the queries' arrays of another.
    """
    known = len(group)
    groups, times = np.concatenate([group, query_group]), np.concatenate([at, query_at])
    is_query = np.arange(len(groups)) >= known
    order = np.lexsort((is_query, times, groups))
    latest = np.maximum.accumulate(np.where(order < known, np.arange(len(order)), -1))
    found = np.full(len(query_group), -1, dtype=np.int64)
    place = np.where(latest >= 0, order[latest], -1)
    queries = order >= known
    found[order[queries] - known] = place[queries]
    if known:
        found[(found >= 0) & (group[found] != query_group)] = -1
    return found
