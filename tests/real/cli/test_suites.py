"""The suites of a store: listed with their size, removed by name, and kept to a number."""

from __future__ import annotations

import json
import os
from operator import itemgetter
from pathlib import Path

import pytest

from tests.conftest import RealSuite, Tracekit
from tests.real.quick import QUICK, assert_two_lines
from tests.unit.analysis.load import made_bundles
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Store, SuiteFolder

SPEC = RunSpec(
    suite_id="s", run_id="001-x", workload="spin", workload_target="w:W", size="smoke", model="serial", workers=1
)
NAMES = tuple(f"2026010{day}-120000-spin" for day in (1, 2, 3, 4))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four suites; the second one is still being measured."""
    store = Store(tmp_path / ".tracekit")
    for name in NAMES:
        folder = SuiteFolder(store.root / name)
        folder.create(Suite(suite_id=name, workload="spin", size="smoke", specs=(SPEC,)))
        if name != NAMES[1]:
            folder.finish("ok", [])
    return store


def names(store: Store) -> list[str]:
    return [suite.suite_id for suite in store.suites()]


def test_listed_with_their_size(store: Store, tracekit: Tracekit) -> None:
    rows = tracekit("list", "suites", "--json").rows()
    assert [row["name"] for row in rows] == list(NAMES)
    for row in rows:
        files = [path for path in (store.root / row["name"]).rglob("*") if path.is_file()]
        assert row["bytes"] == sum(path.stat().st_size for path in files) > 0
    assert "running, " in tracekit("list", "suites").out.splitlines()[1]


def test_removed_by_name_and_path(store: Store, tracekit: Tracekit) -> None:
    said = tracekit("remove", "20260101", str(store.root / NAMES[2]), "--json")
    assert said.code == 0, said.err
    assert [row["name"] for row in json.loads(said.out)] == [NAMES[0], NAMES[2]]
    assert sorted(path.name for path in store.root.iterdir() if path.name != ".gitignore") == [NAMES[1], NAMES[3]]


def test_one_that_is_refused_keeps_the_others(store: Store, tracekit: Tracekit) -> None:
    assert_two_lines(tracekit("remove", NAMES[0], NAMES[1]), 2, f"{NAMES[1]} is still running")
    assert_two_lines(tracekit("remove", NAMES[0], "1999"), 2, "'1999' is unknown")
    assert names(store) == list(NAMES)


@pytest.mark.parametrize("words", [("record", "--capture", "none", "true"), ("run", "spin", *QUICK)], ids=itemgetter(0))
def test_the_oldest_that_have_ended_go(store: Store, tracekit: Tracekit, words: tuple[str, ...]) -> None:
    said = tracekit(words[0], "--keep", "2", *words[1:])
    assert said.code == 0, said.err
    left = names(store)
    assert left[:2] == [NAMES[1], NAMES[3]]
    assert len(left) == 3
    assert left[2].endswith(f"-{words[-1] if words[0] == 'record' else words[1]}")
    assert [line for line in said.err.splitlines() if line.startswith("removed")] == [
        f"removed {NAMES[0]}",
        f"removed {NAMES[2]}",
    ]


@pytest.mark.parametrize("command", ["remove", "keep"])
def test_what_a_killed_removal_left_is_no_suite_and_goes_with_the_next(
    store: Store, tracekit: Tracekit, command: str
) -> None:
    left = store.root / f".{NAMES[0]}.removed"
    (store.root / NAMES[0]).rename(left)
    (left / "suite.json").unlink()
    others = (store.root / ".notes", store.root.parent / ".other.removed")
    for other in others:
        other.mkdir()
    assert NAMES[0] not in tracekit("list", "suites").out
    keep = ("record", "--capture", "none", "--keep", "1", "--", "true")
    said = tracekit(*(("remove", NAMES[2]) if command == "remove" else keep))
    assert said.code == 0, said.err
    assert not left.exists()
    assert all(other.is_dir() for other in others)


@pytest.mark.parametrize("before", [(), ("explain", "start-methods"), ("report",)], ids=str)
def test_a_suite_is_named_by_its_path_from_another_folder(
    real_suite: RealSuite, tracekit: Tracekit, tmp_path: Path, before: tuple[str, ...]
) -> None:
    words = (*before, str(real_suite.root))
    if not before:
        words = ("export", os.path.relpath(real_suite.root, tmp_path), "runs")
    said = tracekit(*words)
    assert said.code == 0, said.err
    assert said.out
    assert [path.name for path in tmp_path.glob("reports/2*")] == ([real_suite.suite_id] if "report" in before else [])
    assert not (tmp_path / ".tracekit").exists()


def test_claims_are_judged_with_a_suite_that_is_named_by_its_path(tracekit: Tracekit, tmp_path: Path) -> None:
    """One of another Python than this one: what is refused is a second suite of the same place, and another workload.

    Its numbers are made by hand, as a suite of claims takes minutes.
    """
    (tmp_path / "here").mkdir()
    for place, workload in (("a", "claims"), ("b", "claims"), ("c", "spin")):
        folder = SuiteFolder(tmp_path / place / "s1")
        folder.create(Suite(suite_id="s1", workload=workload, size="small", specs=(made_bundles.spec(),)))
        made_bundles.make_bundle(folder.root, made_bundles.spec())
        folder.finish("ok", [])
    run, report = ("run", "claims", "--dry-run"), ("report", "../a/s1")
    for words, other, code, text in (
        (run, "../a/s1", 0, ""),
        (run, str(tmp_path / "c" / "s1"), 2, "s1 is one of spin"),
        (report, str(tmp_path / "b" / "s1"), 2, "s1 is from Linux and Python 3.13 as well"),
    ):
        said = tracekit(*words, "--with", other, cwd=tmp_path / "here")
        assert said.code == code, said.err
        assert text in said.err
