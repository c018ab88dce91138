"""The wait probe's files `waits/*.bin`: their blocking intervals and holds, to the tables `waits` and `holds`.

A file can hold ten million slots, and a run have thousands of files. Slots are read in chunks from the file's mapping;
what is kept of them is joined once per run. Text columns become categories: the same few functions, kinds and objects
stand in every row.

A record that cannot be (a stamp outside the run, a thread id no system gives) is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from tracekit.analysis.load.align import TickClock, Window
from tracekit.analysis.load.waits.open_waits import are_recorded, open_waits
from tracekit.analysis.load.waits.slots import WaitsFile
from tracekit.analysis.tables import COLUMNS, empty
from tracekit.bundle import waits_file
from tracekit.bundle.waits_file import LARGEST_TID, WAITS

METHOD = "waits-probe"

_CHUNK = 1 << 20
"""Slots that are looked at in one go: 40 MB."""

_LARGEST_LINE, _LINE_DIGITS = 2**31, 10
_LARGEST_FD = 2**31
_LEAST_ADDRESS = 1 << 16
"""vm.mmap_min_addr: no object lies below it."""

_GIL_WAITS = tuple(number for number, kind in WAITS.items() if kind in ("gil", "gil-switch"))
_LOCK_WAITS = tuple(number for number, kind in WAITS.items() if kind == "lock")
_FD_WAITS = tuple(number for number, kind in WAITS.items() if kind in ("io-read", "io-write"))
_CHILD_WAITS = tuple(number for number, kind in WAITS.items() if kind == "child-wait")
_GIL_KINDS = (*_GIL_WAITS, waits_file.GIL_TAKE, waits_file.GIL_DROP)

_KIND_CODES = np.full(max(WAITS) + 1, -1, dtype=np.int8)
_KIND_CODES[list(WAITS)] = np.arange(len(WAITS))

Array = np.ndarray[Any, Any]
Site = tuple[str, str, int]
"""A function's qualified name, its file and its line; empty and 0 where they are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one file held. `tids` have a wait or hold, `python` those that had a Python thread state then."""

    tids: frozenset[int]
    python: frozenset[int]
    outside: int
    """Records that are left out because they lie outside the run or cannot be."""


class Gathered:
    """The waits and holds of one run, file by file, and in the end as tables."""

    def __init__(self, run_id: str, window: Window, clock: TickClock) -> None:
        self._run_id = run_id
        self._window = window
        self._clock = clock
        self._waits: _Parts = {}
        self._holds: _Parts = {}
        # Text or place -> its code in the columns.
        self._objects = {"": 0}
        self._sites: dict[Site, int] = {("", "", 0): 0}

    def add(self, file: WaitsFile, end_ns: int | None) -> Seen:
        """Take the rows of one process. What a thread still waited for when the process ended, at `end_ns`, is a wait
        up to then; with no end known it is left out.
        """
        process = _Process(file, self._objects, self._sites)
        pending = open_waits(file, self._window, self._clock, end_ns)
        for start in range(0, len(file.slots), _CHUNK):
            chunk = file.slots[start : start + _CHUNK]
            kinds = np.ascontiguousarray(chunk["kind"])
            process.meet_gils(chunk["object"][np.isin(kinds, _GIL_KINDS)])
            waited = chunk[(kinds >= min(WAITS)) & (kinds <= max(WAITS))]
            ends = waited["start_ns"] + waited["dur_ns"]
            waited = process.real(waited, self._window.holds(waited["start_ns"], ends))
            _put(self._waits, process.waits(waited))
            held = chunk[kinds == waits_file.GIL_DROP]
            held = process.real(held, self._window.holds(_begun(held), held["start_ns"]))
            _put(self._holds, process.holds(held))
            pending = pending[~are_recorded(pending, waited)]
        if len(pending):
            process.meet_gils(pending["object"][np.isin(pending["kind"], _GIL_KINDS)])
            _put(self._waits, process.waits(pending))
            process.bear(pending["tid"], python=file.header.python is not None)
        return process.seen()

    def waits(self) -> pd.DataFrame:
        """The table `waits` of the run; to be asked for once."""
        columns = _joined(self._waits)
        if not columns:
            return empty("waits")
        columns["kind"] = _categories(columns["kind"], list(WAITS.values()))
        columns["holder_tid"] = _nullable(columns["holder_tid"], missing=columns["holder_tid"] == 0)
        return self._frame("waits", columns)

    def holds(self) -> pd.DataFrame:
        """The table `holds` of the run; to be asked for once."""
        columns = _joined(self._holds)
        if not columns:
            return empty("holds")
        columns["start_ns"] = _nullable(columns["start_ns"], missing=columns["start_ns"] == 0)
        return self._frame("holds", columns)

    def _frame(self, table: str, columns: dict[str, Any]) -> pd.DataFrame:
        rows = len(columns["pid"])
        columns["object"] = _categories(columns["object"], list(self._objects))
        columns.update(_site_columns(columns.pop("site"), list(self._sites)))
        for name, text in (("run_id", self._run_id), ("method", METHOD)):
            columns[name] = _categories(np.zeros(rows, dtype=np.int8), [text])
        return pd.DataFrame({name: columns[name] for name in COLUMNS[table]}, copy=False)


