"""The kernel's uprobes on CPython's take_gil and drop_gil to the tables `waits` and `holds`.

A call of take_gil is a GIL wait when the thread blocked in it, that is, when a context switch put it to sleep. One that
found the GIL free, or was only preempted, is not. A call of drop_gil in which the thread blocked is a forced switch
(gil-switch): it waits until another thread has taken the GIL.

Both waits last from entry to return, so they include the run-queue wait of a thread that was woken. Preemption before
the first sleep or after the last one is left out: in a take the thread has the GIL by then, and in a drop the thread
that it woke took its CPU. A take without return, as at interpreter exit, lasts until its thread ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tracekit.analysis.load.kernel.sched import RUNNABLE, RUNNING, list_switches
from tracekit.analysis.load.kernel.thread_events import (
    NO_END,
    Array,
    ThreadEvents,
    ThreadLifetimes,
    find_last_before,
    order_by_thread,
)
from tracekit.analysis.load.kernel.trace import KernelTrace
from tracekit.analysis.tables import COLUMNS, KERNEL_UPROBE

_TAKE, _TAKEN, _DROP, _DROPPED, _SLEPT, _PREEMPTED, _RAN = range(7)
_KINDS = {"take_gil entry": _TAKE, "take_gil return": _TAKEN, "drop_gil entry": _DROP, "drop_gil return": _DROPPED}
_WAIT_KINDS = ("gil", "gil-switch")


@dataclass(frozen=True, slots=True)
class _Calls:
    """Calls of take_gil or of drop_gil, as equally long arrays (int64, `slept` bool), sorted by thread and time.

    Preemption before the first sleep and after the last one is left out of the times.
    """

    thread: Array
    """Index into ThreadLifetimes."""
    gil: Array
    """Index into _Gils.number."""
    start_ns: Array
    end_ns: Array
    """NO_END when the function did not return and the thread's end is not in the trace."""
    slept: Array
    entry_ns: Array
    """When the function was entered."""

    def select(self, chosen: Array) -> _Calls:
        parts = (self.thread, self.gil, self.start_ns, self.end_ns, self.slept, self.entry_ns)
        return _Calls(*(part[chosen] for part in parts))


@dataclass(frozen=True, slots=True)
class _Gils:
    """The GILs of the run. Since 3.12 a process may have several, one per subinterpreter."""

    of: Array
    """For each event of ThreadEvents, the index of its GIL."""
    number: Array
    """For each GIL, its number within its process, from 1 in order of the first take."""


