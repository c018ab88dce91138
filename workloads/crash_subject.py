"""The program that `crash` lets go wrong: two workers of one kind, seven tasks, and one of them fails in a given way.

    python crash_subject.py POOL START_METHOD FAULT EVENTS_FILE

Every step appends a line to the file, which survives whatever happens: `name number monotonic_ns pid`. Task 0 is done
before the fault, 1 fails, 2 runs meanwhile, 3 to 6 are pending. The fault waits until that is so, and the main program
gives up only when nothing at all has happened for a while, so that a slow machine changes little. What the program is
given to do it does as a careful user would write it: results with a time limit, pools shut down, processes joined.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing import connection
from pathlib import Path
from typing import Any

TASKS = 7
DONE_BEFORE, FAILS, RUNS_MEANWHILE = 0, 1, 2
WORKERS = 2

LIMIT_S = 1.0
"""When nothing has happened for so long after the fault, the main program gives up waiting for results."""
START_LIMIT_S = 20.0
"""Within that the workers have to begin, and the fault has to come."""
_LOOK_S = 0.05
"""How often a main program that waits for results looks when something happened last."""
_WATCH_S = 0.001
"""How often the failing task looks whether the others are where they should be."""
_SIBLING_S = 0.25
_TASK_S = 0.005

_LOCK = threading.Lock()


class Odd(Exception):
    """Cannot be unpickled: what it is made of is not what it keeps."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raise_exception() -> None:
    raise ValueError("a task failed")


def raise_odd() -> None:
    raise Odd("cannot be", "unpickled")


def system_exit() -> None:
    sys.exit(3)


def leave_at_once() -> None:
    os._exit(3)


def segmentation_fault() -> None:
    import ctypes  # noqa: PLC0415 - see NEEDS

    ctypes.string_at(0)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    # The signal is for the process, and another thread of it may get it first.
    time.sleep(LIMIT_S)


def hit_memory_limit() -> None:
    import resource  # noqa: PLC0415 - see NEEDS

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 31, before[1]))
    try:
        bytearray(1 << 32)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def deadlock() -> None:
    _LOCK.acquire()
    _LOCK.acquire()


NEEDS = {"sigsegv": "ctypes", "memory-limit": "resource"}
"""What these faults import; not every Python has it. It is there before the fault, whose time it would add to."""

FAULTS: dict[str, Callable[[], None]] = {
    "exception": raise_exception,
    "odd-exception": raise_odd,
    "sys-exit": system_exit,
    "os-exit": leave_at_once,
    "sigsegv": segmentation_fault,
    "sigkill": kill,
    "sigterm": terminate,
    "memory-limit": hit_memory_limit,
    "deadlock": deadlock,
}


def say(name: str, number: int) -> None:
    """Append a line; one write, so that lines of several processes do not mix."""
    line = f"{name} {number} {time.monotonic_ns()} {os.getpid()}\n"
    file = os.open(os.environ["TK_CRASH_EVENTS"], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def said() -> dict[str, dict[int, int]]:
    """What all of them have said so far: name -> number -> when first, ns of CLOCK_MONOTONIC."""
    return read_events(Path(os.environ["TK_CRASH_EVENTS"]).read_text(encoding="ascii"))


def read_events(text: str) -> dict[str, dict[int, int]]:
    """The lines of the file, as `said` returns them."""
    found: dict[str, dict[int, int]] = {}
    for line in text.splitlines():
        name, number, stamp, _ = line.split()
        found.setdefault(name, {}).setdefault(int(number), int(stamp))
    return found


def quiet_since(events: dict[str, dict[int, int]]) -> float:
    """When the last of these things happened, seconds of CLOCK_MONOTONIC."""
    return max(stamp for of_name in events.values() for stamp in of_name.values()) / 1e9


def task(number: int, alone: bool = False) -> int:
    """What a worker does for each number; `alone`: there is no other worker."""
    say("begin", number)
    if number == FAILS:
        fault = os.environ["TK_CRASH_FAULT"]
        if fault in NEEDS:
            importlib.import_module(NEEDS[fault])
        if not alone:
            _await_others()
        say("fault", number)
        FAULTS[fault]()
    time.sleep(_SIBLING_S if number == RUNS_MEANWHILE else _TASK_S)
    say("end", number)
    return number


def _await_others() -> None:
    """Until one result has come home and the other worker is at its next task. Raises TimeoutError."""
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        events = said()
        if DONE_BEFORE in events.get("result", {}) and RUNS_MEANWHILE in events.get("begin", {}):
            return
        time.sleep(_WATCH_S)
    raise TimeoutError("the other worker did not begin")


class Limit:
    """The main program's time limit: LIMIT_S after the last thing that happened, START_LIMIT_S before the fault."""

    def __init__(self) -> None:
        self._latest = time.monotonic() + START_LIMIT_S

    def left(self) -> float:
        """Seconds to wait before asking again; 0 when it is over."""
        events = said()
        ends = quiet_since(events) + LIMIT_S if "fault" in events else self._latest
        return max(0.0, min(_LOOK_S, ends - time.monotonic()))


def with_serial(_method: str) -> None:
    """One after the other, in the main thread."""
    for number in range(TASKS):
        try:
            task(number, alone=True)
        except Exception:  # noqa: BLE001 - whatever a task raises, the next one is done
            say("noticed", number)
        else:
            say("result", number)


def with_threads(_method: str) -> None:
    """Two bare threads that take numbers from a queue and put results into a list."""
    numbers: queue.Queue[int] = queue.Queue()
    for number in range(TASKS):
        numbers.put(number)
    results: list[int] = []

    def work() -> None:
        while True:
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                return
            results.append(task(number))
            say("result", number)

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    limit = Limit()
    for thread in threads:
        while thread.is_alive() and (left := limit.left()):
            thread.join(left)
    if any(thread.is_alive() for thread in threads):
        say("limit", FAILS)
    # A thread that died said so on stderr only: that its result is missing is the first sign.
    if FAILS not in results:
        say("noticed", FAILS)


def with_executor(pool: Executor) -> None:
    """concurrent.futures, threads or processes."""
    futures = {pool.submit(task, number): number for number in range(TASKS)}
    limit, waiting = Limit(), set(futures)
    while waiting and (left := limit.left()):
        done, waiting = wait(waiting, left, FIRST_COMPLETED)
        for future in done:
            try:
                say("result", future.result())
            except BaseException as error:  # noqa: BLE001 - SystemExit comes through as well
                say("noticed", futures[future])
                say(type(error).__name__, futures[future])
    if waiting:
        say("limit", FAILS)
        say("noticed", FAILS)
    pool.shutdown(wait=False, cancel_futures=True)


def thread_executor(_method: str) -> None:
    with_executor(ThreadPoolExecutor(WORKERS))


def process_executor(method: str) -> None:
    with_executor(ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context(method)))


