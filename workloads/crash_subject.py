"""The program that fails for `crash`: two workers of one kind and seven tasks, one of which fails in a given way.

    python crash_subject.py POOL START_METHOD FAULT EVENTS_FILE

Every step appends a line to the file, which survives every fault: `name number monotonic_ns pid`. Task 0 is done before
the fault, 1 fails, 2 runs meanwhile, 3 to 6 are pending. The fault waits until that is so, and the main program gives
up only when nothing has happened for a while, so that a slow machine changes little. The program is written as a
careful user would: results with a time limit, pools shut down, processes joined.
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
"""When nothing has happened for this long after the fault, the main program gives up waiting for results; on a slow
machine later, see `compute_limit`."""
_SLOW = 5
"""How many times as long as the first task took to begin nothing may happen."""
START_LIMIT_S = 20.0
"""Time within which the workers have to begin and the fault has to come."""
_LOOK_S = 0.05
"""Interval at which a main program that waits for results reads the time of the last event."""
_WATCH_S = 0.001
"""Interval at which the failing task checks whether the other tasks are where they should be."""
_SIBLING_S = 0.25
_TASK_S = 0.005

_LOCK = threading.Lock()


class UnpicklableError(Exception):
    """Cannot be unpickled: its constructor takes other arguments than it stores."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raise_exception() -> None:
    raise ValueError("a task failed")


def raise_odd() -> None:
    raise UnpicklableError("cannot be", "unpickled")


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
"""Fault -> the module that it imports, which not every Python has. It is imported before the fault is timed."""

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


def write_event(name: str, number: int) -> None:
    """Append a line; one write, so that lines of several processes do not mix."""
    line = f"{name} {number} {time.monotonic_ns()} {os.getpid()}\n"
    file = os.open(os.environ["TK_CRASH_EVENTS"], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read_all_events() -> dict[str, dict[int, int]]:
    """The events so far: name -> number -> first time, ns of CLOCK_MONOTONIC."""
    return read_events(Path(os.environ["TK_CRASH_EVENTS"]).read_text(encoding="ascii"))


def read_events(text: str) -> dict[str, dict[int, int]]:
    """The lines of the file, as `read_all_events` returns them."""
    found: dict[str, dict[int, int]] = {}
    for line in text.splitlines():
        name, number, stamp, _ = line.split()
        found.setdefault(name, {}).setdefault(int(number), int(stamp))
    return found


def quiet_since(events: dict[str, dict[int, int]]) -> float:
    """The time of the last event, seconds of CLOCK_MONOTONIC."""
    return max(stamp for of_name in events.values() for stamp in of_name.values()) / 1e9


def compute_limit(events: dict[str, dict[int, int]]) -> float:
    """How long nothing may happen, seconds. On a busy machine a worker that is started after the fault may need longer
    than LIMIT_S to begin, and giving it up would pass for a consequence of the fault.
    """
    begun = min(events.get("begin", {}).values(), default=0)
    return max(LIMIT_S, _SLOW * (begun - events["main"][0]) / 1e9)


def task(number: int, alone: bool = False) -> int:
    """The task of each number; `alone`: without another worker."""
    write_event("begin", number)
    if number == FAILS:
        fault = os.environ["TK_CRASH_FAULT"]
        if fault in NEEDS:
            importlib.import_module(NEEDS[fault])
        if not alone:
            _await_others()
        write_event("fault", number)
        FAULTS[fault]()
    time.sleep(_SIBLING_S if number == RUNS_MEANWHILE else _TASK_S)
    write_event("end", number)
    return number


def _await_others() -> None:
    """Wait until one result has arrived and the other worker runs its next task. Raises TimeoutError."""
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        events = read_all_events()
        if DONE_BEFORE in events.get("result", {}) and RUNS_MEANWHILE in events.get("begin", {}):
            return
        time.sleep(_WATCH_S)
    raise TimeoutError("the other worker did not begin")


class TimeLimit:
    """The main program's time limit: `compute_limit` after the last event, START_LIMIT_S before the fault."""

    def __init__(self) -> None:
        self._latest = time.monotonic() + START_LIMIT_S

    def left(self) -> float:
        """Seconds to wait before the next check; 0 when the limit is reached."""
        events = read_all_events()
        ends = quiet_since(events) + compute_limit(events) if "fault" in events else self._latest
        return max(0.0, min(_LOOK_S, ends - time.monotonic()))


def with_serial(_method: str) -> None:
    """One after the other, in the main thread."""
    for number in range(TASKS):
        try:
            task(number, alone=True)
        except Exception:  # noqa: BLE001 - whatever a task raises, the next one is done
            write_event("noticed", number)
        else:
            write_event("result", number)


def with_threads(_method: str) -> None:
    """Two bare threads that take numbers from a queue and append results to a list."""
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
            write_event("result", number)

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    limit = TimeLimit()
    for thread in threads:
        while thread.is_alive() and (left := limit.left()):
            thread.join(left)
    if any(thread.is_alive() for thread in threads):
        write_event("limit", FAILS)
    # A thread that fails reports that on stderr only: the missing result is the first sign.
    if FAILS not in results:
        write_event("noticed", FAILS)


def with_executor(pool: Executor) -> None:
    """concurrent.futures, threads or processes."""
    futures = {pool.submit(task, number): number for number in range(TASKS)}
    limit, waiting = TimeLimit(), set(futures)
    while waiting and (left := limit.left()):
        done, waiting = wait(waiting, left, FIRST_COMPLETED)
        for future in done:
            try:
                write_event("result", future.result())
            except BaseException as error:  # noqa: BLE001 - SystemExit comes through as well
                write_event("noticed", futures[future])
                write_event(type(error).__name__, futures[future])
    if waiting:
        write_event("limit", FAILS)
        write_event("noticed", FAILS)
    pool.shutdown(wait=False, cancel_futures=True)


def thread_executor(_method: str) -> None:
    with_executor(ThreadPoolExecutor(WORKERS))


def process_executor(method: str) -> None:
    with_executor(ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context(method)))


