"""The command line. Each command parses, calls the api, and echoes; only this package prints and picks exit codes.

stdout is the result, stderr is progress and errors. An error is two lines: what, with the value; then the command that
fixes it.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

import tracekit
from tracekit.cli.saying import say
from tracekit.core.errors import TracekitError

INTERRUPTED = 130
_TERMINATED = 143

_COMMANDS = {
    "run": ("tracekit.cli.run:run", "Run a workload under each model, and report."),
    "record": ("tracekit.cli.record:record", "Run any program as it is, and keep where its time went."),
    "report": ("tracekit.cli.report:report", "Write the report of a suite again."),
    "explain": ("tracekit.cli.explain:explain", "Say what follows: break-even, prediction, start methods."),
    "view": ("tracekit.cli.view:view", "Open the traced runs in the trace viewer."),
    "list": ("tracekit.cli.listing:listing", "List workloads, models, captures, metrics, suites, pythons."),
    "export": ("tracekit.cli.export:export", "Write a table of a suite as csv, json or parquet."),
    "doctor": ("tracekit.cli.doctor:doctor", "Show what can be measured here, and how to enable the rest."),
    "completion": ("tracekit.cli.completion:completion", "Print the shell's completion script."),
}


class LazyGroup(click.Group):
    """Imports a command's module when it is used; `--help` lists all of them and imports none."""

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
    "5 nothing to do, 130 interrupted, 143 terminated.",
)
@click.version_option(tracekit.__version__, prog_name="tracekit")
def cli() -> None:
    """Threads or processes? Measure a workload under each, see where the time went, and get a report.

    \b
    Examples:
      tracekit run matmul                   timings, traces and a report
      tracekit run hashing --size small     another workload, quicker
      tracekit run claims                   what is said of threads and processes, put to the test
      tracekit record -- python app.py      any program, as it is
      tracekit view                         the newest suite in the trace viewer
      tracekit list workloads               what can be run
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code. The one place where errors become text."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        code: Any = cli.main(args=None if argv is None else list(argv), prog_name="tracekit", standalone_mode=False)
    except TracekitError as error:
        fail(str(error), error.hint, error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "tracekit"
        fail(error.format_message().replace("\n", " "), f"{path} --help", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        sys.exit(INTERRUPTED)
    except Terminated:
        say("terminated")
        sys.exit(_TERMINATED)
    except SystemExit:
        if "PacifyFlush" in type(sys.stdout).__name__:
            # click met a closed pipe and put this wrapper, private to it, in stdout's place: the reader (head, less)
            # has seen enough, which is no failure.
            sys.exit(0)
        raise
    sys.exit(code if isinstance(code, int) else 0)


def fail(message: str, hint: str, code: int) -> NoReturn:
    """Two lines on stderr, and out."""
    say(f"{click.style('error:', fg='red', bold=True)} {message}")
    say(f"  try: {hint}")
    sys.exit(code)


class Terminated(BaseException):
    """SIGTERM arrived."""


def _terminate(number: int, frame: FrameType | None) -> None:
    """SIGTERM unwinds like Ctrl-C, so that measured processes are reaped."""
    raise Terminated
