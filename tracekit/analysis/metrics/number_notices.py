"""Notices about the numbers of a suite, which can only be found when the numbers are there."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.cells.ceiling import NO_CONTROL, choose_control
from tracekit.analysis.metrics.cells.cell_runs import CellRuns, is_program
from tracekit.analysis.metrics.gil.wait_bound import PURE_KINDS
from tracekit.analysis.metrics.ledger.parts import RUN_QUEUE, WALL
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE, MethodDifference, compare_methods, find_family
from tracekit.analysis.statistics.intervals import LEAST
from tracekit.analysis.tables import CELL, records
from tracekit.bundle.names import SERIAL, UNTRACED, VIZTRACER, split_capture
from tracekit.core.notices import Notice, notice
from tracekit.core.units import format_ns, format_value

STEAL_SHARE = 0.02
"""Stolen CPU time beyond this share of what the runs used gets a notice."""
BUSY_SHARE = 0.05
"""Serial in the run queue for more than this part of its time: other work was running on the machine. It has one
thread, which waits for a CPU only when something else runs on it.
"""
SHORT_NS = 100_000_000
"""A serial run shorter than this is mostly start-up and clock noise."""
DIFFER_SHARE, DIFFER_NS = 0.10, 5_000_000
"""Two methods for one number disagree when they are further apart than both."""
OPEN_SHARE, OPEN_NS = 0.05, 2_000_000
"""A ledger with more than both unattributed does not say where the time went. Less than OPEN_NS is what the clocks of
a few threads differ by, which is a large share of a short lifetime.
"""
WIDE = 1.5
"""A speed-up is known too badly to be claimed where one end of its interval is so many times the other: on 2 CPUs that
is most of what lies between no gain and all that can be had. Five rounds whose ratios spread by 16 % do it.
"""
BEYOND = 1.1
"""An interval that ends so many times above what the CPUs allow is of rounds that did not have the same CPUs. Below
that it is the spread of a nearly ideal speed-up: that of five rounds whose ratios spread by 8 % ends there.
"""
_MOST_RUNS = 50
"""More repeats than these are no advice: the machine has to be another one."""
_COMPARED = ("gil_wait_ns",)
"""Metrics whose methods measure the same time. What is read at the end of a thread is of its whole life, and so larger
than what was counted in the run window.
"""


def find_notices(analysis: Analysis, metrics: pd.DataFrame) -> list[Notice]:
    """The notices about this suite, beside those of its bundles. `metrics` is the result of compute_all."""
    cells = metrics[metrics["scope"] == "cell"]
    found = [
        *_busy(analysis, cells),
        *_steal(analysis, metrics),
        *_throttled(analysis),
        *_load(analysis),
        *_no_schedstat(analysis),
        *_few_repeats(analysis),
        *_uneven(analysis, cells),
        *_short_runs(analysis, cells),
        *_no_control(analysis, cells),
        *_no_memory(cells),
        *_forked_with_threads(analysis),
        *_methods_differ(analysis, metrics),
        *_ledger_open(analysis, metrics),
    ]
    return _keep_one_remedy(found)


_ONE_REMEDY = ("busy", "load", "steal", "short-runs", "few-repeats", "uneven-rounds")
"""Of these only the first found keeps its remedy. On a busy machine a larger size or more repeats mend nothing, and
the command for more repeats keeps the size that was too small, as that for a larger size keeps the repeats.
"""


def _keep_one_remedy(found: list[Notice]) -> list[Notice]:
    codes = {item.code for item in found}
    first = next((code for code in _ONE_REMEDY if code in codes), "")
    return [item._replace(remedy="") if item.code in _ONE_REMEDY and item.code != first else item for item in found]


def find_busy_share(waited_ns: float | None, lived_ns: float | None) -> float | None:
    """The part of its time that serial waited for a CPU, when that is more than BUSY_SHARE."""
    share = waited_ns / lived_ns if waited_ns and lived_ns else 0.0
    return share if share > BUSY_SHARE else None


def _busy(analysis: Analysis, cells: pd.DataFrame) -> Iterator[Notice]:
    own = {str(cell.columns["workload"]) for cell in _own(analysis)}
    serial = cells[(cells["model"] == SERIAL) & (cells["capture"] == UNTRACED) & cells["workload"].isin(own)]
    times = serial.pivot_table(index=list(CELL), columns="metric", values="value").reindex(columns=[RUN_QUEUE, WALL])
    shares = [(share, waited) for waited, lived in times.to_numpy() if (share := find_busy_share(waited, lived))]
    if shares:
        share, waited = max(shares)
        yield notice("busy", share=format_value(share, "share"), waited=format_ns(waited))


def find_allowed(workers: int, kind: str, cpus: float | None) -> float | None:
    """The speed-up that the CPUs allow; None where it is not known, or where tasks wait and need no CPU."""
    return min(workers, cpus) if cpus and kind in PURE_KINDS else None


def is_uneven(lower: float, upper: float, allowed: float | None) -> bool:
    """Whether the interval of a speed-up says too little for a claim. One that lies below 1 says enough: slower."""
    return upper > 1 and (upper > WIDE * lower or upper > BEYOND * (allowed or math.inf))


def _uneven(analysis: Analysis, cells: pd.DataFrame) -> Iterator[Notice]:
    speedups = records(cells[(cells["metric"] == "speedup") & cells["lower"].notna() & (cells["capture"] == UNTRACED)])
    by_key = {tuple(row[name] for name in CELL): row for row in speedups}
    own = [(cell, by_key[cell.key]) for cell in _own(analysis) if cell.key in by_key and cell.model != SERIAL]
    cpus = next((finite(item, "usable_cpus") for item in analysis.suite.get("environments", [])), None)
    uneven = [
        (row["upper"] / row["lower"], cell, row, allowed)
        for cell, row in own
        for allowed in [find_allowed(row["workers"], cell.kind, cpus)]
        if is_uneven(row["lower"], row["upper"], allowed)
    ]
    if uneven:
        width, cell, row, allowed = max(uneven, key=lambda item: item[0])
        runs = max(2 * row["n"], math.ceil(row["n"] * (math.log(width) / math.log(WIDE)) ** 2))
        again = f"{_again(analysis, str(row['workload']), '--runs')} --runs {runs}"
        beyond = allowed is not None and row["upper"] > allowed
        yield notice(
            "uneven-rounds",
            cell=f"{cell.model} with {row['workers']} worker{'' if row['workers'] == 1 else 's'}",
            lower=f"{row['lower']:.2f}x",
            upper=f"{row['upper']:.2f}x",
            allowed=f", where the CPUs allow {allowed:g}x" if beyond else "",
            count=len(uneven),
            cells=len(own),
            remedy=again if runs <= _MOST_RUNS else "measure on a machine that has nothing else to do",
        )


def _steal(analysis: Analysis, metrics: pd.DataFrame) -> Iterator[Notice]:
    untraced = {run["run_id"] for run in analysis.usable_runs if run["capture"] == "none" or is_program(run)}
    of_runs = metrics[(metrics["scope"] == "run") & metrics["run_id"].isin(untraced)]
    stolen = float(of_runs.loc[of_runs["metric"] == "steal_ns", "value"].sum())
    used = float(of_runs.loc[of_runs["metric"] == "cpu_ns", "value"].sum())
    if used and stolen > STEAL_SHARE * used:
        share = format_value(stolen / used, "share")
        runs = "the run" if len(untraced) == 1 else f"{len(untraced)} runs"
        yield notice("steal", _of_program(analysis), stolen=format_ns(stolen), runs=runs, share=share)


def _throttled(analysis: Analysis) -> Iterator[Notice]:
    usable = {run["run_id"] for run in analysis.usable_runs}
    changed = analysis.machine_changes("throttled_ns")
    throttled = float(changed.loc[changed["run_id"].isin(usable), "value"].sum())
    if throttled > 0:
        yield notice("throttled", throttled=format_ns(throttled))


def _load(analysis: Analysis) -> Iterator[Notice]:
    """From the environment of the first run: later ones contain the suite's own load."""
    for environment in analysis.suite.get("environments", [])[:1]:
        load, cpus = finite(environment, "load_before"), finite(environment, "usable_cpus")
        if load is not None and cpus and load > max(0.5, 0.75 * cpus):
            recorded = _of_program(analysis)
            what = "program" if recorded else "suite"
            yield notice("load", recorded, load=f"{load:.1f}", cpus=f"{cpus:g}", what=what)


