"""The result of a proof as a file: what `make accuracy` writes, and the table in docs/metrics.md is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tracekit import environment
from tracekit.bundle import explained_os_errors
from tracekit.errors import BundleCorrupt
from tracekit.truth.rows import Row

FORMAT = 1
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All rows of one proof, and the machine it was made on."""

    made: str
    """Date, UTC."""
    machine: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def off(self) -> tuple[Row, ...]:
        """What is wrong."""
        return tuple(row for row in self.rows if row.verdict == "off")


def machine() -> dict[str, Any]:
    """The facts of the machine that belong to an accuracy."""
    facts = environment.describe()
    return {name: facts[name] for name in ("os_release", "kernel", "machine", "cpu_model", "logical_cpus")}


def write(result: Result, path: Path) -> None:
    """One JSON object with a row per line, so that a difference between two proofs can be read. Raises
    OutputUnwritable."""
    head = json.dumps({"format": FORMAT, "made": result.made, "machine": result.machine})
    lines = ",\n".join(json.dumps(_short(row)) for row in result.rows)
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{head[:-1]}, "rows": [\n{lines}\n]}}\n', encoding="utf-8")


def read(path: Path) -> Result:
    """The result in that file. Raises BundleCorrupt."""
    known = {item.name for item in fields(Row)}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(Row(**{name: value for name, value in row.items() if name in known}) for row in data["rows"])
        return Result(made=data["made"], machine=data["machine"], rows=rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleCorrupt(f"{path} is no result of a proof: {error}", "make accuracy") from error


def worst(rows: Iterable[Row]) -> Row | None:
    """The row that comes nearest to its tolerance, or goes farthest beyond it; None when nothing was compared."""
    compared = [row for row in rows if row.difference is not None and row.verdict != "unavailable"]
    return max(compared, key=strain, default=None)


def strain(row: Row) -> float:
    """The difference as a part of the tolerance: 1 is just allowed. Where nothing is allowed, any difference is 2."""
    difference = abs(row.difference or 0.0)
    if not row.tolerance:
        return 2.0 if difference else 0.0
    return difference / row.tolerance


def _short(row: Row) -> dict[str, Any]:
    """Without what is not known, and without digits that mean nothing."""
    short = {}
    for name, value in asdict(row).items():
        if value is None or value == "":
            continue
        short[name] = _rounded(value, row.unit) if isinstance(value, float) else value
    return short


def _rounded(value: float, unit: str) -> float | int:
    return round(value) if unit in ("ns", "count") else round(value, _DIGITS)
