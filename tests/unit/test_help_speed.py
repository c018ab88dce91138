"""`tracekit --help` costs hardly more than click itself: completion and typing mistakes wait for the same imports."""

from __future__ import annotations

import pytest

from tests.bench.help_cost import pairs

LIMIT = 1.5
PAIRS = 12
ROUNDS = 3


@pytest.mark.measures
def test_help_takes_at_most_half_again_as_long_as_a_bare_click_program() -> None:
    """By the least CPU time of many calls in turn; a neighbour can only add to a call, never take from it.

    Another round is asked for when the first says no, because a machine can be slow for all of one round's calls of one
    side; what is really too slow stays so.
    """
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(ROUNDS):
        for one, other in pairs(PAIRS):
            bare.append(one)
            ours.append(other)
        if min(ours) <= LIMIT * min(bare):
            return
    told = f"least CPU time of {len(ours)} calls: tracekit --help {min(ours):.4f} s, bare click {min(bare):.4f} s"
    raise AssertionError(f"{told}; see `python -X importtime -m tracekit --help`")
