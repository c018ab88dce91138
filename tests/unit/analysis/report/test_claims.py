"""Claims: each verdict turns with the numbers that it is said to follow from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from tests.table_factory import MS, SECOND, Maker
from tests.unit.analysis.metrics.test_observed import observed
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.report.build import build
from tracekit.analysis.report.grouping import groups
from tracekit.analysis.report.pages.claims.claims import (
    CAVEAT,
    CLAIMS,
    HOLDS,
    NOT,
    UNKNOWN,
    evaluate_claims,
    judge_claims,
)
from tracekit.analysis.report.render.terminal import to_text
from tracekit.analysis.tables import Tables, from_rows

TEXTS = [claim.text for claim in CLAIMS]
SHARING, PRECAUTIONS, SEPARATE, PIPES, PROCESS_CRASH, THREAD_CRASH, CREATION, EXHAUSTION, IMBALANCE, UNIX, WINDOWS = (
    TEXTS
)
PROCESSES = ("fork", "spawn", "forkserver")
PYTHON = "3.13"
FINE = {"parent_lives": 1, "sibling_lives": 1}
NEEDED = ("parent_lives", "parent_hangs", "sibling_lives", "finished_lost", "pending_lost", "noticed_by_limit")


METRICS_READ = ("wall_ns", "speedup", "load_balance", "spawn_first_worker_ns", "uss_bytes", "pss_bytes", "observed")
"""The metrics that the claims are judged by, and that their report shows."""


def suite(**changes: Any) -> Tables:
    """What a machine like any other gives, but for the changes."""
    numbers: dict[str, Any] = {
        "threads_see": 1.0,
        "processes_see": 0.0,
        "shared_seen": 1.0,
        "lost_share": 0.3,
        "lost_with_lock": 0,
        "pipes_ns": 400 * MS,
        "bare_crash": FINE,
        "executor_crash": {**FINE, "pending_lost": 5},
        "pool_crash": {**FINE, "noticed_by_limit": 1},
        "thread_crash": {},
        "fork_start_ns": 4 * MS,
        "memory": {"threads": 10 << 10, "fork": 2 << 20},
        "exhausted": {"threads": "error", "fork": "error"},
        "os": "Linux",
        **changes,
    }
    maker = Maker(suite_id="20250101-000000-claims", workload="claims", page="claims")

    def run(workload: str, model: str, wall_ns: int = SECOND, **values: Any) -> dict[str, Any]:
        return maker.run(model, wall_ns, workload=workload, os=numbers["os"], **values)

    for model in ("threads", *PROCESSES):
        made = run("shared-state", model)
        seen = numbers["threads_see"] if model == "threads" else numbers["processes_see"]
        observed(maker, made, "tasks_writes_seen", seen, "share")
        observed(maker, made, "tasks_shared_memory_seen", numbers["shared_seen"], "share")
    for repeat in range(1, 6):
        for model, wall in (("threads", 50 * MS), ("fork", numbers["pipes_ns"])):
            run("big-results", model, wall + repeat, repeat=repeat)
        observed(
            maker,
            run("race", "threads", parameters="lock=no", repeat=repeat),
            "updates_lost_share",
            numbers["lost_share"],
            "share",
        )
        observed(
            maker,
            run("race", "threads", parameters="lock=yes", repeat=repeat),
            "updates_lost",
            numbers["lost_with_lock"],
        )
    if numbers["exhausted"]:
        subject = run("footprint", "serial", kind="memory")
        for name, held in numbers["memory"].items():
            observed(maker, subject, "pss_bytes", held, "bytes", start_method=name, phase="up")
        for name, what in numbers["exhausted"].items():
            place = {"start_method": name, "phase": "exhausted", "case": "tasks"}
            observed(maker, subject, "started", 24, **place)
            observed(maker, subject, what, unit="", **place, text="it said so")
    crash = run("crash", "threads", kind="fault")
    for fault in ("os-exit", "sigsegv", "sigkill", "sigterm", "exception"):
        cases = {
            "Thread": "thread_crash",
            "ThreadPoolExecutor": "thread_crash",
            "Process": "bare_crash",
            "ProcessPoolExecutor": "executor_crash",
            "Pool": "pool_crash",
        }
        for pool, what in cases.items():
            consequences = FINE if fault == "exception" else numbers[what]
            start_method = "" if pool.startswith("Thread") else "fork"
            for name in NEEDED:
                place = {"pool": pool, "start_method": start_method, "case": fault}
                observed(maker, crash, name, consequences.get(name, 0), **place)
    tables = maker.tables()
    tables.metrics = compute_all(Analysis(tables), METRICS_READ)
    return tables


def verdicts(**changes: Any) -> dict[str, str]:
    return {claim.text: found.verdict for claim, found in evaluate_claims(groups(suite(**changes))[0])}


def test_the_verdicts_of_a_machine_like_any_other() -> None:
    found = verdicts()
    assert list(found) == TEXTS
    assert found[SHARING] == HOLDS
    assert {found[text] for text in (PRECAUTIONS, SEPARATE, PIPES, PROCESS_CRASH, THREAD_CRASH)} == {CAVEAT}
    assert found[WINDOWS] == f"{UNKNOWN} on Windows yet"
    assert found[EXHAUSTION] == CAVEAT


@pytest.mark.parametrize(
    ("changes", "text", "verdict"),
    [
        ({"threads_see": 0.9}, SHARING, NOT),
        ({"lost_share": 0.0}, PRECAUTIONS, NOT),
        ({"lost_with_lock": 3}, PRECAUTIONS, NOT),
        ({"processes_see": 0.1}, SEPARATE, NOT),
        ({"shared_seen": 0.9}, SEPARATE, NOT),
        ({"pipes_ns": 50 * MS}, PIPES, NOT),
        # 2 ns more in each of five rounds, from one to the next of which all take 1 ns more: the intervals overlap.
        ({"pipes_ns": 50 * MS + 2}, PIPES, CAVEAT),
        ({"bare_crash": {"parent_lives": 1}}, PROCESS_CRASH, NOT),
        ({"executor_crash": FINE, "pool_crash": FINE}, PROCESS_CRASH, HOLDS),
        ({"thread_crash": FINE}, THREAD_CRASH, NOT),
        ({"exhausted": {"fork": "error"}}, EXHAUSTION, HOLDS),
        ({"exhausted": {"threads": "error", "fork": "skipped"}}, EXHAUSTION, UNKNOWN),
        ({"exhausted": {}}, EXHAUSTION, UNKNOWN),
        ({"memory": {"threads": 2 << 20, "fork": 2 << 20}}, EXHAUSTION, NOT),
        ({"os": "Windows"}, UNIX, f"{UNKNOWN} on Unix yet"),
        ({"os": "Windows"}, WINDOWS, UNKNOWN),
    ],
)
def test_a_verdict_turns_with_its_numbers(changes: dict[str, Any], text: str, verdict: str) -> None:
    assert verdicts(**changes)[text] == verdict


def test_what_was_not_run_is_not_judge_claims() -> None:
    """This suite has no start-stop and no skewed-tasks: it must not be guessed."""
    found = dict(evaluate_claims(groups(suite())[0]))
    by_text = {claim.text: finding for claim, finding in found.items()}
    for text, workload in ((CREATION, "start-stop"), (IMBALANCE, "skewed-tasks")):
        assert by_text[text].verdict == UNKNOWN
        assert by_text[text].measured.startswith(f"{workload} under ")


def test_the_report_says_every_claim_with_its_verdict_and_the_numbers() -> None:
    view = build(suite())
    assert view.verdicts[0].sentence == (
        "7 of 11 claims about threads and processes hold here: 6 with a caveat, 4 not measured."
    )
    text = " ".join(to_text(view).split())
    assert "Precautions are needed, or two threads write at the same time. Verdict: holds with a caveat" in text
    assert "Measured: 30 % of all updates were lost without a lock, 0 with one." in text
    assert "Caveat: Where a thread may be interrupted is up to the interpreter" in text
    assert "race: two threads increment one counter" in text
    assert (
        "Programs that lowered a limit of their own got 24 threads within 24 more threads of the user (RLIMIT_NPROC), "
        "then it said so; 24 forked processes within" in text
    )
    assert "One more thread takes 10.0 KiB of memory, one more forked process 2.00 MiB." in text
    # A claim that simply holds has no caveat to tell.
    assert "other threads wrote. shared-state:" in text


def started(tables: Tables, system: str, **first_ms: float) -> Tables:
    """With what `start-stop` gives there: model -> when the first worker ran."""
    runs, metrics = [], []
    for model, first in first_ms.items():
        cell = {
            "suite_id": tables.suite["suite_id"],
            "workload": "start-stop",
            "size": "small",
            "parameters": "",
            "model": model,
            "workers": 1,
            "start_method": "" if model == "threads" else model,
            "capture": "none",
            "os": system,
            "python": PYTHON,
        }
        runs.append({**cell, "run_id": model, "control": False, "warmup": False, "status": "ok", "wall_ns": SECOND})
        number = {"metric": "spawn_first_worker_ns", "unit": "ns", "scope": "cell", "quality": "measured", "n": 7}
        metrics.append({**cell, **number, "value": first * MS, "lower": first * 0.9 * MS, "upper": first * 1.1 * MS})
    return replace(
        tables,
        runs=pd.concat([tables.runs, from_rows("runs", runs)], ignore_index=True),
        metrics=pd.concat([tables.metrics, from_rows("metrics", metrics)], ignore_index=True),
    )


def test_a_suite_of_another_system_answers_what_this_one_cannot() -> None:
    here = started(suite(), "Linux", threads=0.2, fork=2, spawn=60, forkserver=40)
    there = started(suite(os="Windows"), "Windows", threads=0.3, spawn=90)
    busy = {"code": "load", "severity": "warning", "text": "the machine was busy", "remedy": "repeat"}
    there.notices = from_rows("notices", [busy])
    there.suite = {**there.suite, "suite_id": "20250102-000000-claims"}
    for tables, system in ((here, "Linux"), (there, "Windows")):
        place = {"os": system, "python_label": PYTHON, "python": {"version": PYTHON, "build": system}}
        tables.suite = {**tables.suite, "environments": [place]}
    view = build(here.join_suites([there]))
    assert [notice.text for notice in view.notices if notice.code == "load"] == [
        "20250102-000000-claims: the machine was busy"
    ]
    labels = [facts.label for facts in view.environment]
    assert labels == ["Linux", "Windows", f"Linux · Python {PYTHON}", f"Windows · Python {PYTHON}"]
    by_system = {group.label: {row.label: row.fields for row in group.rows} for group in view.summary.groups}
    assert list(by_system) == [f"Linux · Python {PYTHON}", f"Windows · Python {PYTHON}"]
    # Each system's own numbers judge it, wherever the claim stands.
    for claims in by_system.values():
        assert claims[WINDOWS][0].main == HOLDS
        assert claims[WINDOWS][1].main.startswith(f"On Windows · Python {PYTHON} the first worker ran after 90.0 ms")
        assert claims[UNIX][0].main == CAVEAT
        assert claims[UNIX][1].main.startswith(f"On Linux · Python {PYTHON} the first worker ran after 2.00 ms")
    alone = {row.label: row.fields[0].main for group in build(here).summary.groups for row in group.rows}
    assert alone[WINDOWS] == f"{UNKNOWN} on Windows yet"
    assert alone[UNIX] == CAVEAT


def test_programs_read_the_same_verdicts() -> None:
    found = groups(suite())
    rows = judge_claims(found)
    assert [(row["claim"], row["verdict"]) for row in rows] == list(verdicts().items())
    assert {(row["os"], row["python"]) for row in rows} == {(found[0].os, found[0].python)}
    by_claim = {row["claim"]: row for row in rows}
    assert by_claim[SHARING]["caveat"] == ""
    assert by_claim[PRECAUTIONS]["caveat"].startswith("Where a thread may be interrupted")
