"""Loads all bundles of a suite, or one bundle, as Tables."""

from __future__ import annotations

from typing import Any

from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.format1 import PAGES
from tracekit.analysis.load.manifest import read_spec
from tracekit.analysis.load.parse import Count, Struct, convert, default
from tracekit.analysis.load.run import add_run
from tracekit.analysis.tables import COLUMNS, Tables, check
from tracekit.bundle.spec import parameters_text
from tracekit.bundle.store import Bundle, SuiteFolder
from tracekit.core.errors import BundleUnfinished
from tracekit.core.notices import Notice, notice

VARIES = ("load_before", "load_after", "steal_before_ns", "steal_after_ns", "clocks")
"""Readings that differ between runs: environments that differ only in these count as one, with the first run's."""


_WHY_MISSING = {
    "running": "the suite has not ended",
    "interrupted": "the suite was interrupted",
    "failed": "what failed once is not tried again",
}
_MOST_NAMED = 6


class _SuiteFile(Struct, kw_only=True):
    format: Count
    suite_id: str = ""
    workload: str = ""
    size: str = ""
    parameters: dict[str, bool | int | float | str] = default(default_factory=dict)
    command: list[str] = default(default_factory=list)
    page: str = ""
    status: str = ""
    notices: list[tuple[str, str, str, str]] = default(default_factory=list)
    runs: list[str] = default(default_factory=list)
    sealed: bool = False
    """The suite has ended and been sealed; false in suites of before there was a manifest of the suite."""


def load_suite(folder: SuiteFolder, *, traces: bool = False) -> Tables:
    """Load the tables of a suite; `runs` has every run that was started, finished or not.

    `traces` also reads VizTracer's calls, which can be hundreds of megabytes. Raises BundleUnfinished without any
    finished run, BundleCorrupt when a file is not as it was sealed, BundleTooNew when a newer tracekit wrote it; each
    names the file.
    """
    path = folder.suite_path
    facts = convert(folder.facts(), _SuiteFile, path)
    columns = Columns()
    for item in facts.notices:
        columns.add_notice(Notice(*item))
    _add_missing(folder, facts, columns)
    found = [add_run(bundle, columns, traces=traces) for bundle in folder.bundles()]
    environments = [environment for environment in found if environment is not None]
    if not environments:
        raise BundleUnfinished(
            f"suite {folder.suite_id} has no finished run ({len(found)} started)", f"ls {folder.root}"
        )
    about = {
        "suite_id": facts.suite_id or folder.suite_id,
        "workload": facts.workload,
        "size": facts.size,
        "parameters": parameters_text(facts.parameters),
        "command": facts.command,
        "page": _page(facts, columns),
        "status": facts.status,
        "planned_runs": len(facts.runs),
    }
    return _tables(about, environments, columns)


def load_run(bundle: Bundle, *, traces: bool = True) -> Tables:
    """Load the tables of one run. Raises as load_suite, and BundleUnfinished when the run has no manifest."""
    columns = Columns()
    spec = read_spec(bundle)
    environment = add_run(bundle, columns, traces=traces)
    if environment is None:
        raise BundleUnfinished(f"run {bundle.root.name} has no manifest: it did not finish", f"ls {bundle.root}")
    about = {
        "suite_id": spec.suite_id,
        "workload": spec.workload,
        "size": spec.size,
        "parameters": parameters_text(spec.parameters),
        "command": [],
        "page": columns.pages.get(spec.workload, ""),
        "status": "",
        "planned_runs": 1,
    }
    return _tables(about, [environment], columns)


def _add_missing(folder: SuiteFolder, facts: _SuiteFile, columns: Columns) -> None:
    """Add a notice for the planned runs that have no folder, and for a manifest that is gone."""
    sealed = folder.sealed()
    if facts.sealed and sealed is None:
        path = str(folder.manifest_path)
        gone = notice("suite-unsealed", suite_id=folder.suite_id, status=facts.status, path=path)
        columns.add_notice(gone)
    missing = folder.list_missing()
    if not missing:
        return
    if any(name.startswith(f"{run}/") for run in missing for name in sealed or ()):
        why = "they were sealed with the suite and are gone"
    else:
        why = _WHY_MISSING.get(facts.status, "they are gone, or were never made")
    columns.add_notice(
        notice(
            "runs-missing",
            count=len(missing),
            planned=len(facts.runs),
            runs=", ".join(missing[:_MOST_NAMED]) + (" and others" if len(missing) > _MOST_NAMED else ""),
            why=why,
            workload=facts.workload,
            size=facts.size,
        )
    )


def _page(facts: _SuiteFile, columns: Columns) -> str:
    """The report page of the suite: its own, else that of its workload; empty for the page that compares models."""
    own = PAGES.get(facts.workload, "") if facts.format == 1 else facts.page
    return own or columns.pages.get(facts.workload, "")


def _tables(about: dict[str, Any], environments: list[dict[str, Any]], columns: Columns) -> Tables:
    frames = {name: check(name, columns.frame(name)) for name in COLUMNS}
    suite = {**about, "environments": _distinct(environments), "stacks": columns.stacks}
    systems = {item["os"] for item in environments if isinstance(item.get("os"), str)}
    if len(systems) == 1:
        # A run without a manifest has no system; the other runs of the suite do.
        frames["runs"]["os"] = frames["runs"]["os"].fillna(systems.pop())
    return Tables(suite=suite, **frames)


def _distinct(environments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    for environment in environments:
        lasting = {key: value for key, value in environment.items() if key not in VARIES}
        if lasting not in seen:
            seen.append(lasting)
            kept.append(environment)
    return kept
