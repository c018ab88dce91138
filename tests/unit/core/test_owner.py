"""Whose something on disk is, and whether that process still runs."""

from __future__ import annotations

import os

import pytest

from tracekit.core.owner import describe_owner, is_dead, read_start_ticks


def test_a_running_process_is_not_dead_and_one_of_its_id_that_began_before_is() -> None:
    own = describe_owner()
    assert own["pid"] == os.getpid()
    assert not is_dead(own)
    ticks = read_start_ticks(os.getpid())
    assert ticks is not None
    assert is_dead({**own, "start_ticks": ticks - 1})


@pytest.mark.parametrize("owner", [None, 3, {}, {"pid": "1", "start_ticks": 1}, {"pid": 2**70, "start_ticks": None}])
def test_what_says_no_owner_is_not_known_to_be_dead(owner: object) -> None:
    assert not is_dead(owner)


def test_what_ran_elsewhere_is_not_known_to_be_dead() -> None:
    assert not is_dead({**describe_owner(), "start_ticks": 1, "place": "another-host 1"})
