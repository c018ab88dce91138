"""A user's own function as a workload: `tracekit run package.module:function --items 'range(100)'`.

The main process of a run imports this file; a worker only gets the function itself.
"""

from __future__ import annotations

import builtins
import importlib
import itertools
import sys
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.workload import MOST_ITEMS, SIZES, Workload

_SIMPLE = (bool, int, float, complex, str, bytes, type(None))


def load_target(target: str) -> object:
    """What `module:attribute` names; the attribute may have dots. Raises ImportError and AttributeError."""
    module, _, attribute = target.partition(":")
    value: object = importlib.import_module(module)
    for name in attribute.split("."):
        value = getattr(value, name)
    return value


def as_workload(value: object, target: str, items: str) -> Workload:
    """The Workload that `target` names, or one made of the function that it names and the expression `items`.

    Raises TypeError, which says why, for anything else.
    """
    if isinstance(value, Workload):
        if items:
            raise TypeError(f"{target} is a workload and makes its own items")
        return value
    if not callable(value):
        raise TypeError(f"{target} is {with_article(value)}, neither a function nor a tracekit.workload.Workload")
    if not items:
        raise TypeError(f"{target} is a function, and there are no items to call it with")
    function = value

    def make_items(size: None, seed: int) -> list[Any]:
        return evaluate_items(items, vars(sys.modules.get(getattr(function, "__module__", ""), builtins)))

    return Workload(
        name=target,
        summary="a user's function",
        kind="mixed",
        sizes=dict.fromkeys(SIZES),
        make_items=make_items,
        task=function,
        combine=combine,
    )


class _ModuleNames(dict[str, Any]):
    """The names of a module, and beyond these modules by their own names."""

    def __missing__(self, name: str) -> Any:
        if not hasattr(builtins, name):
            try:
                return importlib.import_module(name)
            except ImportError:
                pass
        raise KeyError(name)


def evaluate_items(expression: str, names: Mapping[str, Any]) -> list[Any]:
    """The items that a Python expression stands for: `[numpy.arange(n) for n in range(8)]`.

    Raises TypeError when they cannot be counted, ValueError when there are none or too many, and what evaluating
    raises.
    """
    # The user's own expression, in a process that runs nothing but the user's work.
    found = eval(expression, _ModuleNames(names))
    try:
        items = list(itertools.islice(iter(found), MOST_ITEMS + 1))
    except TypeError:
        raise TypeError(f"{expression} is {with_article(found)}, not several items") from None
    if not items:
        raise ValueError(f"{expression} gives no item")
    if len(items) > MOST_ITEMS:
        raise ValueError(f"{expression} gives more than {MOST_ITEMS:,} items")
    return items


def combine(results: Sequence[Any]) -> str:
    """A checksum of what can be compared: values of Python's own types; of others how many there are of which type."""
    return f"{zlib.crc32(repr([_comparable(result) for result in results]).encode()):08x}"


def _comparable(value: Any) -> Any:
    if type(value) in _SIMPLE:
        return value
    if type(value) in (list, tuple):
        return [_comparable(item) for item in value]
    if type(value) is dict:
        return [(_comparable(key), _comparable(item)) for key, item in value.items()]
    # Their repr may hold an address, or an order that differs from process to process.
    return (type(value).__name__, len(value)) if type(value) in (set, frozenset) else type(value).__name__


def with_article(value: object) -> str:
    """The type of a value with its article: `a list`, `an int`."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
