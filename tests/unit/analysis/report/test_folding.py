"""Folding: small rows become one, none is lost, and its number is the sum of theirs."""

import pytest

from tests.table_factory import BOOT_NS, MS
from tests.unit.analysis.report import made_program as made
from tracekit.analysis.report.build import build
from tracekit.analysis.report.folding import fine_percent, fold
from tracekit.analysis.report.ledger import LedgerRows, sum_ledgers


@pytest.mark.parametrize(
    ("sizes", "most", "shown"),
    [
        ([50, 40, 9.5, 0.3, 0.2], 12, [50, 40, 9.5]),
        # One alone would be as long as its sum.
        ([50, 49.5, 0.5], 12, [50, 49.5, 0.5]),
        # All are small: the largest stand for themselves.
        ([0.5] * 200, 3, [0.5] * 3),
        ([30, 30, 20, 20], 2, [30, 30]),
        # What has no share of the whole may stand anywhere.
        ([60, 0.5, 39, 0.5], 12, [60, 39]),
        ([], 12, []),
    ],
)
def test_what_is_under_1_percent_is_folded_and_nothing_is_lost(
    sizes: list[float], most: int, shown: list[float]
) -> None:
    large, rest = fold(sizes, lambda size: size / 100, most)
    assert list(large) == shown
    assert sorted([*large, *rest]) == sorted(sizes)


@pytest.mark.parametrize(
    ("part", "text"), [(0.0, "0.0 %"), (0.0001, "<0.1 %"), (0.008, "0.8 %"), (0.094, "9.4 %"), (0.25, "25 %")]
)
def test_a_small_part_has_a_decimal(part: float, text: str) -> None:
    assert fine_percent(part) == text


def a_ledger(**parts: float) -> LedgerRows:
    return LedgerRows(parts=parts, whole=sum(parts.values()), method="m", n=1, idle_rule="", unseen="", lacking={})


def test_a_part_that_one_ledger_lacks_is_known_at_least() -> None:
    assert sum_ledgers([]) is None
    both = sum_ledgers([a_ledger(a=1.0, b=2.0), a_ledger(a=4.0)])
    assert both is not None
    assert (dict(both.parts), both.whole, both.least) == ({"a": 5.0, "b": 2.0}, 7.0, {"b"})


def test_small_processes_are_one_row_whose_numbers_are_their_sums() -> None:
    found = made.rows()
    for pid in range(300, 303):
        found["processes"].append({**found["processes"][1], "pid": pid, "exit_ns": BOOT_NS + 105 * MS})
        found["threads"].append(made.thread(pid, pid, "MainThread", 100, 105, cpu=4))
    (group,) = build(made.tables(found)).summary.groups
    *_, rest = group.rows
    assert [row.label for row in group.rows] == ["app.py", "main", "process 200", "3 other processes"]
    assert [row.fields[1].main for row in rest.folded] == ["4.00 ms"] * 3
    assert rest.fields[1].main == "12.0 ms"
    # Each has 20 and 2.
    assert rest.fields[-1].main == "60 / 6"


def test_short_processes_without_python_are_folded_by_their_lifetime() -> None:
    """Of 1 s a shell lives 300 ms, two others 5 ms each."""
    found = made.rows()
    for pid, lived in ((300, 300), (301, 5), (302, 5)):
        shell = {"pid": pid, "executable": "/bin/sh", "exit_ns": BOOT_NS + (100 + lived) * MS}
        found["processes"].append({**found["processes"][1], **shell})
    (group,) = build(made.tables(found)).summary.groups
    *_, shell_row, rest = group.rows
    assert shell_row.fields[0].main == "300 ms"
    assert [row.fields[0].main for row in rest.folded] == ["5.00 ms"] * 2
    assert rest.fields[1].main == "n/a"
