"""Parameters, what surrounds a run, and observations: what a workload may declare and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tracekit.analysis.report.pages import COMPARISON, load_page
from tracekit.bundle.stream_records import DIMENSIONS
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.workload import Observable, Observation, Parameter, Workload

CHUNK = Parameter("chunksize", 4, "tasks together", least=1, most=64)
SKEW = Parameter("skew", 8.0, "times as long", least=1)
LOCK = Parameter("lock", False, "under a lock")
SHAPE = Parameter("shape", "bytes", "what it is", choices=("bytes", "list"))


def make_items(size: int, seed: int, **given: Any) -> list[Any]:
    return [size, seed, given]


def made(**more: Any) -> Workload:
    return Workload(
        name="made",
        summary="made",
        kind="cpu",
        sizes={"smoke": 1},
        make_items=make_items,
        task=str,
        combine=" ".join,
        **more,
    )


@pytest.mark.parametrize(
    ("parameter", "given", "value"),
    [
        (CHUNK, "16", 16),
        (CHUNK, 16, 16),
        (SKEW, "2", 2.0),
        (SKEW, 3, 3.0),
        (LOCK, "yes", True),
        (LOCK, "Off", False),
        (LOCK, True, True),
        (SHAPE, "list", "list"),
    ],
)
def test_a_value_may_come_as_text_or_as_it_is(parameter: Parameter, given: Any, value: Any) -> None:
    found = parameter.value_of(given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("parameter", "given", "allowed"),
    [
        (CHUNK, "0", "a whole number from 1 to 64"),
        (CHUNK, "65", "a whole number from 1 to 64"),
        (CHUNK, "1.5", "a whole number"),
        (CHUNK, True, "a whole number"),
        (SKEW, "nan", "a number from 1"),
        (SKEW, "", "a number from 1"),
        (LOCK, "maybe", "yes or no"),
        (LOCK, 1, "yes or no"),
        (SHAPE, "tuple", "one of bytes, list"),
        (SHAPE, 3, "one of bytes, list"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_may_be(parameter: Parameter, given: Any, allowed: str) -> None:
    with pytest.raises(ValueError, match=rf"^{parameter.name} is {allowed}.*, not {given!r}"):
        parameter.value_of(given)


def test_a_number_may_have_no_ends() -> None:
    assert Parameter("offset", 0, "").value_of("-5") == -5
    with pytest.raises(ValueError, match="offset is a number, not 'nan'"):
        Parameter("offset", 0.0, "").value_of("nan")


def test_an_end_of_zero_is_an_end() -> None:
    lower = Parameter("offset", -5, "", most=0)
    assert lower.allowed() == "a whole number to 0"
    with pytest.raises(ValueError, match="not 1"):
        lower.value_of(1)


def test_make_items_gets_every_parameter_and_what_is_around() -> None:
    open_now: list[str] = []

    @contextmanager
    def around(size: int, seed: int, *, lock: bool, chunksize: int) -> Iterator[Mapping[str, Any]]:
        open_now.append("server")
        yield {"port": size + seed + chunksize}
        open_now.clear()

    workload = made(parameters=(LOCK, CHUNK), around=around)
    with workload.items("smoke", 3, {"chunksize": "2"}) as items:
        assert items == [1, 3, {"lock": False, "chunksize": 2, "port": 6}]
        assert open_now == ["server"]
    assert not open_now


@pytest.mark.parametrize(
    ("parameters", "said"),
    [((), "made has no parameter 'chunk': it has none"), ((CHUNK, LOCK), "its parameters are chunksize, lock")],
)
def test_a_parameter_that_there_is_not(parameters: Sequence[Parameter], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(parameters=parameters).values({"chunk": 1})


def test_a_size_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="made has no size huge: known are smoke"), made().items("huge", 1, {}):
        pass


def observing(*found: Observation) -> Workload:
    return made(
        observe=lambda _results: found,
        observables=(Observable("lost", "count", "lost"), Observable("late_ns", "ns", "late", ("channel", "size"))),
    )


def test_observations_come_with_the_units_of_their_observables() -> None:
    late, lost = Observation("late_ns", 5, channel="pipe", size=1), Observation("lost", 2)
    assert observing(late, lost).observed([]) == [(late, "ns"), (lost, "count")]
    assert observing(late).observed([]) == [(late, "ns")], "an observation may be left out"
    assert made().observed([]) == []


@pytest.mark.parametrize("found", [Observation("more", 1), Observation("lost", 1, channel="pipe")])
def test_what_was_not_declared_is_no_observation(found: Observation) -> None:
    with pytest.raises(ValueError, match=r"made observed .*, which it does not declare"):
        observing(Observation("lost", 1), found).observed([])


def test_what_cannot_be_told_apart_in_the_tables_is_refused() -> None:
    """A dimension that there is not was dropped, and of two equal places the last one won."""
    twice = observing(Observation("lost", 1), Observation("lost", 2))
    with pytest.raises(ValueError, match="observed lost twice by the same dimensions"):
        twice.observed([])
    unknown = made(
        observe=lambda results: [Observation("late", 1, length=1), Observation("late", 2, length=2)],
        observables=(Observable("late", "ns", "how late", ("length",)),),
    )
    with pytest.raises(ValueError, match="observed late by length: the dimensions are pool, "):
        unknown.observed([])


@pytest.mark.parametrize(("value", "text"), [(None, ""), (1e999, ""), (float("nan"), ""), (1, "and a text")])
def test_an_observation_is_a_finite_number_or_a_text(value: float | None, text: str) -> None:
    with pytest.raises(ValueError, match="late is neither a finite number nor a text"):
        Observation("late", value, text=text)


@pytest.mark.parametrize("name", tuple(WORKLOADS))
def test_observables_have_dimensions_that_records_have(name: str) -> None:
    for item in WORKLOADS.load(name).observables:
        assert set(item.dimensions) <= set(DIMENSIONS)


@pytest.mark.parametrize("name", tuple(WORKLOADS))
def test_a_workload_names_a_page_that_there_is(name: str) -> None:
    assert callable(load_page(WORKLOADS.load(name).page or COMPARISON))
