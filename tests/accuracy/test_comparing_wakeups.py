"""The comparison of who ended waits for locks, on tables made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.accuracy.run_factory import T0, TID, WATCHED, made, wait
from tests.table_factory import MS
from tracekit.accuracy.checks.wakeups import compare_wakers
from tracekit.accuracy.comparison import Comparison

OWNER, STRANGER = TID + 1, 4711


def compared(recorded: list[int | None], by: list[int], *, ms: float = 5) -> list[Comparison]:
    """One wait each 10 ms; `recorded` says who ended it, `by` whom the kernel saw wake the thread."""
    ends = [T0 + (10 * turn) * MS + int(ms * MS) for turn in range(len(by))]
    wakings = {TID: (np.array(ends) - 1000, np.array(by))}
    return compare_wakers(
        made(
            kernel=replace(WATCHED, wakings=wakings),
            waits=[wait("lock", 10 * turn, ms) for turn in range(len(by))],
            threads=[{"tid": tid} for tid in (TID, OWNER, OWNER + 1)],
            wakeups=[
                {"start_ns": T0 + 10 * turn * MS, "woken_ns": end - 2000, "waker_tid": tid}
                for turn, (end, tid) in enumerate(zip(ends, recorded, strict=True))
                if tid is not None
            ],
        )
    )


def test_the_waker_is_the_thread_that_the_kernel_saw() -> None:
    [row] = compared([OWNER] * 6, [OWNER] * 6)
    assert (row.verdict, row.reason) == ("ok", "6 of 6 right, 0 wrong, 0 not known")


@pytest.mark.parametrize(
    ("others", "verdict", "counts"),
    [
        ([OWNER + 1], "fail", "1 wrong, 0 not known"),
        ([None, None], "fail", "0 wrong, 2 not known"),
        # One may be a timer's, whose interrupt met the thread that seems to have ended it.
        ([None], "inconclusive", "0 wrong, 1 not known"),
    ],
)
def test_another_waker_or_none_fails(others: list[int | None], verdict: str, counts: str) -> None:
    other = others[0]
    [row] = compared([OWNER] * 6 + others, [OWNER] * (6 + len(others)))
    assert (row.verdict, row.measured) == (verdict, pytest.approx(len(others) / (6 + len(others))))
    assert counts in row.reason
    assert f"was woken by {OWNER}, recorded is {other}" in row.reason


def test_what_no_thread_of_the_process_ended_is_not_compared() -> None:
    """A timer's interrupt meets any thread, a thread itself among them."""
    assert compared([None] * 9, [STRANGER] * 5 + [TID] * 4) == []
    assert compared([None] * 9, [OWNER] * 9, ms=1.2) == []
