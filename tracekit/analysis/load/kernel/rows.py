"""Adds the kernel capture's rows: the tables `sched`, `waits` and `holds`, and columns of processes and threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.kernel.gil import make_gil_tables
from tracekit.analysis.load.kernel.lineage import KernelProcess, find_processes
from tracekit.analysis.load.kernel.sched import RUNNING, SchedSums, compute_intervals, make_sched_table, sum_by_thread
from tracekit.analysis.load.kernel.thread_events import ThreadLifetimes
from tracekit.analysis.load.kernel.trace import read_trace
from tracekit.analysis.load.lifetimes import PartialRow, ProcessLifetimes
from tracekit.bundle.kernel_files import FOLDER
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import notice
from tracekit.core.units import format_ns

_MOST_UNSEEN = 0.01
"""Of more of the switches to the run's threads it is told that the kernel did not record them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelProcessRows:
    """One process of the kernel's trace as a row of `processes`, and its threads as rows of `threads`.

    Each thread's cpu_ns (on a CPU, with the time that a hypervisor stole), run_queue_wait_ns and counts of switches
    cover its whole lifetime, from start_ns to end_ns.
    """

    process: PartialRow
    threads: list[PartialRow]


def add_kernel(bundle: Bundle, spec: RunSpec, window: Window, columns: Columns) -> list[KernelProcessRows]:
    """Add the rows of `sched`, `waits` and `holds`; return the run's processes, an empty list without this capture.

    A trace whose stamps lie outside `window` is left out with a notice. Raises BundleCorrupt or BundleTooNew.
    """
    trace = read_trace(bundle.raw / FOLDER)
    if trace is None or trace.first_ns is None or trace.last_ns is None:
        return []
    distance = window.distance_ns(trace.first_ns, trace.last_ns)
    if distance:
        fields = {"run_id": spec.run_id, "workload": spec.workload, "capture": spec.capture}
        outside = notice("trace-misaligned", file=f"raw/{FOLDER}", distance=format_ns(distance), **fields)
        columns.add_notice(outside, spec.run_id)
        return []
    processes = find_processes(trace)
    lifetimes = ThreadLifetimes.from_processes(processes)
    found = compute_intervals(trace, lifetimes)
    columns.add_frame("sched", make_sched_table(found, lifetimes, spec.run_id))
    runs = int((found.state == RUNNING).sum())
    if found.unseen > _MOST_UNSEEN * runs:
        fields = {"unseen": f"{found.unseen:,}", "runs": f"{runs:,}", "run_id": spec.run_id}
        columns.add_notice(notice("kernel-unrecorded", **fields), spec.run_id)
    if trace.has_gil_probes:
        waits, holds = make_gil_tables(trace, lifetimes, spec.run_id)
        columns.add_frame("waits", waits)
        columns.add_frame("holds", holds)
    return _make_process_rows(processes, sum_by_thread(found, lifetimes))


def add_kernel_lifetimes(lifetimes: ProcessLifetimes, rows: Sequence[KernelProcessRows]) -> None:
    """Fill in what the kernel knows of the run's processes and threads where streams and wait probe leave gaps.

    Threads that the wait probe described keep the probe's CPU time, which has no stolen time in it.
    """
    for found in rows:
        process = lifetimes.find(found.process["pid"])
        if process is None:
            process = lifetimes.add(**found.process)
        else:
            process.fill(found.process)
            process.end_by(found.process["exit_ns"])
        threads = found.threads
        if any(row.get("run_queue_wait_ns") is not None for row in process.threads):
            threads = [{**row, "cpu_ns": None} for row in threads]
        process.merge_threads(threads)


def _make_process_rows(processes: Sequence[KernelProcess], sums: SchedSums) -> list[KernelProcessRows]:
    """The rows of all processes; `sums` has one element per thread, in the order of the processes' threads."""
    per_thread = zip(
        sums.running_ns.tolist(),
        sums.runnable_ns.tolist(),
        sums.voluntary.tolist(),
        sums.involuntary.tolist(),
        strict=True,
    )
    rows = []
    for process in processes:
        threads: list[PartialRow] = []
        for thread, (running, runnable, voluntary, involuntary) in zip(process.threads, per_thread, strict=False):
            threads.append(
                {
                    "tid": thread.tid,
                    "name": thread.name or None,
                    "start_ns": thread.born_ns,
                    "end_ns": thread.ended_ns,
                    "cpu_ns": running,
                    "run_queue_wait_ns": runnable,
                    "voluntary_switches": voluntary,
                    "involuntary_switches": involuntary,
                }
            )
        row: PartialRow = {
            "pid": process.pid,
            "ppid": process.ppid,
            "exec_ns": process.exec_ns,
            "exit_ns": process.ended_ns,
            "executable": process.executable or None,
        }
        rows.append(KernelProcessRows(process=row, threads=threads))
    return rows
