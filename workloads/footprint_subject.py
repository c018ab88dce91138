"""A program that starts workers and does little else: `python footprint_subject.py measure|exhaust START_METHOD JSON`.

measure   starts workers one by one and reads memory, descriptors and threads of itself and all of them: after each
          start, after their work, after their garbage collection, and after they have read the data that the program
          made before
exhaust   lowers one of its own limits, starts workers until it gets no more, and reports their number and the error

Prints one JSON object. Workers wait for semaphores, which take no descriptor, so that the descriptors counted are
multiprocessing's own.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

LIMIT_S = 60.0
_INHERITED: list[list[int]] = []
"""The data that the program makes before it starts workers. Spawned workers have none of it."""

_MEMORY = {"Rss": "rss_bytes", "Pss": "pss_bytes"}
_PRIVATE = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
_INT_BYTES = 32 + 8
"""An int object, and its slot in a list."""
_LIST_BYTES = _INT_BYTES + 64 + 16
"""Such an int in a list of its own, which the garbage collector tracks."""
MOST = 300
"""The most workers that are started until an error comes; the limits allow for far fewer."""
_ADDRESS_SPACE = 256 << 20
_DESCRIPTORS = 40
_TASKS = 24
_NOBODY = 64_000
"""The first user id that is tried for a user without processes: root has no limit of processes."""


def worker(ready: Any, turns: Any, work_bytes: int) -> None:
    """Report the start; then work, collect garbage, read the inherited data and end, each when its turn comes."""
    ready.release()
    acts = (_work, _collect, _touch, _nothing)
    for turn, act in zip(turns, acts):
        turn.acquire()
        act(work_bytes)
        ready.release()


def _work(work_bytes: int) -> None:
    """Make that many bytes of numbers, and free them."""
    sum(_numbers(work_bytes))


def _collect(_: int) -> None:
    """Collect garbage: that marks every tracked object, which writes to its page."""
    gc.collect()


def _touch(_: int) -> None:
    """Read every inherited object: its reference count goes up and down, which writes to its page."""
    for one in _INHERITED:
        del one


def _nothing(_: int) -> None:
    """The last turn: the worker returns."""


def _numbers(count_bytes: int) -> list[int]:
    # Beyond the small numbers that exist once.
    return list(range(1000, 1000 + count_bytes // _INT_BYTES))


TURNS = ("worked", "collected", "touched", "ended")


class _SubjectWorkers:
    """Workers of one start method, started one by one."""

    def __init__(self, start_method: str, work_bytes: int) -> None:
        threads = start_method == "threads"
        self._context: Any = threading if threads else multiprocessing.get_context(start_method)
        self._ready = self._context.Semaphore(0)
        self._turns = [self._context.Semaphore(0) for _ in range(len(TURNS))]
        self._work_bytes = work_bytes
        self._turn = 0
        self.all: list[Any] = []

    def start(self) -> None:
        """Start one more worker and wait until it runs."""
        make = self._context.Thread if self._context is threading else self._context.Process
        one = make(target=worker, args=(self._ready, self._turns, self._work_bytes), daemon=True)
        one.start()
        self.all.append(one)
        self._wait(1)

    def turn(self) -> str:
        """Let all workers do their next step and wait for them. Returns the step's name."""
        for _ in self.all:
            self._turns[self._turn].release()
        self._wait(len(self.all))
        self._turn += 1
        return TURNS[self._turn - 1]

    def end(self) -> None:
        """Let the workers do the remaining steps and join them."""
        while self._turn < len(TURNS):
            self.turn()
        for one in self.all:
            one.join()

    def kill(self) -> None:
        """Kill the worker processes that are left."""
        for one in self.all:
            if self._context is not threading and one.is_alive():
                one.kill()
                one.join()

    def _wait(self, count: int) -> None:
        for _ in range(count):
            if not self._ready.acquire(timeout=LIMIT_S):
                raise TimeoutError(f"a worker did not answer for {LIMIT_S:.0f} s")


