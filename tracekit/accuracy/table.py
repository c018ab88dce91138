"""Formats a result as text for the terminal, and as the Markdown tables in docs/metrics.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tracekit.accuracy.comparison import CHECKS, COSTS, Comparison, list_uncompared
from tracekit.accuracy.interleaving import SLICE_S
from tracekit.accuracy.result import (
    AccuracyResult,
    ComparisonGroup,
    compute_tolerance_used,
    group_comparisons,
    list_compared,
)

_SHORT_NS = 100_000


def format_comparison(row: Comparison) -> str:
    """Format one comparison as a line."""
    parts = [f"{row.verdict:<12}", f"{row.python:<8}", f"{row.check:<13}", f"{row.program}: {row.what}".rstrip(": ")]
    if row.measured is not None:
        parts.append(f"measured {format_amount(row.measured, row.unit)}")
    if row.lower is not None and row.upper is not None:
        parts.append(f"[{format_amount(row.lower, row.unit)}, {format_amount(row.upper, row.unit)}]")
    if row.reference is not None:
        parts.append(f"reference {format_amount(row.reference, row.unit)}")
    if row.difference is not None and row.tolerance is not None:
        parts.append(
            f"difference {format_amount(row.difference, row.unit)}, allowed {format_amount(row.tolerance, row.unit)}"
        )
    if row.steal_ns:
        parts.append(f"stolen {format_amount(row.steal_ns, 'ns')}")
    if row.reason:
        parts.append(row.reason)
    return "  ".join(parts)


def format_amount(value: float, unit: str) -> str:
    """Format a number with its unit."""
    if unit == "ns":
        # Of what takes microseconds, two digits of a millisecond say nothing.
        if 0 < abs(value) < _SHORT_NS:
            return f"{value / 1e3:.2f} µs"
        return f"{value / 1e6:.2f} ms"
    if unit == "share":
        return f"{value:.2%}"
    if unit == "ratio":
        return f"{value:.4f}"
    return f"{value:g}"


def summarize_verdicts(rows: Sequence[Comparison]) -> tuple[str, str]:
    """Reduce comparisons to the worst verdict and how many are ok; without any that could be made, to the reason."""
    compared = [row for row in rows if row.verdict != "unavailable"]
    if not compared:
        return "unavailable", rows[0].reason
    verdicts = {row.verdict for row in compared}
    found = next(verdict for verdict in ("fail", "inconclusive", "ok") if verdict in verdicts)
    return found, f"{sum(row.verdict == 'ok' for row in compared)} of {len(compared)}"


def format_summary(rows: Sequence[Comparison]) -> str:
    """Format a table by check and Python, with the number of ok comparisons and the worst one, and then the costs."""
    groups = group_comparisons(rows)
    pythons = _ordered(group.python for group in groups)
    table = [["check", *pythons]]
    table += [
        [check, *(_cell(group for group in of_check if group.python == python) for python in pythons)]
        for check in CHECKS
        if (of_check := [group for group in groups if group.check == check])
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)) for cells in table]
    costs = [format_comparison(row) for row in rows if row.check in COSTS]
    return "\n".join([*(lines if groups else []), *costs, name_uncompared(list_compared(rows))])


def name_uncompared(compared: Sequence[str]) -> str:
    """Say which metrics that can be `measured` no comparison was made of."""
    missing = list_uncompared(compared)
    return f"Measured metrics without a row: {', '.join(missing) or 'none'}."


def markdown(result: AccuracyResult) -> str:
    """Format the part of docs/metrics.md: by check and Python, by program, and what capturing costs."""
    facts = result.machine
    parts = [
        f"Made by `make accuracy` on {result.made}: {facts['cpu_model']}, {facts['logical_cpus']} logical CPUs, "
        f"{facts['os_release']}, kernel {facts['kernel']}. A cell has the number of ok comparisons, and the share "
        "of its tolerance that the worst one uses (up to 100 % is allowed).\n",
        _by_check(result.groups),
        "By program, over all Pythons, with the most CPU time stolen by the hypervisor during one run:\n",
        _by_program(result.groups),
    ]
    if result.compared is not None:
        parts += [f"{name_uncompared(result.compared)} One that is computed from others is as right as these.\n"]
    costs = [row for row in result.rows if row.check in COSTS]
    if costs:
        parts += [
            "What capturing costs: the same work with the capture and without, as the interquartile mean of the "
            "pairs' ratios with its 95 % interval. The two runs of a pair alternate on the machine, "
            f"{1000 * SLICE_S:g} ms each; those of the kernel capture, whose probes would slow down both, run one "
            "after the other. The wall counts a run's own slices only. `on one CPU`: both runs share one CPU.\n"
        ]
        parts += [_by_subject(costs)]
    return "\n".join(parts) + _exceptions(result)


def _by_check(groups: Sequence[ComparisonGroup]) -> str:
    pythons = _ordered(group.python for group in groups)
    lines = [f"| check | {' | '.join(pythons)} |", "|---" * (len(pythons) + 1) + "|"]
    for check in CHECKS:
        of_check = [group for group in groups if group.check == check]
        if of_check:
            cells = [_cell(group for group in of_check if group.python == python) for python in pythons]
            lines.append(f"| {CHECKS[check].title} (`{check}`) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_program(groups: Sequence[ComparisonGroup]) -> str:
    checks = [check for check in CHECKS if check != "runs" and any(group.check == check for group in groups)]
    lines = [f"| program | {' | '.join(checks)} | stolen |", "|---" * (len(checks) + 2) + "|"]
    for program in dict.fromkeys(group.program for group in groups):
        of_program = [group for group in groups if group.program == program]
        cells = [_cell(group for group in of_program if group.check == check) for check in checks]
        stolen = max((group.steal_ns for group in of_program), default=0)
        lines.append(f"| {program} | {' | '.join(cells)} | {stolen / 1e6:.0f} ms |")
    return "\n".join(lines) + "\n"


def _by_subject(rows: Sequence[Comparison]) -> str:
    lines = [
        "| work | Python | capture | CPU time | wall | allowed | verdicts | made of | stolen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    by_place: dict[tuple[str, str, str], dict[str, Comparison]] = {}
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


def _ratio(row: Comparison | None) -> str:
    if row is None or row.measured is None or row.lower is None or row.upper is None:
        return "" if row is None else row.reason
    return f"{row.measured:.3f} [{row.lower:.3f}, {row.upper:.3f}]"


def _exceptions(result: AccuracyResult) -> str:
    """List what failed or is inconclusive, so that the table of counts does not hide it."""
    rows = [row for row in result.rows if row.check not in COSTS]
    if not rows:
        return f"\n{_costs_in_short(result)}No other comparison failed or is inconclusive.\n"
    shown = sorted(rows, key=lambda row: (row.verdict != "fail", -compute_tolerance_used(row)))
    lines = [f"- {row.verdict}: {row.program} on {row.python}, {row.check}, {_words(row)}" for row in shown]
    return (
        f"\n{_costs_in_short(result)}Other comparisons that failed or are inconclusive:\n\n" + "\n".join(lines) + "\n"
    )


def _costs_in_short(result: AccuracyResult) -> str:
    """How many costs failed or are inconclusive; empty where none was measured."""
    counts = Counter(row.verdict for row in result.rows if row.check in COSTS)
    if not counts:
        return ""
    failed, open_ = counts["fail"], counts["inconclusive"]
    return f"Of {counts.total()} costs, CPU times and walls, {failed} failed and {open_} are inconclusive. "


def _words(row: Comparison) -> str:
    text = row.what
    if row.measured is not None and row.reference is not None:
        text += f": {format_amount(row.measured, row.unit)} for {format_amount(row.reference, row.unit)}"
    return f"{text} ({row.reason})" if row.reason else text


def _cell(groups: Iterable[ComparisonGroup]) -> str:
    found = list(groups)
    compared = sum(group.compared for group in found)
    if not compared:
        return "–" if found else ""
    return f"{sum(group.ok for group in found)}/{compared}, {max(group.worst for group in found):.0%}"


def _ordered(pythons: Iterable[str]) -> list[str]:
    """Each once, by version."""
    return sorted(dict.fromkeys(pythons), key=lambda text: ([int(part) for part in re.findall(r"\d+", text)], text))
