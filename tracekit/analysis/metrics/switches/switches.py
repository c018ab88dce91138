"""Context switches: how often a thread left its CPU to wait (voluntary) or was taken off it (involuntary).

getrusage counts them per process: `ru_nvcsw` when a thread blocks, for I/O, a lock, a sleep, or the GIL;
`ru_nivcsw` when the scheduler ends its turn. Voluntary does not mean I/O: a thread that waits for the GIL
wakes every 5 ms to request it. Totals are over the main process in the run window and all workers since their birth.
Rates are made of sums, counts of all runs over seconds (or tasks) of all runs, never averages of rates.

Where the kernel recorded every switch, or the wait probe read a thread's counts at its end, those numbers have rows of
their own, by thread as well (by_thread.py).

macOS and Windows: Windows has no such count inside the process; macOS reports every switch as voluntary
there, so the split between the two is Linux's (and other POSIX systems') only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.counters import total_processes
from tracekit.analysis.metrics.estimate import Estimate, Numbers, Place, measured, unavailable
from tracekit.analysis.metrics.metric import Metric
from tracekit.analysis.metrics.rows import MetricRows, rows_of_methods
from tracekit.analysis.metrics.thread_sums import join_methods
from tracekit.analysis.statistics.intervals import sum_ratio_interval

SPLIT_ON = ("Linux",)
"""Where the system tells the two kinds of switch apart."""


def compute_total(counter: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope thread, process, run and cell, one per method."""
    return rows_of_methods(analysis, counter, "count", list_numbers(analysis, counter))


def list_numbers(analysis: Analysis, counter: str) -> Numbers:
    """The switches of each place, by every method that has them."""
    runs, places = _count(analysis, counter)
    counted: dict[Place, Estimate] = {(run_id,): estimate for run_id, estimate in runs.items()}
    return join_methods(*analysis.switch_numbers(counter), counted, places)


def compute_rate(counter: str, per: str, analysis: Analysis) -> pd.DataFrame:
    """Rows of scope run and cell; `per` is `s` (of wall) or `task`."""
    unit = "1/s" if per == "s" else "count"
    rows = MetricRows(analysis, f"{counter}_per_{per}", unit)
    counts, _ = _count(analysis, counter)
    runs = {run["run_id"]: run for run in analysis.usable_runs}
    bases = {run_id: _base(run, per) for run_id, run in runs.items()}
    for run_id, run in runs.items():
        rows.add_run(run, _rate([counts.get(run_id)], [bases[run_id]], per, pooled=False))
    for cell in analysis.timed_cells:
        of_cell = [counts.get(run) for run in cell.runs]
        rows.add_cell(cell, _rate(of_cell, [bases[run] for run in cell.runs], per, pooled=True))
    return rows.to_frame()


def _count(analysis: Analysis, counter: str) -> tuple[dict[str, Estimate], dict[Place, Estimate]]:
    runs, places = total_processes(
        analysis.measured_processes,
        analysis.counter_changes(counter, "process"),
        missing="switches are not counted here",
    )
    elsewhere = {run["run_id"]: run["os"] for run in analysis.usable_runs if run["os"] not in SPLIT_ON}
    for run_id in runs:
        if run_id in elsewhere:
            runs[run_id] = unavailable(f"{elsewhere[run_id] or 'this system'} does not tell the two kinds apart")
    for place in places:
        if place[0] in elsewhere:
            places[place] = runs[place[0]]
    return runs, places


def _base(run: Mapping[str, Any], per: str) -> float | None:
    if per == "task":
        return None if not run["items"] else float(run["items"])
    return None if not run["wall_ns"] else run["wall_ns"] / 1e9


def _rate(counts: list[Estimate | None], bases: list[float | None], per: str, *, pooled: bool) -> Estimate:
    if not counts:
        return unavailable("no run of this cell ended ok")
    known = [
        (count, base)
        for count, base in zip(counts, bases, strict=True)
        if count is not None and count.available and base is not None
    ]
    if not known:
        reasons = [count.reason for count in counts if count is not None and count.reason]
        return unavailable(
            reasons[0] if reasons else f"the number of {'seconds' if per == 's' else 'tasks'} is unknown"
        )
    tops, bottoms = [count.value for count, _ in known], [base for _, base in known]
    interval = sum_ratio_interval(tops, bottoms) if pooled else None
    method = known[0][0].method
    return measured(sum(tops) / sum(bottoms), method, interval=interval, n=len(known))


def _total(counter: str, summary: str) -> Metric:
    return Metric(
        name=counter,
        unit="count",
        better="neither",
        needs=("counters", "processes", "sched", "threads"),
        valid_on=", ".join(SPLIT_ON),
        summary=summary,
        method=(
            "getrusage of the main process over the run window and of each worker since birth, summed. kernel-sched: "
            "running intervals that end in a block (voluntary) or ready (involuntary). "
            "waits-probe: the kernel's counts of each thread at its end."
        ),
        compute=partial(compute_total, counter),
    )


def _rate_of(counter: str, per: str, summary: str) -> Metric:
    return Metric(
        name=f"{counter}_per_{per}",
        unit="1/s" if per == "s" else "count",
        better="neither",
        needs=("counters", "processes", "runs"),
        valid_on=", ".join(SPLIT_ON),
        summary=summary,
        method=f"Counts of all repeats over {'seconds of wall' if per == 's' else 'tasks'} of all repeats.",
        compute=partial(compute_rate, counter, per),
        computed_from=(counter, "wall_ns") if per == "s" else (counter,),
    )


VOLUNTARY = _total("voluntary_switches", "How often a thread gave up its CPU to wait, also for the GIL.")
INVOLUNTARY = _total("involuntary_switches", "How often the scheduler took the CPU from a thread that wanted it.")
VOLUNTARY_PER_S = _rate_of("voluntary_switches", "s", "Voluntary context switches per second of wall.")
INVOLUNTARY_PER_S = _rate_of("involuntary_switches", "s", "Involuntary context switches per second of wall.")
VOLUNTARY_PER_TASK = _rate_of("voluntary_switches", "task", "Voluntary context switches per task.")
INVOLUNTARY_PER_TASK = _rate_of("involuntary_switches", "task", "Involuntary context switches per task.")
