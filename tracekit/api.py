"""The facade: what the command line calls, and what a program that uses tracekit may call. Nothing here prints.

prepared = prepare(Request(workload="matmul", models=("serial", "threads"), workers=(1, 2)), store=Store(path))
outcome = measure(prepared)
tables = analyse(outcome.folder)
files = write_report(tables, Path("reports"))

recorded = record(["python", "app.py"], store=Store(path), captures=("waits",))
tables = analyse(recorded.folder)
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.bundle.files import make_output_folder
from tracekit.bundle.names import UNTRACED
from tracekit.bundle.spec import CLAIMS, RunSpec, Suite
from tracekit.bundle.store import Store, SuiteFolder, explained_os_errors
from tracekit.core.errors import CaptureUnavailable, NothingToDo, OutputUnwritable, UsageError
from tracekit.core.notices import Notice, notice
from tracekit.measure.capture import Provision, load_capture
from tracekit.measure.planning import plan
from tracekit.measure.planning.compatibility import fit_request
from tracekit.measure.planning.duration_estimate import DurationEstimate, estimate_duration
from tracekit.measure.planning.request import Request, ResolvedRequest, resolve_request, resolve_suite
from tracekit.measure.running.captured_run import RunOutcome
from tracekit.measure.running.program_recorder import record
from tracekit.measure.running.suite_runner import SuiteOutcome, run_suite
from tracekit.system import interpreters
from tracekit.system.interpreters import Interpreter
from tracekit.system.process_table import can_adopt_orphans

__all__ = [
    "DurationEstimate",
    "Prepared",
    "Request",
    "ResolvedRequest",
    "RunOutcome",
    "analyse",
    "check_writable",
    "estimate_duration",
    "explain",
    "export",
    "list_places",
    "load_others",
    "make_outcome_document",
    "measure",
    "prepare",
    "prepare_suite",
    "record",
    "write_report",
]

if TYPE_CHECKING:
    import pandas as pd

    from tracekit.analysis.report.pages.comparison.explanation import Explanation
    from tracekit.analysis.report.write import ReportFiles
    from tracekit.analysis.tables import Tables

EXPORT_FORMATS = ("csv", "json", "parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A suite that is planned and not yet measured."""

    suite: Suite
    folder: SuiteFolder
    notices: tuple[Notice, ...]
    """What the preflights of the captures found missing."""


def prepare(
    request: Request | ResolvedRequest,
    *,
    store: Store,
    pythons: Sequence[str] = (),
    provision: bool = False,
    command: Sequence[str] = (),
) -> Prepared:
    """Resolve the request, find out which captures work here, and plan the runs; nothing is measured or written.

    `pythons` are paths of the interpreters to measure, none meaning tracekit's own. Raises UsageError,
    EnvironmentLacks.
    """
    chosen = _choose_interpreters(pythons)
    resolved, notices = fit_request(resolve_request(request) if isinstance(request, Request) else request, chosen)
    if not can_adopt_orphans():
        notices.append(notice("daemons-not-ended"))
    allowed: dict[tuple[str, str], str] = {}
    for name in dict.fromkeys(resolved.captures):
        if name == UNTRACED:
            continue
        for interpreter in chosen:
            ready = _preflight(name, interpreter, resolved, provision)
            if isinstance(ready, Notice):
                notices.append(ready)
            else:
                allowed[name, interpreter.label] = ready
    suite_id = plan.new_suite_id(plan.safe_name(resolved.workload), store)
    suite = plan.plan_suite(resolved, chosen, suite_id, plan.add_waits_to_traces(allowed), command)
    return Prepared(suite=suite, folder=SuiteFolder(store.root / suite_id), notices=tuple(notices))


def prepare_suite(
    name: str, *, store: Store, pythons: Sequence[str] = (), timeout_s: float = 120.0, command: Sequence[str] = ()
) -> Prepared:
    """Plan a suite that has a name, `claims`; nothing is measured or written. Raises UsageError."""
    chosen = _choose_interpreters(pythons)
    suite_id = plan.new_suite_id(name, store)
    suite = plan.plan_experiments(name, resolve_suite(name, timeout_s), chosen, suite_id, command)
    return Prepared(suite=suite, folder=SuiteFolder(store.root / suite_id), notices=())


