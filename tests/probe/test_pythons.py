"""The probe under every Python that is found here: whose wait for which GIL it was, and in which function."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.probe.conftest import MS, PYTHONS, SPINNERS, Watching, functions, of_kind, run, version
from tracekit.analysis.load.waits.slots import WaitsFile
from tracekit.analysis.metrics.ledger.idle import is_idle
from tracekit.bundle import waits_file
from tracekit.system.interpreters import Interpreter

LONG_HOLDS = """
import re, threading, time
pattern, text = re.compile(r"(a+)+$"), "a" * 19 + "b"
def keeps():
    print(threading.get_native_id())
    for _ in range(4):
        begin, used = time.monotonic_ns(), time.thread_time_ns()
        pattern.match(text)
        print(time.thread_time_ns() - used, begin, time.monotonic_ns())
        time.sleep(0.01)
def ticks():
    while keeper.is_alive():
        time.sleep(0.001)
keeper = threading.Thread(target=keeps)
ticker = threading.Thread(target=ticks)
keeper.start()
ticker.start()
"""

NAMES = """
import os, sys, threading, time
from pathlib import Path
def plain():
    time.sleep(0.002)
class Outer:
    class Inner:
        def method(self):
            time.sleep(0.002)
def made(name, file):
    names = {"time": time}
    exec(compile("def " + name + "():\\n\\n\\n    time.sleep(0.002)\\n", file, "exec"), names)
    return names[name]
by_lambda = lambda: time.sleep(0.002)
def generates():
    yield time.sleep(0.002)
def recurses(depth):
    return recurses(depth - 1) if depth else time.sleep(0.002)
plain()
Outer.Inner().method()
by_lambda()
list(generates())
recurses(40)
list(map(time.sleep, [0.002]))
made("größe_名前", "/tmp/ordner ü/datei_名.py")()
made("n" * 500, "/" + "p" * 1000 + "/end.py")()
made("字" * 300, "/" + "径" * 500 + "/終.py")()
for turn in range(3):
    made("same", "<one>")()
    made("same", "<two>")()
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_gil_records_of_two_spinners_fit_together(watching: Watching, python: Interpreter) -> None:
    file = run(watching, python, SPINNERS).first
    assert file.header.python is not None
    assert file.header.python[:2] == version(python)
    assert file.header.no_functions == ""
    gil = of_kind(file, "gil", waits_file.GIL_TAKE, waits_file.GIL_DROP)
    if python.free_threaded:
        assert len(gil) == 0
        assert len(of_kind(file, "lock")) > 0
        return
    assert len(np.unique(gil["object"])) == 1
    spinners = {tid for tid in np.unique(gil["tid"]).tolist() if tid != file.header.pid}
    assert len(spinners) == 2
    waits, drops = of_kind(file, "gil"), of_kind(file, waits_file.GIL_DROP)
    assert len(waits) > 20
    # Whoever waited had the GIL when the wait was over: nobody else's hold lies around that moment.
    took = np.sort(
        np.concatenate([waits["start_ns"] + waits["dur_ns"], of_kind(file, waits_file.GIL_TAKE)["start_ns"]])
    )
    dropped = np.sort(drops["start_ns"])
    held = drops[(drops["flags"] & waits_file.KNOWN) > 0]
    begins, ends = held["start_ns"] - held["dur_ns"], held["start_ns"]
    order = np.argsort(begins)
    assert (begins[order][1:] >= ends[order][:-1]).all(), "two threads held the GIL at once"
    assert np.isin(begins, took).mean() > 0.9, "a hold begins when a wait ends; few began while nobody waited"
    assert abs(len(took) - len(dropped)) <= 0.1 * len(took) + 3
    assert (waits["other"] != waits["tid"]).all(), "a thread waits for another one"
    inside = waits[np.isin(waits["tid"], list(spinners))]
    named = functions(file, inside)
    assert named.count("spins") >= 0.9 * len(named)
    named = functions(file, drops[np.isin(drops["tid"], list(spinners))])
    assert named.count("spins") >= 0.9 * len(named)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_hold_that_nobody_waited_for_at_first_is_known_whole(watching: Watching, python: Interpreter) -> None:
    """A C call keeps the GIL, which was free when the thread took it. A thread wants it only then."""
    if python.free_threaded:
        pytest.skip("a free-threaded Python has no GIL to hold; the others are tested")
    seen = run(watching, python, LONG_HOLDS)
    tid, *numbers = map(int, seen.out.split())
    drops = of_kind(seen.first, waits_file.GIL_DROP)
    drops = drops[drops["tid"] == tid]
    known = 0
    for used, begin, end in np.reshape(numbers, (4, 3)).tolist():
        held = overlap(drops["start_ns"] - drops["dur_ns"], drops["start_ns"], begin, end)
        # On a busy machine it may lose its CPU in the call, and also after it has given the GIL up. And where the other
        # thread had no CPU, nobody waited.
        assert held == 0 or 0.97 * used <= held <= end - begin
        known += held > 0
    assert known


