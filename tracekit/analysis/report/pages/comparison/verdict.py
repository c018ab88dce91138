"""The verdict: what the suite found, in one sentence that claims no more than its intervals.

A speed-up is a change only when its interval excludes 1. Two models differ only when that of the ratio of their walls,
paired by round, does. Without an interval (fewer repeats than LEAST) the sentence says so instead of judging.

The best model is the fastest of those that are detectably faster, if there is one: a higher median whose
interval contains 1 is no answer, and neither is one without an interval.

Doubt comes first: where the machine was too busy or uneven, the runs too short or the ceiling too low, the sentence
begins with that, and the speed-ups follow as what was measured, without a claim.
"""

from __future__ import annotations

from tracekit.analysis.metrics.cells.ceiling import choose_control
from tracekit.analysis.metrics.ledger.parts import RUN_QUEUE
from tracekit.analysis.metrics.number_notices import SHORT_NS, find_allowed, find_busy_share, is_uneven
from tracekit.analysis.report.cells import CellGroup, Number, ReportCell
from tracekit.analysis.report.shares import control_speedup, gil_wait_share, is_slower, judge_speedup, thread_time_ns
from tracekit.analysis.report.views import Verdict
from tracekit.analysis.report.wording import interval_text, range_text, times, value_text
from tracekit.bundle.names import SERIAL, WAITING
from tracekit.core.units import format_value, listed, plural

_NOTABLE_WAIT = 0.10
"""A GIL wait is given as the reason when at least this part of the thread time is certain to be one."""
_SMALL_WAIT = 0.05
_LONG_CONTROL_NS = 200_000_000
_FREE_MACHINE = 0.7
"""Below this part of the ideal speed-up the control says more about the machine than about the models."""


def verdict(group: CellGroup, workload: str, cpus: int | None) -> Verdict:
    """The verdict on one group. `cpus`: how many CPUs the runs could use, None when unknown."""
    where = f"On {plural(cpus, 'CPU')}, " if cpus else ""
    made = [cell for cell in group.at_most_workers() if cell.walls_ns or cell.number("wall_ns").available]
    models = [cell for cell in made if cell.model != SERIAL]
    if not made:
        runs = sum(cell.runs for cell in group.cells)
        return _make_verdict(group, "none", f"No run of {workload} gives a number", f": {_none_of(runs)}.")
    if not models:
        return _serial_only(group, workload, made[0])
    judged = [cell for cell in models if cell.number("speedup").available]
    if not judged:
        return _without_serial(group, workload, where, models)
    doubt = _busy(group) or _short(group) or _low_ceiling(group, judged, cpus) or _uneven(judged, cpus)
    return _doubted(group, workload, where, judged, doubt) if doubt else _against_serial(group, workload, where, judged)


def _doubted(group: CellGroup, workload: str, where: str, judged: list[ReportCell], doubt: str) -> Verdict:
    each = [f"{_with_range(cell)} under {cell.counted}" for cell in _best_of_each_family(judged)]
    intervals = f" (95 % intervals, {_n(judged)})" if any(cell.number("speedup").interval for cell in judged) else ""
    measured = _capital(f"{where}{workload} measured {listed(each)}, against serial{intervals}")
    return _make_verdict(group, "unsure", doubt, f". {measured}.")


def _against_serial(group: CellGroup, workload: str, where: str, judged: list[ReportCell]) -> Verdict:
    best = max(judged, key=_merit)
    others = [cell for cell in _best_of_each_family(judged) if cell.family != best.family]
    if best.number("speedup").interval is None:
        number = best.number("speedup")
        lead = _capital(f"{where}{best.counted} ran {workload} {times(_speedup(best))} as fast as serial")
        return _make_verdict(group, "unsure", lead, f", but {_too_few(number)}{_compared(others, best)}.")
    if judge_speedup(best.number("speedup")) == "faster":
        lead = f"{where}{best.counted} {_verb(best)} {workload} {times(_speedup(best))} as fast as serial"
        rest = f" {_with_interval(best.number('speedup'))}{_compared(others, best)}."
        return _make_verdict(group, best.family, _capital(lead), rest)
    return _nothing_wins(group, workload, where, judged)