def _choose_interpreters(pythons: Sequence[str]) -> list[Interpreter]:
    return interpreters.choose(list(pythons)) if pythons else [interpreters.inspect_own()]


def check_writable(folder: Path) -> None:
    """Make sure that a result can be written to `folder` before minutes are spent. Raises OutputUnwritable."""
    with explained_os_errors(folder):
        make_output_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputUnwritable(f"cannot write to {folder}: permission denied", f"ls -ld {folder}")


def measure(
    prepared: Prepared,
    on_start: Callable[[int, RunSpec], None] | None = None,
    on_end: Callable[[int, RunOutcome], None] | None = None,
) -> SuiteOutcome:
    """Make the runs of a prepared suite; see suite_runner.run_suite for the callbacks and errors."""
    return run_suite(prepared.suite, prepared.folder, prepared.notices, on_start, on_end)


def analyse(folder: SuiteFolder, window: str = "") -> Tables:
    """Load the suite's tables, and compute its metrics and notices; of a recorded program in a `window` like `8s..12s`.

    Raises BundleUnfinished, BundleCorrupt, BundleTooNew, and UsageError for a window that the run does not have.
    """
    from tracekit.analysis.load import load_suite
    from tracekit.analysis.metrics.window import cut_to_window

    tables = load_suite(folder)
    return _compute(cut_to_window(tables, window) if window else tables)


def _compute(tables: Tables) -> Tables:
    import pandas as pd

    from tracekit.analysis.metrics.analysis import share_analysis
    from tracekit.analysis.metrics.metric import compute_all
    from tracekit.analysis.metrics.number_notices import find_notices
    from tracekit.analysis.metrics.window import WINDOW, explain_uncut
    from tracekit.analysis.tables import from_rows

    analysis = share_analysis(tables)
    tables.metrics = compute_all(analysis)
    if WINDOW in tables.suite:
        tables.metrics = explain_uncut(tables.metrics)
    found = [item._asdict() for item in find_notices(analysis, tables.metrics)]
    if found:
        tables.notices = pd.concat([tables.notices, from_rows("notices", found)], ignore_index=True)
    return tables


def load_others(folders: Sequence[SuiteFolder], measured: Iterable[tuple[str, str]]) -> list[Tables]:
    """Load suites of `claims` that are to be judged together with one of the places `measured` (see `list_places`).

    Raises UsageError for a suite of another workload or from a place that another one is from, and as `analyse`.
    """
    if not folders:
        return []
    from tracekit.analysis.load import load_suite

    found, known = [], set(measured)
    for folder in folders:
        other = load_suite(folder)
        if other.suite.get("workload") != CLAIMS:
            raise UsageError(
                f"only suites of claims can be judged together, and {folder.suite_id} is one of "
                f"{other.suite.get('workload')}",
                "tracekit list suites",
            )
        places = list_places(other)
        if twice := places & known:
            raise UsageError(
                f"{folder.suite_id} is from {' and '.join(sorted(twice)[0])} as well: a claim is judged by one suite "
                "for each system and Python",
                "tracekit list suites",
            )
        known |= places
        found.append(_compute(other))
    return found


def list_places(suite: Suite | Tables) -> set[tuple[str, str]]:
    """The (system, Python) of a suite's runs, planned or made."""
    if isinstance(suite, Suite):
        return {(platform.system(), f"Python {spec.python_label}") for spec in suite.specs}
    runs = suite.runs
    return {(str(os), f"Python {python}") for os, python in zip(runs["os"], runs["python"], strict=True)}


def write_report(tables: Tables, folder: Path) -> ReportFiles:
    """Write the suite's report to `folder`/<suite id>/, that of a window to `folder`/<suite id>-<window>/, beside the
    whole one. Raises OutputUnwritable."""
    from tracekit.analysis.metrics.window import WINDOW
    from tracekit.analysis.report.write import write

    names = (str(tables.suite[key]) for key in ("suite_id", WINDOW) if key in tables.suite)
    return write(tables, folder / "-".join(names))


Warn = Callable[[str], None]
"""Gets each doubt about a suite that what was asked for does not show itself."""