def overlap(begins: np.ndarray[Any, Any], ends: np.ndarray[Any, Any], since: int, until: int) -> int:
    """How long these intervals lie between two stamps, ns."""
    inside = np.minimum(ends, until).astype(np.int64) - np.maximum(begins, since).astype(np.int64)
    return int(np.maximum(inside, 0).sum())


@pytest.mark.measures
@pytest.mark.parametrize("python", PYTHONS)
def test_gil_waits_and_cpu_time_make_up_a_spinners_life(watching: Watching, python: Interpreter) -> None:
    """No more than its life; what is missing is the run queue's and the machine's, which is busy with other things."""
    if python.free_threaded:
        pytest.skip("a free-threaded Python has no GIL to wait for; the others are tested")
    file = run(watching, python, SPINNERS).first
    starts, ends = of_kind(file, waits_file.THREAD_START), of_kind(file, waits_file.THREAD_END)
    assert len(starts) == 2
    for start in starts:
        [end] = ends[ends["tid"] == start["tid"]]
        life = int(end["start_ns"]) - int(start["start_ns"])
        waited = int(of_kind(file, "gil", "gil-switch", "lock")["dur_ns"][own(file, start["tid"])].sum())
        queued = int(end["object"])
        assert waited > 0.1 * life
        assert int(end["dur_ns"]) + waited <= 1.06 * life
        assert int(end["dur_ns"]) + waited + queued >= 0.5 * life


