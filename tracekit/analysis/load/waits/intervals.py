"""Blocking waits, GIL holds, wake-ups and stacks from the wait probe's files `waits/*.bin` to tables of these names.

A file can have ten million slots, and a run thousands of files. Slots are read in chunks from the file's mapping, and
the columns are joined once per run. Text columns are categories, because few functions, kinds and objects repeat in
all rows.

An impossible record (a stamp outside the run, a thread id that no system gives) is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from tracekit.analysis.load.align import TickClock, Window
from tracekit.analysis.load.waits.slots import WaitsFile, are_recorded, find_open_waits
from tracekit.analysis.tables import COLUMNS, WAITS_PROBE, empty
from tracekit.bundle import waits_file
from tracekit.bundle.waits_file import LARGEST_TID, WAITS

_CHUNK = 1 << 20
"""Slots per chunk: 40 MB."""

_LARGEST_LINE, _LINE_DIGITS = 2**31, 10
_LARGEST_FD = 2**31
_LEAST_ADDRESS = 1 << 16
"""No object in memory has a lower address (Linux: vm.mmap_min_addr)."""

_GIL_WAITS = tuple(number for number, kind in WAITS.items() if kind in ("gil", "gil-switch"))
_LOCK_WAITS = tuple(number for number, kind in WAITS.items() if kind == "lock")
_FD_WAITS = tuple(number for number, kind in WAITS.items() if kind in ("io-read", "io-write"))
_CHILD_WAITS = tuple(number for number, kind in WAITS.items() if kind == "child-wait")
_GIL_KINDS = (*_GIL_WAITS, waits_file.GIL_TAKE, waits_file.GIL_DROP)

_STACK_KINDS = {**WAITS, waits_file.GIL_DROP: "hold"}
"""What a stack may belong to -> its name in the table `wait_stacks`."""
_TRAMPOLINE = "<interpreter trampoline>"
"""A frame of CPython 3.12 between C and Python, which is no function."""

_KIND_CODES = np.full(max(WAITS) + 1, -1, dtype=np.int8)
_KIND_CODES[list(WAITS)] = np.arange(len(WAITS))

Array = np.ndarray[Any, Any]
Site = tuple[str, str, int]
"""A function's qualified name, file and line; empty and 0 where not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingThreads:
    """The threads of one file that have a wait or a hold."""

    tids: frozenset[int]
    python: frozenset[int]
    """Those of them that had a Python thread state."""
    outside: int
    """Number of records that are left out: outside the run, or impossible."""


