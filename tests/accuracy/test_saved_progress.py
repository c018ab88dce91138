"""An interrupted run continues with the next step, and only for the same request, sources and machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accuracy.run_factory import PLACE
from tracekit.accuracy import capture_cost
from tracekit.accuracy.comparison import Comparison
from tracekit.accuracy.runner import AccuracyRequest, run_comparisons
from tracekit.accuracy.saved_progress import SavedProgress
from tracekit.core.errors import NothingToDo
from tracekit.system import interpreters

ROWS = [PLACE.compare("effect", "waits", "ok", unit="ratio", measured=1.004, lower=0.999, upper=1.01)]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "docs" / "accuracy.json"


def unfinished(output: Path) -> Path:
    return output.with_name("accuracy.json.unfinished")


def test_finished_steps_are_not_made_again(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = interpreters.inspect_own()
    first, second = capture_cost.SUBJECTS[:2]
    wanted = AccuracyRequest(cases=(), pythons=(), checks=("effect",), subjects=(first, second), cost_pythons=(own,))
    made: list[str] = []

    def measure(subject: capture_cost.Subject, *_: object, **__: object) -> list[Comparison]:
        made.append(subject.name)
        if len(made) == 2:
            raise KeyboardInterrupt
        return ROWS

    monkeypatch.setattr(capture_cost, "measure_cost", measure)
    with pytest.raises(KeyboardInterrupt):
        list(run_comparisons(wanted, progress=SavedProgress(output, "all", go_on=False)))
    shown: list[str] = []
    progress = SavedProgress(output, "all", go_on=True)
    assert list(run_comparisons(wanted, shown.append, progress)) == ROWS * 2
    assert made == [first.name, second.name, second.name]
    assert len(shown) == 1
    assert second.name in shown[0]
    progress.remove()
    assert list(output.parent.iterdir()) == []


def test_a_step_that_was_not_written_whole_is_made_again(output: Path) -> None:
    progress = SavedProgress(output, "all", go_on=False)
    progress.save("one", ROWS)
    progress.save("two", ROWS)
    with unfinished(output).open("r+b") as file:
        file.truncate(unfinished(output).stat().st_size - 9)
    again = SavedProgress(output, "all", go_on=True)
    assert (again.find("one"), again.find("two")) == (ROWS, None)
    again.save("two", [])
    assert SavedProgress(output, "all", go_on=True).find("two") == []


@pytest.mark.parametrize("damage", ["not JSON", '["three", 4]', '["three", [{"colour": "blue"}]]', "[]", "null"])
def test_what_cannot_be_read_is_made_again(output: Path, damage: str) -> None:
    SavedProgress(output, "all", go_on=False).save("one", ROWS)
    with unfinished(output).open("a") as file:
        file.write(damage + "\n")
    again = SavedProgress(output, "all", go_on=True)
    assert (len(again), again.find("three")) == (1, None)


def test_another_request_is_not_continued(output: Path) -> None:
    with pytest.raises(NothingToDo, match="does not exist"):
        SavedProgress(output, "all", go_on=True)
    SavedProgress(output, "all", go_on=False).save("one", ROWS)
    with pytest.raises(NothingToDo, match="of another request"):
        SavedProgress(output, "a part", go_on=True)
    assert SavedProgress(output, "all", go_on=False).find("one") is None
