"""Every workload under every model, in real processes: the same checksum; and what the workloads are there to show."""

from __future__ import annotations

import json
import math
import os
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeOnce, RealSuite, Tracekit, make_suite_once
from tests.real.leftovers import abandoned_segments, assert_no_segments_left, processes_with
from tests.real.quick import assert_two_lines, measure
from tracekit import api
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.faults.cases import find_matrices
from tracekit.analysis.tables import Tables, records
from tracekit.bundle.store import Store
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.system.interpreters import Interpreter

MODELS = ("serial", "threads", "fork", "spawn", "forkserver")
PROCESSES = ("fork", "spawn", "forkserver")


def measured(folder: Path, workload: str, *, models: tuple[str, ...] = MODELS, **more: Any) -> Tables:
    """The tables of untraced runs with two workers."""
    workers = (1 if WORKLOADS.load(workload).worker_per_item else 2,)
    return api.analyse(measure(folder, workload, models=models, workers=workers, **more))


def of_models(tables: Tables, metric: str) -> Mapping[str, float]:
    """model -> the cell's value."""
    rows = tables.metrics[(tables.metrics["scope"] == "cell") & (tables.metrics["metric"] == metric)]
    return {row["model"]: row["value"] for row in records(rows)}


@pytest.mark.parametrize("workload", tuple(WORKLOADS))
def test_every_model_comes_to_the_same_checksum(workload: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A workload that does not compare models by itself is run under all of them in `make test-all` only."""
    usual = () if pytestconfig.getoption("--thorough") else WORKLOADS.load(workload).usual.get("models", ())
    models = tuple(usual) or MODELS
    runs = records(measured(tmp_path, workload, models=models).runs)
    assert [run["model"] for run in runs] == list(models)
    checksums = {run["checksum"] for run in runs}
    assert len(checksums) == 1, runs
    assert all(checksums), "a checksum that says nothing"
    assert len({run["items"] for run in runs}) == 1


def test_the_list_says_of_each_what_its_own_file_says() -> None:
    for name in WORKLOADS:
        workload = WORKLOADS.load(name)
        assert (workload.name, workload.summary) == (name, WORKLOADS.summary(name))


@pytest.mark.parametrize("name", tuple(WORKLOADS))
def test_each_says_what_it_shows_and_depends_on(name: str) -> None:
    """By its docstring, which is what a reader of the file comes for; controls test no claim."""
    module = __import__(WORKLOADS.target(name).split(":")[0], fromlist=["WORKLOAD"])
    said = module.__doc__ or ""
    wanted = ["Shows: ", "A good answer: ", "Depends on: "]
    found = [said.find(f"\n{word}") for word in wanted]
    assert min(found) > 0, f"{name} does not say {wanted[found.index(min(found))]}"
    assert found == sorted(found)
    assert said.startswith(f"{name}: ")


def test_race_loses_updates_without_a_lock_and_none_with_it(tmp_path: Path) -> None:
    lost = of_models(measured(tmp_path / "a", "race", size="small"), "observed.updates_lost")
    assert lost["threads"] > 0
    assert {model: lost[model] for model in lost if model != "threads"} == dict.fromkeys(("serial", *PROCESSES), 0)
    locked = of_models(measured(tmp_path / "b", "race", parameters={"lock": "yes"}), "observed.updates_lost")
    assert locked == dict.fromkeys(MODELS, 0)


def test_race_loses_updates_on_every_python(each_python: Interpreter, tmp_path: Path) -> None:
    for lock in ("no", "yes"):
        settings = {"models": ("threads",), "size": "smoke" if lock == "yes" else "small", "parameters": {"lock": lock}}
        suite = measure(tmp_path / lock, "race", pythons=[each_python.executable], **settings)
        lost = of_models(api.analyse(suite), "observed.updates_lost")["threads"]
        assert (lost > 0) is (lock == "no"), f"{lost} updates lost on {each_python.label}, lock: {lock}"


def test_shared_state_is_seen_by_threads_and_copies_and_in_shared_memory_only(tmp_path: Path) -> None:
    before = abandoned_segments()
    tables = measured(tmp_path, "shared-state")
    assert of_models(tables, "observed.tasks_writes_seen") == {
        "serial": 1,
        "threads": 1,
        "fork": 0,
        "spawn": 0,
        "forkserver": 0,
    }
    assert of_models(tables, "observed.mains_writes_seen") == {
        "serial": 1,
        "threads": 1,
        "fork": 1,
        "spawn": 0,
        "forkserver": 0,
    }
    assert of_models(tables, "observed.tasks_shared_memory_seen") == dict.fromkeys(MODELS, 1)
    assert_no_segments_left(before)


@pytest.mark.measures
def test_one_worker_is_overloaded_by_large_chunks_and_not_by_single_tasks(tmp_path: Path) -> None:
    """0.56 and nearly 1 by arithmetic; what a busy machine takes from one worker moves both towards each other."""
    balance = {
        chunksize: of_models(
            measured(
                tmp_path / chunksize,
                "skewed-tasks",
                models=("fork",),
                size="default",
                runs=3,
                parameters={"chunksize": chunksize},
            ),
            "load_balance",
        )["fork"]
        for chunksize in ("32", "1")
    }
    assert balance["32"] < balance["1"]


@pytest.mark.measures
def test_a_heartbeat_comes_late_beside_a_computing_thread_and_not_beside_a_process(tmp_path: Path) -> None:
    late = of_models(
        measured(tmp_path, "loop-lag", models=("serial", "threads", "fork"), size="small"), "observed.beat_late_ns"
    )
    assert late["threads"] > 2 * late["fork"]
    assert late["threads"] > 2 * late["serial"]


FEW_STARTS = """
import sys
from dataclasses import replace
from tracekit.cli import main
from tracekit.measure.planning import claims
claims.EXPERIMENTS = tuple(
    replace(item, runs=5) if item.workload == "start-stop" else item for item in claims.EXPERIMENTS
)
main(sys.argv[1:])
"""


@pytest.fixture(scope="session")
def claims(make_once: MakeOnce, pytestconfig: pytest.Config) -> RealSuite:
    """`tracekit run claims` as a user has it, and what it left behind; 5 starts of each kind do here for its 30."""
    name, value = "TRACEKIT_TESTED_BY", f"claims {os.getpid()}"
    before = abandoned_segments()

    def note_leftovers(folder: Path) -> None:
        assert_no_segments_left(before)
        (folder / "processes left").write_text("\n".join(sorted(processes_with(f"{name}={value}"))))

    return make_suite_once(
        make_once,
        "claims",
        "claims",
        code="" if pytestconfig.getoption("--thorough") else FEW_STARTS,
        env={name: value},
        timeout=900,
        then=note_leftovers,
    )


@pytest.mark.slow
def test_the_fault_matrix_is_real_and_leaves_nothing_behind(claims: RealSuite) -> None:
    """All cases, as `tracekit run crash` makes them."""
    tables = api.analyse(Store(claims.root.parent).suite(claims.suite_id))
    [matrix] = find_matrices(groups(tables))
    found = {(case.workers, case.fault): case for case in matrix.cases}
    assert len(found) == 12 * 9
    by_place = {place: case.outcome for place, case in found.items()}
    for threads in ("Thread", "ThreadPoolExecutor"):
        assert by_place[threads, "exception"] == "own"
        assert {by_place[threads, fault] for fault in ("os-exit", "sigsegv", "sigkill", "sigterm")} == {"dies"}
        assert by_place[threads, "deadlock"] == "hangs"
    for method in PROCESSES:
        for fault in ("os-exit", "sigsegv", "sigkill", "sigterm"):
            assert by_place[f"Process ({method})", fault] == "own"
            broken = found[f"ProcessPoolExecutor ({method})", fault]
            # It knows at once, and gives up what is pending.
            assert broken.outcome == "others"
            assert broken.observed["noticed_by_limit"] == 0
            assert by_place[f"Pool ({method})", fault] == "silent"
        assert by_place[f"ProcessPoolExecutor ({method})", "odd-exception"] == "others"
    assert {case.observed["left_behind"] for case in found.values() if case.outcome != "hangs"} == {0}
    assert (claims.folder / "processes left").read_text() == ""


@pytest.mark.slow
def test_each_claim_follows_from_the_exported_metrics(claims: RealSuite) -> None:
    """The verdicts of `tracekit run claims` are computed again here from what `export` writes."""
    rows = claims.rows("metrics")

    def ends(workload: str, model: str, metric: str, parameter: str = "", workers: int = 2) -> tuple[float, float]:
        found = [
            row
            for row in rows
            if (row["scope"], row["workload"], row["model"], row["metric"]) == ("cell", workload, model, metric)
            and row["workers"] == workers
            and parameter in row["parameters"]
        ]
        assert len(found) == 1, (workload, model, metric, found)
        row = found[0]
        return row["lower"] or row["value"], row["upper"] or row["value"]

    def value(case: str, what: str) -> float:
        return ends("crash", "threads", f"observed.{case}.{what}")[0]

    crashes = ("os-exit", "sigsegv", "sigkill", "sigterm")
    spared = all(
        value(f"Process.{m}.{fault}", "sibling_lives")
        and not any(
            value(f"Process.{m}.{fault}", what) for what in ("pending_lost", "finished_lost", "noticed_by_limit")
        )
        for m in PROCESSES
        for fault in crashes
    )
    pools_lose = any(
        value(f"{pool}.{m}.{fault}", what)
        for pool in ("Pool", "ProcessPoolExecutor")
        for m in PROCESSES
        for fault in crashes
        for what in ("pending_lost", "noticed_by_limit")
    )
    threads_die = not any(
        value(f"{pool}.{fault}", "parent_lives") for pool in ("Thread", "ThreadPoolExecutor") for fault in crashes
    )
    start = {
        model: ends("start-stop", model, "spawn_first_worker_ns", workers=1) for model in ("threads", "fork", "spawn")
    }
    walls = {
        (row["model"], row["repeat"]): row["wall_ns"]
        for row in claims.rows("runs")
        if row["workload"] == "big-results" and not row["warmup"]
    }
    # Slower by the ratio of each of five rounds: mean of its logarithms, and 2.776 standard errors.
    logs = [math.log(walls["fork", repeat] / walls["threads", repeat]) for repeat in range(1, 6)]
    pipes_cost = statistics.mean(logs) > 2.776 * statistics.stdev(logs) / math.sqrt(5)
    balance = [ends("skewed-tasks", "fork", "load_balance", f"chunksize={size} ") for size in (32, 1)]
    seen = {model: ends("shared-state", model, "observed.tasks_writes_seen")[0] for model in ("threads", *PROCESSES)}
    shared = [ends("shared-state", model, "observed.tasks_shared_memory_seen")[0] for model in PROCESSES]
    lost = ends("race", "threads", "observed.updates_lost_share", "lock=no")[1]
    locked = ends("race", "threads", "observed.updates_lost", "lock=yes")[1]
    held = [ends("footprint", "serial", f"observed.{way}.up.pss_bytes", workers=1)[0] for way in ("threads", "fork")]
    caveat, no = "holds with a caveat", "does not hold here"
    wanted = [
        "holds" if seen["threads"] == 1 else no,
        caveat if lost > 0 and locked == 0 else no,
        caveat if all(shared) and not any(seen[model] for model in PROCESSES) else no,
        caveat if pipes_cost else no,
        no if not spared else caveat if pools_lose else "holds",
        caveat if threads_die else no,
        "holds" if start["threads"][1] < start["fork"][0] and start["threads"][1] < start["spawn"][0] else no,
        caveat if held[0] < held[1] else no,
        caveat if balance[0][1] < balance[1][0] else no,
        caveat if start["fork"][1] < start["spawn"][0] else no,
        "not measured on Windows yet",
    ]
    report = claims.call("report", "latest").out
    assert re.findall(r"^  Verdict: (.*)$", report, re.MULTILINE) == wanted
    assert [claim["verdict"] for claim in json.loads(claims.said.out)["claims"]] == wanted
    for words in (("report", "latest"), ("run", "claims")):
        again = claims.call(*words, "--with", "latest")
        assert_two_lines(again, 2, "a claim is judged by one suite for each system and Python")
    # What no machine can make otherwise.
    assert [wanted[index] for index in (0, 1, 2, 4, 5, 7)] == ["holds", *[caveat] * 5]


def test_claims_choose_for_themselves(tracekit: Tracekit, tmp_path: Path) -> None:
    said = tracekit("run", "claims", "--models", "serial", "--size", "smoke", cwd=tmp_path)
    assert said.code == 2
    assert "--models, --size cannot be set" in said.err
    other = tracekit("run", "spin", "--with", "latest", cwd=tmp_path)
    assert (other.code, "--with is for suites of claims, not of spin" in other.err) == (2, True)
    plan = tracekit("run", "claims", "--dry-run", cwd=tmp_path)
    assert plan.code == 0
    assert "skewed-tasks chunksize=1 skew=8.0" in plan.out