class WaitTables:
    """Collects the waits and holds of one run file by file, and makes the two tables."""

    def __init__(self, run_id: str, window: Window, clock: TickClock) -> None:
        self._run_id = run_id
        self._window = window
        self._clock = clock
        self._waits: _Chunks = {}
        self._holds: _Chunks = {}
        self._wakeups: _Chunks = {}
        self._stacks: _Chunks = {}
        # Text or site -> its code in the columns.
        self._objects = {"": 0}
        self._sites: dict[Site, int] = {("", "", 0): 0}
        self._stack_texts = {"": 0}

    def add(self, file: WaitsFile, end_ns: int | None) -> WaitingThreads:
        """Add one process's rows. A wait that was open when the process ended, at `end_ns`, lasts until then; it is
        left out where no end is known.
        """
        process = _SlotColumns(file, self._objects, self._sites)
        pending = find_open_waits(file, self._window, self._clock, end_ns)
        for start in range(0, len(file.slots), _CHUNK):
            chunk = file.slots[start : start + _CHUNK]
            kinds = np.ascontiguousarray(chunk["kind"])
            process.number_gils(chunk["object"][np.isin(kinds, _GIL_KINDS)])
            waited = chunk[(kinds >= min(WAITS)) & (kinds <= max(WAITS))]
            ends = waited["start_ns"] + waited["dur_ns"]
            waited = process.select_possible(waited, self._window.holds(waited["start_ns"], ends))
            _append(self._waits, process.waits(waited))
            held = chunk[kinds == waits_file.GIL_DROP]
            held = process.select_possible(held, self._window.holds(_find_taken_ns(held), held["start_ns"]))
            _append(self._holds, process.holds(held))
            woken = chunk[kinds == waits_file.WAKEUP]
            ends = woken["start_ns"] + woken["dur_ns"]
            woken = process.select_possible(woken, self._window.holds(woken["start_ns"], ends))
            _append(self._wakeups, process.wakeups(woken[(woken["other"] > 0) & (woken["other"] <= LARGEST_TID)]))
            stacks = chunk[kinds == waits_file.STACK]
            stacks = stacks[np.isin(stacks["object"], list(_STACK_KINDS))]
            stacks = process.select_possible(stacks, self._window.holds(stacks["start_ns"], stacks["start_ns"]))
            _append(self._stacks, process.stacks(stacks, self._stack_texts))
            pending = pending[~are_recorded(pending, waited)]
        if len(pending):
            process.number_gils(pending["object"][np.isin(pending["kind"], _GIL_KINDS)])
            _append(self._waits, process.waits(pending))
            process.note_threads(pending["tid"], python=file.header.python is not None)
        return process.list_threads()

    def make_waits(self) -> pd.DataFrame:
        """Make the table `waits`, once: it uses up what was collected."""
        columns = _join_chunks(self._waits)
        if not columns:
            return empty("waits")
        columns["kind"] = _categories(columns["kind"], list(WAITS.values()))
        columns["holder_tid"] = _nullable(columns["holder_tid"], missing=columns["holder_tid"] == 0)
        return self._frame("waits", columns)

    def make_holds(self) -> pd.DataFrame:
        """Make the table `holds`, once: it uses up what was collected."""
        columns = _join_chunks(self._holds)
        if not columns:
            return empty("holds")
        columns["start_ns"] = _nullable(columns["start_ns"], missing=columns["start_ns"] == 0)
        return self._frame("holds", columns)

    def make_wakeups(self) -> pd.DataFrame:
        """Make the table `wakeups`, once: it uses up what was collected."""
        columns = _join_chunks(self._wakeups)
        return self._frame("wakeups", columns) if columns else empty("wakeups")

    def make_stacks(self) -> pd.DataFrame:
        """Make the table `wait_stacks`, once: it uses up what was collected."""
        columns = _join_chunks(self._stacks)
        if not columns:
            return empty("wait_stacks")
        columns["kind"] = _categories(columns["kind"], list(_STACK_KINDS.values()))
        columns["stack"] = _categories(columns["stack"], list(self._stack_texts))
        columns["run_id"] = _categories(np.zeros(len(columns["pid"]), dtype=np.int8), [self._run_id])
        frame = pd.DataFrame({name: columns[name] for name in COLUMNS["wait_stacks"]}, copy=False)
        return frame[frame["stack"] != ""].reset_index(drop=True)

    def _frame(self, table: str, columns: dict[str, Any]) -> pd.DataFrame:
        rows = len(columns["pid"])
        columns["object"] = _categories(columns["object"], list(self._objects))
        columns.update(_site_columns(columns.pop("site"), list(self._sites)))
        for name, text in (("run_id", self._run_id), ("method", WAITS_PROBE)):
            columns[name] = _categories(np.zeros(rows, dtype=np.int8), [text])
        return pd.DataFrame({name: columns[name] for name in COLUMNS[table]}, copy=False)


