"""Doubts about the numbers that only show when the numbers are there."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.bootstrap import LEAST
from tracekit.analysis.metrics.cells.ceiling import NO_CONTROL, control_for
from tracekit.analysis.metrics.cells.cell_runs import Cell, captures, is_program, untraced_cells, usable_runs
from tracekit.analysis.metrics.counter_changes import machine_changes
from tracekit.analysis.metrics.gil.wait_measured import in_tasks
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE, Difference, differences, family
from tracekit.analysis.metrics.once import remembering
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.names import SERIAL
from tracekit.core.notices import Notice, notice
from tracekit.core.units import format_ns, format_value

STEAL_SHARE = 0.02
"""Stolen CPU time beyond this share of what the runs used is worth a word."""
SHORT_NS = 100_000_000
"""A serial run shorter than this is mostly start-up and clock noise."""
DIFFER_SHARE, DIFFER_NS = 0.10, 5_000_000
"""Two methods for one number disagree when they are further apart than both."""
OPEN_SHARE, OPEN_NS = 0.05, 2_000_000
"""A ledger with more than both of its whole unattributed does not say where the time went. Less than the time is what
the clocks of a few threads are apart, which is a large share of a thread that hardly lived.
"""
_COMPARED = ("gil_wait_ns",)
"""Metrics whose methods speak about the same time. What is read at the end of a thread is of its whole life, and so
larger than what was counted in the run window.
"""


def find_notices(tables: Tables, metrics: pd.DataFrame) -> list[Notice]:
    """What is to be said about this suite beside what its bundles said already. `metrics` is compute_all's
    result.
    """
    cells = metrics[metrics["scope"] == "cell"]
    # Which waits lie in tasks is asked for thread by thread.
    with remembering():
        return [
            *_steal(tables, metrics),
            *_throttled(tables),
            *_load(tables),
            *_no_schedstat(tables),
            *_few_repeats(tables),
            *_short_runs(tables, cells),
            *_no_control(tables, cells),
            *_no_memory(cells),
            *_forked_with_threads(tables),
            *_methods_differ(tables, metrics),
            *_ledger_open(tables, metrics),
        ]


def _steal(tables: Tables, metrics: pd.DataFrame) -> Iterator[Notice]:
    untraced = {run["run_id"] for run in usable_runs(tables) if run["capture"] == "none" or is_program(run)}
    of_runs = metrics[(metrics["scope"] == "run") & metrics["run_id"].isin(untraced)]
    stolen = float(of_runs.loc[of_runs["metric"] == "steal_ns", "value"].sum())
    used = float(of_runs.loc[of_runs["metric"] == "cpu_ns", "value"].sum())
    if used and stolen > STEAL_SHARE * used:
        share = format_value(stolen / used, "share")
        runs = "the run" if len(untraced) == 1 else f"{len(untraced)} runs"
        yield notice("steal", _of_program(tables), stolen=format_ns(stolen), runs=runs, share=share)


def _throttled(tables: Tables) -> Iterator[Notice]:
    usable = {run["run_id"] for run in usable_runs(tables)}
    changed = machine_changes(tables, "throttled_ns")
    throttled = float(changed.loc[changed["run_id"].isin(usable), "value"].sum())
    if throttled > 0:
        yield notice("throttled", throttled=format_ns(throttled))


def _load(tables: Tables) -> Iterator[Notice]:
    """From the environment of the first run: later ones contain the suite's own load."""
    for environment in tables.suite.get("environments", [])[:1]:
        load, cpus = finite(environment, "load_before"), finite(environment, "usable_cpus")
        if load is not None and cpus and load > max(0.5, 0.75 * cpus):
            recorded = _of_program(tables)
            what = "program" if recorded else "suite"
            yield notice("load", recorded, load=f"{load:.1f}", cpus=f"{cpus:g}", what=what)


def _of_program(tables: Tables) -> bool:
    """Whether this is the suite of a recorded program, which has one run."""
    return any(is_program(run) for run in usable_runs(tables))


