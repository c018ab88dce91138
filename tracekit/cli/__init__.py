"""The command line. Each command parses its arguments, calls the api and prints; only this package prints and exits.

In: arguments. Out: the result on stdout, progress and errors on stderr, an exit code. An error is two lines: what is
wrong, with the value; then the command that fixes it. `_COMMANDS` below names each command's file.
"""

from __future__ import annotations

import errno
import importlib
import os
import shlex
import signal
import sys
import textwrap
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import click

import tracekit
from tracekit.core.errors import EnvironmentLacks, OutputUnwritable, TracekitError
from tracekit.core.visible_text import make_visible

INTERRUPTED = 130
_IMPORTING = "<frozen importlib._bootstrap>"
_AGAIN_S = 0.05

_COMMANDS = {
    "run": ("tracekit.cli.run:run", "Run a workload under each model, and report."),
    "record": ("tracekit.cli.record:record", "Run any program unchanged, and record where its time went."),
    "report": ("tracekit.cli.report:report", "Write the report of a suite again."),
    "explain": ("tracekit.cli.explain:explain", "Explain results: break-even, prediction, start methods."),
    "view": ("tracekit.cli.view:view", "Open the traced runs in the trace viewer."),
    "list": ("tracekit.cli.listing:listing", "List workloads, models, captures, metrics, suites, pythons."),
    "remove": ("tracekit.cli.remove:remove", "Remove suites from the store."),
    "export": ("tracekit.cli.export:export", "Write a table of a suite as csv, json or parquet."),
    "doctor": ("tracekit.cli.doctor:doctor", "Show what can be measured here, and how to enable the rest."),
    "completion": ("tracekit.cli.completion:completion", "Print the shell's completion script."),
}


