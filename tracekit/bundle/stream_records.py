"""Writes the records of a stream: `StampRecord(name="done", ts_ns=1)` has the keys `kind`, `name` and `ts_ns`.

Type checkers take the classes of `stream_schema`. To make those would cost every worker process 0.2 ms, so at run time
each of them is a function that keeps what it is given. Every worker imports this file, so it imports nothing.
"""

from __future__ import annotations

DIMENSIONS = ("pool", "start_method", "phase", "channel", "size", "case")
"""The keys by which observations of one name are told apart. `size` is an integer, all others are text."""

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from tracekit.bundle.stream_schema import *  # noqa: F403 - its classes, under the same names
else:

    class WrittenRecord:
        """The keys of one record, `kind` first, as its own dict."""

        def __init__(self, kind, values):
            self.__dict__.update(kind=kind, **values)

    def __getattr__(name):
        if not name.endswith("Record"):
            raise AttributeError(name)
        return lambda **values: WrittenRecord(name[: -len("Record")].lower(), values)


def stream_name(process: int | str) -> str:
    """The name of a process's stream: `123.jsonl`, `parent.jsonl`."""
    return f"{process}.jsonl"
