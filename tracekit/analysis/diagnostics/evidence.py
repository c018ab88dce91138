"""What the diagnostics look at: one run of a recorded program, with the waits, threads and processes in it.

Times are integer nanoseconds of CLOCK_MONOTONIC, or lengths.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.gil.holds import SWITCH_INTERVAL_NS
from tracekit.analysis.metrics.interval_timeline import Bools, Ints
from tracekit.analysis.metrics.ledger.idle import idle_waits
from tracekit.analysis.metrics.ledger.parts import ON_CPU, RUN_QUEUE
from tracekit.analysis.metrics.methods import WAITS_PROBE
from tracekit.analysis.metrics.names import Names, names_of, short_place
from tracekit.analysis.metrics.number_notices import finite
from tracekit.analysis.metrics.recorded_intervals import cut_to_run
from tracekit.analysis.tables import records

LEAST_NS, LEAST_SHARE = 10_000_000, 0.01
"""What is less than either, the second of the wall, is said in no sentence."""

_IN_LIBRARY = re.compile(r"[/\\](?:lib|lib64|Lib)[/\\](?:python[\d.t]+[/\\])?|[/\\]site-packages[/\\]|\(<")
"""In a frame `function (file:line)`: code that is not the program's own."""

_HELPERS = ("resource tracker", "fork server")

Kept = TypeVar("Kept")

Place = tuple[int, int]
"""pid and tid of a thread."""


