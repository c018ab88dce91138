"""skewed-tasks: tasks of unequal length, handed out in chunks: one worker is overloaded while others idle.

Shows: how the chunk size decides. The first half of the tasks takes `skew` times as long as the other. In two chunks
of equal number one worker gets all the long ones; one by one, an idle worker takes the next.
Claim: one CPU may sit idle while another one is overloaded.
A good answer: with 2 process workers a load balance near (1 + 1 / skew) / 2 in two chunks, 0.56 by default, and near 1
with `-P chunksize=1`. Under threads the GIL shares out the computing whatever the chunks: look at the processes.
Depends on: how concurrent.futures hands out tasks: to an idle worker. multiprocessing.Pool.map makes four chunks per
worker by default.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.workload import Parameter, Workload

_TASKS = 64


def make_items(rounds: int, seed: int, *, chunksize: int, skew: float) -> list[list[int]]:
    """Chunks of up to `chunksize` tasks, each task the iterations that it counts; the seed changes nothing."""
    tasks = [round(rounds * skew)] * (_TASKS // 2) + [rounds] * (_TASKS // 2)
    return [tasks[start : start + chunksize] for start in range(0, _TASKS, chunksize)]


def task(chunk: list[int]) -> list[int]:
    """Do one task after the other; returns the count of each."""
    return [_count(rounds) for rounds in chunk]


def _count(rounds: int) -> int:
    total = 0
    for step in range(rounds):
        total += step & 1
    return total


def combine(results: Sequence[list[int]]) -> str:
    """The sum of all counts: the same in chunks of any size."""
    return str(sum(map(sum, results)))


WORKLOAD = Workload(
    name="skewed-tasks",
    summary="long and short tasks in chunks: one worker is overloaded while others idle",
    kind="cpu",
    sizes={"smoke": 2_000, "small": 8_000, "default": 40_000, "large": 400_000},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(
        Parameter("chunksize", _TASKS // 2, f"tasks that are handed out together, of {_TASKS}", least=1, most=_TASKS),
        Parameter("skew", 8.0, "how many times as long a long task takes", least=1, most=1000),
    ),
)
