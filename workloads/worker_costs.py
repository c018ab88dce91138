"""worker-costs: the control for the cost of workers. Tasks that do nothing, then some that only return much.

Shows: how long workers take until they can take a task, what handing out one more task costs, what a byte on its way
back costs, and how long stopping takes. Predictions are made of these (docs/metrics.md). The first tasks sleep, so that
the workers that have them keep still while the last worker starts: otherwise handing out thousands of tasks a second
would slow down what it is to measure.
Claim: workers cost something for every task, not only when they start; processes more than threads.
A good answer: forked workers run after some ms and spawned ones after 50 and more; a task costs processes some
100 µs, a MiB about a millisecond.
Depends on: concurrent.futures' executors, which hand out one task at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tracekit.workload import Parameter, Workload

TYPE_CHECKING = False  # `typing` alone takes 2 ms, which every spawned worker would pay
if TYPE_CHECKING:
    from typing import Union

    Item = tuple[str, int]
    Result = Union[int, bytes]

SLEEP_MS = 150
LARGE = 12
LARGE_BYTES = 1 << 20


def make_items(tasks: int, seed: int, *, sleepers: int) -> list[Item]:
    """(what to do, amount): sleep that many ms, do nothing, or return that many bytes."""
    return [("sleep", SLEEP_MS)] * sleepers + [("nothing", 0)] * tasks + [("bytes", LARGE_BYTES)] * LARGE


def task(item: Item) -> Result:
    """Sleep, do nothing, or return bytes."""
    what, much = item
    if what == "sleep":
        time.sleep(much / 1e3)
    return bytes(much) if what == "bytes" else much


def combine(results: Sequence[Result]) -> str:
    """The sum of all amounts."""
    return str(sum(result if isinstance(result, int) else len(result) for result in results))


WORKLOAD = Workload(
    name="worker-costs",
    summary="control: tasks that do nothing, what workers cost",
    kind="io",
    sizes={"smoke": 100, "small": 200, "default": 200, "large": 200},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(
        Parameter("sleepers", 0, "tasks before the others that sleep: one less than workers", least=0, most=1024),
    ),
)