def own(file: WaitsFile, tid: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return of_kind(file, "gil", "gil-switch", "lock")["tid"] == tid


@pytest.mark.parametrize("python", PYTHONS)
def test_functions_are_named_as_the_program_names_them(watching: Watching, python: Interpreter) -> None:
    file = run(watching, python, NAMES).first
    sleeps = of_kind(file, "sleep")
    texts = [file.texts[number].split("\0") for number in sleeps["site"].tolist()]
    long = ["n" * 200, ("/" + "p" * 1000 + "/end.py")[-400:], "1"]
    qualified = version(python) >= (3, 11)
    assert [text[0] for text in texts] == [
        "plain",
        "Outer.Inner.method" if qualified else "method",
        "<lambda>",
        "generates",
        "recurses",
        "<module>",
        "größe_名前",
        long[0],
        "字" * 66,
        *["same", "same"] * 3,
    ]
    assert texts[6][1:] == ["/tmp/ordner ü/datei_名.py", "1"]
    assert texts[7] == long
    assert texts[8][1:] == ["径" * 131 + "/終.py", "1"], "400 bytes, not characters"
    assert [text[1] for text in texts[9:]] == ["<one>", "<two>"] * 3
    assert len(set(sleeps["site"].tolist())) == 11, "a function that is made anew keeps its id"
    lines = [int(text[2]) for text in texts[:6]]
    assert all(line > 0 for line in lines)
    assert all(a < b for a, b in pairwise(lines[:5])), "they are in the text in this order"


WAITING = """
import queue, threading, time
lock, condition, items, wanted = threading.Lock(), threading.Condition(), queue.Queue(), threading.Event()
def gets():
    items.get()
def waits():
    with condition:
        condition.wait(1)
def holds():
    with lock:
        while not wanted.is_set(): time.sleep(0.01)
        time.sleep(0.3)
def wants():
    while not lock.locked(): time.sleep(0.01)
    wanted.set()
    lock.acquire()
    lock.release()
threads = [threading.Thread(target=target) for target in (gets, waits, holds, wants)]
for thread in threads: thread.start()
threads[3].join()
items.put(None)
with condition: condition.notify()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_joins_queues_and_conditions_are_told_from_a_lock_of_ones_own(watching: Watching, python: Interpreter) -> None:
    """The functions by which a wait is idle, and the one in which a thread waits for another that holds a lock."""
    file = run(watching, python, WAITING).first
    locks = of_kind(file, "lock")
    # Without a GIL a thread first gives its CPU away 40 times, which beside busy processes takes most of the time.
    long = locks[locks["dur_ns"] > 20 * MS]
    names = dict(zip(long["tid"].tolist(), functions(file, long), strict=True))
    joins = "_wait_for_tstate_lock" if version(python) < (3, 13) else "join"
    assert sorted(names.values()) == sorted([joins, "wait", "wait", "wants"])
    assert names[file.header.pid] == joins
    ours = functions(file, of_kind(file, "sleep"))
    assert set(ours) <= {"holds", "wants"}
    assert "holds" in ours
    sites = dict(zip(long["tid"].tolist(), long["site"].tolist(), strict=True))
    assert sum(is_idle(*file.texts[number].split("\0")[:2]) for number in sites.values()) == 3


SUBINTERPRETERS = """
import sys, threading
try:
    import _interpreters as module
except ImportError:
    import _xxsubinterpreters as module
TEXT = '''
import threading, time
def inside():
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        sum(range(200))
threads = [threading.Thread(target=inside) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
'''
def runs():
    for turn in range(2):
        made = module.create()
        module.run_string(made, TEXT)
        module.destroy(made)
threads = [threading.Thread(target=runs) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_each_subinterpreter_has_its_own_gil(watching: Watching, python: Interpreter) -> None:
    """Two at a time, each with two spinners, made and destroyed twice: a GIL's memory may come back as another's."""
    if version(python) < (3, 12) or python.free_threaded:
        pytest.skip("subinterpreters share one GIL before Python 3.12, and have none in a free-threaded one")
    file = run(watching, python, SUBINTERPRETERS).first
    waits = of_kind(file, "gil")
    inside = waits[[name == "inside" for name in functions(file, waits)]]
    assert len(inside) > 4
    held = {
        tid: set(np.unique(inside["object"][inside["tid"] == tid]).tolist())
        for tid in np.unique(inside["tid"]).tolist()
    }
    assert all(len(gils) == 1 for gils in held.values()), "a thread inside waits for its own interpreter's GIL"
    at_once = {
        (gil, int(wait["object"]))
        for gil in np.unique(inside["object"]).tolist()
        for wait in inside[inside["object"] != gil]
        if overlaps(wait, inside[inside["object"] == gil])
    }
    assert at_once, "threads of the two interpreters wait at the same time, each for another GIL"


def overlaps(wait: np.void, others: np.ndarray[tuple[int], np.dtype[np.void]]) -> bool:
    ends = others["start_ns"] + others["dur_ns"]
    return bool(((others["start_ns"] < wait["start_ns"] + wait["dur_ns"]) & (ends > wait["start_ns"])).any())


CHILDREN = """
import os, subprocess, sys, threading, time
def child(): time.sleep(0.005)
pids = []
pid = os.fork()
if pid == 0:
    child()
    os._exit(3)
os.waitpid(pid, 0)
def forks():
    pid = os.fork()
    if pid == 0:
        child()
        os._exit(4)
    os.waitpid(pid, 0)
thread = threading.Thread(target=forks)
thread.start()
thread.join()
subprocess.run([sys.executable, "-c", "import time, sys; time.sleep(0.005); sys.exit(5)"])
subprocess.run(["/bin/sh", "-c", 'exec "$0" -c "import time; time.sleep(0.005)"', sys.executable])
subprocess.run(["/bin/true"])
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_what_a_process_is_stays_right_over_fork_and_exec(watching: Watching, python: Interpreter) -> None:
    seen = run(watching, python, CHILDREN)
    first, forked, in_thread, spawned, by_shell, true = seen.files
    for file in (forked, in_thread):
        assert file.header.python == first.header.python
        assert file.header.no_functions == first.header.no_functions == ""
        assert file.header.ended == "_exit"
        [start] = of_kind(file, waits_file.THREAD_START)
        assert start["tid"] == file.header.pid
        assert functions(file, of_kind(file, "sleep")) == ["child"]
    assert (forked.header.exit_code, in_thread.header.exit_code, spawned.header.exit_code) == (3, 4, 5)
    assert spawned.header.python == first.header.python
    assert by_shell.header.python == first.header.python, "after exec the file says what the process is now"
    assert by_shell.header.images - spawned.header.images == 1
    assert functions(by_shell, of_kind(by_shell, "sleep")) == ["<module>"]
    assert (true.header.python, true.header.no_functions) == (None, "")
    assert Path(true.header.executable).name in ("true", "coreutils", "busybox")
    assert Path(first.header.executable) == Path(os.path.realpath(python.executable))
    ended = of_kind(first, waits_file.CHILD_ENDED)
    assert {os.waitstatus_to_exitcode(int(status)) for status in ended["object"]} == {0, 3, 4, 5}


AT_THE_END = """
import os, threading, time
def forever():
    ours = os.pipe()
    while True:
        time.sleep(0.0001)
        os.write(ours[1], b"x")
        os.read(ours[0], 1)
for n in range(4):
    threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_daemon_threads_that_wait_when_python_ends(watching: Watching, python: Interpreter) -> None:
    for _ in range(3):
        seen = run(watching, python, AT_THE_END)
        for path in watching.folder.iterdir():
            path.unlink()
        assert len(of_kind(seen.first, waits_file.THREAD_END)) >= 5
        assert set(functions(seen.first, of_kind(seen.first, "sleep"))) <= {"forever", "<module>", "", "inner"}