class Evidence:
    """One run of a recorded program."""

    def __init__(self, analysis: Analysis, run_id: str) -> None:
        self.analysis = analysis
        self.run_id = run_id
        self._kept: dict[type, Any] = {}
        self.run: Mapping[str, Any] = next(run for run in analysis.runs if run["run_id"] == run_id)

    def keep(self, kind: type[Kept], compute: Callable[[], Kept]) -> Kept:
        """What several diagnostics look at, computed once."""
        if kind not in self._kept:
            self._kept[kind] = compute()
        found: Kept = self._kept[kind]
        return found

    @property
    def wall_ns(self) -> int:
        """How long the run took; 0 where that is not known."""
        return int(self.run["wall_ns"] or 0)

    @property
    def begin_ns(self) -> int:
        """When it began."""
        return int(self.run["start_ns"] or 0)

    @property
    def least_ns(self) -> int:
        """The least weight of a finding that is said."""
        return max(LEAST_NS, round(LEAST_SHARE * self.wall_ns))

    @cached_property
    def names(self) -> Names:
        """The names of its processes and threads."""
        return names_of(self.analysis.tables, self.run_id)

    @cached_property
    def processes(self) -> dict[int, Mapping[str, Any]]:
        """Its processes by pid."""
        return dict(self.analysis.processes_of(self.run_id))

    @cached_property
    def helpers(self) -> frozenset[int]:
        """The processes that multiprocessing runs beside the program."""
        return frozenset(pid for pid, row in self.processes.items() if row["name"] in _HELPERS)

    @property
    def main(self) -> Mapping[str, Any]:
        """The program's own process; empty where it is not known."""
        return next((row for row in self.processes.values() if row["role"] == "main"), {})

    @cached_property
    def threads(self) -> tuple[Mapping[str, Any], ...]:
        """Its threads of Python: rows of `Analysis.lifetimes`, with `born` and `died`; not those of its helpers."""
        found = self.analysis.lifetimes
        rows = records(found[(found["run_id"] == self.run_id) & ~found["native"]])
        return tuple(row for row in rows if row["pid"] not in self.helpers)

    @cached_property
    def lives(self) -> dict[Place, int]:
        """How long each of these threads lived."""
        known = [row for row in self.threads if row["born"] is not None and row["died"] is not None]
        return {(row["pid"], row["tid"]): row["died"] - row["born"] for row in known}

    @cached_property
    def waits(self) -> pd.DataFrame:
        """Its waits as the probe recorded them: rows of that table with a start and a length, and
        end_ns  int64
        idle    bool: in a function of the standard library that waits for work (ledger/idle.py), and not for the GIL
        life    float: which part of its thread's life it is; nan where that is not known
        """
        found = self.analysis.recorded_waits.waits
        found = found[((found["run_id"] == self.run_id) & (found["method"] == WAITS_PROBE)).to_numpy(bool)]
        runs = self.analysis.tables.runs
        found = found[~self._are_of_pools(found)]
        found = cut_to_run(found, runs[runs["run_id"] == self.run_id]).reset_index(drop=True)
        ends = found["start_ns"].to_numpy(np.int64) + found["dur_ns"].to_numpy(np.int64)
        of_gil = found["kind"].isin(("gil", "gil-switch")).to_numpy(bool)
        places = zip(found["pid"].tolist(), found["tid"].tolist(), strict=True)
        lives = np.array([self.lives.get(place) or np.nan for place in places], dtype=np.float64)
        lengths = found["dur_ns"].to_numpy(np.float64)
        return found.assign(end_ns=ends, idle=idle_waits(found) & ~of_gil, life=lengths / lives)

    def waits_of(self, pid: int, tid: int) -> pd.DataFrame:
        """Those of one thread."""
        rows: Ints | None = self._rows_of_threads.get((pid, tid))
        return self.waits.iloc[[] if rows is None else rows]

    @cached_property
    def _rows_of_threads(self) -> dict[Place, Ints]:
        rows: Any = self.waits.groupby(["pid", "tid"]).indices
        return dict(rows)

    def _are_of_pools(self, waits: pd.DataFrame) -> Bools:
        """Which waits are of native threads (BLAS, OpenMP): what they wait for is work."""
        threads, keys = self.analysis.lifetimes, ["pid", "tid"]
        pool = pd.MultiIndex.from_frame(threads.loc[threads["pool"] & (threads["run_id"] == self.run_id), keys])
        found: Bools = pd.MultiIndex.from_frame(waits[keys]).isin(pool)
        return found

    @cached_property
    def gil_parts(self) -> pd.DataFrame:
        """Its GIL waits, cut by who held the GIL: columns pid, waiter, holder (-1: none), function and file of the
        holder, ns."""
        parts = self.analysis.attributed_waits(self.run_id)
        place = parts.waits[["pid", "tid"]].to_numpy(np.int64)[parts.wait]
        columns = {"pid": place[:, 0], "waiter": place[:, 1], "holder": parts.tid, "ns": parts.length}
        calls = parts.calls.astype("str").reset_index(drop=True)
        return pd.DataFrame(columns).join(calls)

    def stacks(self, pid: int, tid: int) -> pd.DataFrame:
        """The stacks of a thread's waits of a millisecond and more: rows of `wait_stacks`."""
        found = self.analysis.tables.wait_stacks
        return found[
            ((found["run_id"] == self.run_id) & (found["pid"] == pid) & (found["tid"] == tid)).to_numpy(bool)
            & (found["kind"] != "hold").to_numpy(bool)
        ]

    def find_caller(self, pid: int, tid: int, function: object, file: object) -> str:
        """`, called in `scan` (me/app.py:9)`: where the program's own code called this library function, in which the
        thread held the GIL; the most frequent one. Empty where it is the program's own, or no stack was recorded."""
        found = self.analysis.tables.wait_stacks
        held = (
            (found["kind"] == "hold") & (found["run_id"] == self.run_id) & (found["pid"] == pid) & (found["tid"] == tid)
        )
        callers: Counter[str] = Counter()
        for stack in found.loc[held.to_numpy(bool), "stack"].dropna():
            *outer, innermost = str(stack).split(";")
            if innermost.startswith(f"{function} ({file}:") and _IN_LIBRARY.search(innermost):
                own = next((frame for frame in reversed(outer) if not _IN_LIBRARY.search(frame)), None)
                callers.update([own] if own else [])
        if not callers:
            return ""
        name, _, place = callers.most_common(1)[0][0].removesuffix(")").rpartition(" (")
        path, _, line = place.rpartition(":")
        return f", called in `{name}` ({short_place(path, int(line) if line.isdecimal() else None)})"

    @cached_property
    def lines(self) -> dict[tuple[str, str], int]:
        """(function, file) -> the function's first line, where a wait, a hold or a wake-up names it."""
        tables = self.analysis.tables
        frames = [frame[frame["run_id"] == self.run_id] for frame in (tables.waits, tables.holds, tables.wakeups)]
        known = pd.concat([frame[["function", "file", "line"]].dropna().drop_duplicates() for frame in frames])
        return {(row["function"], row["file"]): row["line"] for row in records(known)}

    @cached_property
    def cpus(self) -> int:
        """How many CPUs it could use; 1 where that is not known."""
        found = [finite(item, "usable_cpus") for item in self.analysis.suite.get("environments", [])[:1]]
        return max(1, int(found[0] or 1)) if found else 1

    @cached_property
    def cpu_ns(self) -> int | None:
        """CPU time of all its processes, native threads included; None where that of one is not known."""
        known = [row["cpu_ns"] for row in self.processes.values()]
        return None if None in known else sum(known)

    def on_cpu_ns(self, pid: int, tid: int) -> tuple[int, int]:
        """How long a thread was on a CPU, at least and at most: equal where its clock was read at its end."""
        return self._find_part(ON_CPU, pid, tid)

    def lacked_cpu_ns(self, pid: int, tid: int) -> tuple[int, int]:
        """How long a thread was ready and had no CPU, at least and at most."""
        return self._find_part(RUN_QUEUE, pid, tid)

    def count_computing(self, share: float) -> int:
        """How many threads, native ones too, used at least this part of the wall as CPU time, or may have."""
        threads = self.analysis.lifetimes
        used = threads.loc[threads["run_id"] == self.run_id, "cpu_ns"]
        return int((used.isna() | (used >= share * self.wall_ns)).fillna(True).sum())

    def find_queued_ns(self, pid: int, tid: int) -> int | None:
        """How long the kernel had a thread in a run queue in its life, in its waits too; None where it was not read."""
        return self._queued.get((pid, tid))

    @cached_property
    def _queued(self) -> dict[Place, int | None]:
        return {(row["pid"], row["tid"]): row["run_queue_wait_ns"] for row in self.threads}

    def _find_part(self, part: str, pid: int, tid: int) -> tuple[int, int]:
        found = self.analysis.thread_time(part).get((self.run_id, pid, tid))
        if found is None or not found.available:
            return 0, self.lives.get((pid, tid), self.wall_ns)
        return round(found.lower), round(found.upper)

    def switch_interval_ns(self, pid: int) -> int:
        """The switch interval of a process; CPython's default where it is not known."""
        known = self.analysis.switch_intervals_ns
        return known.get((self.run_id, pid)) or known.get((self.run_id,)) or SWITCH_INTERVAL_NS

    def thread(self, pid: int, tid: int) -> str:
        """The name of a thread."""
        return self.names.thread(pid, tid)

    def site(self, function: object, file: object, leading: str = "") -> str:
        """`in `match` (re/__init__.py:163)` after `leading` and a space; empty where the function is not known."""
        if not isinstance(function, str) or not function or function == "nan":
            return ""
        path = file if isinstance(file, str) and file != "nan" else ""
        place = short_place(path, self.lines.get((function, path)))
        return f"{leading} in `{function}`" + (f" ({place})" if place else "")