def _of_program(analysis: Analysis) -> bool:
    """Whether this is the suite of a recorded program, which has one run."""
    return any(is_program(run) for run in analysis.usable_runs)


def _no_schedstat(analysis: Analysis) -> Iterator[Notice]:
    sources = sorted(set().union(*analysis.runs_without_counter("run_queue_wait_ns").values()))
    if sources:
        yield notice("no-schedstat", source=" and ".join(sources))


def _few_repeats(analysis: Analysis) -> Iterator[Notice]:
    counts: dict[str, list[int]] = {}
    asked = analysis.suite.get("workload")
    if asked and all(run["workload"] != asked for run in analysis.usable_runs):
        # A suite of several workloads (`claims`) repeats what needs an interval, and the rest once.
        return
    # Of the suite's own work: its controls have as few runs, and one remedy helps both.
    for cell in _own(analysis):
        if cell.kind == FAULT:
            continue
        counts.setdefault(str(cell.columns["workload"]), []).append(len(cell.runs))
    for workload, of_cells in counts.items():
        few = sorted({count for count in of_cells if count < LEAST})
        if few:
            lacking = sum(count < LEAST for count in of_cells)
            cells = f"{workload} ({lacking} of {len(of_cells)} cells)"
            yield notice(
                "few-repeats", cell=cells, n=" or ".join(map(str, few)), again=_again(analysis, workload, "--runs")
            )