def make_gil_tables(trace: KernelTrace, lifetimes: ThreadLifetimes, run_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the rows of `waits` and `holds` of one run."""
    events = _list_events(trace, lifetimes)
    gils = _number_gils(events, lifetimes)
    takes = _pair_calls(events, lifetimes, gils, _TAKE, _TAKEN)
    drops = _pair_calls(events, lifetimes, gils, _DROP, _DROPPED)
    waits = takes.select(takes.slept & (takes.end_ns < NO_END))
    switches = drops.select(drops.slept & (drops.end_ns < NO_END))
    # Others never came back before their thread ended.
    returned = drops.select(drops.end_ns < lifetimes.ended_ns[drops.thread])
    return (
        _make_wait_table(waits, switches, takes, lifetimes, gils, run_id),
        _make_hold_table(events, takes, returned, waits, lifetimes, gils, run_id),
    )


def _list_events(trace: KernelTrace, lifetimes: ThreadLifetimes) -> ThreadEvents:
    """The entries, returns and context switches along each thread's lifetime."""
    parts: list[tuple[Array, Array, Array | int, Array | int]] = []
    for tids, ts_ns, states, _cpu in list_switches(trace):
        what = np.where(states == RUNNING, _RAN, np.where(states == RUNNABLE, _PREEMPTED, _SLEPT))
        parts.append((tids, ts_ns, what, 0))
    for name, what_of in _KINDS.items():
        if kind := trace.kinds.get(name):
            parts.append((kind["common_pid"], kind["ts_ns"], what_of, kind["gil"]))
    return order_by_thread(lifetimes, parts)


def _number_gils(events: ThreadEvents, lifetimes: ThreadLifetimes) -> _Gils:
    """Find the GIL of each event by its address: a drop is of the GIL that its thread took last, and events before a
    thread's first take belong to the first GIL of the process.
    """
    takes = np.flatnonzero(events.what == _TAKE)
    pids, process = np.unique(lifetimes.pid[events.thread], return_inverse=True)
    addresses, address = np.unique(events.value[takes], return_inverse=True)
    seen, gil = np.unique(process[takes] * len(addresses) + address, return_inverse=True)
    owner = seen // max(len(addresses), 1)
    first_ns = np.full(len(seen), NO_END)
    np.minimum.at(first_ns, gil, events.ts_ns[takes])
    order = np.lexsort((first_ns, owner))
    rank = np.arange(len(seen)) - np.searchsorted(owner[order], owner[order]) + 1
    number = np.ones(len(seen) + len(pids), dtype=np.int64)
    number[order] = rank
    # A process without any recorded take has one GIL, too.
    of_process = len(seen) + np.arange(len(pids))
    of_process[owner[order][rank == 1]] = order[rank == 1]
    latest = find_last_before(events.thread[takes], takes, events.thread, np.arange(len(events)))
    of = of_process[process]
    of[latest >= 0] = gil[latest[latest >= 0]]
    return _Gils(of=of, number=number)


def _pair_calls(events: ThreadEvents, lifetimes: ThreadLifetimes, gils: _Gils, entry: int, leave: int) -> _Calls:
    """Pair the entries of one function with their returns.

    Where the compiler split the function, one call has two entries or two returns with nothing between: the first entry
    and the last return count.
    """
    places = np.flatnonzero(events.what <= _DROPPED)
    thread, what = events.thread[places], events.what[places]
    again = (thread[1:] == thread[:-1]) & (what[1:] == what[:-1])
    enters = (what == _TAKE) | (what == _DROP)
    single = np.where(enters, ~np.append(False, again)[: len(what)], ~np.append(again, False)[: len(what)])
    places, thread, what = places[single], thread[single], what[single]
    starts = np.flatnonzero(what == entry)
    # -1 behind the last one: the index of no thread.
    follows = np.append(thread, -1)[starts + 1] == thread[starts]
    returned = follows & (np.append(what, -1)[starts + 1] == leave)
    # Before another event, a call without return lost it with other events; a thread's last call may never return.
    kept = returned | ~follows
    starts, returned = starts[kept], returned[kept]
    stop = np.append(places, -1)[starts + 1]
    behind = np.searchsorted(events.thread, thread[starts], side="right")
    return _trim_calls(events, lifetimes, gils, places[starts], np.where(returned, stop, behind), returned)


def _trim_calls(
    events: ThreadEvents, lifetimes: ThreadLifetimes, gils: _Gils, begin: Array, stop: Array, returned: Array
) -> _Calls:
    """Make calls of the events from index `begin` to `stop`, exclusive; those without return last until their thread
    ends.
    """
    sleeps, runs = np.flatnonzero(events.what == _SLEPT), np.flatnonzero(events.what == _RAN)
    nothing = len(events)
    first = np.append(sleeps, nothing)[np.searchsorted(sleeps, begin)]
    slept = first < stop
    final = np.append(sleeps, nothing)[np.searchsorted(sleeps, stop) - 1]
    woken = np.append(runs, nothing)[np.searchsorted(runs, final)]
    times = np.append(events.ts_ns, 0)
    # Preemptions before each event, of all threads: within one thread, the difference of two elements is the count.
    preempted = np.append(0, np.cumsum(events.what == _PREEMPTED))
    late = slept & (preempted[first] > preempted[begin])
    early = slept & returned & (woken < stop) & (preempted[stop] > preempted[np.minimum(woken, stop)])
    thread = events.thread[begin]
    end_ns = np.where(returned, times[stop], lifetimes.ended_ns[thread])
    return _Calls(
        thread=thread,
        gil=gils.of[begin],
        start_ns=np.where(late, times[first], times[begin]),
        end_ns=np.where(early, times[woken], end_ns),
        slept=slept,
        entry_ns=times[begin],
    )


def _make_wait_table(
    waits: _Calls, switches: _Calls, takes: _Calls, lifetimes: ThreadLifetimes, gils: _Gils, run_id: str
) -> pd.DataFrame:
    thread = np.concatenate([waits.thread, switches.thread])
    start_ns = np.concatenate([waits.start_ns, switches.start_ns])
    holders = np.concatenate([_find_holders(waits, takes, lifetimes), np.full(len(switches.thread), -1)])
    end_ns = np.concatenate([waits.end_ns, switches.end_ns])
    gil = np.concatenate([waits.gil, switches.gil])
    codes = np.repeat(np.arange(2, dtype=np.int8), [len(waits.thread), len(switches.thread)])
    order = np.lexsort((start_ns, thread))
    columns: dict[str, Any] = {
        **_place_columns(thread[order], lifetimes, run_id),
        "object": _label_gils(gils.number[gil[order]]),
        "kind": pd.Categorical.from_codes(codes[order], pd.Index(list(_WAIT_KINDS), dtype="str")),
        "start_ns": start_ns[order],
        "dur_ns": (end_ns - start_ns)[order],
        "holder_tid": pd.arrays.IntegerArray(holders[order], holders[order] < 0),
    }
    return _frame("waits", columns)


def _find_holders(waits: _Calls, takes: _Calls, lifetimes: ThreadLifetimes) -> Array:
    """Find the thread id of the GIL's holder at the start of each wait; -1 where it is not known.

    It is the last thread that returned from take_gil for this GIL. If that was the waiting thread itself, the holder is
    the next one to return: it has the GIL already, but its return comes later.
    """
    order = np.lexsort((takes.end_ns, takes.gil))
    order = order[takes.end_ns[order] < NO_END]
    gil, tid = takes.gil[order], lifetimes.tid[takes.thread[order]]
    mine = lifetimes.tid[waits.thread]
    last = find_last_before(gil, takes.end_ns[order], waits.gil, waits.start_ns)
    holder = _value_at(tid, last)
    after = last + 1
    there = (last >= 0) & (_value_at(gil, after) == waits.gil)
    following = np.where(there, _value_at(tid, after), -1)
    holder = np.where(holder == mine, following, holder)
    found: Array = np.where(holder == mine, -1, holder)
    return found


def _value_at(values: Array, places: Array) -> Array:
    """The values at these indexes; -1 for an index outside."""
    inside = (places >= 0) & (places < len(values))
    found = np.full(len(places), -1, dtype=np.int64)
    found[inside] = values[places[inside]]
    return found


def _make_hold_table(
    events: ThreadEvents,
    takes: _Calls,
    drops: _Calls,
    waits: _Calls,
    lifetimes: ThreadLifetimes,
    gils: _Gils,
    run_id: str,
) -> pd.DataFrame:
    """The holds that ended while another thread waited for the same GIL, from take_gil's return to drop_gil's entry.

    The GIL is free somewhere between that entry and the return: a thread that asked in between and slept waited, too.
    One that was preempted before it slept waits for the GIL all the same.
    """
    is_turn = (events.what == _TAKEN) | (events.what == _DROP)
    turns, gil = events.select(is_turn), gils.of[is_turn]
    take = find_last_before(takes.thread, takes.end_ns, turns.thread, turns.ts_ns)
    # No take since the previous drop: the first thread of a forked child, or the take was lost.
    known = turns.follows() & (np.roll(turns.what, 1) == _TAKEN) & (take >= 0)
    since = _value_at(takes.end_ns, take)
    freed_by = _find_returns(drops, turns)
    waiting = _count_until(waits.gil, waits.entry_ns, gil, freed_by)
    waiting -= _count_until(waits.gil, waits.end_ns, gil, turns.ts_ns)
    chosen = (turns.what == _DROP) & (waiting > 0)
    columns: dict[str, Any] = {
        **_place_columns(turns.thread[chosen], lifetimes, run_id),
        "object": _label_gils(gils.number[gil[chosen]]),
        "start_ns": pd.arrays.IntegerArray(since[chosen], ~known[chosen]),
        "end_ns": turns.ts_ns[chosen],
    }
    return _frame("holds", columns)


def _find_returns(drops: _Calls, turns: ThreadEvents) -> Array:
    """For each of these events, the end of the drop_gil of its thread that it lies in; its own time without one."""
    order = np.lexsort((drops.end_ns, drops.thread))
    thread, end_ns = drops.thread[order], drops.end_ns[order]
    place = find_last_before(thread, end_ns, turns.thread, turns.ts_ns - 1)
    place = np.where(place < 0, np.searchsorted(thread, turns.thread), place + 1)
    found = _value_at(thread, place) == turns.thread
    return np.where(found, _value_at(end_ns, place), turns.ts_ns)


def _count_until(group: Array, at: Array, query_group: Array, query_at: Array) -> Array:
    """For each query, count the elements of `at` in its group that are not later."""
    order = np.lexsort((at, group))
    group, at = group[order], at[order]
    last = find_last_before(group, at, query_group, query_at)
    counts: Array = np.where(last >= 0, last - np.searchsorted(group, query_group) + 1, 0)
    return counts


def _place_columns(thread: Array, lifetimes: ThreadLifetimes, run_id: str) -> dict[str, Any]:
    return {
        "run_id": _constant(run_id, len(thread)),
        "pid": lifetimes.pid[thread],
        "tid": lifetimes.tid[thread],
        "function": _constant(None, len(thread)),
        "file": _constant(None, len(thread)),
        "line": pd.arrays.IntegerArray(np.zeros(len(thread), dtype=np.int64), np.ones(len(thread), dtype=bool)),
        "method": _constant(KERNEL_UPROBE, len(thread)),
    }


def _label_gils(numbers: Array) -> pd.Categorical:
    """Name GILs `gil 1`, `gil 2`, as in the wait probe's rows: an address means nothing to a reader."""
    names = [f"gil {number}" for number in range(1, int(numbers.max(initial=0)) + 1)]
    return pd.Categorical.from_codes(numbers - 1, pd.Index(names, dtype="str"))


def _constant(text: str | None, length: int) -> pd.Categorical:
    """A text column with one value in all rows; None means missing."""
    code = -1 if text is None else 0
    texts = [] if text is None else [text]
    return pd.Categorical.from_codes(np.full(length, code, dtype=np.int8), pd.Index(texts, dtype="str"))


def _frame(table: str, columns: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({name: columns[name] for name in COLUMNS[table]}, copy=False)
