"""raw/kernel of one bundle to rows: `sched`, `waits`, `holds`, and what the kernel knows of processes and threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.kernel.gil import gil_frames
from tracekit.analysis.load.kernel.lineage import Process, processes_of
from tracekit.analysis.load.kernel.sched import intervals, sched_frame, totals
from tracekit.analysis.load.kernel.thread_events import Lives as KernelLives
from tracekit.analysis.load.kernel.trace import Trace, read_trace
from tracekit.analysis.load.lifetimes import Facts, Lives
from tracekit.bundle.kernel_files import FOLDER
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import notice
from tracekit.core.units import format_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """One process as the kernel saw it, in columns of `processes`, and its threads in columns of `threads`.

    A thread's start_ns, end_ns, cpu_ns (on a CPU as the scheduler counts: with stolen time), run_queue_wait_ns and its
    counts of switches are all of its whole life.
    """

    process: Facts
    threads: list[Facts]


def add_kernel(bundle: Bundle, spec: RunSpec, window: Window, columns: Columns) -> list[KernelFacts]:
    """Add the rows of `sched`, `waits` and `holds`, and return the run's processes, none without such a capture.

    Raises BundleCorrupt or BundleTooNew.
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
    processes = processes_of(trace)
    lives = KernelLives.of(processes)
    found = intervals(trace, lives)
    columns.add_frame("sched", sched_frame(found, lives, spec.run_id))
    if trace.has_gil_probes:
        waits, holds = gil_frames(trace, lives, spec.run_id)
        columns.add_frame("waits", waits)
        columns.add_frame("holds", holds)
    counted = totals(found, lives)
    per_life = zip(
        counted.running_ns.tolist(),
        counted.runnable_ns.tolist(),
        counted.voluntary.tolist(),
        counted.involuntary.tolist(),
        strict=True,
    )
    return _facts(trace, processes, list(per_life))


def add_kernel_lives(lives: Lives, told: Sequence[KernelFacts]) -> None:
    """What the kernel knows goes into the run's processes and threads where nobody closer to them knows it.

    Of a process that the wait probe described, the threads keep the probe's CPU time, without what was stolen.
    """
    for facts in told:
        life = lives.find(facts.process["pid"])
        if life is None:
            life = lives.add(**facts.process)
        else:
            life.fill(facts.process)
            life.end_by(facts.process["exit_ns"])
        threads = facts.threads
        if any(row.get("run_queue_wait_ns") is not None for row in life.threads):
            threads = [{**row, "cpu_ns": None} for row in threads]
        life.merge_threads(threads)


def _facts(trace: Trace, processes: Sequence[Process], per_life: list[tuple[int, int, int, int]]) -> list[KernelFacts]:
    counted = iter(per_life)
    told = []
    for process in processes:
        facts: Facts = {
            "pid": process.pid,
            "ppid": process.ppid,
            "exec_ns": process.exec_ns,
            "exit_ns": process.ended_ns,
            "executable": process.executable or None,
        }
        threads: list[Facts] = []
        for life, (running, runnable, voluntary, involuntary) in zip(process.lives, counted, strict=False):
            threads.append(
                {
                    "tid": life.tid,
                    "name": life.name or None,
                    "start_ns": life.born_ns,
                    "end_ns": life.ended_ns,
                    "cpu_ns": running,
                    "run_queue_wait_ns": runnable,
                    "voluntary_switches": voluntary,
                    "involuntary_switches": involuntary,
                }
            )
        told.append(KernelFacts(process=facts, threads=threads))
    return told
