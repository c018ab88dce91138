"""The program that `crash` lets go wrong: two workers of one kind, seven tasks, and one of them fails in a given way.

    python crash_subject.py POOL START_METHOD FAULT EVENTS_FILE

Every step appends a line to the file, which survives whatever happens: `name number monotonic_ns pid`. Task 0 is done
before the fault, 1 fails, 2 runs meanwhile, 3 to 6 are pending. What the program is given to do it does as a careful
user would write it: results with a time limit, pools shut down, processes joined.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures import TimeoutError as FuturesTimeoutError
from multiprocessing import connection
from typing import Any

TASKS = 7
DONE_BEFORE, FAILS, RUNS_MEANWHILE = 0, 1, 2
WORKERS = 2

LIMIT_S = 1.0
"""After that the main program gives up waiting for results."""
START_S = {"spawn": 0.6, "forkserver": 0.6}
"""How much later where workers take time to begin."""
_FAULT_AFTER_S = 0.06
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
    import ctypes  # noqa: PLC0415

    ctypes.string_at(0)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    # The signal is for the process, and another thread of it may get it first.
    time.sleep(LIMIT_S)


def hit_memory_limit() -> None:
    import resource  # noqa: PLC0415

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 31, before[1]))
    try:
        bytearray(1 << 32)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def deadlock() -> None:
    _LOCK.acquire()
    _LOCK.acquire()


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


def task(number: int) -> int:
    """What a worker does for each number."""
    say("begin", number)
    if number == FAILS:
        time.sleep(_FAULT_AFTER_S)
        say("fault", number)
        FAULTS[os.environ["TK_CRASH_FAULT"]]()
    time.sleep(_SIBLING_S if number == RUNS_MEANWHILE else _TASK_S)
    say("end", number)
    return number


def with_serial(_method: str) -> None:
    """One after the other, in the main thread."""
    for number in range(TASKS):
        try:
            task(number)
        except Exception:  # noqa: BLE001
            say("noticed", number)
        else:
            say("result", number)


def with_threads(_method: str) -> None:
    """Two bare threads that take numbers from a queue and put results into another."""
    numbers: queue.Queue[int] = queue.Queue()
    for number in range(TASKS):
        numbers.put(number)

    def work() -> None:
        while True:
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                return
            say("result", task(number))

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    limit = _limit("")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        say("limit", FAILS)
    # A thread that died said so on stderr only: what is missing is the first sign.
    say("noticed", FAILS)


def _limit(method: str) -> float:
    return time.monotonic() + LIMIT_S + START_S.get(method, 0.0)


def with_executor(pool: Executor, limit: float) -> None:
    """concurrent.futures, threads or processes."""
    futures = {pool.submit(task, number): number for number in range(TASKS)}
    try:
        for future in as_completed(futures, timeout=limit - time.monotonic()):
            try:
                say("result", future.result())
            except BaseException as error:  # noqa: BLE001 - SystemExit comes through as well
                say("noticed", futures[future])
                say(type(error).__name__, futures[future])
    except FuturesTimeoutError:
        say("limit", FAILS)
        say("noticed", FAILS)
    pool.shutdown(wait=False, cancel_futures=True)


def thread_executor(_method: str) -> None:
    with_executor(ThreadPoolExecutor(WORKERS), _limit(""))


def process_executor(method: str) -> None:
    with_executor(ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context(method)), _limit(method))


def pool(method: str) -> None:
    """multiprocessing.Pool."""
    with multiprocessing.get_context(method).Pool(WORKERS) as workers:
        found = [workers.apply_async(task, (number,)) for number in range(TASKS)]
        limit = _limit(method)
        for number, result in enumerate(found):
            try:
                say("result", result.get(max(0.0, limit - time.monotonic())))
            except multiprocessing.TimeoutError:
                say("limit", number)
                say("noticed", number)
            except BaseException:  # noqa: BLE001
                say("noticed", number)


def _work_in_process(number: int, sender: connection.Connection) -> None:
    sender.send(task(number))


def processes(method: str) -> None:
    """A bare process for each task, two at a time."""
    context: Any = multiprocessing.get_context(method)
    waiting = iter(range(TASKS))
    running: dict[Any, tuple[int, Any]] = {}
    limit = _limit(method)

    def start() -> None:
        for number in waiting:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work_in_process, args=(number, sender))
            process.start()
            sender.close()
            running[receiver] = (number, process)
            return

    for _ in range(WORKERS):
        start()
    while running:
        ready: list[Any] = connection.wait(list(running), max(0.0, limit - time.monotonic()))
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