_LOSSES = ("run-failed", "runs-missing", "suite-unsealed")
"""Notices that say that the numbers stand on less than was planned, or perhaps not on what was measured."""


def _warn_of_losses(tables: Tables, warn: Warn, *more: str) -> None:
    for text in tables.notices.loc[tables.notices["code"].isin([*_LOSSES, *more]), "text"]:
        warn(text)


def explain(folder: SuiteFolder, topic: str, warn: Warn = lambda _text: None) -> Explanation:
    """What follows from the suite about one of report.pages.comparison.what_if.TOPICS.

    Raises UsageError for another topic, NothingToDo where the suite has no numbers about it, and as `analyse`.
    """
    from tracekit.analysis.report.pages.comparison.explanation import explain as explained

    tables = analyse(folder)
    _warn_of_losses(tables, warn)
    return explained(tables, topic)


def export(folder: SuiteFolder, table: str, file_format: str, warn: Warn = lambda _text: None) -> bytes:
    """One table of a suite as csv, json (a list of row objects, missing as null) or parquet.

    Raises UsageError for an unknown table or format, NothingToDo for a table without rows, and as `analyse`.
    """
    from tracekit.analysis.load import load_suite
    from tracekit.analysis.load.viztracer import TRACE_NOTICES
    from tracekit.analysis.tables import COLUMNS

    if table not in COLUMNS:
        raise UsageError(f"unknown table {table!r}: known are {', '.join(COLUMNS)}", "tracekit export latest metrics")
    is_computed, needs_traces = table in ("metrics", "notices"), table == "slices"
    tables = analyse(folder) if is_computed else load_suite(folder, traces=needs_traces)
    _warn_of_losses(tables, warn, *(TRACE_NOTICES if needs_traces else ()))
    frame = tables.table(table)
    if frame.empty:
        raise NothingToDo(f"table {table} of {folder.suite_id} has no rows", f"tracekit report {folder.suite_id}")
    return _encode(frame, file_format)


def _encode(frame: pd.DataFrame, file_format: str) -> bytes:
    from tracekit.analysis.report.render.tabular import encode_csv, encode_parquet

    if file_format == "csv":
        return encode_csv(frame).encode()
    if file_format == "json":
        return (frame.to_json(orient="records", indent=1, double_precision=15) + "\n").encode()
    if file_format == "parquet":
        return encode_parquet(frame)
    raise UsageError(
        f"unknown format {file_format!r}: known are {', '.join(EXPORT_FORMATS)}",
        "tracekit export latest metrics --format json",
    )


def make_outcome_document(outcome: SuiteOutcome, tables: Tables, files: ReportFiles) -> str:
    """The JSON document that `tracekit run --json` prints: the suite, its runs, the metrics of its cells, its notices
    and, of `claims`, the verdicts."""
    from tracekit.analysis.report.grouping import groups
    from tracekit.analysis.report.pages.claims.claims import judge_claims

    cells = tables.metrics[tables.metrics["scope"] == "cell"]
    document = {
        "format": 1,
        "suite_id": outcome.folder.suite_id,
        "status": outcome.status,
        "folder": str(outcome.folder.root),
        "report": str(files.html),
        "runs": [
            {
                "run_id": item.spec.run_id,
                "status": item.status,
                "reason": item.reason,
                "checksum": item.checksum,
                "wall_ns": item.wall_ns,
            }
            for item in outcome.outcomes
        ],
        "metrics": json.loads(cells.to_json(orient="records", double_precision=15)),
        "notices": json.loads(tables.notices.to_json(orient="records")),
        "claims": judge_claims(groups(tables)) if tables.suite.get("workload") == CLAIMS else [],
    }
    return json.dumps(document, indent=1)


def _preflight(name: str, interpreter: Interpreter, request: ResolvedRequest, provision: bool) -> str | Notice:
    """The folder of packages that the capture needs for this interpreter, or a notice why it cannot be used."""
    capture = load_capture(name)
    rules = Provision(allowed=provision, cache=interpreters.packages_folder())
    try:
        return capture.preflight(interpreter, rules)
    except CaptureUnavailable as error:
        return notice(
            "capture-unavailable",
            capture=f"{name} on Python {interpreter.label}",
            reason=str(error),
            remedy=error.hint,
        )