class _Process:
    """One file's slots to columns. `objects` and `sites` are the run's, and grow."""

    def __init__(self, file: WaitsFile, objects: dict[str, int], sites: dict[Site, int]) -> None:
        self._file = file
        self._objects = objects
        self._sites = sites
        # Address -> number in order of appearance, from 1.
        self._gils: dict[int, int] = {}
        self._tids: set[int] = set()
        self._python: set[int] = set()
        self._outside = 0

    def meet_gils(self, addresses: Array) -> None:
        for address in pd.unique(addresses).tolist():
            self._gils.setdefault(address, len(self._gils) + 1)

    def real(self, slots: Array, inside: Array) -> Array:
        """Those that can be; the others are counted."""
        good = inside & (slots["tid"] > 0) & (slots["tid"] <= LARGEST_TID)
        kept = slots if good.all() else slots[good]
        self._outside += len(slots) - len(kept)
        self.bear(kept["tid"], python=False)
        # Who is in a Python function has a thread state, whatever the flag says.
        self.bear(kept["tid"][((kept["flags"] & waits_file.NATIVE) == 0) | (kept["site"] > 0)], python=True)
        return kept

    def bear(self, tids: Array, *, python: bool) -> None:
        """These threads wait or hold."""
        found = pd.unique(tids).tolist()
        self._tids.update(found)
        if python:
            self._python.update(found)

    def waits(self, slots: Array) -> dict[str, Array]:
        """Columns of `waits`, with codes for texts, `site` for its three columns, and 0 for no holder."""
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
        """Columns of `holds`, as those of `waits`; 0 for a start that is not known."""
        known = (slots["flags"] & waits_file.KNOWN) > 0
        return {
            **self._place(slots),
            "object": self._object_codes(np.full(len(slots), _GIL_WAITS[0]), slots["object"]),
            "start_ns": np.where(known, _begun(slots), 0).astype(np.int64),
            "end_ns": slots["start_ns"].astype(np.int64),
        }

    def seen(self) -> Seen:
        return Seen(tids=frozenset(self._tids), python=frozenset(self._python), outside=self._outside)

    def _place(self, slots: Array) -> dict[str, Array]:
        return {
            "pid": np.full(len(slots), self._file.header.pid, dtype=np.int64),
            "tid": slots["tid"].astype(np.int64),
            "site": self._site_codes(slots["site"]),
        }

    def _object_codes(self, kinds: Array, objects: Array) -> Array:
        """What was waited for, as a reader can tell it from others: an address says nothing of a GIL."""
        codes = np.zeros(len(kinds), dtype=np.int32)
        ways: list[tuple[tuple[int, ...], Callable[[int], str]]] = [
            (_GIL_WAITS, lambda address: f"gil {self._gils[address]}"),
            (_LOCK_WAITS, _lock),
            (_FD_WAITS, _fd),
            (_CHILD_WAITS, _child),
        ]
        for chosen, name in ways:
            rows = np.isin(kinds, chosen)
            if rows.any():
                codes[rows] = _coded(objects[rows], name, self._objects)
        return codes

    def _site_codes(self, ids: Array) -> Array:
        return _coded(ids, lambda number: _parsed(self._file.texts.get(number, "")), self._sites)