def pool(method: str) -> None:
    """multiprocessing.Pool."""
    with multiprocessing.get_context(method).Pool(WORKERS) as workers:
        found = [workers.apply_async(task, (number,)) for number in range(TASKS)]
        limit = TimeLimit()
        for number, result in enumerate(found):
            while not result.ready() and (left := limit.left()):
                result.wait(left)
            try:
                write_event("result", result.get(0))
            except multiprocessing.TimeoutError:
                write_event("limit", number)
                write_event("noticed", number)
            except BaseException:  # noqa: BLE001 - SystemExit comes through as well
                write_event("noticed", number)


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
            write_event("start", number)
            process.start()
            sender.close()
            running[receiver] = (number, process)
            return

    for _ in range(WORKERS):
        start()
    limit = TimeLimit()
    while running:
        left = limit.left()
        ready: list[Any] = connection.wait(list(running), left)
        if not ready and left:
            continue
        for receiver in ready or list(running):
            number, process = running.pop(receiver)
            try:
                if not ready:
                    write_event("limit", number)
                    process.terminate()
                write_event("result", receiver.recv())
            except EOFError:
                write_event("noticed", number)
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
"""Pool -> the function that runs the tasks, and its start methods."""


def cases() -> Iterator[tuple[str, str, str]]:
    """Every combination of (pool, start method, fault)."""
    for name, (_, methods) in POOLS.items():
        for method in methods:
            for fault in FAULTS:
                yield name, method, fault


def main() -> None:
    """Run the tasks under the pool of the command line."""
    name, method, fault, events = sys.argv[1:]
    os.environ.update(TK_CRASH_EVENTS=events, TK_CRASH_FAULT=fault)
    # A process group of its own, by which all its processes are found.
    os.setpgid(0, 0)
    # The measuring process may ignore it, which is inherited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The name tells whose semaphores are left: other such programs may run at the same time.
    vars(multiprocessing.current_process())["_config"]["semprefix"] = f"/tk{os.getpid()}"
    try:
        import resource  # noqa: PLC0415 - Windows has none

        # No core dumps: nothing is to be left behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except ImportError:
        pass
    write_event("main", 0)
    POOLS[name][0](method)
    write_event("survived", 0)


if __name__ == "__main__":
    main()
