"""Workloads that fail, hang, die, lie or cannot be loaded, in threads and in processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Tracekit
from tests.real.leftovers import abandoned_segments, assert_nothing_left, measured_processes
from tests.real.quick import QUICK, assert_two_lines
from tracekit import api
from tracekit.bundle.store import Store
from tracekit.measure.planning.request import Request
from tracekit.system import process_table


@pytest.mark.parametrize("model", ["serial", "threads", "fork", "spawn", "forkserver"])
def test_raises(faulty: Path, tracekit: Tracekit, model: str) -> None:
    said = tracekit("run", "faulty:RAISES", *QUICK, "--models", model)
    assert_two_lines(said, 3, "ValueError: item", "is bad")
    # Where the remedy sends people, they find the traceback of the task.
    (log,) = faulty.glob(".tracekit/*/*/stderr.log")
    assert "in raises" in log.read_text()


@pytest.mark.parametrize("model", ["threads", "fork", "spawn", "forkserver"])
def test_hangs(faulty: Path, tracekit: Tracekit, model: str) -> None:
    before = abandoned_segments()
    said = tracekit("run", "faulty:HANGS", *QUICK, "--models", model, "--timeout", "3")
    assert_two_lines(said, 3, "was ended after 3 s")
    assert_nothing_left(faulty, before)


@pytest.mark.parametrize(("model", "expected"), [("threads", "exit code 7"), ("fork", "BrokenProcessPool")])
def test_calls_os_exit(faulty: Path, tracekit: Tracekit, model: str, expected: str) -> None:
    said = tracekit("run", "faulty:LEAVES", *QUICK, "--models", model)
    assert_two_lines(said, 3, expected)


@pytest.mark.parametrize(("model", "expected"), [("threads", "SIGKILL"), ("spawn", "BrokenProcessPool")])
def test_is_killed(faulty: Path, tracekit: Tracekit, model: str, expected: str) -> None:
    said = tracekit("run", "faulty:IS_KILLED", *QUICK, "--models", model)
    assert_two_lines(said, 3, expected)
    assert not measured_processes(faulty)


def test_daemons_of_tasks_end_with_the_run(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:LEAVES_A_DAEMON", *QUICK, "--models", "threads,fork,spawn,forkserver")
    assert said.code == 0, said.err
    assert not measured_processes(faulty)


def test_where_orphans_are_given_to_nobody_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where daemons of tasks cannot be found: a kernel that does not know these requests of prctl."""

    def list_codes() -> list[str]:
        request = Request(workload="spin", captures=("none",))
        return [item.code for item in api.prepare(request, store=Store(tmp_path)).notices]

    assert "daemons-not-ended" not in list_codes()
    monkeypatch.setattr(process_table, "_GET_CHILD_SUBREAPER", 9999)
    monkeypatch.setattr(process_table, "_SET_CHILD_SUBREAPER", 9999)
    assert "daemons-not-ended" in list_codes()
    assert not process_table.adopt_orphans()


def test_items_without_an_end(faulty: Path, tracekit: Tracekit) -> None:
    """Before they fill the memory; and where not even the first is made, at the timeout of a run."""
    assert_two_lines(tracekit("run", "faulty:COUNTS_FOR_EVER", *QUICK), 2, "more than 1,000,000 items")
    assert_two_lines(tracekit("run", "faulty:MAKES_FOR_EVER", *QUICK, "--timeout", "1"), 2, "did not end within 1 s")
    assert not measured_processes(faulty)


def test_result_does_not_pickle(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:RESULT_DOES_NOT_PICKLE", *QUICK, "--models", "fork")
    assert_two_lines(said, 3, "pickle")


def test_the_other_models_go_on(faulty: Path, tracekit: Tracekit) -> None:
    """One model fails, the others are measured and reported, and the exit code still says so."""
    said = tracekit("run", "faulty:RESULT_DOES_NOT_PICKLE", *QUICK, "--models", "threads,fork")
    assert_two_lines(said, 3, "1 of 2 runs", "fork", "pickle")
    assert "report  " in said.out


def test_models_disagree(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:ANSWERS_DIFFER", *QUICK, "--models", "serial,fork")
    assert_two_lines(said, 3, "ANSWERS_DIFFER", "serial", "fork")


def test_not_a_workload(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:NOT_A_WORKLOAD", *QUICK, "--models", "serial")
    assert_two_lines(said, 2, "neither a function nor a tracekit.workload.Workload")


def test_what_the_task_prints_is_kept_and_not_mixed_with_ours(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:PRINTS", *QUICK, "--models", "serial", "--json")
    assert said.code == 0, said.err
    root = Path(json.loads(said.out)["folder"])
    logs = [path.read_text() for path in (faulty / root).glob("*/stdout.log")]
    assert [log.count("a line of the workload's own") for log in logs] == [4]


def test_combine_must_give_text(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:CHECKSUM_IS_A_NUMBER", *QUICK, "--models", "serial")
    assert_two_lines(said, 3, "combine", "int, not str")


def test_a_workload_that_cannot_be_loaded_is_tried_once(faulty: Path, tracekit: Tracekit) -> None:
    """It would fail in the same way under every model; and a folder with a blank stays one word in the remedy."""
    measured = "tracekit.measure.inside.main_process"
    module = f"import sys\nif '{measured}' in sys.modules: raise ImportError('not in a measured process')\n"
    (faulty / "moody.py").write_text(module + "from faulty import SLEEPS_A_LITTLE as W\n", encoding="utf-8")
    said = tracekit("run", "moody:W", *QUICK, "--store", "my store")
    assert_two_lines(said, 3, "not in a measured process")
    assert "'my store/" in said.err
    assert said.err.count("its other runs are skipped") == 1


def test_a_workload_that_there_is_not_is_refused_before_anything_is_run(faulty: Path, tracekit: Tracekit) -> None:
    for target, words in (("nowhere:W", "nowhere"), ("faulty:MISSING", "MISSING"), ("os:path", "Workload")):
        assert_two_lines(tracekit("run", target, *QUICK), 2, words)
    said = tracekit("run", "faulty:ONE_SIZE", "--runs", "1")
    assert_two_lines(said, 2, "has no size default", "known are smoke")
    assert "--size smoke" in said.err
    assert not (faulty / ".tracekit").exists()