class _SlotColumns:
    """Makes columns of one file's slots. `objects` and `sites` are the codes of the whole run and are added to."""

    def __init__(self, file: WaitsFile, objects: dict[str, int], sites: dict[Site, int]) -> None:
        self._file = file
        self._objects = objects
        self._sites = sites
        # Address -> number, from 1 in order of appearance.
        self._gils: dict[int, int] = {}
        self._tids: set[int] = set()
        self._python: set[int] = set()
        self._outside = 0

    def number_gils(self, addresses: Array) -> None:
        for address in pd.unique(addresses).tolist():
            self._gils.setdefault(address, len(self._gils) + 1)

    def select_possible(self, slots: Array, inside: Array) -> Array:
        """Select the possible records and count the others."""
        good = inside & (slots["tid"] > 0) & (slots["tid"] <= LARGEST_TID)
        kept = slots if good.all() else slots[good]
        self._outside += len(slots) - len(kept)
        self.note_threads(kept["tid"], python=False)
        # A thread in a Python function has a thread state, whatever the flag says.
        self.note_threads(kept["tid"][((kept["flags"] & waits_file.NATIVE) == 0) | (kept["site"] > 0)], python=True)
        return kept

    def note_threads(self, tids: Array, *, python: bool) -> None:
        """Note that these threads have a wait or a hold."""
        found = pd.unique(tids).tolist()
        self._tids.update(found)
        if python:
            self._python.update(found)

    def waits(self, slots: Array) -> dict[str, Array]:
        """Columns of `waits`: codes (int32) for texts, `site` for function, file and line, 0 for no holder."""
        kinds, others = slots["kind"], slots["other"]
        known = (kinds == _GIL_WAITS[0]) & (others <= LARGEST_TID)
        return {
            **self._place(slots),
            "kind": _KIND_CODES[kinds],
            "start_ns": slots["start_ns"].astype(np.int64),
            "dur_ns": slots["dur_ns"].astype(np.int64),
            "object": self._object_codes(kinds, slots["object"]),
            "holder_tid": np.where(known, others, 0).astype(np.int64),
        }

    def holds(self, slots: Array) -> dict[str, Array]:
        """Columns of `holds`, coded as those of `waits`; 0 for a start that is not known."""
        known = (slots["flags"] & waits_file.KNOWN) > 0
        return {
            **self._place(slots),
            "object": self._object_codes(np.full(len(slots), _GIL_WAITS[0]), slots["object"]),
            "start_ns": np.where(known, _find_taken_ns(slots), 0).astype(np.int64),
            "end_ns": slots["start_ns"].astype(np.int64),
        }

    def wakeups(self, slots: Array) -> dict[str, Array]:
        """Columns of `wakeups`, coded as those of `waits`; the place is the waiter's, the site its waker's."""
        return {
            **self._place(slots),
            "object": self._object_codes(np.full(len(slots), _LOCK_WAITS[0]), slots["object"]),
            "start_ns": slots["start_ns"].astype(np.int64),
            "woken_ns": (slots["start_ns"] + slots["dur_ns"]).astype(np.int64),
            "waker_tid": slots["other"].astype(np.int64),
        }

    def stacks(self, slots: Array, codes: dict[str, int]) -> dict[str, Array]:
        """Columns of `wait_stacks`; `codes` are those of the whole run's stacks and are added to."""
        return {
            "pid": np.full(len(slots), self._file.header.pid, dtype=np.int64),
            "tid": slots["tid"].astype(np.int64),
            "kind": np.searchsorted(list(_STACK_KINDS), slots["object"]).astype(np.int8),
            "at_ns": slots["start_ns"].astype(np.int64),
            "stack": _encode(slots["site"], self._name_stack, codes),
        }

    def _name_stack(self, number: int) -> str:
        """`<module> (app.py:9);main (app.py:5)`, the innermost frame last; empty where a frame is not known."""
        frames = []
        for frame in self._file.texts.get(number, "").split():
            site, _, line = frame.partition(":")
            function, file, first = _parse_site(self._file.texts.get(int(site) if site.isdecimal() else 0, ""))
            if not function:
                return ""
            if function != _TRAMPOLINE:
                frames.append(f"{function} ({file}:{line if line != '0' else first})".replace(";", ","))
        return ";".join(reversed(frames))

    def list_threads(self) -> WaitingThreads:
        return WaitingThreads(tids=frozenset(self._tids), python=frozenset(self._python), outside=self._outside)

    def _place(self, slots: Array) -> dict[str, Array]:
        return {
            "pid": np.full(len(slots), self._file.header.pid, dtype=np.int64),
            "tid": slots["tid"].astype(np.int64),
            "site": self._site_codes(slots["site"]),
        }

    def _object_codes(self, kinds: Array, objects: Array) -> Array:
        """The codes of the names of what was waited for: `gil 1`, `0x7f..`, `fd 3`, `pid 12`."""
        codes = np.zeros(len(kinds), dtype=np.int32)
        names: list[tuple[tuple[int, ...], Callable[[int], str]]] = [
            (_GIL_WAITS, lambda address: f"gil {self._gils[address]}"),
            (_LOCK_WAITS, _name_lock),
            (_FD_WAITS, _name_fd),
            (_CHILD_WAITS, _name_child),
        ]
        for chosen, name in names:
            rows = np.isin(kinds, chosen)
            if rows.any():
                codes[rows] = _encode(objects[rows], name, self._objects)
        return codes

    def _site_codes(self, ids: Array) -> Array:
        return _encode(ids, lambda number: _parse_site(self._file.texts.get(number, "")), self._sites)


