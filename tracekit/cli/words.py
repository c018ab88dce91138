"""Parameter types that know the project's names: comma lists, workloads, suites; with shell completion."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from tracekit.bundle.spec import value_text
from tracekit.bundle.store import Store, default_store
from tracekit.core.errors import UsageError

if TYPE_CHECKING:
    from tracekit.workload import Parameter


class CommaList(click.ParamType[Any, Any]):
    """`a,b,c` as a tuple. `known` gives the names for completion; whether they exist is checked by the api."""

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
        # `a+b` is one word of the list, made of two names.
        before = max(incomplete.rfind(","), incomplete.rfind("+")) + 1
        done, last = incomplete[:before], incomplete[before:]
        names = self._known() if self._known is not None else ()
        taken = re.split("[,+]", done)
        return [CompletionItem(f"{done}{name}") for name in names if name.startswith(last) and name not in taken]


NAMED = "tracekit.cli.words.named"
"""Where `tracekit run` keeps which workload the words name, which is known before its options are read."""


class NameValue(click.ParamType[Any, Any]):
    """`name=value` as a pair of texts. Whether the workload has such a parameter is checked by the api."""

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
        workload = ctx.meta.get(NAMED)
        rows = parameter_rows(workload) if workload else []
        return [CompletionItem(f"{name}=", help=text) for name, text in rows if name.startswith(incomplete)]


def parameter_rows(workload: str) -> list[tuple[str, str]]:
    """(name, what it is) of each parameter of one of tracekit's own workloads. Others are not imported just to be
    asked: whatever their module does, it would do it here."""
    from tracekit.measure.planning.workload_registry import WORKLOADS

    if workload not in WORKLOADS:
        return []
    return [
        (item.name, f"{item.summary}; {item.allowed()}{_of(item.unit)}  {_default(item)}")
        for item in WORKLOADS.load(workload).parameters
    ]


def _of(unit: str) -> str:
    return f", {unit}" if unit else ""


def _default(parameter: Parameter) -> str:
    return f"[default: {value_text(parameter.default)}]"


def complete_captures() -> Iterable[str]:
    """The captures' names."""
    from tracekit.measure.capture import CAPTURES

    return CAPTURES


def complete_workloads(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of workloads with their summaries."""
    from tracekit.measure.planning.workload_registry import SUITES, summaries

    known = {**summaries(), **{name: SUITES.summary(name) for name in SUITES}}
    return [CompletionItem(name, help=text) for name, text in known.items() if name.startswith(incomplete)]


def complete_suites(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`latest` and the ids of the suites in the store, newest first."""
    names = ["latest", *(suite.suite_id for suite in reversed(store_of(ctx).suites()))]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def store_of(ctx: click.Context) -> Store:
    """The store that `--store` names, else the default one."""
    folder = ctx.params.get("store")
    return Store(folder if folder is not None else default_store())


def others_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--with`, of the commands that report."""
    return click.option(
        "--with",
        "others",
        type=CommaList("SUITE,..."),
        default=None,
        shell_complete=complete_suites,
        help="Of claims: judge by these suites as well, from other systems or Pythons; ids or folders.",
    )(command)


def check_with(workload: str) -> None:
    """Raise UsageError where `--with` means nothing."""
    from tracekit.measure.planning.workload_registry import SUITES

    if workload not in SUITES:
        known = ", ".join(SUITES)
        raise UsageError(f"--with is for suites of {known}, not of {workload}", f"tracekit run {known} --with SUITE")


def store_words(store: Path | None) -> str:
    """What a command that is shown needs to find the same store."""
    return "" if store is None else f" --store {shlex.quote(str(store))}"


store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    envvar="TRACEKIT_HOME",
    help="Folder of the run bundles.  [default: .tracekit]",
)