def pool(method: str) -> None:
    """multiprocessing.Pool."""
    with multiprocessing.get_context(method).Pool(WORKERS) as workers:
        found = [workers.apply_async(task, (number,)) for number in range(TASKS)]
        limit = Limit()
        for number, result in enumerate(found):
            while not result.ready() and (left := limit.left()):
                result.wait(left)
            try:
                say("result", result.get(0))
            except multiprocessing.TimeoutError:
                say("limit", number)
                say("noticed", number)
            except BaseException:  # noqa: BLE001 - SystemExit comes through as well
                say("noticed", number)


def _work_in_process(number: int, sender: connection.Connection) -> None:
    sender.send(task(number))


def processes(method: str) -> None:
    """A bare process for each task, two at a time."""
    context: Any = multiprocessing.get_context(method)
    waiting = iter(range(TASKS))
    running: dict[Any, tuple[int, Any]] = {}

    def start() -> None:
        for number in waiting:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work_in_process, args=(number, sender))
            say("start", number)
            process.start()
            sender.close()
            running[receiver] = (number, process)
            return

    for _ in range(WORKERS):
        start()
    limit = Limit()
    while running:
        left = limit.left()
        ready: list[Any] = connection.wait(list(running), left)
        if not ready and left:
            continue
        for receiver in ready or list(running):
            number, process = running.pop(receiver)
            try:
                if not ready:
                    say("limit", number)
                    process.terminate()
                say("result", receiver.recv())
            except EOFError:
                say("noticed", number)
            process.join()
            receiver.close()
            start()


POOLS: dict[str, tuple[Callable[[str], None], tuple[str, ...]]] = {
    "serial": (with_serial, ("",)),
    "Thread": (with_threads, ("",)),
    "ThreadPoolExecutor": (thread_executor, ("",)),
    "Process": (processes, ("fork", "spawn", "forkserver")),
    "ProcessPoolExecutor": (process_executor, ("fork", "spawn", "forkserver")),
    "Pool": (pool, ("fork", "spawn", "forkserver")),
}
"""What runs the tasks, and the start methods that it can have."""


def cases() -> Iterator[tuple[str, str, str]]:
    """(pool, start method, fault), every combination that there is."""
    for name, (_, methods) in POOLS.items():
        for method in methods:
            for fault in FAULTS:
                yield name, method, fault


def main() -> None:
    """Run the tasks under what the command line names."""
    name, method, fault, events = sys.argv[1:]
    os.environ.update(TK_CRASH_EVENTS=events, TK_CRASH_FAULT=fault)
    # A group of its own, by which all that it leaves is found.
    os.setpgid(0, 0)
    # Whoever measures may ignore it, and that is inherited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # By this name it is known whose semaphores are left: other programs of the kind run beside this one.
    vars(multiprocessing.current_process())["_config"]["semprefix"] = f"/tk{os.getpid()}"
    try:
        import resource  # noqa: PLC0415 - Windows has none

        # No core dumps: nothing is to be left behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except ImportError:
        pass
    say("main", 0)
    POOLS[name][0](method)
    say("survived", 0)


if __name__ == "__main__":
    main()
