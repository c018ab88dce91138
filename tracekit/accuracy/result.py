"""The result of a proof as a file: what `make accuracy` writes, and the tables in docs/metrics.md are made from.

A proof makes thousands of comparisons. The file holds how many of each check, program and Python are ok and how near
the worst of them comes to its tolerance; in full only what is not ok, and what capturing costs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from tracekit.accuracy.comparison import COSTS, Row
from tracekit.bundle.store import explained_os_errors
from tracekit.core.errors import BundleCorrupt
from tracekit.system import machine

FORMAT = 1
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Group:
    """The comparisons of one check in one program on one Python."""

    check: str
    program: str
    python: str
    compared: int
    ok: int
    worst: float
    """The largest difference as a part of its tolerance: 1 is just allowed."""
    steal_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One proof, and the machine it was made on."""

    made: str
    """Date, UTC."""
    machine: dict[str, Any]
    groups: tuple[Group, ...]
    """Of all checks but the costs."""
    rows: tuple[Row, ...]
    """Costs, and what is off or unclear."""


def result_of(rows: Iterable[Row], made: str) -> Result:
    """The result of these comparisons on this machine."""
    found = list(rows)
    facts = machine.describe()
    return Result(
        made=made,
        machine={name: facts[name] for name in ("os_release", "kernel", "machine", "cpu_model", "logical_cpus")},
        groups=grouped(found),
        rows=tuple(row for row in found if row.check in COSTS or row.verdict in ("off", "unclear")),
    )


def grouped(rows: Iterable[Row]) -> tuple[Group, ...]:
    """The comparisons but the costs, in the order in which they first come."""
    by_place: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.check not in COSTS:
            by_place.setdefault((row.check, row.program, row.python), []).append(row)
    groups = []
    for place, of_place in by_place.items():
        compared = [row for row in of_place if row.verdict != "unavailable"]
        groups.append(
            Group(
                *place,
                compared=len(compared),
                ok=sum(row.verdict == "ok" for row in compared),
                worst=round(max(map(strain, compared), default=0.0), _DIGITS),
                steal_ns=max((row.steal_ns or 0 for row in of_place), default=0),
            )
        )
    return tuple(groups)


def strain(row: Row) -> float:
    """The difference as a part of the tolerance: 1 is just allowed. Where nothing is allowed, any difference is 2."""
    difference = abs(row.difference or 0.0)
    if not row.tolerance:
        return 2.0 if difference else 0.0
    return difference / row.tolerance


def write(result: Result, path: Path) -> None:
    """One JSON object with a line per group and row, so that a difference between two proofs can be read.

    Raises OutputUnwritable.
    """
    head = json.dumps({"format": FORMAT, "made": result.made, "machine": result.machine})
    groups = ",\n".join(json.dumps(astuple(group)) for group in result.groups)
    rows = ",\n".join(json.dumps(_short(row)) for row in result.rows)
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{head[:-1]}, "groups": [\n{groups}\n], "rows": [\n{rows}\n]}}\n', encoding="utf-8")


def read(path: Path) -> Result:
    """The result in that file. Raises BundleCorrupt."""
    known = {item.name for item in fields(Row)}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Result(
            made=data["made"],
            machine=data["machine"],
            groups=tuple(Group(*group) for group in data["groups"]),
            rows=tuple(Row(**{name: value for name, value in row.items() if name in known}) for row in data["rows"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleCorrupt(f"{path} is no result of a proof: {error}", "make accuracy") from error


def _short(row: Row) -> dict[str, Any]:
    """Without what is not known, and without digits that mean nothing."""
    return {
        name: _rounded(value, row.unit) if isinstance(value, float) else value
        for name, value in asdict(row).items()
        if value is not None and value != ""
    }


def _rounded(value: float, unit: str) -> float | int:
    return round(value) if unit in ("ns", "count") else round(value, _DIGITS)
