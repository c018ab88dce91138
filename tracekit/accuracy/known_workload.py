"""A workload that knows the answers: it sets itself how long its tasks, its workers' start and end, and pickling take.

Measured processes import this file like any workload, on CPython 3.9 and newer. It is for `make accuracy` only and not
listed for users. At the end of a run the main process writes `answers-PID.json` into the folder of the parameter
`answers`, and each worker `end-PID.json`; checks/tasks.py says what is in them.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import util
from typing import Any

from tracekit.workload import Observable, Observation, Parameter, Workload

PICKLING_S = 0.004
"""Each pickling and each unpickling of a parcel sleeps so long."""
START_S = 0.15
"""A forked worker sleeps so long before it is a worker."""
END_S = 0.08
"""A worker sleeps so long when it has been told to end."""
PAYLOAD = bytes(range(256)) * 80

_forked = {"before_ns": 0, "after_ns": 0, "returned_ns": 0}
"""Of the latest fork: in the parent when it began and returned, in the child when its own sleep was over."""
_answers = {"folder": ""}
_registered: list[bool] = []


class Parcel:
    """An item, and with the answers of its task the result; it adds up how long its pickling and unpickling took."""

    def __init__(self, number: int, sleep_s: float, busy_s: float) -> None:
        self.values: dict[str, Any] = {"number": number, "sleep_s": sleep_s, "busy_s": busy_s, "payload": PAYLOAD}
        self.pickling_ns = 0

    def __getstate__(self) -> dict[str, Any]:
        begun = time.monotonic_ns()
        time.sleep(PICKLING_S)
        return {"values": self.values, "pickling_ns": self.pickling_ns + time.monotonic_ns() - begun}

    def __setstate__(self, state: dict[str, Any]) -> None:
        begun = time.monotonic_ns()
        time.sleep(PICKLING_S)
        self.values = state["values"]
        self.pickling_ns = state["pickling_ns"] + time.monotonic_ns() - begun


@contextmanager
def around(parcels: int, seed: int, *, answers: str) -> Iterator[Mapping[str, Any]]:
    """Make the start of forked workers slow, and remember where the answers go."""
    _answers["folder"] = answers
    if not _registered:
        _registered.append(True)
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork, after_in_parent=_return_from_fork)
    yield {}


def _before_fork() -> None:
    _forked["before_ns"] = time.monotonic_ns()


def _return_from_fork() -> None:
    _forked["returned_ns"] = time.monotonic_ns()


def _after_fork() -> None:
    time.sleep(START_S)
    _forked["after_ns"] = time.monotonic_ns()
    _forked.pop("told", None)


def make_items(parcels: int, seed: int, *, answers: str) -> list[Parcel]:
    """Parcels of unequal length; the seed is not used."""
    return [Parcel(number, 0.01 + 0.002 * (number % 4), 0.005 + 0.004 * (number % 3)) for number in range(parcels)]


def task(item: Parcel) -> Parcel:
    """Sleep, then compute, as long as the item says, and note when and how long by the own clocks."""
    begun, cpu = time.monotonic_ns(), time.thread_time_ns()
    if "told" not in _forked:
        _forked["told"] = 1
        util.Finalize(None, _end_worker, exitpriority=100)
    time.sleep(item.values["sleep_s"])
    slept = time.monotonic_ns()
    until = time.thread_time() + item.values["busy_s"]
    while time.thread_time() < until:
        pass
    item.values.update(
        pid=os.getpid(),
        forked=dict(_forked),
        slept_ns=slept - begun,
        cpu_ns=time.thread_time_ns() - cpu,
        begun_ns=begun,
        ended_ns=time.monotonic_ns(),
    )
    return item


def _end_worker() -> None:
    """The last that a worker does of its own."""
    begun = time.monotonic_ns()
    time.sleep(END_S)
    _write(f"end-{os.getpid()}.json", {"begun_ns": begun, "ended_ns": time.monotonic_ns()})


def combine(results: Sequence[Parcel]) -> str:
    """The number of parcels."""
    return str(len(results))


def observe(results: Sequence[Parcel]) -> list[Observation]:
    """Two numbers of its own, which are in the answers as well."""
    observed = {"parcels": len(results), "slept_ns": sum(result.values["slept_ns"] for result in results)}
    tasks = [{name: value for name, value in result.values.items() if name != "payload"} for result in results]
    items = make_items(len(results), 0, answers="")
    answers = {
        "pid": os.getpid(),
        "tasks": tasks,
        "forked_ns": _forked["returned_ns"],
        "pickling_ns": sum(result.pickling_ns for result in results),
        "pickled_bytes": sum(len(pickle.dumps(parcel)) for parcel in (*items, *results)),
        "observed": observed,
    }
    _write(f"answers-{os.getpid()}.json", answers)
    return [Observation(name, value) for name, value in observed.items()]


def _write(name: str, data: dict[str, Any]) -> None:
    with open(os.path.join(_answers["folder"], name), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123
        json.dump(data, file)


KNOWN = Workload(
    name="known-tasks",
    summary="tasks that know how long they took",
    kind="mixed",
    sizes={"small": 12},
    make_items=make_items,
    task=task,
    combine=combine,
    around=around,
    observe=observe,
    observables=(
        Observable("parcels", "count", "how many parcels came back"),
        Observable("slept_ns", "ns", "how long the tasks slept"),
    ),
    parameters=(Parameter("answers", "", "the folder that the answers go to"),),
)
