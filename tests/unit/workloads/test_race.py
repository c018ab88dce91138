"""What `race` makes of its results: counts that were lost, and what must not be."""

from __future__ import annotations

import os

import pytest

from workloads import race

HERE, OTHER = os.getpid(), 1


@pytest.fixture(autouse=True)
def number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main process's number is 150 now."""
    monkeypatch.setattr(race, "_COUNT", [150])


def observed(results: list[race.Result]) -> dict[str, float | None]:
    return {item.what: item.value for item in race.observe(results)}


def test_what_the_number_lacks_is_lost() -> None:
    assert observed([(HERE, 100, 90, False), (HERE, 100, 120, False)]) == {
        "updates_lost": 50,
        "updates_lost_share": 0.25,
    }


def test_each_worker_process_has_a_number_of_its_own() -> None:
    results = [(OTHER, 100, 100, False), (OTHER, 100, 200, False), (2, 100, 100, False)]
    assert observed(results)["updates_lost"] == 0
    assert race.combine(results) == "300"


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([(HERE, 100, 100, True), (HERE, 100, 150, True)], "50 counts lost, with the lock"),
        ([(HERE, 100, 150, False)], "-50 counts lost, without the lock"),
    ],
)
def test_what_cannot_be_is_no_result(results: list[race.Result], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        race.combine(results)
