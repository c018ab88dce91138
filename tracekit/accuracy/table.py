"""A result as text: for the terminal, and as the Markdown tables in docs/metrics.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tracekit.accuracy.comparison import CHECKS, COSTS, Row
from tracekit.accuracy.interleaving import TURN_S
from tracekit.accuracy.result import Group, Result, grouped, strain


def line(row: Row) -> str:
    """One row in words."""
    parts = [f"{row.verdict:<11}", f"{row.python:<8}", f"{row.check:<13}", f"{row.program}: {row.what}".rstrip(": ")]
    if row.measured is not None:
        parts.append(f"measured {amount(row.measured, row.unit)}")
    if row.lower is not None and row.upper is not None:
        parts.append(f"[{amount(row.lower, row.unit)}, {amount(row.upper, row.unit)}]")
    if row.truth is not None:
        parts.append(f"truth {amount(row.truth, row.unit)}")
    if row.difference is not None and row.tolerance is not None:
        parts.append(f"off by {amount(row.difference, row.unit)}, allowed {amount(row.tolerance, row.unit)}")
    if row.steal_ns:
        parts.append(f"stolen meanwhile {amount(row.steal_ns, 'ns')}")
    if row.reason:
        parts.append(row.reason)
    return "  ".join(parts)


def amount(value: float, unit: str) -> str:
    """A number as it is printed."""
    if unit == "ns":
        return f"{value / 1e6:.2f} ms"
    if unit == "share":
        return f"{value:.2%}"
    if unit == "ratio":
        return f"{value:.4f}"
    return f"{value:g}"


def verdict_of(rows: Sequence[Row]) -> tuple[str, str]:
    """One verdict for many comparisons, the worst of theirs, and how many agree; of none that could be made: why."""
    compared = [row for row in rows if row.verdict != "unavailable"]
    if not compared:
        return "unavailable", rows[0].reason
    verdicts = {row.verdict for row in compared}
    found = next(verdict for verdict in ("off", "unclear", "ok") if verdict in verdicts)
    return found, f"{sum(row.verdict == 'ok' for row in compared)} of {len(compared)}"


def summary(rows: Sequence[Row]) -> str:
    """Check by check and Python by Python: how many comparisons are ok, and the worst of them; then the costs."""
    groups = grouped(rows)
    pythons = _ordered(group.python for group in groups)
    table = [["check", *pythons]]
    table += [
        [check, *(_cell(group for group in of_check if group.python == python) for python in pythons)]
        for check in CHECKS
        if (of_check := [group for group in groups if group.check == check])
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)) for cells in table]
    costs = [line(row) for row in rows if row.check in COSTS]
    return "\n".join([*(lines if groups else []), *costs])


def markdown(result: Result) -> str:
    """The part of docs/metrics.md: by check and Python, by program, and what capturing costs."""
    facts = result.machine
    parts = [
        f"Made by `make accuracy` on {result.made}: {facts['cpu_model']}, {facts['logical_cpus']} logical CPUs, "
        f"{facts['os_release']}, kernel {facts['kernel']}. A cell says how many comparisons are ok, and how much of "
        "its tolerance the worst one uses up (100 % is just allowed).\n",
        _by_check(result.groups),
        "By program, over all Pythons, with the most that the machine had stolen during one run:\n",
        _by_program(result.groups),
    ]
    costs = [row for row in result.rows if row.check in COSTS]
    if costs:
        parts += [
            "What capturing costs: the same work with the capture and without, as the interquartile mean of the "
            "pairs' ratios with its 95 % interval. The two runs of a pair take turns on the machine, "
            f"{1000 * TURN_S:g} ms each; those of the kernel capture, whose probes would slow down both, follow one "
            "another. Wall is that of a run's own turns. Where it says `on one CPU`, both share one.\n"
        ]
        parts += [_by_subject(costs)]
    return "\n".join(parts) + _exceptions(result)


def _by_check(groups: Sequence[Group]) -> str:
    pythons = _ordered(group.python for group in groups)
    lines = [f"| check | {' | '.join(pythons)} |", "|---" * (len(pythons) + 1) + "|"]
    for check, title in CHECKS.items():
        of_check = [group for group in groups if group.check == check]
        if of_check:
            cells = [_cell(group for group in of_check if group.python == python) for python in pythons]
            lines.append(f"| {title} (`{check}`) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_program(groups: Sequence[Group]) -> str:
    checks = [check for check in CHECKS if check != "runs" and any(group.check == check for group in groups)]
    lines = [f"| program | {' | '.join(checks)} | stolen |", "|---" * (len(checks) + 2) + "|"]
    for program in dict.fromkeys(group.program for group in groups):
        of_program = [group for group in groups if group.program == program]
        cells = [_cell(group for group in of_program if group.check == check) for check in checks]
        stolen = max((group.steal_ns for group in of_program), default=0)
        lines.append(f"| {program} | {' | '.join(cells)} | {stolen / 1e6:.0f} ms |")
    return "\n".join(lines) + "\n"


def _by_subject(rows: Sequence[Row]) -> str:
    lines = [
        "| work | Python | capture | CPU time | wall | allowed | verdicts | made of | stolen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    by_place: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        by_place.setdefault((row.program, row.python, row.what), {})[row.check] = row
    for (program, python, capture), found in by_place.items():
        both = [found[check] for check in COSTS if check in found]
        allowed = "" if both[0].tolerance is None else f"{1 + both[0].tolerance:g}"
        ratios = [_ratio(found.get(check)) for check in COSTS]
        verdicts = ", ".join(row.verdict for row in both)
        made_of = ", ".join(dict.fromkeys(row.reason for row in both))
        stolen = max(row.steal_ns or 0 for row in both) / 1e6
        lines.append(
            f"| {program} | {python} | {capture} | {' | '.join(ratios)} | {allowed} | {verdicts} | {made_of} | "
            f"{stolen:.0f} ms |"
        )
    return "\n".join(lines) + "\n"


def _ratio(row: Row | None) -> str:
    if row is None or row.measured is None or row.lower is None or row.upper is None:
        return "" if row is None else row.reason
    return f"{row.measured:.3f} [{row.lower:.3f}, {row.upper:.3f}]"


def _exceptions(result: Result) -> str:
    """What is off or unclear, one by one: a table of counts must not hide it."""
    rows = [row for row in result.rows if row.check not in COSTS]
    if not rows:
        return f"\n{_costs_in_short(result)}No other comparison is off or unclear.\n"
    shown = sorted(rows, key=lambda row: (row.verdict != "off", -strain(row)))
    lines = [f"- {row.verdict}: {row.program} on {row.python}, {row.check}, {_words(row)}" for row in shown]
    return f"\n{_costs_in_short(result)}Off or unclear besides, one by one:\n\n" + "\n".join(lines) + "\n"


def _costs_in_short(result: Result) -> str:
    """How many costs are over what is allowed, or cannot be told; empty where none was measured."""
    counts = Counter(row.verdict for row in result.rows if row.check in COSTS)
    if not counts:
        return ""
    return f"Of {counts.total()} costs, CPU times and walls, {counts['off']} are off and {counts['unclear']} unclear. "


def _words(row: Row) -> str:
    text = row.what
    if row.measured is not None and row.truth is not None:
        text += f": {amount(row.measured, row.unit)} for {amount(row.truth, row.unit)}"
    return f"{text} ({row.reason})" if row.reason else text


def _cell(groups: Iterable[Group]) -> str:
    found = list(groups)
    compared = sum(group.compared for group in found)
    if not compared:
        return "–" if found else ""
    return f"{sum(group.ok for group in found)}/{compared}, {max(group.worst for group in found):.0%}"


def _ordered(pythons: Iterable[str]) -> list[str]:
    """Each once, by version."""
    return sorted(dict.fromkeys(pythons), key=lambda text: ([int(part) for part in re.findall(r"\d+", text)], text))
