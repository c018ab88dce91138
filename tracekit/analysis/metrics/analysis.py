"""The shared intermediate results of one suite, between its tables and its metrics.

Metrics, notices and report read tables through an `Analysis` only: a property or method for each result that more than
one of them needs, computed when it is first asked for and kept. How a result is computed is the business of the
functions called here, which take tables and other results as arguments and know nothing of an Analysis; another engine
can stand in their place without a change to any metric.

Results are shared and must not be changed. Tables that change need a new Analysis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from tracekit.analysis.metrics import counters
from tracekit.analysis.metrics.cells.cell_runs import CellKey, group_cells, is_program
from tracekit.analysis.metrics.counters import Since
from tracekit.analysis.metrics.estimate import Estimate, Numbers, Place
from tracekit.analysis.metrics.gil import attribution, holds, wait_bound
from tracekit.analysis.metrics.gil.wait_sampled import estimate_from_samples
from tracekit.analysis.metrics.interval_timeline import (
    Bools,
    Intervals,
    IntervalTimeline,
    make_disjoint,
    to_ints,
)
from tracekit.analysis.metrics.ledger.accountable import AccountableTime, compute_accountable
from tracekit.analysis.metrics.ledger.from_counters import CountedLedger, build_from_counters
from tracekit.analysis.metrics.ledger.from_sched import build_from_sched
from tracekit.analysis.metrics.ledger.from_waits import (
    LedgerInput,
    build_from_waits,
    find_steal_budgets,
    select_ledger_waits,
)
from tracekit.analysis.metrics.ledger.parts import Ledger
from tracekit.analysis.metrics.lifetimes import KEYS, compute_lifetimes
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.analysis.metrics.predict.break_even_terms import BreakEvenTerms, derive_terms_by_round
from tracekit.analysis.metrics.predict.task_demand import DemandByRound, measure_demands, measure_outside_waits
from tracekit.analysis.metrics.predict.worker_costs import CostPlace, WorkerCosts, measure_worker_costs
from tracekit.analysis.metrics.recorded_intervals import (
    GIL,
    RecordedWaits,
    SchedStates,
    find_wait_methods,
    lay_sched_states,
    lay_tasks,
    lay_waits,
    sum_gil_waits_in_tasks,
    sum_waits,
)
from tracekit.analysis.metrics.suite_records import SuiteRecords
from tracekit.analysis.metrics.switches import by_thread
from tracekit.analysis.metrics.task_spans import TaskSpans, group_task_spans, measure_task_time
from tracekit.analysis.metrics.thread_sums import join_methods
from tracekit.analysis.tables import Tables


def share_analysis(tables: Tables) -> Analysis:
    """The analysis that metrics, notices, report and explanations of the same tables share.

    Metrics and notices may be added to the tables afterwards; nothing else may change.
    """
    found = tables.derived.get(Analysis)
    if not isinstance(found, Analysis):
        found = tables.derived[Analysis] = Analysis(tables)
    return found


class Analysis(SuiteRecords):
    """All shared intermediate results of one suite. Times are ns of CLOCK_MONOTONIC, or lengths."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._gil_holds: dict[str, holds.GilHolds] = {}
        self._gil_handoffs: dict[str, holds.GilHandoffs] = {}
        self._attributed: dict[str, attribution.AttributedWaits] = {}
        self._thread_time: dict[str, dict[Place, Estimate]] = {}
        self._switches: dict[str, tuple[dict[Place, Estimate], ...]] = {}

    # Threads and tasks

    @cached_property
    def lifetimes(self) -> pd.DataFrame:
        """The threads of usable runs and their lifetimes; columns in `lifetimes.compute_lifetimes`."""
        return compute_lifetimes(self._tables, self.usable_ids)

    @cached_property
    def task_spans(self) -> dict[str, TaskSpans]:
        """The task spans of each usable run that has any."""
        return group_task_spans(self._tables.spans, self.usable_ids)

    @cached_property
    def task_time(self) -> pd.DataFrame:
        """How long the tasks of each thread took; columns in `task_spans.measure_task_time`, plus the number of threads
        of its process, see `wait_bound.add_thread_counts`."""
        queue = self.counter_changes("run_queue_wait_ns", "thread", Since.WINDOW)
        found = measure_task_time(self._tables.spans, counters.measure_reading_gaps(self._tables.counters), queue)
        return wait_bound.add_thread_counts(found, self._tables.counters, self._tables.threads)

    # What captures recorded of threads

    @cached_property
    def recorded_waits(self) -> RecordedWaits:
        """The waits of usable runs, on the timeline of their threads."""
        return lay_waits(self.lifetimes, self._tables.waits)

    @cached_property
    def sched_states(self) -> SchedStates:
        """The kernel's scheduling record, on the same timeline."""
        return lay_sched_states(self.recorded_waits.timeline, self._tables.sched)

    @cached_property
    def runnable_since_creation(self) -> tuple[IntervalTimeline, Intervals]:
        """When threads were ready, disjoint, on a timeline of their lives from when they were asked for."""
        lifetimes = self.lifetimes
        created = lifetimes["created"].fillna(lifetimes["opens"])
        died = lifetimes["died"].fillna(lifetimes["closes"])
        timeline = IntervalTimeline(lifetimes, KEYS, to_ints(created), to_ints(died))
        sched = self._tables.sched
        ready = sched[(sched["state"] == "runnable") & sched["start_ns"].notna() & sched["dur_ns"].notna()]
        return timeline, make_disjoint(timeline.lay_rows(ready))

    @cached_property
    def task_intervals(self) -> Intervals:
        """All tasks on the same timeline, disjoint."""
        return lay_tasks(self.recorded_waits.timeline, self._tables.spans)

    @cached_property
    def wait_methods(self) -> dict[str, tuple[str, ...]]:
        """Per usable run in which GIL waits could be recorded: the methods that could, the best first."""
        return find_wait_methods(self._tables, self.usable_runs)

    @cached_property
    def without_functions(self) -> dict[str, str]:
        """The runs with a process whose Python functions could not be read, and why."""
        processes = self._tables.processes
        rows = processes[processes["no_functions"].notna()]
        return dict(zip(rows["run_id"].tolist(), rows["no_functions"].tolist(), strict=True))

    def runs_with_notice(self, code: str) -> frozenset[str]:
        """The runs of which a notice with this code was given."""
        notices = self._tables.notices
        return frozenset(notices.loc[notices["code"] == code, "run_id"].dropna())

    def runs_watched_by(self, method: str) -> list[str]:
        """The ids of usable runs in which this method could record waits."""
        return [run_id for run_id, methods in self.wait_methods.items() if method in methods]

    def watched_by(self, method: str) -> Bools:
        """Which threads, rows of `lifetimes`, are of such runs."""
        runs = self.lifetimes["run_id"].isin(self.runs_watched_by(method))
        return np.asarray(runs, dtype=np.bool_)

    # The GIL

    @cached_property
    def gil_wait_numbers(self) -> Numbers:
        """The GIL wait of each place by every method that has it, the best first."""
        threads = self.lifetimes
        python = ~threads["native"].to_numpy(bool) & ~threads["run_id"].isin(list(self.gil_off_ids)).to_numpy(bool)
        recorded = (
            sum_waits(self.recorded_waits, self.watched_by(method) & python, method, GIL)
            for method in (KERNEL_UPROBE, WAITS_PROBE)
        )
        sampled = estimate_from_samples(self._tables.samples, self.suite.get("stacks", {}), threads)
        bounds = wait_bound.bound_gil_waits(self.usable_runs, threads, self.task_time, self.machine_changes("steal_ns"))
        return join_methods(*recorded, sampled, bounds)

    def gil_wait_in_tasks(self, method: str) -> dict[Place, float]:
        """Per thread: the part of its recorded GIL wait that lies in tasks."""
        return sum_gil_waits_in_tasks(self.recorded_waits, self.task_intervals, method)

    def gil_waits(self, method: str) -> pd.DataFrame:
        """The GIL waits of usable runs that this method recorded: rows of the table `waits`."""
        rows = self.recorded_waits.select(method, GIL).rows
        return self.recorded_waits.waits.iloc[rows].reset_index(drop=True)

    def gil_holds(self, method: str) -> holds.GilHolds:
        """The holds of known beginning that a thread waited for, as this method recorded them."""
        if method not in self._gil_holds:
            found = self._holds(method)
            if method == WAITS_PROBE:
                found = holds.select_waited_for(self.gil_waits(method), found, self._gils)
            self._gil_holds[method] = holds.measure_holds(found, self.run_windows)
        return self._gil_holds[method]

    def gil_handoffs(self, method: str) -> holds.GilHandoffs:
        """The handoffs of which this method recorded the drop."""
        if method not in self._gil_handoffs:
            found = holds.find_handoffs(self.gil_waits(method), self._holds(method), self._gils)
            self._gil_handoffs[method] = found
        return self._gil_handoffs[method]

    def runs_with_holds(self, method: str) -> frozenset[str]:
        """The ids of runs of which this method recorded GIL holds."""
        return frozenset(self._holds(method)["run_id"])

    @cached_property
    def switch_intervals_ns(self) -> dict[Place, int]:
        """The interpreter's switch interval in processes and usable runs where it is known."""
        environments = self.suite.get("environments", [])
        return holds.read_switch_intervals(self.usable_runs, environments, self._tables.processes)

    def attributed_waits(self, run_id: str) -> attribution.AttributedWaits:
        """The GIL waits of a run, cut by who held the GIL meanwhile."""
        if run_id not in self._attributed:
            methods = self.wait_methods.get(run_id, ())
            method = WAITS_PROBE if WAITS_PROBE in methods else next(iter(methods), "")
            of_run = self._holds(method)
            self._attributed[run_id] = attribution.attribute_waits(
                self.recorded_waits,
                self._gils,
                of_run[of_run["run_id"] == run_id],
                self._tables.slices[self._tables.slices["run_id"] == run_id],
                run_id,
                method,
            )
        return self._attributed[run_id]

    def contention_attribution(self, run_id: str) -> pd.DataFrame:
        """The same as a table of waiters and holders; columns in `attribution.COLUMNS`."""
        return attribution.tabulate(self.attributed_waits(run_id))

    # The ledger

    def thread_time(self, part: str) -> dict[Place, Estimate]:
        """One part of the ledger of each thread, process and run that has it, by the run's best method."""
        if part not in self._thread_time:
            found: dict[Place, Estimate] = {}
            for ledger in self._ledgers:
                found |= ledger.sum_part(part)
            watched = {place[0] for place in found} | {run_id for ledger in self._ledgers for run_id in ledger.runs}
            counted = self._counted_ledger.sum_part(part)
            self._thread_time[part] = {
                place: item for place, item in counted.items() if place[0] not in watched
            } | found
        return self._thread_time[part]

    @cached_property
    def accountable_time(self) -> AccountableTime:
        """Which time of each thread its ledger accounts for."""
        return compute_accountable(
            self.lifetimes,
            self.recorded_waits.timeline,
            self.task_intervals,
            self.task_time,
            self.counter_changes("cpu_ns", "thread", Since.WINDOW),
            self.counter_changes("run_queue_wait_ns", "thread", Since.WINDOW),
        )

    @cached_property
    def ledger_waits(self) -> Intervals:
        """The waits that stand in a ledger, disjoint, on the timeline of `recorded_waits`."""
        return select_ledger_waits(self.recorded_waits, self.wait_methods)

    # The scheduler

    def switch_numbers(self, counter: str) -> tuple[dict[Place, Estimate], ...]:
        """Context switches of each thread, process and run, from the kernel's record and from the probe."""
        if counter not in self._switches:
            in_sched = by_thread.count_in_sched(self.recorded_waits, self.sched_states, counter)
            self._switches[counter] = (in_sched, self.thread_end_sums(counter))
        return self._switches[counter]

    def thread_end_sums(self, counter: str) -> dict[Place, Estimate]:
        """A count that the wait probe read at the end of each thread, and its sums over processes and runs."""
        programs = [run["run_id"] for run in self.usable_runs if is_program(run)]
        return by_thread.sum_thread_ends(self.recorded_waits, self.watched_by(WAITS_PROBE), counter, programs)

    @cached_property
    def gil_waiter_switches(self) -> Numbers:
        """The voluntary switches of threads that wait for the GIL."""
        return join_methods(
            by_thread.count_gil_waiters_in_sched(self.recorded_waits, self.sched_states, self.wait_methods),
            by_thread.estimate_gil_waiters(self.recorded_waits, self.watched_by(WAITS_PROBE), self.switch_intervals_ns),
        )

    # Predictions

    @cached_property
    def worker_costs(self) -> Mapping[CostPlace, Mapping[int, WorkerCosts]]:
        """(os, python, workers) -> repeat -> what workers cost, as the controls of the suite measured it."""
        return measure_worker_costs(self.usable_runs, self.task_spans, self._tables.spans, self.processes)

    @cached_property
    def task_demands(self) -> Mapping[CellKey, DemandByRound | str]:
        """For each cell of threads: what its tasks need, by round, or why that is not known."""
        return measure_demands(
            self.untraced_cells,
            self.runs,
            self.task_spans,
            self._tables.pickles,
            measure_outside_waits(self.recorded_waits, self._tables.spans, self.usable_runs),
            wait_bound.find_other_threads(self.task_time),
        )

    @cached_property
    def break_even_terms(self) -> Mapping[CellKey, Sequence[BreakEvenTerms] | str]:
        """For each cell of threads: what decides between threads and processes, by round, or why it is not known."""
        return derive_terms_by_round(self.untraced_cells, self.usable_runs, self.task_demands, self.worker_costs)

    # Used by the above only

    def _holds(self, method: str) -> pd.DataFrame:
        return self._tables.holds[self._tables.holds["method"] == method]

    @cached_property
    def _gils(self) -> IntervalTimeline:
        return holds.lay_gils(self._tables.waits, self._tables.holds, self.run_windows)

    @cached_property
    def _counted_ledger(self) -> CountedLedger:
        return build_from_counters(self.usable_runs, group_cells(self.runs), self.lifetimes, self.task_time)

    @cached_property
    def _ledgers(self) -> list[Ledger]:
        """A ledger for each combination of methods that recorded runs."""
        scheduled = set(self._tables.sched["run_id"].dropna().unique())
        combinations: dict[tuple[bool, bool, bool, bool], set[str]] = {}
        for run in self.usable_runs:
            methods = self.wait_methods.get(run["run_id"], ())
            functions = not (is_program(run) and run["run_id"] in self.without_functions)
            recorded = (run["run_id"] in scheduled, bool(methods), WAITS_PROBE in methods, functions)
            if recorded[0] or recorded[2] or is_program(run):
                combinations.setdefault(recorded, set()).add(run["run_id"])
        if not combinations:
            return []
        steal = find_steal_budgets(self.lifetimes, self.machine_changes("steal_ns"))
        given = LedgerInput(self.recorded_waits, self.accountable_time, self.ledger_waits, steal)
        return [
            build_from_sched(given, self.sched_states, frozenset(runs), gil=gil, probe=probe, functions=functions)
            if by_kernel
            else build_from_waits(given, frozenset(runs), probe=probe, functions=functions)
            for (by_kernel, gil, probe, functions), runs in combinations.items()
        ]
