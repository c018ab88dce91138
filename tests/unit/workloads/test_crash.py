"""crash: the time limit of the programs that fail."""

from __future__ import annotations

import pytest

from workloads.crash_subject import LIMIT_S, compute_limit

MS = 1_000_000


@pytest.mark.parametrize(("started_ms", "wanted_s"), [(100, LIMIT_S), (200, LIMIT_S), (900, 4.5)])
def test_a_slow_machine_has_a_longer_limit(started_ms: int, wanted_s: float) -> None:
    """Beside other programs a spawned worker began after 1 s, and was given up for a crash's victim."""
    events = {"main": {0: 5 * MS}, "begin": {1: (5 + started_ms + 50) * MS, 0: (5 + started_ms) * MS}}
    assert compute_limit(events) == pytest.approx(wanted_s)
    assert compute_limit({"main": {0: 0}}) == LIMIT_S
