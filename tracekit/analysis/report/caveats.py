"""The notices of a suite, and its caveats: sentences that say when not to trust its numbers."""

from __future__ import annotations

from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE, find_family
from tracekit.analysis.report.cells import CellGroup, ReportCell
from tracekit.analysis.report.views import NoticeView
from tracekit.analysis.statistics.intervals import LEAST
from tracekit.analysis.tables import Tables
from tracekit.core.units import listed

_SEVERITIES = ("error", "warning", "info")


def view_notices(tables: Tables) -> tuple[NoticeView, ...]:
    """Each notice once, the most severe first, with the number of runs that it is about."""
    seen: dict[tuple[str, str, str, str], int] = {}
    columns = ("severity", "code", "text", "remedy")
    frame = tables.notices[list(columns)].astype(object)
    for row in frame.where(frame.notna(), "").itertuples(index=False, name=None):
        severity, code, text, remedy = (str(item) for item in row)
        seen[severity, code, text, remedy] = seen.get((severity, code, text, remedy), 0) + 1
    views = [
        NoticeView(severity=severity, code=code, text=text, remedy=remedy, runs=runs)
        for (severity, code, text, remedy), runs in seen.items()
    ]
    return tuple(sorted(views, key=lambda view: _rank(view.severity)))


def find_caveats(groups: tuple[CellGroup, ...]) -> tuple[str, ...]:
    """What the numbers of a suite of models do not show; first what this suite's own data call for."""
    cells = [cell for group in groups for cell in group.cells]
    found = [
        _failed(cells),
        _few(cells),
        _wide_bound(cells),
        _short(cells),
        _no_controls(groups),
        "For another machine, another size of the same work, or more workers than were run: nothing here is "
        "extrapolated, and none of it should be.",
        "For differences smaller than the intervals. The intervals cover the spread between repeats of this "
        "suite, not what changes from day to day, such as a neighbour on the same host or the CPU's clock.",
        "For the walls of traced runs. A capture slows the program it watches, so results come from untraced "
        "runs only.",
        "As a ranking by speed-up alone: read the absolute seconds beside it. Slow code often scales well.",
    ]
    return tuple(text for text in found if text)


def _failed(cells: list[ReportCell]) -> str:
    lost = [f"{cell.counted} ({cell.runs - len(cell.walls_ns)} of {cell.runs})" for cell in cells if _misses_runs(cell)]
    return f"Where runs are missing: {listed(lost)} gave no usable number." if lost else ""


def _misses_runs(cell: ReportCell) -> bool:
    return cell.runs > len(cell.walls_ns)


def _few(cells: list[ReportCell]) -> str:
    few = sorted({len(cell.walls_ns) for cell in cells if 0 < len(cell.walls_ns) < LEAST})
    if not few:
        return ""
    return (
        f"For any comparison of models with {listed([str(count) for count in few])} usable repeats: without "
        "an interval a difference cannot be told from noise."
    )


def _wide_bound(cells: list[ReportCell]) -> str:
    waits = [cell.best_number("gil_wait_ns") for cell in cells]
    if not any(wait.quality == "bound" and wait.upper for wait in waits):
        return ""
    seen = any(find_family(wait.method) in (WAITS_PROBE, KERNEL_UPROBE) for wait in waits)
    where, here = (" where it is marked bound", "there") if seen else ("", "here")
    return (
        f"As an exact GIL wait{where}: it is a range {here}, found from what is left of the time in tasks after CPU "
        "time, run-queue wait and stolen time. Other blocking inside a task would count as GIL wait."
    )


def _short(cells: list[ReportCell]) -> str:
    walls = [min(cell.walls_ns) for cell in cells if cell.family == "serial" and cell.walls_ns]
    if not walls or min(walls) >= 200_000_000:
        return ""
    return "For long jobs: serial takes less than 200 ms here, so starting the workers weighs more than it would there."


def _no_controls(groups: tuple[CellGroup, ...]) -> str:
    if any(group.controls for group in groups):
        return ""
    return "As a share of what the machine can do: no control was run, so the ceiling is not known."


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