FAULT = "fault"
"""The kind of a workload that fails on purpose: one run of it is enough."""


def _own(analysis: Analysis) -> list[CellRuns]:
    """The cells of the suite's own workload, or all when it does not name one."""
    cells = analysis.untraced_cells
    return [cell for cell in cells if cell.columns["workload"] == analysis.suite.get("workload")] or cells


def _short_runs(analysis: Analysis, cells: pd.DataFrame) -> Iterator[Notice]:
    own = {str(cell.columns["workload"]) for cell in _own(analysis)}
    serial = cells[(cells["metric"] == "wall_ns") & (cells["model"] == SERIAL) & (cells["value"] < SHORT_NS)]
    for workload, rows in serial[serial["workload"].isin(own)].groupby("workload", sort=True):
        walls = " or ".join(format_ns(value) for value in sorted(rows["value"]))
        size = "large" if analysis.suite.get("size") in ("default", "large") else "default"
        yield notice(
            "short-runs", workload=workload, wall=walls, size=size, again=_again(analysis, str(workload), "--size")
        )


def _again(analysis: Analysis, workload: str, option: str) -> str:
    """The command that made the suite, without that option, which the caller adds anew."""
    command = analysis.suite.get("command")
    words = [str(word) for word in command] if isinstance(command, (list, tuple)) else []
    # By another name than the table's where a package has given it one.
    if words[:2] != ["tracekit", "run"] or analysis.suite.get("workload") != workload:
        return f"tracekit run {shlex.quote(workload)}"
    return shlex.join(word for before, word in zip(["", *words], words, strict=False) if option not in (before, word))


def _forked_with_threads(analysis: Analysis) -> Iterator[Notice]:
    """The main process's threads before the model began."""
    forking = {run["run_id"]: run["model"] for run in analysis.runs if run["start_method"] == "fork"}
    main = {(row["run_id"], row["pid"]) for row in analysis.processes if row["role"] == "main"}
    most: dict[str, int] = {}
    for row in analysis.counter_readings("process", "threads"):
        if row["at"] != "start" or row["run_id"] not in forking or row["value"] is None:
            continue
        if (row["run_id"], row["pid"]) in main and row["value"] > 1:
            model = forking[row["run_id"]]
            most[model] = max(most.get(model, 0), int(row["value"]))
    for model, threads in sorted(most.items()):
        yield notice("forked-with-threads", model=model, threads=threads)


