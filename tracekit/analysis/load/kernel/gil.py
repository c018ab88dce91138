"""The kernel's uprobes on take_gil and drop_gil to the tables `waits` and `holds`.

A take is a GIL wait when the thread blocked in it, that is, when a switch put it to sleep; a take that found the GIL
free, or was only preempted, is none. A drop in which it blocked is a forced switch: it waits until another thread has
taken the GIL. Both last from entry to return, so the time until a woken thread has a CPU is part of them. Being
preempted before the first sleep or after the last one is not: in a take, the thread has the GIL by then, and in a drop
the thread that it woke took its CPU. A take without return, of a daemon thread when the interpreter ends, lasts until
that thread ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.kernel.sched import RUNNABLE, RUNNING, switch_moments
from tracekit.analysis.load.kernel.thread_events import FOR_EVER, Array, Lives, Moments, along, last_before
from tracekit.analysis.load.kernel.trace import Trace
from tracekit.analysis.tables import COLUMNS

METHOD = "kernel-uprobe"
_TAKE, _TAKEN, _DROP, _DROPPED, _SLEPT, _PREEMPTED, _RAN = range(7)
_KINDS = {"take_gil entry": _TAKE, "take_gil return": _TAKEN, "drop_gil entry": _DROP, "drop_gil return": _DROPPED}
_WAIT_KINDS = ("gil", "gil-switch")


@dataclass(frozen=True, slots=True)
class _Calls:
    """Calls of one of the two functions, without preemption before and after: place of their threads in Lives, when,
    and whether the thread slept."""

    life: Array
    gil: Array
    """Place in _Gils."""
    start_ns: Array
    end_ns: Array
    """FOR_EVER when the function did not return and its thread was not seen to end."""
    slept: Array

    def only(self, chosen: Array) -> _Calls:
        parts = (self.life, self.gil, self.start_ns, self.end_ns, self.slept)
        return _Calls(*(part[chosen] for part in parts))


@dataclass(frozen=True, slots=True)
class _Gils:
    """The GILs of the run: `of` tells for each moment which one it is about, `number` counts them in their process."""

    of: Array
    number: Array


def gil_frames(trace: Trace, lives: Lives, run_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `waits` and `holds` of one run."""
    moments = _moments(trace, lives)
    gils = _gils(moments, lives)
    takes = _calls(moments, lives, gils, _TAKE, _TAKEN)
    drops = _calls(moments, lives, gils, _DROP, _DROPPED)
    waits = takes.only(takes.slept & (takes.end_ns < FOR_EVER))
    switches = drops.only(drops.slept & (drops.end_ns < FOR_EVER))
    return (
        _wait_frame(waits, switches, takes, lives, gils, run_id),
        _hold_frame(moments, takes, waits, lives, gils, run_id),
    )


def _moments(trace: Trace, lives: Lives) -> Moments:
    """Entries, returns and switches along each life."""
    parts: list[tuple[Array, Array, Array | int, Array | int]] = []
    for tids, ts_ns, states, _cpu in switch_moments(trace):
        what = np.where(states == RUNNING, _RAN, np.where(states == RUNNABLE, _PREEMPTED, _SLEPT))
        parts.append((tids, ts_ns, what, 0))
    for name, what_of in _KINDS.items():
        if kind := trace.kinds.get(name):
            parts.append((kind["common_pid"], kind["ts_ns"], what_of, kind["gil"]))
    return along(lives, parts)


def _gils(moments: Moments, lives: Lives) -> _Gils:
    """Since 3.12 a process may have several, one per subinterpreter. A drop is of the GIL that its thread took last;
    what comes before a thread's first take is of the process's first GIL."""
    takes = np.flatnonzero(moments.what == _TAKE)
    pids, process = np.unique(lives.pid[moments.life], return_inverse=True)
    addresses, address = np.unique(moments.value[takes], return_inverse=True)
    seen, gil = np.unique(process[takes] * len(addresses) + address, return_inverse=True)
    owner = seen // max(len(addresses), 1)
    first_ns = np.full(len(seen), FOR_EVER)
    np.minimum.at(first_ns, gil, moments.ts_ns[takes])
    order = np.lexsort((first_ns, owner))
    rank = np.arange(len(seen)) - np.searchsorted(owner[order], owner[order]) + 1
    number = np.ones(len(seen) + len(pids), dtype=np.int64)
    number[order] = rank
    # A process of which no take was seen has one GIL, too.
    of_process = len(seen) + np.arange(len(pids))
    of_process[owner[order][rank == 1]] = order[rank == 1]
    latest = last_before(moments.life[takes], takes, moments.life, np.arange(len(moments)))
    of = of_process[process]
    of[latest >= 0] = gil[latest[latest >= 0]]
    return _Gils(of=of, number=number)


