"""Computing once what several metrics are made of.

Twelve metrics are parts of one ledger, and each is asked for by itself. While `remembering()` is open, a function
marked `once` computes its answer for one Tables and one list of further arguments only the first time. Outside it
every call computes anew, so that whoever changes a table between two calls is told the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

from tracekit.analysis.tables import Tables

_Result = TypeVar("_Result")
_answers: ContextVar[dict[Hashable, Any] | None] = ContextVar("answers", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Nothing may change a table while this is open."""
    if _answers.get() is not None:
        yield
        return
    token = _answers.set({})
    try:
        yield
    finally:
        _answers.reset(token)


def once(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """Mark a pure function of (Tables, hashable arguments...). Its result must not be changed by who gets it."""

    @wraps(function)
    def remembered(tables: Tables, *arguments: Hashable) -> _Result:
        answers = _answers.get()
        if answers is None:
            return function(tables, *arguments)
        key = (function, id(tables), arguments)
        if key not in answers:
            answers[key] = function(tables, *arguments)
        result: _Result = answers[key]
        return result

    return remembered
