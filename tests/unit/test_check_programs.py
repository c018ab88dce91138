"""The verdicts of `make programs`, from runs that are made up and from small real ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import check_programs
from tests.check_programs import KNOWN, PROGRAMS, Outcome, compare


def outcome(out: str = "", code: int = 0, left: tuple[str, ...] = ()) -> Outcome:
    return Outcome(code, out, frozenset(left))


@pytest.mark.parametrize(
    ("first", "second", "recorded", "way", "faults"),
    [
        ("a 1", "a 1", "a 1", "exact", []),
        ("a 1", "a 1", "a 2", "exact", ["stdout differs"]),
        ("a 1.5 s", "a 2.5 s", "a 3 s", "but numbers", []),
        ("a 1.5 s", "a 2.5 s", "b 3 s", "but numbers", ["stdout differs"]),
        ("a 1\nb 2", "b 1\na 2", "b 1\na 1", "but numbers and order", []),
        ("a 1\nb 2", "b 1\na 2", "b 1\nb 1", "but numbers and order", ["stdout differs"]),
        ("a", "b", "a", "", ["two plain runs differ"]),
    ],
)
def test_stdout_is_compared_as_strictly_as_two_plain_runs_allow(
    first: str, second: str, recorded: str, way: str, faults: list[str]
) -> None:
    assert compare(outcome(first), outcome(second), outcome(recorded)) == (way, faults)


def test_the_exit_code_and_what_is_left_are_those_of_a_plain_run() -> None:
    plain = outcome(code=1, left=("work/out",))
    assert compare(plain, plain, plain, 1)[1] == []
    changed = outcome(code=0, left=("work/out", "tmp/tk-1", "process 7"))
    assert compare(plain, plain, changed, 1)[1] == ["exit code 0, not 1", "left process 7, tmp/tk-1"]


def test_a_program_that_did_not_do_its_work_shows_nothing() -> None:
    """A package was missing, and the recorded run failed in the same way."""
    broken = outcome(code=1)
    assert compare(broken, broken, broken)[1] == ["a plain run ends with 1, not 0"]


def test_a_venv_has_what_each_chosen_program_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands = []

    def called(words: list[str | Path], **_options: object) -> subprocess.CompletedProcess[str]:
        commands.append([str(word) for word in words])
        return subprocess.CompletedProcess(words, 0, "flask==3.0\nrequests==2.0\n", "")

    monkeypatch.setattr(subprocess, "run", called)
    check_programs.make_venv(tmp_path, ["flask", "requests"])
    (install,) = [words for words in commands if "install" in words]
    assert install[-2:] == ["flask", "requests"]
    check_programs.make_venv(tmp_path, ["fastapi"])
    assert [words for words in commands if "install" in words][1][-2:] == ["fastapi", "uvicorn"]


def test_a_run_tells_what_it_left(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys; open('made', 'w'); open(os.environ['TMPDIR'] + '/kept-1-beef0', 'w');"
        "print('out'); subprocess.Popen(['sleep', '30']); sys.exit(3)"
    )
    found = check_programs.run([sys.executable, "-c", code], tmp_path, patience_s=0)
    assert (found.code, found.out) == (3, "out\n")
    plain = {f"work/{path.name}" for path in PROGRAMS.iterdir() if path.is_file()}
    (process,) = found.left - plain - {"out", "work/made", "tmp/kept-#-#"}
    assert process.startswith("process ")


def test_every_file_is_run_by_a_known_program() -> None:
    words = " ".join(program.words for program in KNOWN.values())
    for path in PROGRAMS.iterdir():
        if path.is_file():
            assert path.stem in words
