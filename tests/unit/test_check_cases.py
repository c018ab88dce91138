"""The verdicts of `make cases`, from answers that are made up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import check_cases
from tests.case_findings import OF_MACHINE, SPEAKS, Spoken, draw_matrix, judge_findings
from tests.check_cases import CASES, CHECKS, NOT_HERE, NOT_YET, RIGHT, WRONG, Case, CaseVerdict, Workshop
from tests.conftest import Said
from tests.real.leftovers import abandoned_segments
from tracekit.analysis.diagnostics import DIAGNOSTICS


def said(code: int = 0, out: str = "", err: str = "") -> Said:
    return Said(code=code, out=out, err=err)


ERROR = "error: what\n  try: a command\n"


def row(metric: str, value: float | None, method: str = "", quality: str = "measured", **fields: Any) -> dict[str, Any]:
    ends = {"lower": value, "upper": value, "reason": None}
    return {"metric": metric, "value": value, "method": method, "quality": quality, **ends, **fields}


def test_every_program_of_the_folder_is_a_case() -> None:
    assert {path.stem for path in CASES.glob("*.py")} == set(CHECKS)


def test_a_case_without_a_check_is_not_yet_and_never_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, "many_threads", None)
    monkeypatch.delitem(SPEAKS, "many_threads")
    assert check_cases.check("many_threads").verdict == NOT_YET


def finding(diagnostic: str, sentence: str = "said") -> dict[str, Any]:
    return {"diagnostic": diagnostic, "sentence": sentence, "advice": "", "weight_ns": 1}


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        (("hang",), []),
        (("gil-turns", "hang"), []),
        ((OF_MACHINE, "hang"), []),
        (("gil-turns",), ["hang is missing"]),
        ((), ["hang is missing"]),
        (("hang", "io-bound"), ["io-bound must not speak"]),
    ],
)
def test_what_is_said_of_a_case(found: tuple[str, ...], faults: list[str]) -> None:
    wanted = Spoken("hang", "^said$", frozenset(("gil-turns",)))
    assert judge_findings([finding(name) for name in found], wanted) == faults


def test_another_sentence_than_the_one_that_is_wanted_is_wrong() -> None:
    assert judge_findings([finding("hang", "else")], Spoken("hang", "^said$")) == ["it says: else"]
    nothing = Spoken("", "^Nothing")
    assert judge_findings([finding("", "Nothing")], nothing) == []
    assert judge_findings([finding(OF_MACHINE)], nothing) == []
    assert judge_findings([finding("hang")], nothing) == ["hang must not speak"]
    assert judge_findings([], nothing) == ["the sentence that nothing was found is missing"]


@pytest.mark.parametrize(
    ("own", "spoke", "whole", "verdict"),
    [
        (None, "hang", True, RIGHT),
        (None, "hang", False, NOT_YET),
        (None, "io-bound", True, WRONG),
        (CaseVerdict(RIGHT, "own"), "hang", True, RIGHT),
        (CaseVerdict(WRONG, "own"), "hang", True, WRONG),
        (CaseVerdict(RIGHT, "own"), "io-bound", True, WRONG),
        (CaseVerdict(NOT_HERE, "own"), "io-bound", True, NOT_HERE),
    ],
)
def test_a_case_is_right_when_its_check_and_its_report_are(
    monkeypatch: pytest.MonkeyPatch, own: CaseVerdict | None, spoke: str, whole: bool, verdict: str
) -> None:
    monkeypatch.setitem(CHECKS, "long_hold", None if own is None else Case(lambda _shop: own, 1))
    monkeypatch.setitem(SPEAKS, "long_hold", Spoken("hang", "", whole=whole))
    monkeypatch.setattr(check_cases, "record_and_listen", lambda _name, _shop: [finding(spoke)])
    assert check_cases.check("long_hold").verdict == verdict


def test_the_matrix_has_the_place_of_each_diagnostic_and_marks_what_must_not_speak() -> None:
    *heads, row = draw_matrix({"join_before_get": ("hang", "io-bound"), "hostile_workloads": ()})
    assert [head.split()[-1] for head in heads] == list(DIAGNOSTICS)
    assert row.startswith("join_before_get  1  .")
    assert row.index("2!") == heads[list(DIAGNOSTICS).index("io-bound")].index("io-bound")


def test_only_a_wrong_case_makes_the_target_fail() -> None:
    assert check_cases.count_exit_code([CaseVerdict(RIGHT), CaseVerdict(NOT_YET), CaseVerdict(NOT_HERE)]) == 0
    assert check_cases.count_exit_code([CaseVerdict(RIGHT), CaseVerdict(WRONG)]) == 1


def test_a_command_that_fails_is_a_wrong_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_shop: check_cases.Workshop) -> CaseVerdict:
        raise TimeoutError("600 s")

    monkeypatch.setitem(CHECKS, "long_hold", Case(fail, 1))
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


@pytest.mark.parametrize(("code", "verdict"), [(4, NOT_HERE), (1, WRONG), (3, WRONG)])
def test_only_a_machine_that_lacks_a_capture_excuses_a_recording_without_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, verdict: str
) -> None:
    monkeypatch.setattr(Workshop, "call", lambda *_words: said(code, err=ERROR))
    assert check_cases.check_holds(Workshop(tmp_path, 100)).verdict == verdict


def test_holds_are_not_judged_without_uprobes() -> None:
    assert check_cases.judge_holds([row("gil_hold_ns", 5.0, "waits-probe")]).verdict == NOT_HERE


def test_every_reader_must_be_told_of_an_overflow() -> None:
    told = "VizTracer's ring of 1,000,000 calls was full in process 7, and the trace lacks the first 85 %\nof the run"
    assert check_cases.judge_overflow({"run": told, "report": told}).verdict == RIGHT
    wrong = check_cases.judge_overflow({"run": told, "report": "fine"})
    assert (wrong.verdict, wrong.answer) == (WRONG, "report does not tell")


@pytest.mark.parametrize(
    ("answer", "left", "failed", "faults"),
    [
        (said(0), [], "", 0),
        (said(3, err=f"run 1 of 2\n{ERROR}"), [], "none", 0),
        (said(3, err="error: what\n"), [], "none", 1),
        (said(3, err=f"Traceback (most recent call last):\n{ERROR}"), [], "none", 1),
        (said(137, err=ERROR), [], "none", 1),
        (said(0), ["process 7"], "", 1),
        (said(0, out="warning: run 007 ended as timed_out"), [], "none", 1),
        (said(0, out="warning: run 007 ended as timed_out"), [], "py-spy", 0),
        (said(0), [], "py-spy", 1),
    ],
)
def test_workloads_that_misbehave(answer: Said, left: list[str], failed: str, faults: int) -> None:
    runs = [{"run_id": "001", "status": "ok", "capture": "none"}]
    runs += [{"run_id": "007", "status": "timed_out", "capture": failed}] if failed else []
    assert len(check_cases.judge_hostile(answer, left, runs)) == faults


def test_a_workload_that_does_not_end_is_wrong_and_the_others_are_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(_shop: Workshop, _command: str, target: str, *_words: str) -> Said:
        if target.endswith(":GIGABYTE"):
            raise subprocess.TimeoutExpired("tracekit", 7)
        return said(0, out="[]")

    monkeypatch.setattr(Workshop, "call", call)
    found = check_cases.check_hostile(Workshop(tmp_path, 100))
    assert found == CaseVerdict(WRONG, "GIGABYTE: did not end within 7 s")
    progress = capsys.readouterr().err.splitlines()
    assert len(progress) == 25
    assert [line.split()[-1] for line in progress[1:]] == [RIGHT] * 24


def test_only_the_segments_of_its_own_run_are_judged(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can put a command into a group of its own: without, all of this user's are judged")
    shop = Workshop(tmp_path, 100)
    names = [f"psm_tracekit_{os.getpid()}_{which}" for which in ("own", "other")]
    try:
        for name, group in zip(names, (shop.group, None), strict=True):
            make = ["touch", f"/dev/shm/{name}"]
            subprocess.run(make, group=group, check=True)
        assert set(names) <= abandoned_segments()
        assert abandoned_segments(shop.group) == {names[0]}
    finally:
        for name in names:
            Path("/dev/shm", name).unlink(missing_ok=True)
