"""Events of the kernel's trace put in order along each thread's life: what both switches and GIL events need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tracekit.analysis.load.kernel.lineage import Process

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

FOR_EVER = 2**62


@dataclass(frozen=True, slots=True)
class Lives:
    """Every thread's life, as equally long arrays; one that was not seen to end ends FOR_EVER."""

    tid: Array
    pid: Array
    born_ns: Array
    ended_ns: Array

    @classmethod
    def of(cls, processes: Sequence[Process]) -> Lives:
        lives = [life for process in processes for life in process.lives]
        ends = [FOR_EVER if life.ended_ns is None else life.ended_ns for life in lives]
        columns = ([life.tid for life in lives], [life.pid for life in lives], [life.born_ns for life in lives], ends)
        return cls(*(np.array(column, dtype=np.int64) for column in columns))


@dataclass(frozen=True, slots=True)
class Moments:
    """What happened to the threads, sorted by life and time. `life` is a place in Lives, `value` what `what` needs."""

    life: Array
    ts_ns: Array
    what: Array
    value: Array

    def __len__(self) -> int:
        return len(self.life)

    def only(self, chosen: Array) -> Moments:
        """The chosen ones, in the same order."""
        return Moments(self.life[chosen], self.ts_ns[chosen], self.what[chosen], self.value[chosen])

    def follows(self) -> Array:
        """Which moments have one of the same life before them."""
        found = np.zeros(len(self), dtype=bool)
        found[1:] = self.life[1:] == self.life[:-1]
        return found


def along(lives: Lives, parts: Sequence[tuple[Array, Array, Array | int, Array | int]]) -> Moments:
    """(thread id, time, what, value) of any order as moments; those of no thread of the run are left out."""
    tid = np.concatenate([part[0] for part in parts])
    ts_ns = np.concatenate([part[1] for part in parts])
    what = np.concatenate([np.broadcast_to(part[2], len(part[0])) for part in parts])
    value = np.concatenate([np.broadcast_to(part[3], len(part[0])) for part in parts])
    ours = np.isin(tid, lives.tid)
    tid, ts_ns, what, value = tid[ours], ts_ns[ours], what[ours], value[ours]
    life = last_before(lives.tid, lives.born_ns, tid, ts_ns)
    within = np.flatnonzero(life >= 0)
    within = within[ts_ns[within] <= lives.ended_ns[life[within]]]
    order = within[np.lexsort((ts_ns[within], life[within]))]
    return Moments(life[order], ts_ns[order], what[order], value[order])


def last_before(group: Array, at: Array, asked_group: Array, asked_at: Array) -> Array:
    """For each question the place of the last of `at` that is in its group and not later; -1 where there is none."""
    known = len(group)
    groups, times = np.concatenate([group, asked_group]), np.concatenate([at, asked_at])
    is_question = np.arange(len(groups)) >= known
    order = np.lexsort((is_question, times, groups))
    latest = np.maximum.accumulate(np.where(order < known, np.arange(len(order)), -1))
    found = np.full(len(asked_group), -1, dtype=np.int64)
    place = np.where(latest >= 0, order[latest], -1)
    questions = order >= known
    found[order[questions] - known] = place[questions]
    if known:
        found[(found >= 0) & (group[found] != asked_group)] = -1
    return found
