"""Comparisons of suites whose answers are known, on tables made by hand; and the workload itself, really run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.accuracy.run_factory import ALIVE, PID, PLACE, T0, made, number
from tests.accuracy.test_programs import need
from tests.table_factory import MS
from tracekit.accuracy import workload_runs
from tracekit.accuracy.checks.starts import KnownStarts, compare_stages
from tracekit.accuracy.checks.tasks import KnownTasks, compare_known
from tracekit.accuracy.comparison import CHECKS, Comparison
from tracekit.accuracy.kernel_reference import KernelReference
from tracekit.accuracy.outside_reader import OutsideReadings, read_outside
from tracekit.accuracy.table import format_comparison
from tracekit.analysis.metrics.startup.stages import LIFE, RECORDING, STAGES
from tracekit.system import interpreters

WORKERS = (PID + 1, PID + 2)
MAIN_BYTES, WORKER_BYTES = 40_000_000, 10_000_000


def parcel(worker: int, begun_ms: int, ended_ms: int, sleep_ms: int) -> dict[str, Any]:
    """The answers of one task."""
    forked = {"before_ns": T0, "after_ns": T0 + (50 if worker == WORKERS[0] else 70) * MS}
    times = {"begun_ns": T0 + begun_ms * MS, "ended_ns": T0 + ended_ms * MS, "sleep_s": sleep_ms / 1000}
    return {"pid": worker, "forked": forked, **times}


ANSWERS = {
    # One worker is in tasks for 200 ms of 200, the other one for 100 of 150.
    "tasks": [parcel(WORKERS[0], 100, 300, 80), parcel(WORKERS[1], 100, 150, 20), parcel(WORKERS[1], 200, 250, 20)],
    "forked_ns": T0,
    "pickled_bytes": 500_000,
    "pickling_ns": 200 * MS,
    "observed": {"parcels": 3},
}
TRUE = {
    "spawn_first_instruction_ns": 60 * MS,
    "spawn_first_worker_ns": 50 * MS,
    "teardown_ns": 80 * MS,
    "load_balance": 0.75,
    "communication_share": 1 - 300 / 350,
    "queue_wait_ns": 100 * MS,
    "steal_ns": 30 * MS,
    "observed.parcels": 3,
}
OF_CELLS = {
    "uss_bytes": MAIN_BYTES + 2 * WORKER_BYTES,
    "pss_bytes": 2 * (MAIN_BYTES + 2 * WORKER_BYTES),
    "pickled_bytes": 500_000,
    "pickling_ns": 200 * MS,
}
OF_THREADS = {"thread_task_blocked_ns": 80 * MS, "timeslices": 21}
"""Of the first worker."""


def known_tasks(numbers: Mapping[str, float] = TRUE | OF_CELLS | OF_THREADS) -> KnownTasks:
    """A suite with these metrics, whose true ones are TRUE, OF_CELLS and OF_THREADS."""
    metrics = [number(name, value, scope="run") for name, value in numbers.items() if name in TRUE]
    metrics += [number(name, value, scope="cell") for name, value in numbers.items() if name in OF_CELLS]
    one = {"pid": WORKERS[0], "tid": WORKERS[0]}
    metrics += [number(name, value, **one) for name, value in numbers.items() if name in OF_THREADS]
    read = {"ts_ns": T0 + 400 * MS, "at": "end"}
    counters = [{"counter": name, "pid": pid, "value": 1.0, **read} for name in OF_CELLS for pid in (PID, *WORKERS)]
    counters.append({"counter": "timeslices", **one, "value": 21.0, **read})
    sizes = {PID: MAIN_BYTES, WORKERS[0]: WORKER_BYTES, WORKERS[1]: WORKER_BYTES}
    return KnownTasks(
        place=PLACE,
        tables=made(
            metrics=metrics,
            counters=counters,
            runs=[{"start_ns": T0, "wall_ns": 500 * MS, "warmup": False}],
            processes=[{"pid": pid, "worker": index} for index, pid in enumerate(WORKERS)],
            threads=[ALIVE],
        ).tables,
        warmup=ANSWERS,
        traced=ANSWERS,
        ends={WORKERS[0]: (T0 + 400 * MS, T0 + 470 * MS), WORKERS[1]: (T0 + 401 * MS, T0 + 471 * MS)},
        kernel=KernelReference(
            gil=True,
            ended={WORKERS[0]: T0 + 480 * MS, WORKERS[1]: T0 + 475 * MS},
            switches={WORKERS[0]: (np.array([T0] * 20 + [T0 + 450 * MS] * 9), np.array([], dtype=np.int64))},
        ),
        readings=OutsideReadings(
            memory={pid: [(T0, 1, 1), (T0 + 410 * MS, uss, 2 * uss)] for pid, uss in sizes.items()},
            steal=[(T0 - 9 * MS, 0), (T0 + 499 * MS, 30 * MS), (T0 + 900 * MS, 90 * MS)],
        ),
    )


def test_a_suite_that_measures_what_its_workload_knows_is_right() -> None:
    rows = compare_known(known_tasks())
    wrong = [format_comparison(row) for row in rows if row.verdict != "ok" or row.difference]
    assert not wrong, "\n".join(wrong)
    assert {row.metric for row in rows} == set(CHECKS["tasks"].metrics)


@pytest.mark.parametrize("metric", [*TRUE, *OF_CELLS, *OF_THREADS])
def test_each_of_its_metrics_fails_when_it_is_a_fifth_larger(metric: str) -> None:
    true = TRUE | OF_CELLS | OF_THREADS
    # Steal is counted in ticks of 10 ms.
    wrong = true[metric] * (1.9 if metric == "steal_ns" else 1.2)
    rows = compare_known(known_tasks({**true, metric: wrong}))
    assert {row.metric for row in rows if row.verdict != "ok"} == {metric.split(".")[0]}
    assert {row.verdict for row in rows if row.verdict != "ok"} == {"fail"}


def known_starts(image_ms: float, life_ms: float) -> list[Comparison]:
    """Four warm starts of a process that lives for 100 to 103 ms, the last 90 of them after exec."""
    pids = range(PID + 1, PID + 6)
    stages = [name for name in STAGES if name not in ("exec", "join")]
    metrics = [number(f"spawn_{name}_ns", image_ms * MS / len(stages), "stamps", scope="run") for name in stages]
    metrics.append(number(f"spawn_{LIFE}_ns", life_ms * MS - metrics[stages.index(RECORDING)]["value"], scope="run"))
    seen = made(metrics=metrics, starts=[{"pid": pid, "worker": index} for index, pid in enumerate(pids)])
    kernel = KernelReference(
        gil=True,
        born=dict.fromkeys(pids, T0),
        # The first one is cold, and in no mean of warm ones.
        executed={pid: T0 + (10 + index) * MS for index, pid in enumerate(pids)},
        ended={pid: T0 + (500 if index == 0 else 100 + index) * MS for index, pid in enumerate(pids)},
    )
    return compare_stages(KnownStarts(place=PLACE, tables=seen.tables, kernel=kernel))


def test_stages_of_starts_are_compared_with_exec_and_end_by_the_kernel() -> None:
    assert [(row.verdict, row.reference) for row in known_starts(90, 102.5)] == [("ok", 90 * MS), ("ok", 102.5 * MS)]
    assert [row.verdict for row in known_starts(80, 102.5)] == ["fail", "ok"]
    assert [row.verdict for row in known_starts(90, 110)] == ["ok", "fail"]


def test_what_is_read_outside_is_of_this_process_s_children() -> None:
    with read_outside() as readings:
        code = "import time; kept = bytearray(30 << 20); print(flush=True); time.sleep(0.3)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            begun = time.monotonic_ns()
    found = readings.find_memory(child.pid, begun)
    assert found is not None
    assert 30 << 20 < found[0] < 60 << 20
    assert found[1] >= found[0] // 2
    assert readings.find_memory(child.pid, begun + 10**12) is None
    assert (readings.find_steal(begun, begun) or 0) == 0


@pytest.mark.measures
def test_the_known_workload_is_measured_as_it_knows_itself(tmp_path: Path) -> None:
    own = interpreters.inspect_own()
    need("kernel", own)
    rows = workload_runs.measure_tasks(own, tmp_path)
    assert {row.metric for row in rows} == set(CHECKS["tasks"].metrics)
    # Times depend on the machine; what is counted does not.
    exact = [row for row in rows if row.metric in ("observed", "pickled_bytes", "timeslices")]
    assert [format_comparison(row) for row in exact if row.verdict != "ok"] == []
    assert list(tmp_path.iterdir()) == []
