"""Names in the source: one name, one thing, and few of them at the top."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_two_classes_share_a_name() -> None:
    """Also private ones and those inside functions: a reader searches for a name and must find one definition."""
    counted = Counter(
        node.name
        for folder in ("tracekit", "workloads")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {name: count for name, count in counted.items() if count > 1} == {}
    assert len(counted) > 100


def test_the_package_has_at_most_14_rooms_and_doors() -> None:
    """A newcomer reads that list first."""
    found = [path.name for path in (ROOT / "tracekit").iterdir() if path.name != "__pycache__"]
    assert "core" in found
    assert len(found) <= 14, sorted(found)