def measure(start_method: str, workers: int, data_bytes: int, work_bytes: int, freeze: bool) -> dict[str, Any]:
    """The figures of this process and its descendants in each phase.

    Returns {"phases": [{"phase", "workers", and the sums of read_family}, ...], "limits": as read_limits}.
    """
    # Without a collection meanwhile, as gc.freeze's documentation advises: freed objects leave gaps that are filled
    # in the workers.
    gc.disable()
    _INHERITED.extend([number] for number in range(1000, 1000 + data_bytes // _LIST_BYTES))
    if freeze:
        gc.freeze()
    pool = _SubjectWorkers(start_method, work_bytes)
    # The resource tracker and the fork server come with the first worker; they are part of having any.
    phases = [{"phase": "alone", "workers": 0, **read_family()}]
    limits = read_limits()
    try:
        for number in range(1, workers + 1):
            pool.start()
            phases.append({"phase": "up", "workers": number, **read_family(pool.all)})
        for _ in TURNS[:-1]:
            phase = pool.turn()
            phases.append({"phase": phase, "workers": workers, **read_family(pool.all)})
        pool.end()
    finally:
        pool.kill()
    return {"phases": phases, "limits": limits}


def read_family(workers: Sequence[Any] = ()) -> dict[str, int]:
    """Sums over this process and its descendants; `parent_fds` is of this process alone, `workers_uss_bytes` and
    `workers_rss_bytes` are of the worker processes."""
    found = {"rss_bytes": 0, "pss_bytes": 0, "uss_bytes": 0, "fds": 0, "tasks": 0, "processes": 0}
    found.update(workers_uss_bytes=0, workers_rss_bytes=0)
    own = {one.pid for one in workers if hasattr(one, "pid")}
    for pid in find_descendants(os.getpid()):
        held = read_process(pid)
        for name, value in held.items():
            found[name] += value
        found["processes"] += 1
        if pid in own:
            found["workers_uss_bytes"] += held["uss_bytes"]
            found["workers_rss_bytes"] += held["rss_bytes"]
    found["parent_fds"] = len(os.listdir("/proc/self/fd"))
    return found


def read_process(pid: int) -> dict[str, int]:
    """Memory of one process by its smaps_rollup, and its descriptors and threads. Raises OSError."""
    found = {"rss_bytes": 0, "pss_bytes": 0, "uss_bytes": 0}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name in _MEMORY:
                found[_MEMORY[name]] = int(value.split()[0]) << 10
            elif name in _PRIVATE:
                found["uss_bytes"] += int(value.split()[0]) << 10
    found["fds"] = len(os.listdir(f"/proc/{pid}/fd"))
    found["tasks"] = len(os.listdir(f"/proc/{pid}/task"))
    return found


def find_descendants(pid: int) -> list[int]:
    """The process and its descendants, itself first."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # After the name, which may contain anything.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found = [pid]
    for known in found:
        found += parents.get(known, [])
    return found


def read_limits() -> dict[str, int]:
    """The system's limits and what is left of each, as `<limit>_left`; a limit that does not exist is left out."""
    import resource  # noqa: PLC0415 - not there on Windows

    found = {}
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors != resource.RLIM_INFINITY:
        found["nofile"] = descriptors
        found["nofile_left"] = descriptors - len(os.listdir("/proc/self/fd"))
    tasks = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    # It does not apply to root.
    if tasks != resource.RLIM_INFINITY and os.geteuid() != 0:
        found["nproc"] = tasks
        found["nproc_left"] = tasks - count_user_tasks(os.getuid())
    for name in ("pids", "memory"):
        most, used = _cgroup_limit(name)
        if most is not None and used is not None:
            found[f"{name}_max"] = most
            found[f"{name}_left"] = most - used
    most_tasks = [_number("/proc/sys/kernel/threads-max"), _number("/proc/sys/kernel/pid_max")]
    with open("/proc/loadavg", encoding="ascii") as file:
        tasks_now = int(file.read().split()[3].partition("/")[2])
    found["machine_left"] = min(most for most in most_tasks if most is not None) - tasks_now
    with open("/proc/meminfo", encoding="ascii") as lines:
        available = next((line for line in lines if line.startswith("MemAvailable:")), "")
    if available:
        found["available_left"] = int(available.split()[1]) << 10
    return found


def count_user_tasks(uid: int) -> int:
    """Threads of all processes of a user, which RLIMIT_NPROC limits."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def _cgroup_limit(name: str) -> tuple[int | None, int | None]:
    """(max, current) of `pids` or `memory` in the cgroup, of this process's and those above it, that has least left.

    Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/pids.rst, memory.rst.
    """
    files = {"pids": ("pids.max", "pids.current"), "memory": ("memory.max", "memory.current")}
    before = {"pids": files["pids"], "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}
    least: tuple[int | None, int | None] = (None, None)
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        for line in lines:
            _, controllers, inside = line.rstrip("\n").split(":", 2)
            if controllers and name not in controllers.split(","):
                continue
            root = f"/sys/fs/cgroup/{controllers}".rstrip("/")
            names = before[name] if controllers else files[name]
            path = inside.strip("/")
            while True:
                most, used = (_number(f"{root}/{path}/{file}") for file in names)
                left = None if most is None or used is None else most - used
                # Version 1 writes "no limit" as 2^63 less a page.
                if left is not None and most is not None and most < 1 << 62:
                    known = None if least[0] is None or least[1] is None else least[0] - least[1]
                    least = (most, used) if known is None or left < known else least
                if not path:
                    break
                path = path.rpartition("/")[0]
    return least


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def exhaust(start_method: str, limit: str) -> dict[str, Any]:
    """Lower a limit and start workers until an error comes: their number and the error, or why it was `skipped`."""
    pool = _SubjectWorkers(start_method, 0)
    error: BaseException | None = None
    try:
        # The first worker starts before: the other user may not be allowed to read the files that Python imports.
        pool.start()
        refused = _lower(limit)
        while not refused and len(pool.all) < MOST:
            try:
                pool.start()
            except (OSError, RuntimeError, MemoryError) as raised:
                error = raised
                break
        pool.end()
    finally:
        pool.kill()
    if refused:
        return {"skipped": refused}
    return {
        "started": len(pool.all),
        "type": type(error).__name__ if error else "",
        "message": str(error) if error else "",
    }


def _lower(limit: str) -> str:
    """Lower one limit of this process and its children. Returns why that is not possible, else an empty string."""
    try:
        import resource  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return "this system has no resource limits for a process"
    if limit == "address-space":
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        _at_most(resource.RLIMIT_AS, used + _ADDRESS_SPACE)
    elif limit == "descriptors":
        _at_most(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    else:
        if os.geteuid() == 0:
            user = next((uid for uid in range(_NOBODY, _NOBODY + 200) if not count_user_tasks(uid)), None)
            if user is None:
                return "root has no limit of processes, and no user without processes was found"
            try:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            except OSError as error:
                return f"root has no limit of processes, and cannot become another user: {error}"
        _at_most(resource.RLIMIT_NPROC, count_user_tasks(os.getuid()) + _TASKS)
    return ""


def _at_most(limit: int, wanted: int) -> None:
    """Lower a limit for good; a limit that is lower already stays."""
    import resource  # noqa: PLC0415 - as above

    hard = resource.getrlimit(limit)[1]
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(limit, (most, most))


def main() -> None:
    """Run the command of the command line and print its result."""
    # A process group of its own, by which the workload finds all its processes.
    os.setpgid(0, 0)
    command, start_method = sys.argv[1:3]
    options = json.loads(sys.argv[3])
    found = measure(start_method, **options) if command == "measure" else exhaust(start_method, **options)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