def _nothing_wins(group: CellGroup, workload: str, where: str, judged: list[ReportCell]) -> Verdict:
    # A model without an interval may not be called slower.
    level = any(judge_speedup(cell.number("speedup")) != "slower" for cell in judged)
    outcome = "level" if level else "slower"
    if len(judged) == 1:
        cell = judged[0]
        how = "no faster" if level else "slower"
        lead = f"{where}{cell.counted} {_verb(cell)} {workload} {how} than serial"
        number = cell.number("speedup")
        rest = f" ({times(_speedup(cell))}, 95 % interval {interval_text(number)}, n = {number.n}){_why(cell)}."
        return _make_verdict(group, outcome, _capital(lead), rest)
    lead = f"no model runs {workload} detectably faster" if level else f"every model runs {workload} slower"
    each = [f"{_reaching(cell)}{_why(cell)}" for cell in _best_of_each_family(judged)]
    rest = f" (95 % intervals, {_n(judged)}). {'; '.join(each)}."
    return _make_verdict(group, outcome, _capital(f"{where}{lead} than serial"), rest)


def _busy(group: CellGroup) -> str:
    serial = group.serial
    waited = serial.number(RUN_QUEUE).centre if serial else None
    share = find_busy_share(waited, thread_time_ns(serial) if serial else None)
    if share is None:
        return ""
    return f"The machine was too busy to tell: serial waited for a CPU {format_value(share, 'share')} of its time"


def _short(group: CellGroup) -> str:
    wall = group.serial.number("wall_ns") if group.serial else None
    if wall is None or wall.centre is None or wall.centre >= SHORT_NS:
        return ""
    return f"The runs are too short to tell: serial takes only {value_text(wall)}"


def _low_ceiling(group: CellGroup, judged: list[ReportCell], cpus: int | None) -> str:
    """Even the control, which shares nothing, was far from ideal: then it is not the work that limits the speed-up.

    A short control says nothing of the kind: starting its workers weighs as much as its work.
    """
    ceilings = [(cell.workers, value, cell) for cell in judged if (value := control_speedup(group.controls, cell))]
    if not ceilings:
        return ""
    _, reached, cell = max(ceilings, key=lambda item: item[:2])
    control = choose_control(cell.kind)
    serial = [
        min(own.walls_ns) for own in group.controls if (own.workload, own.model) == (control, SERIAL) and own.walls_ns
    ]
    if serial and min(serial) < _LONG_CONTROL_NS:
        return ""
    # Tasks that wait need no CPU, so there the number of CPUs is no limit.
    possible = cell.workers if control == WAITING or not cpus else min(cell.workers, cpus)
    if possible < 2 or reached >= _FREE_MACHINE * possible:
        return ""
    found = f"the control, whose {cell.workers} workers share nothing, reached only {times(reached)}"
    if max(_speedup(other) for other in judged) > reached:
        # The two were measured moments apart: what one of them got shows that the machine can do better.
        return f"This machine's CPUs were not free all the time: {found}"
    return f"The ceiling of this machine was too low to tell: even {found}"


def _uneven(judged: list[ReportCell], cpus: int | None) -> str:
    """The speed-up that the verdict would be about is known too badly, or is more than the CPUs can give."""
    best = max(judged, key=_merit)
    interval = best.number("speedup").interval
    allowed = find_allowed(best.workers, best.kind, cpus)
    if interval is None or not is_uneven(*interval, allowed):
        return ""
    lower, upper = (times(end) for end in interval)
    found = f"the speed-up of {best.counted} may be anything from {lower} to {upper}"
    limit = f", where {plural(cpus or 0, 'CPU')} allow {times(allowed)}" if allowed and interval[1] > allowed else ""
    return f"The machine was too uneven to tell: {found}{limit}"


def _compared(others: list[ReportCell], best: ReportCell) -> str:
    """The clause about threads and processes, whichever did not win."""
    clauses = [_clause(cell, best) for cell in others if cell.family in ("threads", "processes")]
    return "".join(f"; {clause}" for clause in clauses)


def _clause(cell: ReportCell, best: ReportCell) -> str:
    number = cell.number("speedup")
    verb = "is" if cell.workers == 1 else "are"
    if number.interval is None:
        return f"{cell.counted}: {times(_speedup(cell))}, without an interval"
    if judge_speedup(number) == "faster":
        behind = {True: "detectably behind", False: "not detectably behind", None: "too few rounds have both to tell"}
        return f"{_reaching(cell)}, {behind[is_slower(cell, best)]}{_why(cell)}"
    if judge_speedup(number) == "level":
        # "No faster (1.90x, 0.95–2.50)" would contradict itself.
        how = "no faster" if round(_speedup(cell), 2) <= 1 else "not detectably faster"
        return f"{cell.counted} {verb} {how} {_bracketed(number)}{_why(cell)}"
    return f"{cell.counted} {verb} slower than serial {_bracketed(number)}{_why(cell)}"