def _no_schedstat(tables: Tables) -> Iterator[Notice]:
    counters = tables.counters[tables.counters["at"].notna()]
    without = set(counters["run_id"]) - set(counters.loc[counters["counter"] == "run_queue_wait_ns", "run_id"])
    sources = sorted(set(counters.loc[counters["run_id"].isin(without), "source"].dropna()))
    if sources:
        yield notice("no-schedstat", source=" and ".join(sources))


def _few_repeats(tables: Tables) -> Iterator[Notice]:
    counts: dict[str, list[int]] = {}
    asked = tables.suite.get("workload")
    if asked and all(run["workload"] != asked for run in usable_runs(tables)):
        # A suite of several workloads (`claims`) repeats what needs an interval, and the rest once.
        return
    # Of the suite's own work: what is short or rare there is so in the controls too, and one remedy mends both.
    for cell in _own(tables):
        if cell.kind == FAULT:
            continue
        counts.setdefault(str(cell.columns["workload"]), []).append(len(cell.runs))
    for workload, of_cells in counts.items():
        few = sorted({count for count in of_cells if count < LEAST})
        if few:
            lacking = sum(count < LEAST for count in of_cells)
            cells = f"{workload} ({lacking} of {len(of_cells)} cells)"
            yield notice(
                "few-repeats", cell=cells, n=" or ".join(map(str, few)), again=_again(tables, workload, "--runs")
            )


FAULT = "fault"
"""The kind of a workload that fails on purpose: what is counted there, once is enough."""


def _own(tables: Tables) -> list[Cell]:
    """The cells of what the suite was asked about, or all when it does not say."""
    cells = untraced_cells(tables)
    return [cell for cell in cells if cell.columns["workload"] == tables.suite.get("workload")] or cells


def _short_runs(tables: Tables, cells: pd.DataFrame) -> Iterator[Notice]:
    own = {str(cell.columns["workload"]) for cell in _own(tables)}
    serial = cells[(cells["metric"] == "wall_ns") & (cells["model"] == SERIAL) & (cells["value"] < SHORT_NS)]
    for workload, rows in serial[serial["workload"].isin(own)].groupby("workload", sort=True):
        walls = " or ".join(format_ns(value) for value in sorted(rows["value"]))
        size = "large" if tables.suite.get("size") in ("default", "large") else "default"
        yield notice(
            "short-runs", workload=workload, wall=walls, size=size, again=_again(tables, str(workload), "--size")
        )


def _again(tables: Tables, workload: str, option: str) -> str:
    """The command that made the suite, without that option, which the caller adds anew."""
    command = tables.suite.get("command")
    words = [str(word) for word in command] if isinstance(command, (list, tuple)) else []
    # By another name than the table's where a package has given it one.
    if words[:2] != ["tracekit", "run"] or tables.suite.get("workload") != workload:
        return f"tracekit run {shlex.quote(workload)}"
    return shlex.join(word for before, word in zip(["", *words], words, strict=False) if option not in (before, word))


def _forked_with_threads(tables: Tables) -> Iterator[Notice]:
    """The main process's threads before the model began."""
    forking = {run["run_id"]: run["model"] for run in records(tables.runs) if run["start_method"] == "fork"}
    main = {(row["run_id"], row["pid"]) for row in records(tables.processes) if row["role"] == "main"}
    counters = tables.counters
    counted = counters[(counters["counter"] == "threads") & (counters["at"] == "start")]
    most: dict[str, int] = {}
    for row in records(counted[counted["run_id"].isin(set(forking)) & (counted["scope"] == "process")]):
        if (row["run_id"], row["pid"]) in main and row["value"] is not None and row["value"] > 1:
            model = forking[row["run_id"]]
            most[model] = max(most.get(model, 0), int(row["value"]))
    for model, threads in sorted(most.items()):
        yield notice("forked-with-threads", model=model, threads=threads)


def _no_control(tables: Tables, cells: pd.DataFrame) -> Iterator[Notice]:
    kinds = {cell.columns["workload"]: cell.kind for cell in untraced_cells(tables)}
    lacking = cells[(cells["metric"] == "ceiling_share") & (cells["reason"] == NO_CONTROL)]
    wanted = {(control_for(kinds[row["workload"]]), row["workers"], row["workload"]) for row in records(lacking)}
    for control, workers, workload in sorted(wanted):
        yield notice("no-control", control=control, workers=workers, workload=workload)


