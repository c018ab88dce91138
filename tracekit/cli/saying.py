"""What is said on stderr, whose reader may be gone: that is no error of ours, and must not become one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import click


def say(line: str) -> None:
    """Echo a line, in colour where stderr shows it.

    A reader that has gone leaves the line in the stream's buffer. Python would write it once more when it ends, fail
    again, and end with 120 whatever the exit code was to be: so the stream goes nowhere from then on.
    """
    if sys.stderr is None:
        return
    try:
        click.echo(line, err=True, color=colour(sys.stderr))
    except ValueError:
        return  # it was closed
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)


def colour(stream: Any) -> bool:
    """Whether to colour what goes to that stream: a terminal, and nobody set NO_COLOR."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