def _no_control(analysis: Analysis, cells: pd.DataFrame) -> Iterator[Notice]:
    kinds = {cell.columns["workload"]: cell.kind for cell in analysis.untraced_cells}
    lacking = cells[(cells["metric"] == "ceiling_share") & (cells["reason"] == NO_CONTROL)]
    wanted = {(choose_control(kinds[row["workload"]]), row["workers"], row["workload"]) for row in records(lacking)}
    for control, workers, workload in sorted(wanted):
        yield notice("no-control", control=control, workers=workers, workload=workload)


def _no_memory(cells: pd.DataFrame) -> Iterator[Notice]:
    memory = cells[cells["metric"].isin(["uss_bytes", "pss_bytes"])]
    # PSS exists on Linux only, so its absence alone is no news.
    if len(memory) and (memory["quality"] == "unavailable").all():
        yield notice("no-memory", reason=sorted(set(memory["reason"].dropna()))[0])


def _methods_differ(analysis: Analysis, metrics: pd.DataFrame) -> Iterator[Notice]:
    """Compared by thread: the sums of a run are over different threads for each method.

    VizTracer's runs of a suite are left out: they carry the wait probe for their picture only.
    """
    of_picture = [
        run["run_id"]
        for run in analysis.usable_runs
        if VIZTRACER in split_capture(run["capture"]) and not is_program(run)
    ]
    compared = metrics[(metrics["scope"] == "thread") & metrics["metric"].isin(_COMPARED)]
    compared = compared[~compared["run_id"].isin(of_picture)]
    compared = compared[compared.duplicated(["run_id", "pid", "tid", "metric"], keep=False)]
    groups: dict[tuple[str, str, str], list[MethodDifference]] = {}
    for found in compare_methods(_bounded(analysis, records(compared))):
        names = (str(found.best["metric"]), find_family(found.best["method"]), find_family(found.other["method"]))
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


def _far(found: MethodDifference) -> bool:
    whole = max(abs(found.best["value"]), abs(found.other["value"]))
    return found.apart > DIFFER_NS and found.apart > DIFFER_SHARE * whole


def _bounded(analysis: Analysis, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows, with the part in tasks of a recorded GIL wait where there is also a bound, which knows tasks only."""
    programs = {run["run_id"] for run in analysis.usable_runs if is_program(run)}
    in_tasks = {method: analysis.gil_wait_in_tasks(method) for method in (KERNEL_UPROBE, WAITS_PROBE)} if rows else {}
    with_bound = {(row["run_id"], row["pid"], row["tid"]) for row in rows if row["quality"] == "bound"}
    for row in rows:
        place = (row["run_id"], row["pid"], row["tid"])
        method = find_family(row["method"])
        if method in (KERNEL_UPROBE, WAITS_PROBE) and place in with_bound and row["run_id"] not in programs:
            inside = in_tasks[method].get(place, 0.0)
            yield {**row, "value": inside, "lower": inside, "upper": inside}
        else:
            yield row


def _ledger_open(analysis: Analysis, metrics: pd.DataFrame) -> Iterator[Notice]:
    rows = metrics[(metrics["scope"] == "run") & metrics["metric"].isin(["thread_wall_ns", "unattributed_ns"])]
    values = rows.pivot_table(index="run_id", columns="metric", values="value", aggfunc="first")
    if not {"thread_wall_ns", "unattributed_ns"} <= set(values.columns):
        return
    rests = values["unattributed_ns"].abs().dropna()
    shares = (rests / values["thread_wall_ns"]).dropna()
    shares = shares[(shares > OPEN_SHARE) & (rests.reindex(shares.index) > OPEN_NS)]
    if len(shares):
        worst = str(shares.idxmax())
        by = next((split_capture(run["capture"]) for run in analysis.usable_runs if run["run_id"] == worst), ())
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
"""The remedy, by the captures that did not run."""


def finite(facts: Mapping[str, Any], key: str) -> float | None:
    """A number of a file as a float; None when it is absent, no number, or not finite."""
    value = facts.get(key)
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
