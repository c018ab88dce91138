"""Options and parameter types that commands share: comma lists, NAME=VALUE, suites, --store; with shell completion."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from tracekit.bundle.spec import RunSpec, value_text
from tracekit.bundle.store import Store, default_store
from tracekit.core.errors import UsageError

if TYPE_CHECKING:
    from tracekit.workload import Parameter


class CommaList(click.ParamType[Any, Any]):
    """`a,b,c` as a tuple. `known` gives the names for completion; the api checks whether they exist."""

    name = "list"

    def __init__(self, metavar: str, known: Callable[[], Iterable[str]] | None = None, integers: bool = False) -> None:
        self._metavar = metavar
        self._known = known
        self._integers = integers

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self._metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        words = tuple(dict.fromkeys(word.strip() for word in str(value).split(",") if word.strip()))
        if not words:
            self.fail("the list is empty", param, ctx)
        if not self._integers:
            return words
        try:
            return tuple(sorted({int(word) for word in words}))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers like 1,2,4", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        # `a+b` is one element of the list that combines two names.
        before = max(incomplete.rfind(","), incomplete.rfind("+")) + 1
        done, last = incomplete[:before], incomplete[before:]
        names = self._known() if self._known is not None else ()
        taken = re.split("[,+]", done)
        return [CompletionItem(f"{done}{name}") for name in names if name.startswith(last) and name not in taken]


WORKLOAD_KEY = "tracekit.cli.options.named"
"""Key of the click context's `meta` under which `tracekit run` stores the workload before it parses the options."""


class NameValue(click.ParamType[Any, Any]):
    """`name=value` as a pair of texts. The api checks whether the workload has such a parameter."""

    name = "parameter"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} is not NAME=VALUE, like chunksize=1", param, ctx)
        return name.strip(), text.strip()

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        workload = ctx.meta.get(WORKLOAD_KEY)
        rows = list_parameters(workload) if workload else []
        return [CompletionItem(f"{name}=", help=text) for name, text in rows if name.startswith(incomplete)]


def list_parameters(workload: str) -> list[tuple[str, str]]:
    """(name, description) of each parameter of one of tracekit's own workloads; empty for a workload of another
    package, whose module is not imported for help and completion."""
    from tracekit.measure.planning.workload_registry import WORKLOADS

    if workload not in WORKLOADS:
        return []
    return [
        (item.name, f"{item.summary}; {item.allowed()}{_format_unit(item.unit)}  {_format_default(item)}")
        for item in WORKLOADS.load(workload).parameters
    ]


def _format_unit(unit: str) -> str:
    return f", {unit}" if unit else ""


def _format_default(parameter: Parameter) -> str:
    return f"[default: {value_text(parameter.default)}]"


def complete_captures() -> Iterable[str]:
    """The names of the captures."""
    from tracekit.measure.capture import CAPTURES

    return CAPTURES


def complete_workloads(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the workloads with their summaries."""
    from tracekit.measure.planning.workload_registry import SUITES, summaries

    known = {**summaries(), **{name: SUITES.summary(name) for name in SUITES}}
    return [CompletionItem(name, help=text) for name, text in known.items() if name.startswith(incomplete)]


def complete_suites(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`latest` and the ids of the suites in the store, newest first."""
    names = ["latest", *(suite.suite_id for suite in reversed(get_store(ctx).suites()))]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def get_store(ctx: click.Context) -> Store:
    """The store that `--store` names, or the default one."""
    folder = ctx.params.get("store")
    return Store(folder if folder is not None else default_store())


def others_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--with` to a command that reports."""
    return click.option(
        "--with",
        "others",
        type=CommaList("SUITE,..."),
        default=None,
        shell_complete=complete_suites,
        help="For claims: judge by these suites, too, from other systems or Pythons; ids or folders.",
    )(command)


def check_with_option(workload: str) -> None:
    """Raise UsageError where `--with` does not apply."""
    from tracekit.measure.planning.workload_registry import SUITES

    if workload not in SUITES:
        known = ", ".join(SUITES)
        raise UsageError(f"--with is for suites of {known}, not of {workload}", f"tracekit run {known} --with SUITE")


def format_store_option(store: Path | None) -> str:
    """The --store option to print in a suggested command, with a leading blank; empty for the default."""
    return "" if store is None else f" --store {shlex.quote(str(store))}"


def lock_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--anyway` and `--no-wait` to a command that measures."""
    add_refusal = click.option("--no-wait", is_flag=True, help="Refuse while another tracekit measures here.")
    add_start = click.option("--anyway", is_flag=True, help="Measure also while another tracekit measures here.")
    return add_start(add_refusal(command))


@contextmanager
def measure_alone(ctx: click.Context, command: Sequence[str]) -> Iterator[None]:
    """Measure while no other tracekit does, or as `lock_options` say; others that wait show `command`."""
    from tracekit.cli import write_stderr
    from tracekit.system.measuring_lock import Holder, hold_lock

    def tell(holder: Holder) -> None:
        write_stderr(f"waiting for {holder}, which measures here; --anyway measures beside it")

    params = ctx.params
    with hold_lock(shlex.join(command), beside=params["anyway"], waits=not params["no_wait"], on_wait=tell):
        yield


def keep_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--keep` to a command that makes a suite."""
    text = "Afterwards remove the oldest suites that have ended, beyond N.  [default: keep all]"
    return click.option("--keep", type=click.IntRange(min=1), metavar="N", help=text)(command)


def remove_old_suites(ctx: click.Context) -> None:
    """Do what `--keep` says."""
    from tracekit.cli import write_stderr

    keep = ctx.params["keep"]
    for suite in [] if keep is None else get_store(ctx).list_ended()[:-keep]:
        suite.remove()
        write_stderr(f"removed {suite.suite_id}")


store_option = click.option(
    "-o",
    "--store",
    type=click.Path(path_type=Path),
    envvar="TRACEKIT_HOME",
    help="Folder of the suites.  [default: .tracekit]",
)

trace_entries_option = click.option(
    "--trace-entries",
    type=click.IntRange(1_000, 1_000_000_000),
    metavar="N",
    default=RunSpec.trace_entries,
    show_default=True,
    help="Calls of one process that VizTracer keeps; of more the oldest are lost.",
)
