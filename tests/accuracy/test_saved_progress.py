"""A proof that was interrupted goes on where it was, and with nothing that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accuracy.run_factory import PLACE
from tracekit.accuracy import capture_cost
from tracekit.accuracy.comparison import Row
from tracekit.accuracy.runner import Wanted, prove
from tracekit.accuracy.saved_progress import Progress
from tracekit.core.errors import NothingToDo
from tracekit.system import interpreters

ROWS = [PLACE.row("effect", "waits", "ok", unit="ratio", measured=1.004, lower=0.999, upper=1.01)]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "docs" / "accuracy.json"


def unfinished(output: Path) -> Path:
    return output.with_name("accuracy.json.unfinished")


def test_finished_steps_are_not_made_again(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = interpreters.own()
    first, second = capture_cost.SUBJECTS[:2]
    wanted = Wanted(cases=(), pythons=(), checks=("effect",), subjects=(first, second), cost_pythons=(own,))
    made: list[str] = []

    def measure(subject: capture_cost.Subject, *_: object, **__: object) -> list[Row]:
        made.append(subject.name)
        if len(made) == 2:
            raise KeyboardInterrupt
        return ROWS

    monkeypatch.setattr(capture_cost, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        list(prove(wanted, progress=Progress(output, "all", go_on=False)))
    shown: list[str] = []
    progress = Progress(output, "all", go_on=True)
    assert list(prove(wanted, shown.append, progress)) == ROWS * 2
    assert made == [first.name, second.name, second.name]
    assert len(shown) == 1
    assert second.name in shown[0]
    progress.over()
    assert list(output.parent.iterdir()) == []


def test_a_step_that_was_not_written_whole_is_made_again(output: Path) -> None:
    progress = Progress(output, "all", go_on=False)
    progress.keep("one", ROWS)
    progress.keep("two", ROWS)
    with unfinished(output).open("r+b") as file:
        file.truncate(unfinished(output).stat().st_size - 9)
    again = Progress(output, "all", go_on=True)
    assert (again.rows("one"), again.rows("two")) == (ROWS, None)
    again.keep("two", [])
    assert Progress(output, "all", go_on=True).rows("two") == []


@pytest.mark.parametrize("damage", ["not JSON", '["three", 4]', '["three", [{"colour": "blue"}]]', "[]", "null"])
def test_what_cannot_be_read_is_made_again(output: Path, damage: str) -> None:
    Progress(output, "all", go_on=False).keep("one", ROWS)
    with unfinished(output).open("a") as file:
        file.write(damage + "\n")
    again = Progress(output, "all", go_on=True)
    assert (len(again), again.rows("three")) == (1, None)


def test_another_proof_is_not_gone_on_with(output: Path) -> None:
    with pytest.raises(NothingToDo, match="is not there"):
        Progress(output, "all", go_on=True)
    Progress(output, "all", go_on=False).keep("one", ROWS)
    with pytest.raises(NothingToDo, match="of another proof"):
        Progress(output, "a part", go_on=True)
    assert Progress(output, "all", go_on=False).rows("one") is None