_Parts = dict[str, list[Array]]
"""Column -> its arrays, chunk by chunk."""

_Key = TypeVar("_Key")


def _put(parts: _Parts, columns: dict[str, Array]) -> None:
    if len(columns["pid"]):
        for name, values in columns.items():
            parts.setdefault(name, []).append(values)


def _joined(parts: _Parts) -> dict[str, Any]:
    """The columns in one piece. The pieces are used up, so that only one column is in memory twice."""
    columns: dict[str, Any] = {}
    while parts:
        name, pieces = parts.popitem()
        columns[name] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return columns


def _coded(values: Array, name: Callable[[int], _Key], codes: dict[_Key, int]) -> Array:
    """The code of each value's name; a new name gets the next one."""
    numbers, found = pd.factorize(values)
    named = [codes.setdefault(name(value), len(codes)) for value in found.tolist()]
    return np.array(named, dtype=np.int32)[numbers]


def _begun(drops: Array) -> Array:
    """When the GIL was taken that was dropped here; the drop itself where that is not known."""
    known = (drops["flags"] & waits_file.KNOWN) > 0
    begun: Array = drops["start_ns"] - np.where(known, drops["dur_ns"], np.uint64(0))
    return begun


def _lock(address: int) -> str:
    """An address in memory, or the descriptor of a locked file; for the end of a thread there is neither."""
    return "" if address == 0 else _fd(address) if address < _LEAST_ADDRESS else hex(address)


def _fd(number: int) -> str:
    """A descriptor; the look-up of a name has none."""
    return f"fd {number}" if number < _LARGEST_FD else ""


def _child(asked: int) -> str:
    """The kernel's way of asking: a pid, -1 for any child, 0 or less than -1 for a process group."""
    pid = asked - 2**64 if asked >= 2**63 else asked
    return f"pid {pid}" if pid > 0 else "any child"


def _parsed(text: str) -> Site:
    """`qualname\\0file\\0line`."""
    function, file, line, *_ = [*text.split("\0"), "", "", ""]
    number = int(line) if line.isascii() and line.isdigit() and len(line) <= _LINE_DIGITS else 0
    return function, file, number if number < _LARGEST_LINE else 0


def _site_columns(codes: Array, sites: list[Site]) -> dict[str, Any]:
    """`function`, `file` and `line`, missing where they are not known."""
    functions, function_names = _distinct([function for function, _, _ in sites])
    files, file_names = _distinct([file for _, file, _ in sites])
    lines = np.array([line for _, _, line in sites], dtype=np.int64)[codes]
    return {
        "function": _categories(functions[codes], function_names),
        "file": _categories(files[codes], file_names),
        "line": _nullable(lines, missing=lines == 0),
    }


def _distinct(texts: list[str]) -> tuple[Array, list[str]]:
    """A code per text, equal texts having one, -1 for none; and the texts by code."""
    known: dict[str, int] = {}
    codes = [known.setdefault(text, len(known)) if text else -1 for text in texts]
    return np.array(codes, dtype=np.int32), list(known)


def _categories(codes: Array, texts: list[str]) -> pd.Categorical:
    """A text column: each code is a place in `texts`, -1 is missing."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype="str"))


def _nullable(values: Array, *, missing: Array) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(values, missing)
