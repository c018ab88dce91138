"""A result as text: for the terminal, and as the Markdown tables in docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tracekit.truth.result import Result, strain, worst
from tracekit.truth.rows import CHECKS, Row

_EFFECTS = ("effect", "effect-wall")


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
    """Check by check and Python by Python: how many comparisons are ok, and the worst of them."""
    pythons = _ordered(row.python for row in rows)
    table = [["check", *pythons]]
    table += [
        [check, *(_cell([row for row in of_check if row.python == python]) for python in pythons)]
        for check in CHECKS
        if (of_check := [row for row in rows if row.check == check])
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in table)


def markdown(result: Result) -> str:
    """The part of docs/metrics.md: by check and Python, by program, and what capturing costs."""
    facts = result.machine
    compared = [row for row in result.rows if row.check not in _EFFECTS]
    parts = [
        f"Made by `make accuracy` on {result.made}: {facts['cpu_model']}, {facts['logical_cpus']} logical CPUs, "
        f"{facts['os_release']}, kernel {facts['kernel']}. A cell says how many comparisons are ok, and how much of "
        "its tolerance the worst one uses up (100 % is just allowed).\n",
        _by_check(compared),
        "By program, over all Pythons, with the most that the machine had stolen during one run:\n",
        _by_program(compared),
    ]
    effects = [row for row in result.rows if row.check in _EFFECTS]
    if effects:
        parts += ["What capturing costs, as a ratio of interleaved pairs of runs with its 95 % interval:\n"]
        parts += [_by_subject(effects)]
    return "\n".join(parts) + _exceptions(result)


def _by_check(rows: Sequence[Row]) -> str:
    pythons = _ordered(row.python for row in rows)
    lines = [f"| check | {' | '.join(pythons)} |", "|---" * (len(pythons) + 1) + "|"]
    for check, title in CHECKS.items():
        of_check = [row for row in rows if row.check == check]
        if of_check:
            cells = [_cell([row for row in of_check if row.python == python]) for python in pythons]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_program(rows: Sequence[Row]) -> str:
    checks = [check for check in CHECKS if any(row.check == check for row in rows) and check != "runs"]
    lines = [f"| program | {' | '.join(checks)} | stolen |", "|---" * (len(checks) + 2) + "|"]
    for program in dict.fromkeys(row.program for row in rows):
        of_program = [row for row in rows if row.program == program]
        cells = [_cell([row for row in of_program if row.check == check]) for check in checks]
        stolen = max((row.steal_ns or 0 for row in of_program), default=0)
        lines.append(f"| {program} | {' | '.join(cells)} | {stolen / 1e6:.0f} ms |")
    return "\n".join(lines) + "\n"


def _by_subject(rows: Sequence[Row]) -> str:
    lines = [
        "| work | Python | capture | CPU time | wall | allowed | pairs | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    by_place: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        by_place.setdefault((row.program, row.python, row.what), {})[row.check] = row
    for (program, python, capture), found in by_place.items():
        cpu, wall = found.get("effect"), found.get("effect-wall")
        first = cpu or wall
        assert first is not None
        allowed = "" if first.tolerance is None else f"{1 + first.tolerance:g}"
        verdicts = "/".join(row.verdict for row in (cpu, wall) if row is not None)
        lines.append(
            f"| {program} | {python} | {capture} | {_ratio(cpu)} | {_ratio(wall)} | {allowed} | {first.reason} | "
            f"{verdicts} |"
        )
    return "\n".join(lines) + "\n"


def _ratio(row: Row | None) -> str:
    if row is None or row.measured is None or row.lower is None or row.upper is None:
        return ""
    return f"{row.measured:.3f} [{row.lower:.3f}, {row.upper:.3f}]"


def _exceptions(result: Result) -> str:
    """What is off or unclear, one by one: a table of averages must not hide them."""
    rows = [row for row in result.rows if row.verdict in ("off", "unclear") and row.check not in _EFFECTS]
    if not rows:
        return "\nNothing is off.\n"
    shown = sorted(rows, key=strain, reverse=True)
    lines = [f"- {row.verdict}: {row.program} on {row.python}, {row.check}, {_words(row)}" for row in shown]
    return "\nOff, or unclear:\n\n" + "\n".join(lines) + "\n"


def _words(row: Row) -> str:
    text = row.what
    if row.measured is not None and row.truth is not None:
        text += f": {amount(row.measured, row.unit)} for {amount(row.truth, row.unit)}"
    return f"{text} ({row.reason})" if row.reason else text


def _cell(rows: Sequence[Row]) -> str:
    compared = [row for row in rows if row.verdict != "unavailable"]
    if not compared:
        return "–" if rows else ""
    fine = sum(row.verdict == "ok" for row in compared)
    found = worst(compared)
    return f"{fine}/{len(compared)}" + ("" if found is None else f", {strain(found):.0%}")


def _ordered(pythons: Iterable[str]) -> list[str]:
    """Each once, by version."""
    key: Callable[[str], list[tuple[int, str]]] = lambda text: [  # noqa: E731
        (int(part), "") if part.isdigit() else (0, part) for part in text.split(" ")[0].rstrip("t").split(".")
    ]
    return sorted(dict.fromkeys(pythons), key=key)