class LazyGroup(click.Group):
    """Imports a command's module only when it is used: `--help` lists all commands and imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 ok, 1 gate failed, 2 usage, 3 measurement refused or invalid, 4 environment cannot, "
    "5 nothing to do, 129 hung up, 130 interrupted, 143 terminated.",
)
@click.version_option(tracekit.__version__, prog_name="tracekit")
def cli() -> None:
    """Threads or processes? Measure a workload under each, see where the time went, and get a report.

    \b
    Examples:
      tracekit run matmul                   timings, traces and a report
      tracekit run hashing --size small     another workload, quicker
      tracekit run claims                   common claims about threads and processes, tested
      tracekit record -- python app.py      any program, unchanged
      tracekit view                         the newest suite in the trace viewer
      tracekit list workloads               what can be run
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; the only place where errors become text."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    if sys.stdout is None:
        # It is closed. A stream that cannot be written to fails and is explained as a full disk is.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    try:
        code = _invoke(argv)
    except OSError as error:
        if isinstance(error, PermissionError) and error.filename is not None:
            # Before 3.14 pathlib raises it where it is asked whether something is there.
            name = os.fsdecode(error.filename)
            fail(f"cannot use {name}: {error.strerror}", f"namei -l {shlex.quote(name)}", EnvironmentLacks.exit_code)
        if not _is_of_stdout(error):
            raise
        if isinstance(error, BrokenPipeError):
            sys.exit(0)  # as below
        remedy = "tracekit ... >FILE" if error.errno == errno.EBADF else "df -h"
        fail(f"cannot write to stdout: {error.strerror}", remedy, OutputUnwritable.exit_code)
    except TracekitError as error:
        fail(str(error), error.hint, error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "tracekit"
        fail(error.format_message().replace("\n", " "), f"{path} --help", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        write_stderr("interrupted")
        sys.exit(INTERRUPTED)
    except Terminated as ended:
        write_stderr("terminated")
        sys.exit(128 + ended.number)
    except SystemExit:
        if "PacifyFlush" in type(sys.stdout).__name__:
            # click met a closed pipe and replaced stdout by this private wrapper. The reader (head, less) has enough:
            # that is not a failure.
            sys.exit(0)
        raise
    sys.exit(code if isinstance(code, int) else 0)


def _invoke(argv: Sequence[str] | None) -> Any:
    """Run the command, and write what stdout has kept: at Python's exit nobody could say why that failed."""
    try:
        code = cli.main(args=None if argv is None else list(argv), prog_name="tracekit", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        write_stdout(error.format_message())
        code = 2
    if not sys.stdout.closed:
        sys.stdout.flush()
    return code


def _is_of_stdout(error: OSError) -> bool:
    """Whether the error is stdout's, which then fails again. It is redirected to /dev/null, or Python would write what
    stdout has kept at exit, fail a third time, and end with 120."""
    if error.filename is not None:
        return False
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        _redirect_to_nowhere(sys.stdout)
        return True
    except ValueError:
        return False
    return False


def _redirect_to_nowhere(stream: Any) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def fail(message: str, hint: str, code: int) -> NoReturn:
    """Print an error as two lines on stderr, and exit."""
    write_stderr(("error:", "red"), f" {message}")
    write_stderr(f"  try: {hint}")
    sys.exit(code)


def write_warning(text: str) -> None:
    """Print on stderr what makes the result on stdout doubtful."""
    write_stderr(("warning:", "yellow"), f" {text}")


_LEAST_COLUMN = 30
"""With less room than that, text has lines of its own."""

Part = str | tuple[str, str]
"""A piece of a line: a text, or a text and its colour."""


def write_stdout(*parts: Part) -> None:
    """Print a line on stdout, in colour where the terminal shows it. Only our own colours are raw control characters.

    Raises OSError, which `main` explains.
    """
    click.echo(_join(parts), color=use_colour(sys.stdout))


def find_width() -> int | None:
    """The columns of the terminal that stdout is, COLUMNS before its own size, at least 40; None for a file or a pipe,
    whose reader counts on a line per row.
    """
    wanted = os.environ.get("COLUMNS", "")
    try:
        if not sys.stdout.isatty():
            return None
        columns = int(wanted) if wanted.isdecimal() else os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return None
    return max(40, columns) if columns else None


def wrap_text(text: str, indent: int) -> str:
    """The text in lines that fit the terminal: the first begins at column `indent`, the others below it; all of them on
    lines of their own, 4 columns in, where there is little room.
    """
    width = find_width()
    if width is None or indent + len(text) <= width:
        return text
    if width - indent >= _LEAST_COLUMN:
        return f"\n{'':<{indent}}".join(textwrap.wrap(text, width - indent, break_on_hyphens=False))
    return "".join(f"\n    {line}" for line in textwrap.wrap(text, width - 4, break_on_hyphens=False))


def write_stderr(*parts: Part) -> None:
    """As write_stdout, on stderr; a reader that has gone is not an error.

    Such a line stays in the stream's buffer. Python would write it again at exit, fail again, and exit with 120
    instead of our code: so the stream is redirected to /dev/null.
    """
    if sys.stderr is None:
        return
    try:
        click.echo(_join(parts), err=True, color=use_colour(sys.stderr))
    except ValueError:
        return  # it was closed
    except OSError:
        _redirect_to_nowhere(sys.stderr)


def _join(parts: Sequence[Part]) -> str:
    return "".join(
        make_visible(part) if isinstance(part, str) else click.style(make_visible(part[0]), fg=part[1], bold=True)
        for part in parts
    )


def use_colour(stream: Any) -> bool:
    """Whether to colour the output on a stream: it is a terminal, and NO_COLOR is not set."""
    return (
        bool(stream and not stream.closed and stream.isatty())
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


class Terminated(BaseException):
    """SIGTERM arrived, or SIGHUP: the terminal is gone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Make SIGTERM and SIGHUP unwind like Ctrl-C, so that measured processes are ended.

    An import is let end first: numpy makes an exception in the middle of its own a traceback and an ImportError.
    """
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)