_Chunks = dict[str, list[Array]]
"""Column -> its arrays, one per chunk."""

_Key = TypeVar("_Key")


def _append(chunks: _Chunks, columns: dict[str, Array]) -> None:
    if len(columns["pid"]):
        for name, values in columns.items():
            chunks.setdefault(name, []).append(values)


def _join_chunks(chunks: _Chunks) -> dict[str, Any]:
    """Concatenate each column. The chunks are used up, so that only one column at a time is in memory twice."""
    columns: dict[str, Any] = {}
    while chunks:
        name, arrays = chunks.popitem()
        columns[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return columns


def _encode(values: Array, name: Callable[[int], _Key], codes: dict[_Key, int]) -> Array:
    """The code of each value's name, int32; a new name gets the next code."""
    numbers, found = pd.factorize(values)
    named = [codes.setdefault(name(value), len(codes)) for value in found.tolist()]
    return np.array(named, dtype=np.int32)[numbers]


def _find_taken_ns(drops: Array) -> Array:
    """When the thread had taken the GIL that it drops here, ns; the time of the drop where that is not known."""
    known = (drops["flags"] & waits_file.KNOWN) > 0
    begun: Array = drops["start_ns"] - np.where(known, drops["dur_ns"], np.uint64(0))
    return begun


def _name_lock(address: int) -> str:
    """An address in memory, or the descriptor of a locked file; empty for a join, which has neither."""
    return "" if address == 0 else _name_fd(address) if address < _LEAST_ADDRESS else hex(address)


def _name_fd(number: int) -> str:
    """A file descriptor; empty for a look-up of a host name, which has none."""
    return f"fd {number}" if number < _LARGEST_FD else ""


def _name_child(argument: int) -> str:
    """The pid argument of waitpid: a pid, -1 for any child, 0 or less than -1 for a process group."""
    pid = argument - 2**64 if argument >= 2**63 else argument
    return f"pid {pid}" if pid > 0 else "any child"


def _parse_site(text: str) -> Site:
    """Parse `qualname\\0file\\0line`."""
    function, file, line, *_ = [*text.split("\0"), "", "", ""]
    number = int(line) if line.isascii() and line.isdigit() and len(line) <= _LINE_DIGITS else 0
    return function, file, number if number < _LARGEST_LINE else 0


def _site_columns(codes: Array, sites: list[Site]) -> dict[str, Any]:
    """The columns `function`, `file` and `line`, missing where not known."""
    functions, function_names = _encode_texts([function for function, _, _ in sites])
    files, file_names = _encode_texts([file for _, file, _ in sites])
    lines = np.array([line for _, _, line in sites], dtype=np.int64)[codes]
    return {
        "function": _categories(functions[codes], function_names),
        "file": _categories(files[codes], file_names),
        "line": _nullable(lines, missing=lines == 0),
    }


def _encode_texts(texts: list[str]) -> tuple[Array, list[str]]:
    """One code per text, the same for equal texts and -1 for an empty one (int32), and the texts by code."""
    known: dict[str, int] = {}
    codes = [known.setdefault(text, len(known)) if text else -1 for text in texts]
    return np.array(codes, dtype=np.int32), list(known)


def _categories(codes: Array, texts: list[str]) -> pd.Categorical:
    """A text column: each code is an index into `texts`, -1 is missing."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype="str"))


def _nullable(values: Array, *, missing: Array) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(values, missing)