def _calls(moments: Moments, lives: Lives, gils: _Gils, entry: int, leave: int) -> _Calls:
    """Calls of one function. Where the compiler made several functions of it, one call may be seen to be entered twice
    and left twice, without anything between: the first entry and the last return count."""
    places = np.flatnonzero(moments.what <= _DROPPED)
    life, what = moments.life[places], moments.what[places]
    again = (life[1:] == life[:-1]) & (what[1:] == what[:-1])
    enters = (what == _TAKE) | (what == _DROP)
    single = np.where(enters, ~np.append(False, again)[: len(what)], ~np.append(again, False)[: len(what)])
    places, life, what = places[single], life[single], what[single]
    starts = np.flatnonzero(what == entry)
    # Behind the last one, a life that nobody has.
    follows = np.append(life, -1)[starts + 1] == life[starts]
    returned = follows & (np.append(what, -1)[starts + 1] == leave)
    # A call that is followed by something else lost its return with other events; a thread's last may have had none.
    kept = returned | ~follows
    starts, returned = starts[kept], returned[kept]
    stop = np.append(places, -1)[starts + 1]
    behind = np.searchsorted(moments.life, life[starts], side="right")
    return _trimmed(moments, lives, gils, places[starts], np.where(returned, stop, behind), returned)


def _trimmed(moments: Moments, lives: Lives, gils: _Gils, begin: Array, stop: Array, returned: Array) -> _Calls:
    """The calls from moment `begin` up to before `stop`; those that did not return last until their thread's end."""
    sleeps, runs = np.flatnonzero(moments.what == _SLEPT), np.flatnonzero(moments.what == _RAN)
    nothing = len(moments)
    first = np.append(sleeps, nothing)[np.searchsorted(sleeps, begin)]
    slept = first < stop
    final = np.append(sleeps, nothing)[np.searchsorted(sleeps, stop) - 1]
    woken = np.append(runs, nothing)[np.searchsorted(runs, final)]
    times = np.append(moments.ts_ns, 0)
    # How often any thread was preempted before each moment: of one life, the difference between two moments counts.
    preempted = np.append(0, np.cumsum(moments.what == _PREEMPTED))
    late = slept & (preempted[first] > preempted[begin])
    early = slept & returned & (woken < stop) & (preempted[stop] > preempted[np.minimum(woken, stop)])
    life = moments.life[begin]
    end_ns = np.where(returned, times[stop], lives.ended_ns[life])
    return _Calls(
        life=life,
        gil=gils.of[begin],
        start_ns=np.where(late, times[first], times[begin]),
        end_ns=np.where(early, times[woken], end_ns),
        slept=slept,
    )


def _wait_frame(waits: _Calls, switches: _Calls, takes: _Calls, lives: Lives, gils: _Gils, run_id: str) -> pd.DataFrame:
    life = np.concatenate([waits.life, switches.life])
    start_ns = np.concatenate([waits.start_ns, switches.start_ns])
    holders = np.concatenate([_holders(waits, takes, lives), np.full(len(switches.life), -1)])
    end_ns = np.concatenate([waits.end_ns, switches.end_ns])
    gil = np.concatenate([waits.gil, switches.gil])
    codes = np.repeat(np.arange(2, dtype=np.int8), [len(waits.life), len(switches.life)])
    order = np.lexsort((start_ns, life))
    columns: dict[str, Any] = {
        **_place(life[order], lives, run_id),
        "object": _names(gils.number[gil[order]]),
        "kind": pd.Categorical.from_codes(codes[order], pd.Index(list(_WAIT_KINDS), dtype="str")),
        "start_ns": start_ns[order],
        "dur_ns": (end_ns - start_ns)[order],
        "holder_tid": pd.arrays.IntegerArray(holders[order], holders[order] < 0),
    }
    return _frame("waits", columns)


