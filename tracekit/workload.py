"""What a workload is: work that can be cut into items, so that every model can run the same work.

Measured processes import this file, a spawned worker at every start. It is therefore a plain class: `dataclasses`
alone pulls in `inspect` and `ast` and would add about 6 ms to the very spawn cost that tracekit measures.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence

TYPE_CHECKING = False  # see tracekit/registry.py
if TYPE_CHECKING:
    from typing import Any

SIZES = ("smoke", "small", "default", "large")
KINDS = ("cpu", "native", "io", "mixed", "memory", "ipc", "fault")


class Workload:
    """One piece of work that every model can run.

    name, summary   what `tracekit list workloads` prints
    kind            one of KINDS; what its threads do inside a task. `cpu` and `native` tasks never block on purpose,
                    which is what makes an accounting bound of the GIL wait possible
    sizes           size name -> parameter of `make_items`
    make_items      (parameter, seed) -> items; the same items for every model, each picklable
    task            item -> result; a top-level function, so that a spawned worker can import it
    combine         results in item order -> checksum, a string compared over all models
    """

    __slots__ = ("combine", "kind", "make_items", "name", "sizes", "summary", "task")

    def __init__(
        self,
        *,
        name: str,
        summary: str,
        kind: str,
        sizes: Mapping[str, Any],
        make_items: Callable[[Any, int], Sequence[Any]],
        task: Callable[[Any], Any],
        combine: Callable[[Sequence[Any]], str],
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


def import_workload(target: str) -> Workload:
    """Import `module:attribute` inside the measured process; the parent has already checked the name."""
    module_name, _, attribute = target.partition(":")
    value = getattr(importlib.import_module(module_name), attribute)
    if not isinstance(value, Workload):
        raise TypeError(f"{target} is {type(value).__name__}, not a tracekit.workload.Workload")
    return value
