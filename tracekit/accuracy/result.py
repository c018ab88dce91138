"""The result file of `make accuracy`, from which the tables in docs/metrics.md are made.

A run makes thousands of comparisons. The file has the number of ok ones per check, program and Python, and the largest
share of the tolerance used; comparisons that are not ok, and costs of capturing, are listed one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from tracekit.accuracy.comparison import COSTS, Comparison
from tracekit.bundle.store import explained_os_errors
from tracekit.core.errors import BundleCorrupt
from tracekit.system import machine

FORMAT = 1
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class ComparisonGroup:
    """The comparisons of one check in one program on one Python."""

    check: str
    program: str
    python: str
    compared: int
    ok: int
    worst: float
    """The largest difference as a share of its tolerance; up to 1 is allowed."""
    steal_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyResult:
    """The comparisons of one run of `make accuracy`, and the machine they were made on."""

    made: str
    """Date, UTC."""
    machine: dict[str, Any]
    groups: tuple[ComparisonGroup, ...]
    """Of all checks but the costs."""
    rows: tuple[Comparison, ...]
    """Costs, and comparisons that failed or are inconclusive."""
    compared: tuple[str, ...] | None
    """The metrics of which a number was compared; None in a file of before this was recorded."""


def make_result(rows: Iterable[Comparison], made: str) -> AccuracyResult:
    """Make the result of these comparisons on this machine."""
    found = list(rows)
    facts = machine.describe()
    return AccuracyResult(
        made=made,
        machine={name: facts[name] for name in ("os_release", "kernel", "machine", "cpu_model", "logical_cpus")},
        groups=group_comparisons(found),
        rows=tuple(row for row in found if row.check in COSTS or row.verdict in ("fail", "inconclusive")),
        compared=list_compared(found),
    )


def list_compared(rows: Iterable[Comparison]) -> tuple[str, ...]:
    """The metrics of which a number was compared, in alphabetical order."""
    return tuple(sorted({row.metric for row in rows if row.metric and row.verdict != "unavailable"}))


def group_comparisons(rows: Iterable[Comparison]) -> tuple[ComparisonGroup, ...]:
    """Group all comparisons except costs, in the order in which each group first appears."""
    by_place: dict[tuple[str, str, str], list[Comparison]] = {}
    for row in rows:
        if row.check not in COSTS:
            by_place.setdefault((row.check, row.program, row.python), []).append(row)
    groups = []
    for place, of_place in by_place.items():
        compared = [row for row in of_place if row.verdict != "unavailable"]
        groups.append(
            ComparisonGroup(
                *place,
                compared=len(compared),
                ok=sum(row.verdict == "ok" for row in compared),
                worst=round(max(map(compute_tolerance_used, compared), default=0.0), _DIGITS),
                steal_ns=max((row.steal_ns or 0 for row in of_place), default=0),
            )
        )
    return tuple(groups)


def compute_tolerance_used(row: Comparison) -> float:
    """The difference as a share of the tolerance; where the tolerance is 0, any difference counts as 2."""
    difference = abs(row.difference or 0.0)
    if not row.tolerance:
        return 2.0 if difference else 0.0
    return difference / row.tolerance


def write_result(result: AccuracyResult, path: Path) -> None:
    """Write one JSON object with a line per group and row, so that a diff of two results is readable.

    Raises OutputUnwritable.
    """
    facts = {"made": result.made, "machine": result.machine, "compared": result.compared}
    head = json.dumps({"format": FORMAT, **facts})
    groups = ",\n".join(json.dumps(astuple(group)) for group in result.groups)
    rows = ",\n".join(json.dumps(_short(row)) for row in result.rows)
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{head[:-1]}, "groups": [\n{groups}\n], "rows": [\n{rows}\n]}}\n', encoding="utf-8")


def read_result(path: Path) -> AccuracyResult:
    """Read a result. Raises BundleCorrupt."""
    known = {item.name for item in fields(Comparison)}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return AccuracyResult(
            made=data["made"],
            machine=data["machine"],
            groups=tuple(ComparisonGroup(*group) for group in data["groups"]),
            compared=None if data.get("compared") is None else tuple(data["compared"]),
            rows=tuple(
                Comparison(**{name: value for name, value in row.items() if name in known}) for row in data["rows"]
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleCorrupt(f"{path} is not a result of make accuracy: {error}", "make accuracy") from error


def _short(row: Comparison) -> dict[str, Any]:
    """The known fields, numbers rounded to the digits that mean something."""
    return {
        name: _rounded(value, row.unit) if isinstance(value, float) else value
        for name, value in asdict(row).items()
        if value is not None and value != ""
    }


def _rounded(value: float, unit: str) -> float | int:
    return round(value) if unit in ("ns", "count") else round(value, _DIGITS)