def _holders(waits: _Calls, takes: _Calls, lives: Lives) -> Array:
    """Who had the GIL when each wait began, as thread ids; -1 where it is not known.

    The last to return from take_gil for the same GIL. When that was the waiting thread itself, the GIL went to the next
    to return: it has it already, but was not seen to return yet.
    """
    order = np.lexsort((takes.end_ns, takes.gil))
    order = order[takes.end_ns[order] < FOR_EVER]
    gil, tid = takes.gil[order], lives.tid[takes.life[order]]
    mine = lives.tid[waits.life]
    last = last_before(gil, takes.end_ns[order], waits.gil, waits.start_ns)
    holder = _at(tid, last)
    after = last + 1
    there = (last >= 0) & (_at(gil, after) == waits.gil)
    following = np.where(there, _at(tid, after), -1)
    holder = np.where(holder == mine, following, holder)
    found: Array = np.where(holder == mine, -1, holder)
    return found


def _at(values: Array, places: Array) -> Array:
    """The values there; -1 for places outside."""
    inside = (places >= 0) & (places < len(values))
    found = np.full(len(places), -1, dtype=np.int64)
    found[inside] = values[places[inside]]
    return found


def _hold_frame(moments: Moments, takes: _Calls, waits: _Calls, lives: Lives, gils: _Gils, run_id: str) -> pd.DataFrame:
    """Each hold that ended while another thread waited for the same GIL: from its take to the entry of drop."""
    is_turn = (moments.what == _TAKEN) | (moments.what == _DROP)
    turns, gil = moments.only(is_turn), gils.of[is_turn]
    take = last_before(takes.life, takes.end_ns, turns.life, turns.ts_ns)
    # A drop without a take since the drop before: of a forked child's first thread, or its take was lost.
    known = turns.follows() & (np.roll(turns.what, 1) == _TAKEN) & (take >= 0)
    since = _at(takes.end_ns, take)
    waiting = _counted(waits.gil, waits.start_ns, gil, turns.ts_ns)
    waiting -= _counted(waits.gil, waits.end_ns, gil, turns.ts_ns)
    chosen = (turns.what == _DROP) & (waiting > 0)
    columns: dict[str, Any] = {
        **_place(turns.life[chosen], lives, run_id),
        "object": _names(gils.number[gil[chosen]]),
        "start_ns": pd.arrays.IntegerArray(since[chosen], ~known[chosen]),
        "end_ns": turns.ts_ns[chosen],
    }
    return _frame("holds", columns)


def _counted(group: Array, at: Array, asked_group: Array, asked_at: Array) -> Array:
    """How many of `at` in its group are not later, for each question."""
    order = np.lexsort((at, group))
    group, at = group[order], at[order]
    last = last_before(group, at, asked_group, asked_at)
    counts: Array = np.where(last >= 0, last - np.searchsorted(group, asked_group) + 1, 0)
    return counts


def _place(life: Array, lives: Lives, run_id: str) -> dict[str, Any]:
    return {
        "run_id": _constant(run_id, len(life)),
        "pid": lives.pid[life],
        "tid": lives.tid[life],
        "function": _constant(None, len(life)),
        "file": _constant(None, len(life)),
        "line": pd.arrays.IntegerArray(np.zeros(len(life), dtype=np.int64), np.ones(len(life), dtype=bool)),
        "method": _constant(METHOD, len(life)),
    }


def _names(numbers: Array) -> pd.Categorical:
    """`gil 1`, `gil 2`, as the wait probe's rows have it: an address says nothing."""
    names = [f"gil {number}" for number in range(1, int(numbers.max(initial=0)) + 1)]
    return pd.Categorical.from_codes(numbers - 1, pd.Index(names, dtype="str"))


def _constant(text: str | None, length: int) -> pd.Categorical:
    """A text column of one value; None: all are missing."""
    code = -1 if text is None else 0
    texts = [] if text is None else [text]
    return pd.Categorical.from_codes(np.full(length, code, dtype=np.int8), pd.Index(texts, dtype="str"))


def _frame(table: str, columns: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({name: columns[name] for name in COLUMNS[table]}, copy=False)
