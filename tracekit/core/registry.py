"""One kind of table for the five plug points (workload, model, capture, counters, metric).

A registry maps a name to `module:attribute` and a one-line summary, and imports the module only when the entry is
used: `tracekit --help` and shell completion list names without importing what stands behind them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

TYPE_CHECKING = False  # `typing` would cost every spawned worker 3 ms; type checkers know this name
if TYPE_CHECKING:
    from typing import Any

    from tracekit.core.errors import UsageError


class Registry:
    """Names of one plug point.

    `point` is the word users read ("workload"); `rows` maps name -> (target, summary), target being
    `module:attribute`; `listed` is the command that shows them. A name with a colon is taken as a target itself, so
    anybody's code can be plugged in.
    """

    def __init__(self, point: str, rows: Mapping[str, tuple[str, str]], listed: str = "") -> None:
        self.point = point
        self._listed = listed or f"tracekit list {point}s"
        self._rows = dict(rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def summary(self, name: str) -> str:
        """The entry's one-line summary. Raises UsageError for an unknown name."""
        self._check(name)
        return self._rows[name][1]

    def target(self, name: str) -> str:
        """The entry's `module:attribute`. Raises UsageError for an unknown name."""
        if ":" in name:
            return name
        self._check(name)
        return self._rows[name][0]

    def load(self, name: str) -> Any:
        """Import the entry and return it. Raises UsageError for an unknown name or a target that does not import."""
        return load_target(self.target(name), self.point)

    def check_all(self, names: list[str]) -> list[str]:
        """The same names, each known and none twice. Raises UsageError."""
        for name in names:
            self.target(name)
        return list(dict.fromkeys(names))

    def _check(self, name: str) -> None:
        if name in self._rows:
            return
        import difflib  # noqa: PLC0415 - only a misspelt name needs it, and no spawned worker

        close = difflib.get_close_matches(name, self._rows, n=1, cutoff=0.5)
        meant = f"did you mean {close[0]!r}?  " if close else ""
        known = f"unknown {self.point} {name!r}: {meant}known are {', '.join(self._rows)}"
        if name.endswith(".py"):
            raise _usage_error(f"{known}, or a name like module:attribute", f"tracekit run {name[:-3]}:WORKLOAD")
        raise _usage_error(known, self._listed)


def load_target(target: str, point: str) -> Any:
    """Import `module:attribute`. Raises UsageError, with the reason, where that fails."""
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise _usage_error(
            f"{point} {target!r} cannot be imported: {error}", f"python -c 'import {module_name}'"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise _usage_error(
            f"{point} {target!r}: module {module_name!r} has no {attribute!r}",
            f"python -c 'import {module_name}; print(dir({module_name}))'",
        ) from None


def _usage_error(message: str, hint: str) -> UsageError:
    from tracekit.core.errors import UsageError  # noqa: PLC0415 - 0.25 ms of every spawned worker, which needs none

    return UsageError(message, hint)
