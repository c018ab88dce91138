"""tracekit completion: prints the completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command(no_args_is_help=True)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print the completion script for SHELL; workload and suite names are completed too.

    \b
    Examples:
      eval "$(tracekit completion bash)"
      tracekit completion fish > ~/.config/fish/completions/tracekit.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "tracekit", "_TRACEKIT_COMPLETE").source())
