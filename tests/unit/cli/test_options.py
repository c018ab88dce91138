"""Options that several commands have mean the same in each."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tracekit.cli import cli


def list_commands(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from list_commands(command) if isinstance(command, click.Group) else [command]


def test_the_store_has_the_same_two_names_everywhere_and_no_other_option_has_them() -> None:
    found = {
        (command.name, parameter.name): parameter.opts
        for command in list_commands(cli)
        for parameter in command.params
        if {"-o", "--store"}.intersection(parameter.opts)
    }
    assert {name for _, name in found} == {"store"}
    assert all(names == ["-o", "--store"] for names in found.values())
    assert {"run", "record", "report", "export", "view", "suites"} <= {command for command, _ in found}