def _no_memory(cells: pd.DataFrame) -> Iterator[Notice]:
    memory = cells[cells["metric"].isin(["uss_bytes", "pss_bytes"])]
    # PSS exists on Linux only, so its absence alone is no news.
    if len(memory) and (memory["quality"] == "unavailable").all():
        yield notice("no-memory", reason=sorted(set(memory["reason"].dropna()))[0])


def _methods_differ(tables: Tables, metrics: pd.DataFrame) -> Iterator[Notice]:
    """By thread: what methods say of a run is not over the same threads."""
    compared = metrics[(metrics["scope"] == "thread") & metrics["metric"].isin(_COMPARED)]
    compared = compared[compared.duplicated(["run_id", "pid", "tid", "metric"], keep=False)]
    groups: dict[tuple[str, str, str], list[Difference]] = {}
    for found in differences(_bounded(tables, records(compared))):
        names = (str(found.best["metric"]), family(found.best["method"]), family(found.other["method"]))
        groups.setdefault(names, []).append(found)
    for (metric, best, other), of_group in sorted(groups.items()):
        far = [found for found in of_group if _far(found)]
        if far:
            worst = max(far, key=lambda found: found.apart)
            yield notice(
                "methods-differ",
                metric=metric,
                best=best,
                other=other,
                apart=format_ns(worst.apart),
                value=format_ns(worst.best["value"]),
                place=f"thread {worst.best['tid']} of {worst.best['run_id']}",
                threads=f"{len(far)} of {len(of_group)}",
            )


def _far(found: Difference) -> bool:
    whole = max(abs(found.best["value"]), abs(found.other["value"]))
    return found.apart > DIFFER_NS and found.apart > DIFFER_SHARE * whole


def _bounded(tables: Tables, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows, in which GIL wait that was seen is that of tasks beside a bound of suites, which knows tasks only."""
    programs = {run["run_id"] for run in usable_runs(tables) if is_program(run)}
    with_bound = {(row["run_id"], row["pid"], row["tid"]) for row in rows if row["quality"] == "bound"}
    for row in rows:
        place = (row["run_id"], row["pid"], row["tid"])
        method = family(row["method"])
        if method in (KERNEL_UPROBE, WAITS_PROBE) and place in with_bound and row["run_id"] not in programs:
            inside = in_tasks(tables, method).get(place, 0.0)
            yield {**row, "value": inside, "lower": inside, "upper": inside}
        else:
            yield row


def _ledger_open(tables: Tables, metrics: pd.DataFrame) -> Iterator[Notice]:
    rows = metrics[(metrics["scope"] == "run") & metrics["metric"].isin(["thread_wall_ns", "unattributed_ns"])]
    values = rows.pivot_table(index="run_id", columns="metric", values="value", aggfunc="first")
    if not {"thread_wall_ns", "unattributed_ns"} <= set(values.columns):
        return
    rests = values["unattributed_ns"].abs().dropna()
    shares = (rests / values["thread_wall_ns"]).dropna()
    shares = shares[(shares > OPEN_SHARE) & (rests.reindex(shares.index) > OPEN_NS)]
    if len(shares):
        worst = str(shares.idxmax())
        by = next((captures(run) for run in usable_runs(tables) if run["run_id"] == worst), ())
        yield notice(
            "ledger-open",
            run_id=worst,
            share=format_value(shares[worst], "share"),
            runs=f"{len(shares)} of {len(values)}",
            time=format_ns(rests[worst]),
            remedy=_SEES_MORE[tuple(name for name in ("waits", "kernel") if name not in by)],
        )


_SEES_MORE = {
    ("waits", "kernel"): "add the captures waits and kernel, which see more of what threads wait for",
    ("waits",): "add the capture waits, which sees what threads wait for",
    ("kernel",): "add the capture kernel, which sees every moment in which a thread had no CPU",
    (): "repeat on a quiet machine: every moment was watched, so some of the record is missing or the clocks disagree",
}
"""What helps, by the captures that did not run."""


def finite(facts: Mapping[str, Any], key: str) -> float | None:
    """A number that a file holds, as a float; None when it is absent, no number, or none that a float can
    hold.
    """
    value = facts.get(key)
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
