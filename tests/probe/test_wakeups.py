"""Who ended a wait for a lock, under every Python that is found here."""

from __future__ import annotations

import pytest

from tests.probe.conftest import PYTHONS, UNTIL_ASLEEP, Watching, functions, of_kind, run
from tracekit.analysis.load.waits.slots import WaitsFile
from tracekit.bundle import waits_file
from tracekit.system.interpreters import Interpreter

LOCKS = f"""{UNTIL_ASLEEP}
import os, queue, threading, time
lock, items = threading.Lock(), queue.SimpleQueue()
def keeps(kept, begun):
    with lock:
        kept.set()
        begun.wait()
        until_asleep(f"/proc/self/task/{{begun.waiter.native_id}}")
def wants():
    with lock: pass
def makes():
    until_asleep("/proc/self")
    items.put(1)
def contend():
    kept, begun = threading.Event(), threading.Event()
    keeper = threading.Thread(target=keeps, args=(kept, begun))
    wanter, maker = threading.Thread(target=wants), threading.Thread(target=makes)
    keeper.start()
    kept.wait()
    wanter.start()
    begun.waiter = wanter
    begun.set()
    wanter.join()
    maker.start()
    items.get()
    maker.join()
    print(keeper.native_id, wanter.native_id, maker.native_id, flush=True)
contend()
"""

FORKED = (
    LOCKS
    + """
waits = threading.Lock()
waits.acquire()
waiter = threading.Thread(target=waits.acquire, daemon=True)
waiter.start()
until_asleep(f"/proc/self/task/{waiter.native_id}")
if os.fork() == 0:
    contend()
    os._exit(0)
os.wait()
"""
)

TWO_LOCKS = (
    UNTIL_ASLEEP
    + """
import threading, time
first, second = threading.Lock(), threading.Lock()
def wants(lock):
    with lock: time.sleep(0.002)
first.acquire()
second.acquire()
wanters = [threading.Thread(target=wants, args=(lock,)) for lock in (first, first, second, second)]
for wanter in wanters: wanter.start()
for wanter in wanters: until_asleep(f"/proc/self/task/{wanter.native_id}")
first.release()
second.release()
for wanter in wanters: wanter.join()
print(*(wanter.native_id for wanter in wanters))
"""
)

SHARED = (
    UNTIL_ASLEEP
    + """
import multiprocessing, os, threading, time
if __name__ == "__main__":
    turn = multiprocessing.get_context("fork").Semaphore(0)
    if os.fork() == 0:
        until_asleep(f"/proc/{os.getppid()}")
        turn.release()
        os._exit(0)
    mine = threading.Timer(0.02, lambda: None)
    mine.start()
    turn.acquire()
    os.wait()
"""
)


def wakers(file: WaitsFile) -> dict[int, set[tuple[int, str]]]:
    """Waiter -> who ended its waits: thread id and function."""
    found: dict[int, set[tuple[int, str]]] = {}
    records = of_kind(file, waits_file.WAKEUP)
    for row, name in zip(records.tolist(), functions(file, records), strict=True):
        named = dict(zip(records.dtype.names or (), row, strict=True))
        found.setdefault(named["tid"], set()).add((named["other"], name))
    return found


def check_contention(file: WaitsFile, printed: str) -> None:
    keeper, wanter, maker = map(int, printed.split())
    main, found = file.header.pid, wakers(file)
    assert found[wanter] == {(keeper, "keeps")}
    by_main = {waker for waker, _ in found[main]}
    assert {wanter, maker} <= by_main
    assert (maker, "makes") in found[main]
    # A record belongs to a wait that was recorded, and lies in it.
    waits = {(row["tid"], row["start_ns"]): row["dur_ns"] for row in of_kind(file, "lock")}
    for row in of_kind(file, waits_file.WAKEUP):
        assert 1_000_000 <= row["dur_ns"] <= waits[row["tid"], row["start_ns"]]


@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_a_queue_and_a_join_have_the_thread_that_ended_the_wait(watching: Watching, python: Interpreter) -> None:
    seen = run(watching, python, LOCKS)
    check_contention(seen.first, seen.out)


@pytest.mark.parametrize("python", PYTHONS)
def test_threads_that_wait_for_one_lock_wait_for_one_object(watching: Watching, python: Interpreter) -> None:
    """Also from 3.13 on, where each of them waits on a semaphore of its own."""
    seen = run(watching, python, TWO_LOCKS)
    locks = of_kind(seen.first, "lock")
    locks = locks[locks["dur_ns"] > 5_000_000]
    # On a busy machine a thread also waits that long for a lock of the interpreter's, where it begins or ends.
    locks = locks[[name == "wants" for name in functions(seen.first, locks)]]
    objects = [set(locks["object"][locks["tid"] == int(tid)].tolist()) for tid in seen.out.split()]
    assert objects[0] == objects[1]
    assert objects[2] == objects[3]
    assert objects[0].isdisjoint(objects[2])
    assert [len(names) for names in objects] == [1, 1, 1, 1]
    # Who ended a wait has it as well.
    woken = of_kind(seen.first, waits_file.WAKEUP)
    assert {next(iter(names)) for names in objects} <= set(woken["object"].tolist())


@pytest.mark.parametrize("python", PYTHONS[-1:])
def test_a_child_that_was_forked_beside_a_waiting_thread_has_its_own(watching: Watching, python: Interpreter) -> None:
    seen = run(watching, python, FORKED)
    first, second = seen.out.splitlines()
    check_contention(seen.first, first)
    check_contention(seen.files[1], second)


@pytest.mark.parametrize("python", PYTHONS[:1])
def test_a_lock_that_other_processes_release_has_no_waker(watching: Watching, python: Interpreter) -> None:
    file = run(watching, python, SHARED).first
    shared = [row for row in of_kind(file, "lock") if row["object"] % 4096 == 0]
    assert any(row["dur_ns"] > 5_000_000 for row in shared)
    assert not any(row["object"] % 4096 == 0 for row in of_kind(file, waits_file.WAKEUP))
