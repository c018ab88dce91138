"""Every file of a sealed suite, damaged in every way that is known: 60 cases here, more by `make fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.fuzz.damaged_suite import COMMANDS, Fuzzer, choose_cases, list_files, make_suite
from tests.fuzz.damages import DAMAGES
from tracekit.bundle.store import Store, SuiteFolder

CASES, SEED = 60, 20


def _make(folder: Path) -> None:
    make_suite(folder)


@pytest.fixture(scope="module")
def suite(make_once: MakeOnce) -> SuiteFolder:
    folder = make_once("damaged suite", _make)
    (found,) = Store(folder / ".tracekit").suites()
    return found


@pytest.fixture
def fuzzer(suite: SuiteFolder, tmp_path: Path) -> Fuzzer:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Fuzzer(suite=suite, scratch=scratch)


@pytest.mark.slow
@pytest.mark.parametrize("commands", [("report",), ("export",), ("view", "explain", "list")])
def test_a_damaged_suite_is_refused_or_told_or_changes_nothing(
    suite: SuiteFolder, fuzzer: Fuzzer, commands: tuple[str, ...]
) -> None:
    cases = [case for case in choose_cases(suite, CASES, SEED) if case.words[0] in commands]
    found = [(case, *fuzzer.judge(case)) for case in cases]
    assert [f"{case}: {why}" for case, verdict, why in found if verdict == "fault"] == []
    # Which damages a command meets is drawn: some change nothing, but among a few there may be no such one.
    assert "refused" in {verdict for _, verdict, _ in found}


def test_every_file_damage_and_command_is_among_the_cases(suite: SuiteFolder) -> None:
    cases = choose_cases(suite, 1000, SEED)
    assert {case.damage for case in cases} == set(DAMAGES)
    assert {case.words[0] for case in cases} == set(COMMANDS)
    on_disk = {path.relative_to(suite.root).as_posix() for path in suite.root.rglob("*") if path.is_file()}
    assert set(list_files(suite)) == on_disk
