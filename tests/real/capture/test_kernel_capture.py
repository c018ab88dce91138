"""The kernel capture on real programs: what it sees of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.real.capture.kernel_watching import leaving_nothing, needs_symbols, spec_of, watch
from tests.recording import needs
from tracekit.analysis.load import load_run
from tracekit.bundle.store import Bundle
from tracekit.core.errors import TracekitError
from tracekit.measure.capture import kernel
from tracekit.measure.process.launch import link_packages
from tracekit.measure.process.watchdog import start_watchdog
from tracekit.measure.running.suite_runner import run_one
from tracekit.system import interpreters, machine

# What others do in tracefs meanwhile is seen here.
pytestmark = pytest.mark.measures


@pytest.fixture(autouse=True)
def tracefs_root() -> Iterator[Path]:
    needs("kernel")
    yield from leaving_nothing()


@pytest.fixture
def has_symbols() -> None:
    needs_symbols()


TREE = """
import os, subprocess, sys, threading, time
forked = os.fork()
if forked == 0:
    thread = threading.Thread(target=time.sleep, args=(0.01,))
    thread.start(); thread.join()
    os._exit(3)
os.waitpid(forked, 0)
told = subprocess.Popen([sys.executable, "-c",
    "import subprocess; child = subprocess.Popen(['/bin/sleep', '0.02']); print(child.pid); child.wait()"],
    stdout=subprocess.PIPE, text=True)
sleeper = told.communicate()[0].strip()
killed = os.fork()
if killed == 0:
    time.sleep(600)
os.kill(killed, 9); os.waitpid(killed, 0)
other = os.fork()
if other == 0:
    # The thread that calls exec is not the first one.
    threading.Thread(target=os.execv, args=("/bin/sleep", ["sleep", "0.02"])).start()
    time.sleep(600)
os.waitpid(other, 0)
print(os.getpid(), forked, told.pid, sleeper, killed, other)
"""


def test_the_whole_tree_is_followed_and_nothing_else(tmp_path: Path) -> None:
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import subprocess\nfor _ in range(20): subprocess.run(['/bin/true'])"]
    )
    seen = watch(tmp_path, TREE)
    bystander.wait()
    main, forked, told, sleeper, killed, other = map(int, seen.words)
    parents = {facts.process["pid"]: facts.process["ppid"] for facts in seen.told}
    watchdog = parents[main]
    assert watchdog not in (os.getpid(), bystander.pid)
    assert parents == {main: watchdog, forked: main, told: main, sleeper: told, killed: main, other: main}
    by_pid = {facts.process["pid"]: facts for facts in seen.told}
    assert Path(by_pid[sleeper].process["executable"]).name == "sleep"
    assert Path(by_pid[other].process["executable"]).name == "sleep"
    assert by_pid[forked].process["executable"] == by_pid[main].process["executable"]
    assert by_pid[forked].process["exec_ns"] is None
    assert len(by_pid[forked].threads) == 2
    for facts in seen.told:
        assert facts.process["exit_ns"] <= seen.ended.ended_ns
        assert min(row["start_ns"] for row in facts.threads) >= seen.ended.started_ns
    assert set(seen.sched["pid"]) == set(parents)


def test_the_states_of_a_thread_sum_to_its_life(tmp_path: Path) -> None:
    code = """
        import os, threading, time
        def work():
            end = time.monotonic() + 0.2
            while time.monotonic() < end: pass
            time.sleep(0.1)
            os.write(1, b"%d\\n" % threading.get_native_id())
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """
    seen = watch(tmp_path, code)
    assert len(seen.words) == 3
    for tid in map(int, seen.words):
        states, thread = seen.sched[seen.sched["tid"] == tid].sort_values("start_ns"), seen.thread(tid)
        ends = states["start_ns"] + states["dur_ns"]
        assert (states["start_ns"].iloc[1:].to_numpy() == ends.iloc[:-1].to_numpy()).all()
        assert (states["start_ns"].iloc[0], ends.iloc[-1]) == (thread["start_ns"], thread["end_ns"])
        # It slept at least as long as it asked to, but for what it may have waited for a CPU on its way to sleep.
        longest = states.groupby("state")["dur_ns"].max()
        assert longest["sleeping"] + longest.get("runnable", 0) >= 100_000_000
        assert states[states["state"] == "running"]["cpu"].notna().all()


def test_switches_are_those_that_the_kernel_counts(tmp_path: Path) -> None:
    code = """
        import resource, threading, time
        def work():
            for _ in range(200): time.sleep(0.0001); sum(range(2000))
            usage = resource.getrusage(resource.RUSAGE_THREAD)
            print(threading.get_native_id(), usage.ru_nvcsw, usage.ru_nivcsw, flush=True)
        thread = threading.Thread(target=work); thread.start(); thread.join()
    """
    seen = watch(tmp_path, code)
    tid, voluntary, involuntary = map(int, seen.words)
    thread = seen.thread(tid)
    # It lives on for a moment after it asked: it gives up the GIL to print, and on a busy machine it may have to make
    # way for the one that reads, and for those who wait for a CPU.
    assert voluntary <= thread["voluntary_switches"] <= voluntary * 1.01 + 3
    assert involuntary <= thread["involuntary_switches"] <= involuntary * 1.01 + 8


SPINNERS = """
import os, sys, threading, time
def spin():
    end = time.monotonic() + 0.5
    while time.monotonic() < end: pass
    # One call, or two threads' lines would run into one another.
    os.write(1, b"%d\\n" % threading.get_native_id())