def _why(cell: ReportCell) -> str:
    """What the GIL has to do with it: for threads only, and only as far as the range of the GIL wait goes."""
    wait = cell.best_number("gil_wait_ns")
    if cell.model != "threads":
        return ""
    if cell.gil_enabled is False or wait.method == "no-gil":
        return " (this build runs without a GIL)"
    share = gil_wait_share(cell)
    if share is None or cell.workers == 1:
        return ""
    if share[0] >= _NOTABLE_WAIT:
        return f": they wait for the GIL {range_text(*share, 'share')} of the time"
    # Anything between says too little to be a reason.
    return (
        f": they wait for the GIL less than {_percent_above(share[1])} % of the time" if share[1] <= _SMALL_WAIT else ""
    )


def _serial_only(group: CellGroup, workload: str, serial: ReportCell) -> Verdict:
    wall = serial.number("wall_ns")
    return _make_verdict(
        group,
        "serial-only",
        f"Only serial was run: {workload} takes {value_text(wall)}",
        f" {_with_interval(wall)}; there is no run of another model to compare it with.",
    )


def _without_serial(group: CellGroup, workload: str, where: str, models: list[ReportCell]) -> Verdict:
    in_order = sorted(models, key=lambda cell: cell.number("wall_ns").centre or float("inf"))
    best, others = in_order[0], in_order[1:]
    first = best.number("wall_ns")
    lead = _capital(f"{where}{best.counted} {_verb(best)} {workload} in {value_text(first)}")
    missing = models[0].number("speedup").reason
    reason = "serial was not run" if group.serial is None else missing or "serial gave no number"
    rest = f" {_with_interval(first)}, but there is no speed-up to state: {reason}"
    if others:
        second = others[0].number("wall_ns")
        rest += f"; next {others[0].counted} in {value_text(second)} {_with_interval(second)}"
        if is_slower(others[0], best) is False:
            rest += ", not detectably slower"
    return _make_verdict(group, "no-serial", lead, f"{rest}.")


def _best_of_each_family(cells: list[ReportCell]) -> list[ReportCell]:
    best: dict[str, ReportCell] = {}
    for cell in cells:
        if cell.family not in best or _merit(cell) > _merit(best[cell.family]):
            best[cell.family] = cell
    return list(best.values())


def _merit(cell: ReportCell) -> tuple[int, float]:
    """Sorts the detectably faster before the others with an interval, and those before what cannot be judged."""
    rank = {"faster": 2, "level": 1, "slower": 1, "unsure": 0}[judge_speedup(cell.number("speedup"))]
    return (rank, _speedup(cell))


def _speedup(cell: ReportCell) -> float:
    return cell.number("speedup").centre or 0.0


def _verb(cell: ReportCell) -> str:
    return "run" if cell.workers > 1 and cell.family in ("threads", "processes", "interpreters") else "runs"


def _reaching(cell: ReportCell) -> str:
    verb = "reach" if _verb(cell) == "run" else "reaches"
    return f"{cell.counted} {verb} {_with_range(cell)}"


def _with_range(cell: ReportCell) -> str:
    return f"{times(_speedup(cell))} ({interval_text(cell.number('speedup'))})"


def _bracketed(number: Number) -> str:
    return f"({times(number.centre or 0.0)}, {interval_text(number)})"


def _with_interval(number: Number) -> str:
    if number.interval is None:
        return f"({_too_few(number)})"
    return f"(95 % interval {interval_text(number)}, n = {number.n})"


def _too_few(number: Number) -> str:
    return f"{plural(number.n, 'repeat')} {'is' if number.n == 1 else 'are'} too few for an interval"


def _n(cells: list[ReportCell]) -> str:
    counts = sorted({cell.number("speedup").n for cell in cells})
    return f"n = {listed([str(count) for count in counts])}"


def _percent_above(share: float) -> int:
    return int(share * 100) + 1


def _none_of(runs: int) -> str:
    if runs > 1:
        return f"none of its {runs} runs is usable"
    return "its only run is not usable" if runs else "none was made"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _make_verdict(group: CellGroup, outcome: str, lead: str, rest: str) -> Verdict:
    return Verdict(label=group.label, outcome=outcome, lead=lead, rest=rest)
