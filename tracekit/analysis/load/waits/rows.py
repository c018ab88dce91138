"""Adds what the wait probe measured: the tables `waits` and `holds`, and the threads of each process."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.analysis.load.align import TickClock, Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.waits.intervals import WaitTables
from tracekit.analysis.load.waits.processes import ProbedProcess
from tracekit.analysis.load.waits.threads import make_thread_rows
from tracekit.bundle.spec import RunSpec
from tracekit.core.notices import notice


def add_waits(columns: Columns, processes: Sequence[ProbedProcess], spec: RunSpec, window: Window) -> None:
    """Add the waits and holds of these processes, and their threads to their lifetimes."""
    clock = TickClock((pair for process in processes for pair in process.file.header.ticks), window)
    tables = WaitTables(spec.run_id, window, clock)
    for process in processes:
        found = tables.add(process.file, process.lifetime.row.get("exit_ns"))
        process.lifetime.merge_threads(make_thread_rows(process, found.tids, found.python, window))
        place = {"pid": process.pid, "run_id": spec.run_id}
        header = process.file.header
        process.lifetime.row["switch_interval_ns"] = header.switch_interval_ns
        process.lifetime.row["before_cpu_ns"] = header.before_cpu_ns
        if header.cpu_ns is not None:
            process.lifetime.row["cpu_ns"] = header.cpu_ns
        if header.no_functions and found.python:
            process.lifetime.row["no_functions"] = header.no_functions
            facts = {"version": header.version, "reason": header.no_functions, **place}
            columns.add_notice(notice("no-functions", bool(spec.program), **facts), spec.run_id)
        if process.file.header.lost:
            columns.add_notice(notice("waits-lost", lost=process.file.header.lost, **place), spec.run_id)
        if outside := process.outside + found.outside:
            columns.add_notice(notice("waits-outside", count=outside, **place), spec.run_id)
    columns.add_frame("waits", tables.make_waits())
    columns.add_frame("holds", tables.make_holds())
    columns.add_frame("wakeups", tables.make_wakeups())
    columns.add_frame("wait_stacks", tables.make_stacks())