threads = [threading.Thread(target=spin) for _ in range(int(sys.argv[1]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.usefixtures("has_symbols")
def test_spinning_threads_hold_the_gil_in_turn_and_wait_for_one_another(tmp_path: Path) -> None:
    seen = watch(tmp_path, SPINNERS, "3")
    spinners = set(map(int, seen.words))
    holds = seen.holds[seen.holds["tid"].isin(spinners)].dropna(subset=["start_ns"]).sort_values("start_ns")
    assert set(holds["tid"]) == spinners
    held_ns = int((holds["end_ns"] - holds["start_ns"]).sum())
    overlap = (holds["end_ns"].shift(fill_value=0) - holds["start_ns"]).clip(lower=0)
    # One has it at a time, but for the moments between entry and effect of the two functions.
    assert overlap.sum() < 0.02 * held_ns
    waits = seen.waits[(seen.waits["kind"] == "gil") & seen.waits["tid"].isin(spinners)]
    assert set(waits["tid"]) == spinners
    assert (waits["holder_tid"] != waits["tid"]).all()
    asked = waits[waits["holder_tid"].isin(spinners)]
    # Three want what one has: together they wait longer than it is held.
    assert asked["dur_ns"].sum() > held_ns
    for tid in spinners:
        thread = seen.thread(tid)
        own = waits[waits["tid"] == tid]
        assert (own["start_ns"] >= thread["start_ns"]).all()
        assert (own["start_ns"] + own["dur_ns"] <= thread["end_ns"]).all()
    assert seen.notices == []


@pytest.mark.usefixtures("has_symbols")
def test_one_thread_alone_waits_at_most_for_the_one_that_starts_it(tmp_path: Path) -> None:
    seen = watch(tmp_path, SPINNERS, "1")
    starter = seen.told[0].process["pid"]
    waits = seen.waits[seen.waits["tid"] == int(seen.words[0])]
    assert set(waits["holder_tid"].dropna()) <= {starter}
    # Each time the starter asks, the thread is made to give the GIL up once and then may wait for it once; how often
    # it asks depends on whether the lock under its event is free when it wakes.
    kinds, asked = waits["kind"].value_counts(), (seen.waits["tid"] == starter).sum()
    assert kinds.get("gil-switch", 0) <= asked
    assert kinds.get("gil", 0) <= asked + 1


@pytest.fixture
def with_subinterpreters() -> str:
    """A Python in which every subinterpreter has a GIL of its own, with symbols."""
    for version in ("3.14", "3.13", "3.12"):
        try:
            found = interpreters.inspect(version)
        except TracekitError:
            continue
        symbols = kernel.find_gil_symbols(found.executable)
        if symbols is not None and symbols.gil:
            return found.executable
    pytest.skip("needs CPython 3.12 or newer with symbols and the GIL; try: pyenv install 3.13")


def test_subinterpreters_wait_for_their_own_gil_only(tmp_path: Path, with_subinterpreters: str) -> None:
    code = """
        import sys, threading
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        def work():
            interpreters.run_string(interpreters.create(), f"import sys; sys.argv = ['', '2']\\n{sys.argv[1]}")
        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
    """
    seen = watch(tmp_path, code, SPINNERS, python=with_subinterpreters)
    spinners = set(map(int, seen.words))
    assert len(spinners) == 4
    waits = seen.waits[(seen.waits["kind"] == "gil") & seen.waits["tid"].isin(spinners)]
    by_gil = [of_gil for _, of_gil in waits.groupby("object", observed=True)]
    assert [of_gil["tid"].nunique() for of_gil in by_gil] == [2, 2]
    assert {tid for of_gil in by_gil for tid in of_gil["tid"]} == spinners
    for of_gil in by_gil:
        # At the start also the thread that made the interpreter has its GIL.
        assert set(of_gil["holder_tid"].dropna()) & spinners == set(of_gil["tid"])


@pytest.mark.usefixtures("has_symbols")
def test_threads_that_are_ended_within_take_gil_do_not_crash(tmp_path: Path) -> None:
    """Daemon threads leave take_gil by pthread_exit, which unwinds through the frame that returns into a probe."""
    code = """
        import threading, time
        def spin():
            while True: pass
        for _ in range(6): threading.Thread(target=spin, daemon=True).start()
        time.sleep(0.1)
    """
    assert len(watch(tmp_path, code).told[0].threads) == 7


def test_without_symbols_there_are_switches_and_a_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "find_gil_symbols", lambda _executable: None)
    seen = watch(tmp_path, SPINNERS, "2")
    assert [item.code for item in seen.notices] == ["kernel-no-symbols"]
    assert set(map(int, seen.words)) < set(seen.sched["tid"])
    assert seen.waits.empty


@pytest.mark.usefixtures("has_symbols")
def test_a_buffer_that_overflows_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_BUFFER_KB", 8)
    monkeypatch.setattr(kernel, "_LEAST_BUFFER_KB", 8)
    code = "import os\nfile = os.open('/dev/zero', os.O_RDONLY)\nfor _ in range(30000): os.read(file, 1)"
    seen = watch(tmp_path, code)
    assert [item.code for item in seen.notices] == ["kernel-lost"]


@pytest.mark.parametrize(("model", "start_method"), [("threads", ""), ("fork", "fork"), ("spawn", "spawn")])
def test_a_run_has_its_workers_in_every_table(tmp_path: Path, model: str, start_method: str) -> None:
    import_folder = tmp_path / "import"
    link_packages(import_folder, {name: ROOT / name for name in ("tracekit", "workloads")})
    bundle = Bundle(tmp_path / "run")
    facts = {"workload_target": "workloads.spin:WORKLOAD", "model": model, "start_method": start_method, "workers": 2}
    spec = replace(spec_of(bundle), **facts)
    with start_watchdog() as watchdog:
        outcome = run_one(spec, bundle, import_folder, machine.describe(), watchdog)
    assert outcome.status == "ok", outcome.reason
    tables = load_run(bundle)
    workers = tables.threads[tables.threads["role"] == "worker"]
    assert len(workers) == 2
    assert set(workers["tid"]) <= set(tables.sched["tid"])
    assert workers["run_queue_wait_ns"].notna().all()
    assert set(tables.sched["pid"]) == set(tables.processes["pid"])
    assert tables.processes["exit_ns"].notna().all()
