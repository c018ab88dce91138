"""A few kills of the campaign; `make kills` makes more."""

from __future__ import annotations

from tests.fuzz.kills import SIGNALS, choose_kills, make_campaign
from tracekit.measure.capture import CAPTURES

KILLS, SEED = 3, 3


def test_what_is_killed_leaves_nothing_and_changes_nothing() -> None:
    with make_campaign() as campaign:
        found = [(kill.command, kill.number, *campaign.judge(kill)) for kill in choose_kills(KILLS, SEED)]
    assert [item for item in found if item[2] == "fault"] == []


def test_every_command_capture_and_signal_has_its_turn() -> None:
    kills = choose_kills(60, SEED)
    commands = {f"{name} {capture}" for name in ("run", "record") for capture in CAPTURES}
    assert {kill.command for kill in kills} == commands
    assert {kill.number for kill in kills} == set(SIGNALS)
