"""The environment of a recorded program: the captures' variables beside its own."""

from __future__ import annotations

import pytest

from tracekit.measure.process.command_wrapper import add_variables, changed_variables


@pytest.mark.parametrize(
    ("theirs", "result"),
    [
        ("/home/me/mine", "/lib/site:/home/me/mine"),
        # Each is also a piece of the text that is ours.
        (".", "/lib/site:."),
        ("/lib", "/lib/site:/lib"),
        ("site:", "/lib/site:site:"),
        ("/lib/site", "/lib/site"),
        ("a:/lib/site:b", "/lib/site:a:b"),
        ("", "/lib/site"),
    ],
)
def test_lists_keep_the_users_entries_after_ours(theirs: str, result: str) -> None:
    env = {"HOME": "/home/me", "PYTHONPATH": theirs}
    ours = {"PYTHONPATH": "/lib/site", "TRACEKIT_WAITS": "/w"}
    assert add_variables(env, ours) == {"HOME": "/home/me", "PYTHONPATH": result, "TRACEKIT_WAITS": "/w"}


def test_what_is_the_same_is_no_change() -> None:
    env = {"LD_PRELOAD": "/lib/waits.so:/lib/mine.so"}
    assert changed_variables(env, {"LD_PRELOAD": "/lib/waits.so:/lib/mine.so"}) == {}
    assert changed_variables(env, {"LD_PRELOAD": "/lib/waits.so"}) == {}
