"""Per thread: how long its tasks took, and how much of that it was on a CPU."""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.metrics.counter_changes import Since, changes, reading_gaps
from tracekit.analysis.metrics.once import once
from tracekit.analysis.tables import Tables

KEYS = ["run_id", "pid", "tid"]


@once
def task_time(tables: Tables) -> pd.DataFrame:
    """One row per thread that did a task.

    run_id, pid, tid; `tasks` how many; `wall` ns covered by its task spans; `cpu` ns on a CPU within them
    (missing when a span lacks it); `overlap` whether spans of the thread lie over one another, as coroutines
    do, so that their CPU times contain each other's; `gap` ns of our own readings in `wall` that are not in
    `cpu`, 0 where the run did not measure them (see readings.reading_gaps); `queue` ns the thread was ready but
    not running over its whole life (missing where the system does not tell).
    """
    tasks = tables.spans[tables.spans["name"] == "task"].sort_values([*KEYS, "start_ns", "dur_ns"], kind="stable")
    # Integers throughout: a stamp after 104 days of uptime no longer fits a float's 53 bits.
    end = tasks["start_ns"] + tasks["dur_ns"]
    covered_until = end.groupby([tasks[key] for key in KEYS]).cummax()
    before = covered_until.groupby([tasks[key] for key in KEYS]).shift()
    hidden = (before - tasks["start_ns"]).clip(lower=0).fillna(0)
    tasks = tasks.assign(
        alone=(tasks["dur_ns"] - hidden).clip(lower=0), overlaps=hidden > 0, no_cpu=tasks["cpu_ns"].isna()
    )
    groups = tasks.groupby(KEYS)
    frame = pd.DataFrame(
        {
            "tasks": groups.size(),
            "wall": groups["alone"].sum().astype("float64"),
            "cpu": groups["cpu_ns"].sum().astype("float64"),
            "overlap": groups["overlaps"].any(),
            "no_cpu": groups["no_cpu"].any(),
        }
    ).reset_index()
    frame["gap"] = frame["tasks"] * frame["run_id"].map(reading_gaps(tables)).astype("float64").fillna(0.0)
    frame.loc[frame["no_cpu"].astype(bool), "cpu"] = float("nan")
    queue = changes(tables, "run_queue_wait_ns", "thread", Since.WINDOW).rename(columns={"value": "queue"})
    return frame.drop(columns="no_cpu").merge(queue[[*KEYS, "queue"]], on=KEYS, how="left")
