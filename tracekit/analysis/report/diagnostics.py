"""The notices of a suite, and when a reader should not trust its numbers."""

from __future__ import annotations

from tracekit.analysis.metrics.bootstrap import LEAST
from tracekit.analysis.metrics.diagnostics import OPEN_NS
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE, find_family
from tracekit.analysis.report.cells import Cell, Group
from tracekit.analysis.report.ledger import UNATTRIBUTED, unattributed_text
from tracekit.analysis.report.pages.program.recorded_program import Program
from tracekit.analysis.report.shares import thread_time_ns
from tracekit.analysis.report.views import NoticeView
from tracekit.analysis.report.wording import listed
from tracekit.analysis.tables import Tables
from tracekit.bundle.names import UNTRACED
from tracekit.core.units import format_ns, format_value

_BUSY = 0.05
"""More of serial's time than this in the run queue means that the machine was doing something else."""
_UNEXPLAINED = 0.02
"""More unattributed time than this part of the whole is worth a word."""
_SEVERITIES = ("error", "warning", "info")


def notices(tables: Tables) -> tuple[NoticeView, ...]:
    """Each notice once, the gravest first, with the number of runs that gave it."""
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


def doubts(groups: tuple[Group, ...]) -> tuple[str, ...]:
    """Sentences that say what these numbers do not show, those that this suite's own data call for first."""
    cells = [cell for group in groups for cell in group.cells]
    found = [
        _failed(cells),
        _busy(cells),
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


def of_program(program: Program) -> tuple[str, ...]:
    """The same of a recorded program: what its own run calls for, then what is true of any."""
    found = [
        _unexplained(program),
        _unknown_ends(program),
        _bound_only(program),
        "As a comparison: it was run once, so nothing here says how much of it the next run would repeat.",
        "For what happened inside native code: a thread that computes without the GIL is on-CPU, and which function "
        "it computes in is not told.",
        _captured(program),
        "As the last word on what is idle: it is told by the function a thread waits in. Waiting for work on a lock of "
        "one's own counts as lock wait, and waiting one's turn in a queue as idle.",
    ]
    return tuple(text for text in found if text)


def _unexplained(program: Program) -> str:
    ledger = program.ledger()
    if ledger is None or abs(ledger.share(UNATTRIBUTED)) <= _UNEXPLAINED:
        return ""
    if abs(ledger.parts[UNATTRIBUTED]) <= OPEN_NS:
        return ""
    return (
        f"As the whole story: {unattributed_text(ledger)} of the thread time ({format_ns(ledger.parts[UNATTRIBUTED])}) "
        "is unattributed."
    )


def _unknown_ends(program: Program) -> str:
    names = [program.names.process(int(row["pid"])) for row in program.processes if row["ended"] == "unknown"]
    if not names:
        return ""
    listing = listed(names) if len(names) <= 4 else f"{len(names)} processes"
    return f"About how {listing} ended: what they did is known up to the last moment that was seen."


def _bound_only(program: Program) -> str:
    if program.number("gil_wait_ns").quality != "bound":
        return ""
    return (
        "As a GIL wait: it is a range from nothing to all the time off a CPU. Capture waits or kernel sees the waits "
        "themselves."
    )


def _captured(program: Program) -> str:
    capture = str(program.run["capture"])
    if capture == UNTRACED:
        return ""
    return f"For the wall to the last percent: capture {capture} was watching, and no run without it stands beside."


def _failed(cells: list[Cell]) -> str:
    lost = [f"{cell.counted} ({cell.runs - len(cell.walls_ns)} of {cell.runs})" for cell in cells if _lost(cell)]
    return f"Where runs are missing: {listed(lost)} gave no usable number." if lost else ""


def _lost(cell: Cell) -> bool:
    return cell.runs > len(cell.walls_ns)


def _busy(cells: list[Cell]) -> str:
    """Serial has one thread: it waits for a CPU only when something else runs on it."""
    for cell in cells:
        waited, whole = cell.number("thread_run_queue_ns").centre, thread_time_ns(cell)
        if cell.family == "serial" and waited and whole and waited > _BUSY * whole:
            share = format_value(waited / whole, "share")
            return (
                f"As a property of the models: serial waited for a CPU {share} of its time ({format_ns(waited)}), so "
                "other work was running on this machine."
            )
    return ""


def _few(cells: list[Cell]) -> str:
    few = sorted({len(cell.walls_ns) for cell in cells if 0 < len(cell.walls_ns) < LEAST})
    if not few:
        return ""
    return (
        f"For any comparison of models with {listed([str(count) for count in few])} usable repeats: without "
        "an interval a difference cannot be told from noise."
    )


def _wide_bound(cells: list[Cell]) -> str:
    waits = [cell.told("gil_wait_ns") for cell in cells]
    if not any(wait.quality == "bound" and wait.upper for wait in waits):
        return ""
    seen = any(find_family(wait.method) in (WAITS_PROBE, KERNEL_UPROBE) for wait in waits)
    where, here = (" where it is marked bound", "there") if seen else ("", "here")
    return (
        f"As an exact GIL wait{where}: it is a range {here}, found from what is left of the time in tasks after CPU "
        "time, run-queue wait and stolen time. Other blocking inside a task would count as GIL wait."
    )


def _short(cells: list[Cell]) -> str:
    walls = [min(cell.walls_ns) for cell in cells if cell.family == "serial" and cell.walls_ns]
    if not walls or min(walls) >= 200_000_000:
        return ""
    return "For long jobs: serial takes less than 200 ms here, so starting the workers weighs more than it would there."


def _no_controls(groups: tuple[Group, ...]) -> str:
    if any(group.controls for group in groups):
        return ""
    return "As a share of what the machine can do: no control was run, so the ceiling is not known."


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
