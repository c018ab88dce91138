"""The verdicts of `make cases`, from answers that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from tests import check_cases
from tests.check_cases import CASES, CHECKS, NOT_HERE, NOT_YET, RIGHT, WRONG, CaseVerdict
from tests.conftest import Said


def said(code: int = 0, out: str = "", err: str = "") -> Said:
    return Said(code=code, out=out, err=err)


def row(metric: str, value: float | None, method: str = "", quality: str = "measured", **fields: Any) -> dict[str, Any]:
    ends = {"lower": value, "upper": value, "reason": None}
    return {"metric": metric, "value": value, "method": method, "quality": quality, **ends, **fields}


def test_every_program_of_the_folder_is_a_case() -> None:
    assert {path.stem for path in CASES.glob("*.py")} == set(CHECKS)


def test_a_case_without_a_check_is_not_yet_and_never_right() -> None:
    names = [name for name, run in CHECKS.items() if run is None]
    assert [check_cases.check(name).verdict for name in names] == [NOT_YET] * len(names)


def test_only_a_wrong_case_makes_the_target_fail() -> None:
    assert check_cases.count_exit_code([CaseVerdict(RIGHT), CaseVerdict(NOT_YET), CaseVerdict(NOT_HERE)]) == 0
    assert check_cases.count_exit_code([CaseVerdict(RIGHT), CaseVerdict(WRONG)]) == 1


def test_a_command_that_fails_is_a_wrong_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_shop: check_cases.Workshop) -> CaseVerdict:
        raise TimeoutError("600 s")

    monkeypatch.setitem(CHECKS, "long_hold", fail)
    assert check_cases.check("long_hold") == CaseVerdict(WRONG, "TimeoutError: 600 s")


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [((139, 139), RIGHT), ((139, 4), RIGHT), ((139, 0), WRONG), ((139, 3), WRONG), ((4, 4), WRONG)],
)
def test_signals(codes: tuple[int, int], verdict: str) -> None:
    answers = {"waits": said(codes[0]), "py-spy": said(codes[1])}
    assert check_cases.judge_signal(answers).verdict == verdict


NATIVE = "1 native\nthread (libblas.so), which never ran Python, used 0.5 s of CPU time and waited 0.1 s for work"


@pytest.mark.parametrize(
    ("printed", "cpu_s", "report", "verdict"),
    [
        ("process 1.000 s, main thread 0.500 s", 1.05, NATIVE, RIGHT),
        ("process 1.000 s, main thread 0.500 s", 0.5, NATIVE, WRONG),
        ("process 1.000 s, main thread 0.500 s", 1.05, "one thread", WRONG),
        ("process 1.000 s, main thread 0.990 s", 1.05, "one thread", NOT_HERE),
        ("ModuleNotFoundError", 1.05, NATIVE, NOT_HERE),
    ],
)
def test_native_threads(printed: str, cpu_s: float, report: str, verdict: str) -> None:
    rows = [row("cpu_ns", cpu_s * 1e9)]
    assert check_cases.judge_blas(printed, rows, report).verdict == verdict


@pytest.mark.parametrize(
    ("probe", "verdict"),
    [
        ({"value": 370e6}, RIGHT),
        ({"value": 350e6}, WRONG),
        ({"value": 5e5, "quality": "bound", "lower": 5e5, "upper": 400e6, "reason": "without holds of ..."}, RIGHT),
        ({"value": 5e5, "quality": "bound", "lower": 5e5, "upper": 400e6}, WRONG),
        ({"value": 5e5, "quality": "bound", "lower": 5e5, "upper": 300e6, "reason": "without holds of ..."}, WRONG),
        ({"value": None, "quality": "unavailable"}, WRONG),
    ],
)
def test_holds(probe: dict[str, Any], verdict: str) -> None:
    names = ("gil_hold_ns", "gil_hold_longest_ns", "gil_holds_over_interval")
    rows = [row(name, 374e6, "kernel-uprobe") for name in names]
    value = probe.pop("value")
    rows += [row(name, value, "waits-probe", **probe) for name in names]
    assert check_cases.judge_holds(rows).verdict == verdict


def test_holds_are_not_judged_without_uprobes() -> None:
    assert check_cases.judge_holds([row("gil_hold_ns", 5.0, "waits-probe")]).verdict == NOT_HERE


def test_every_reader_must_be_told_of_an_overflow() -> None:
    told = "VizTracer's ring of 1,000,000 calls was full in process 7, and the trace lacks the first 85 %\nof the run"
    assert check_cases.judge_overflow({"run": told, "report": told}).verdict == RIGHT
    wrong = check_cases.judge_overflow({"run": told, "report": "fine"})
    assert (wrong.verdict, wrong.answer) == (WRONG, "report does not tell")


ERROR = "error: what\n  try: a command\n"


@pytest.mark.parametrize(
    ("answer", "left", "status", "faults"),
    [
        (said(0), [], "ok", 0),
        (said(3, err=f"run 1 of 2\n{ERROR}"), [], "failed", 0),
        (said(3, err="error: what\n"), [], "failed", 1),
        (said(3, err=f"Traceback (most recent call last):\n{ERROR}"), [], "failed", 1),
        (said(137, err=ERROR), [], "failed", 1),
        (said(0), ["process 7"], "ok", 1),
        (said(0), [], "failed", 1),
    ],
)
def test_workloads_that_misbehave(answer: Said, left: list[str], status: str, faults: int) -> None:
    assert len(check_cases.judge_hostile(answer, left, [{"status": status}])) == faults
