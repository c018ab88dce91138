"""What a workload is: work that can be cut into items, so that every model can run the same work; and its parameters.

Measured processes import this file, a spawned worker at every start. It is therefore a plain class: `dataclasses`
alone pulls in `inspect` and `ast` and would add about 6 ms to the very spawn cost that tracekit measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice

from tracekit.bundle.stream_records import DIMENSIONS

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from typing import Any, Union

    Value = Union[bool, int, float, str]

SIZES = ("smoke", "small", "default", "large")
MOST_ITEMS = 1_000_000
"""Of one run."""

KINDS = ("cpu", "native", "io", "mixed", "memory", "ipc", "fault")
_WORDS = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


class Parameter:
    """A setting of a workload: `tracekit run NAME -P parameter=value`.

    name, summary   what `tracekit run NAME --help` prints
    default         the value where none is set; its type (bool, int, float or str) is the parameter's
    unit            of the value, empty where it has none
    least, most     the smallest and the largest value allowed; None where there is no limit
    choices         all allowed values of a str; empty where any text is allowed
    """

    __slots__ = ("choices", "default", "least", "most", "name", "summary", "unit")

    def __init__(
        self,
        name: str,
        default: Value,
        summary: str,
        *,
        unit: str = "",
        least: float | None = None,
        most: float | None = None,
        choices: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.default = default
        self.summary = summary
        self.unit = unit
        self.least = least
        self.most = most
        self.choices = tuple(choices)

    def value_of(self, given: Value) -> Value:
        """The given value, parsed if it is text. Raises ValueError with the allowed values."""
        value = self._parsed(given) if isinstance(given, str) and not isinstance(self.default, str) else given
        if isinstance(self.default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(self.default) or (self.choices and value not in self.choices):
            raise self._refusal(given)
        if not isinstance(value, (str, bool)) and not self._within(value):
            raise self._refusal(given)
        return value

    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if isinstance(self.default, bool):
            return "yes or no"
        if isinstance(self.default, str):
            return "text"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        least = "" if self.least is None else f" from {self.least:,}"
        return kind + least + ("" if self.most is None else f" to {self.most:,}")

    def _parsed(self, text: str) -> Value:
        try:
            if isinstance(self.default, bool):
                return _WORDS[text.lower()]
            return int(text) if isinstance(self.default, int) else float(text)
        except (KeyError, ValueError):
            raise self._refusal(text) from None

    def _within(self, number: float) -> bool:
        # Written so that a NaN is not.
        above = number >= self.least if self.least is not None else number == number
        return above and (self.most is None or number <= self.most)

    def _refusal(self, given: object) -> ValueError:
        return ValueError(f"{self.name} is {self.allowed()}, not {given!r}")


class Observable:
    """A number or text that a workload observes about itself, beside how long it takes.

    what, summary   what `tracekit run NAME --help` prints
    unit            as in the metrics table: `count`, `share`, `ns`, `bytes`, `ratio`; empty for text
    dimensions      the names of ObservationRecord's dimensions by which its observations in one run differ
    """

    __slots__ = ("dimensions", "summary", "unit", "what")

    def __init__(self, what: str, unit: str, summary: str, dimensions: Sequence[str] = ()) -> None:
        self.what = what
        self.unit = unit
        self.summary = summary
        self.dimensions = tuple(dimensions)


class Observation:
    """One observation: `Observation("round_trip_p50_ns", 7_300, channel="pipe", size=1)`.

    what         the name of one of the workload's Observables
    value        the number; None where the observation is a text
    text         the text, an error message for instance; empty where it is a number
    dimensions   `start_method`, `size` and the others of tracekit.bundle.stream_records.DIMENSIONS, those that matter

    Raises ValueError when it is neither a finite number nor a text.
    """

    __slots__ = ("dimensions", "text", "value", "what")

    def __init__(self, what: str, value: float | None = None, /, *, text: str = "", **dimensions: Any) -> None:
        if (value is None) is not bool(text) or not math.isfinite(value or 0.0):
            raise ValueError(f"{what} is neither a finite number nor a text: {value!r}, {text!r}")
        self.what = what
        self.value = value
        self.text = text
        self.dimensions: dict[str, Any] = dimensions


class Workload:
    """One piece of work that every model can run.

    name, summary   what `tracekit list workloads` prints
    kind            one of KINDS; what its threads do inside a task. `cpu` and `native` tasks never block on purpose,
                    so that the GIL wait can be bounded by accounting
    sizes           size name -> the first argument of `make_items`
    make_items      (the size's value, seed, **parameters) -> items, each picklable, the same for every model
    task            item -> result; a top-level function, so that a spawned worker can import it
    combine         results in item order -> checksum, a string compared over all models
    parameters      its settings; `make_items` takes each by its name
    around          (the same arguments) -> context manager around the run, for what must exist while it lasts, such as
                    a server or shared memory. The mapping that it yields goes to `make_items` as further arguments
    observe         results in item order -> Observations, each of one of `observables`; called in the main process
                    after the last result
    observables     what `observe` may return
    page            the report page of its suites, a name in tracekit.analysis.report.pages.PAGES or `module:attribute`;
                    empty for the page that compares models
    usual           defaults of its own for fields of a Request, such as `models` and `runs`: for a workload that does
                    not compare models
    invariant       a sentence: the condition that holds in every run where results may differ; empty where they are
                    equal. `combine` raises ValueError when it does not hold
    needs           modules outside the standard library that the measured interpreter must have
    worker_per_item every item gets a worker of its own, started for it and joined after it, one at a time; such a
                    workload runs with one worker
    """

    __slots__ = (
        "around",
        "combine",
        "invariant",
        "kind",
        "make_items",
        "name",
        "needs",
        "observables",
        "observe",
        "page",
        "parameters",
        "sizes",
        "summary",
        "task",
        "usual",
        "worker_per_item",
    )

    def __init__(
        self,
        *,
        name: str,
        summary: str,
        kind: str,
        sizes: Mapping[str, Any],
        make_items: Callable[..., Sequence[Any]],
        task: Callable[[Any], Any],
        combine: Callable[[Sequence[Any]], str],
        parameters: Sequence[Parameter] = (),
        around: Callable[..., AbstractContextManager[Mapping[str, Any]]] | None = None,
        observe: Callable[[Sequence[Any]], Sequence[Observation]] | None = None,
        observables: Sequence[Observable] = (),
        page: str = "",
        usual: Mapping[str, Any] | None = None,
        invariant: str = "",
        needs: Sequence[str] = (),
        worker_per_item: bool = False,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
        self.name = name
        self.summary = summary
        self.kind = kind
        self.sizes = dict(sizes)
        self.make_items = make_items
        self.task = task
        self.combine = combine
        self.parameters = tuple(parameters)
        self.around = around
        self.observe = observe
        self.observables = tuple(observables)
        self.page = page or ("starts" if worker_per_item else "")
        self.usual = dict(usual or {})
        self.invariant = invariant
        self.needs = tuple(needs)
        self.worker_per_item = worker_per_item

    def values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Every parameter with what was given for it, else its default. Raises ValueError, which says what may be."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                there = f"its parameters are {', '.join(known)}" if known else "it has none"
                raise ValueError(f"{self.name} has no parameter {name!r}: {there}")
        return {
            name: parameter.value_of(given[name]) if name in given else parameter.default
            for name, parameter in known.items()
        }

    @contextmanager
    def items(self, size: str, seed: int, given: Mapping[str, Value]) -> Iterator[list[Any]]:
        """The items of a run, with what must exist around it. Raises ValueError for a size or parameter that there
        is not, and for more than MOST_ITEMS."""
        if size not in self.sizes:
            raise ValueError(f"{self.name} has no size {size}: known are {', '.join(self.sizes)}")
        values = self.values(given)
        if self.around is None:
            yield self._listed(self.make_items(self.sizes[size], seed, **values))
            return
        with self.around(self.sizes[size], seed, **values) as further:
            yield self._listed(self.make_items(self.sizes[size], seed, **values, **further))

    def _listed(self, made: Iterable[Any]) -> list[Any]:
        items = list(islice(made, MOST_ITEMS + 1))
        if len(items) > MOST_ITEMS:
            # A generator without an end would fill the memory long before its timeout.
            raise ValueError(f"{self.name} makes more than {MOST_ITEMS:,} items")
        return items

    def observed(self, results: Sequence[Any]) -> list[tuple[Observation, str]]:
        """Every observation with its unit.

        Raises ValueError for one that is not declared, by dimensions that are not declared or do not exist, or that is
        there twice: only one of them could be reported.
        """
        found = () if self.observe is None else self.observe(results)
        declared = {item.what: item for item in self.observables}
        given = set()
        for item in found:
            if item.what not in declared:
                raise ValueError(f"{self.name} observed {item.what}, which it does not declare")
            others = sorted(set(item.dimensions) - set(declared[item.what].dimensions))
            if others:
                raise ValueError(f"{self.name} observed {item.what} by {', '.join(others)}, which it does not declare")
            unknown = sorted(set(item.dimensions) - set(DIMENSIONS))
            if unknown:
                known = ", ".join(DIMENSIONS)
                raise ValueError(
                    f"{self.name} observed {item.what} by {', '.join(unknown)}: the dimensions are {known}"
                )
            place = (item.what, *(item.dimensions.get(name) for name in DIMENSIONS))
            if place in given:
                raise ValueError(f"{self.name} observed {item.what} twice by the same dimensions")
            given.add(place)
        return [(item, declared[item.what].unit) for item in found]
