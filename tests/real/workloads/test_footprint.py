"""The workload `footprint`: its figures are those of /proc, exhaustion is bounded, and nothing stays behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import MakeOnce, read_rows, run_tracekit
from tests.real.leftovers import abandoned_segments, assert_no_segments_left, processes_with
from tracekit.analysis.report.pages.footprint import numbers, page
from workloads import footprint, footprint_subject

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="no /proc/<pid>/smaps_rollup: Linux has it"
)
MIB = 1 << 20
Figures = dict[tuple[str, str, str], float]
ERRORS = (
    "RuntimeError: can't start new thread",
    "BlockingIOError: [Errno 11] Resource temporarily unavailable",
    "OSError: [Errno 24] Too many open files",
    "MemoryError",
)
SUBJECT = [sys.executable, footprint_subject.__file__]


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variable by which what this test starts is known."""
    monkeypatch.setenv("TRACEKIT_TESTED_BY", str(os.getpid()))
    return f"TRACEKIT_TESTED_BY={os.getpid()}"


def sleeping(megabytes: int) -> None:
    """A child that holds so much and keeps still."""
    held = bytearray(os.urandom(1)) * (megabytes * MIB)
    time.sleep(60)
    del held


def by_mappings(pid: int) -> Counter[str]:
    """The same figures from the single mappings, which the kernel counts apart from the rollup."""
    found: Counter[str] = Counter()
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name in ("Rss", "Pss"):
            found[f"{name.lower()}_bytes"] += int(value.split()[0]) << 10
        elif name.startswith("Private_"):
            found["uss_bytes"] += int(value.split()[0]) << 10
    return found


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_memory_is_what_proc_says(method: str) -> None:
    child = multiprocessing.get_context(method).Process(target=sleeping, args=(20,), daemon=True)
    child.start()
    try:
        assert child.pid is not None
        _settled(child.pid)
        read = footprint_subject.read_process(child.pid)
        mappings = by_mappings(child.pid)
        for name in ("rss_bytes", "uss_bytes", "pss_bytes"):
            # PSS is rounded per mapping there, and once in the rollup.
            assert read[name] == pytest.approx(mappings[name], abs=MIB // 2), name
        process = psutil.Process(child.pid)
        # What this process writes meanwhile is from then on the forked child's own as well.
        assert read["uss_bytes"] == pytest.approx(process.memory_full_info().uss, abs=4 * MIB)
        assert read["uss_bytes"] >= 20 * MIB
        assert (read["fds"], read["tasks"]) == (process.num_fds(), process.num_threads())
        assert child.pid in footprint_subject.find_descendants(os.getpid())
    finally:
        child.kill()
        child.join()


def _settled(pid: int) -> None:
    """Until it sleeps with its memory touched."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        before = by_mappings(pid)["uss_bytes"]
        time.sleep(0.2)
        if by_mappings(pid)["uss_bytes"] == before >= 20 * MIB:
            return
    raise AssertionError("the child did not come to rest")


@pytest.mark.measures
@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_the_largest_sum_is_the_one_that_somebody_else_sees(way: str) -> None:
    """Read from outside all the time by this test: the program's own reading at its largest moment."""
    told = json.dumps({"workers": 3, "data_bytes": 24 * MIB, "work_bytes": 4 * MIB, "freeze": False})
    with subprocess.Popen([*SUBJECT, "measure", way, told], stdout=subprocess.PIPE) as subject:
        seen = processes = 0
        while subject.poll() is None:
            total = 0
            family = footprint_subject.find_descendants(subject.pid)
            for pid in family:
                try:
                    total += by_mappings(pid)["pss_bytes"]
                except OSError:
                    break
            else:
                seen, processes = max(seen, total), max(processes, len(family))
        assert subject.stdout is not None
        moments = json.load(subject.stdout)["phases"]
    assert subject.returncode == 0
    reported = max(moment["pss_bytes"] for moment in moments)
    # While workers come and go, one that is read first and one that is read last may both count a page.
    assert 0.9 * reported <= seen <= 1.15 * reported
    assert max(moment["processes"] for moment in moments) in (processes, processes - 1, processes + 1)


@pytest.fixture(scope="module")
def observed(make_once: MakeOnce) -> Figures:
    """The observations of one small run: (start method, phase or limit, what) -> value."""

    def make(folder: Path) -> None:
        said = run_tracekit("run", "footprint", "--size", "smoke", "--runs", "1", cwd=folder)
        assert said.code == 0, said.err
        assert "One more thread takes" in said.out

    folder = make_once("footprint", make)
    rows = read_rows(folder, "observations")
    return {
        (row["start_method"], row["case"] or row["phase"], row["what"]): row["value"]
        for row in rows
        if row["value"] is not None and row["phase"] != "total"
    }


def test_every_kind_of_worker_is_seen_at_every_moment(observed: Figures) -> None:
    for way in footprint.START_METHODS:
        for phase in page.PHASES:
            assert (way, phase, "pss_bytes") in observed
    # One more of each: a thread is a task and no process, and takes no descriptor.
    assert [observed["threads", "up", what] for what in ("tasks", "processes", "fds")] == [1, 0, 0]
    for way in ("fork", "forkserver", "spawn"):
        assert (observed[way, "up", "tasks"], observed[way, "up", "processes"]) == (1, 1)
        assert observed[way, "up", "parent_fds"] >= 1
    threads, fork, spawn = (observed[way, "up", "pss_bytes"] for way in ("threads", "fork", "spawn"))
    assert threads < fork < spawn


def test_what_a_worker_alone_holds_is_part_of_what_it_holds(observed: Figures) -> None:
    for way in ("fork", "fork-frozen", "forkserver", "spawn"):
        for phase in page.PHASES:
            uss, pss, rss = (observed[way, phase, f"{name}_bytes"] for name in ("uss", "pss", "rss"))
            # PSS is what the family has more, to which a page or two of the program's own belong.
            assert 0 < uss <= pss + MIB // 4, (way, phase)
            assert pss <= rss, (way, phase)


def test_a_garbage_collection_copies_what_a_fork_inherited_unless_it_is_frozen(
    observed: Figures,
) -> None:
    assert observed["fork", "collected", "pss_bytes"] > 2 * observed["fork-frozen", "collected", "pss_bytes"]
    # Looking at it counts references: that copies it in any case.
    assert observed["fork-frozen", "touched", "pss_bytes"] > 2 * observed["fork-frozen", "collected", "pss_bytes"]
    # A spawned worker has inherited nothing.
    assert observed["spawn", "touched", "pss_bytes"] < 2 * observed["spawn", "up", "pss_bytes"]


def test_how_many_there_can_be_is_what_is_left_over_what_one_takes(observed: Figures) -> None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY:
        assert 0 < observed["spawn", "nofile", "workers_possible"] <= soft / observed["spawn", "up", "parent_fds"]
    assert ("threads", "nofile", "workers_possible") not in observed
    threads, fork = (observed[way, "available", "workers_possible"] for way in ("threads", "fork"))
    assert threads > fork > 0


def test_running_out_is_bounded_told_and_leaves_nothing(mark: str) -> None:
    before = {limit: resource.getrlimit(getattr(resource, limit)) for limit in ("RLIMIT_AS", "RLIMIT_NOFILE")}
    for way, limit in footprint.EXHAUSTED:
        done = subprocess.run(
            [*SUBJECT, "exhaust", way, json.dumps({"limit": limit})], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        if "skipped" in told:
            assert told["skipped"]
            continue
        assert 1 <= told["started"] < footprint_subject.MOST, told
        said = f"{told['type']}: {told['message']}"
        assert said.startswith(ERRORS), said
    assert before == {limit: resource.getrlimit(getattr(resource, limit)) for limit in before}
    assert processes_with(mark) == set()


def test_what_cannot_be_bounded_is_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    lowered: list[Any] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", refuse)
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: lowered.append(limit))
    assert "cannot become another user" in footprint_subject._lower("tasks")
    assert not lowered
    (skipped,) = footprint._exhaustion("fork", "tasks", {"skipped": "why"})
    place = {"start_method": "fork", "phase": "exhausted", "case": "tasks"}
    assert (skipped.what, skipped.text, skipped.dimensions) == ("skipped", "why", place)


def test_the_report_has_the_same_words_as_the_workload() -> None:
    assert set(numbers.START_METHODS) == set(footprint.START_METHODS)
    assert set(page.LIMITS) == set(footprint.LIMITS)
    assert set(page.LOWERED) == {limit for _, limit in footprint.EXHAUSTED}


def test_a_subject_that_fails_says_so_and_is_gone(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="exit code 1"):
        footprint._run_subject("measure", "no-such-way", {})
    before = abandoned_segments()
    monkeypatch.setattr(footprint, "_LIMIT_S", 1.0)
    given = {"workers": 30, "data_bytes": 256 * MIB, "work_bytes": 0, "freeze": False}
    with pytest.raises(subprocess.TimeoutExpired):
        footprint._run_subject("measure", "spawn", given)
    assert processes_with(mark) == set()
    assert_no_segments_left(before)
