"""A program that has workers and does little else: `python holding_subject.py hold|exhaust WAY JSON`.

hold      starts workers one by one and reads, for itself and all of them, memory, descriptors and threads: with each
          worker that is up, after their work, after they have collected garbage, and after they have looked at what
          the program had made before
exhaust   lowers its own limits, starts workers until it gets no more, and says how many it got and which error came

Prints one JSON object. What workers wait for are semaphores, which take no descriptor, so that those that are counted
are multiprocessing's own.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

LIMIT_S = 60.0
_INHERITED: list[list[int]] = []
"""What the program has made before it starts workers. Spawned ones have none of it."""

_MEMORY = {"Rss": "rss_bytes", "Pss": "pss_bytes"}
_PRIVATE = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
_INT_BYTES = 32 + 8
"""An int that exists for itself, and its place in a list."""
_LIST_BYTES = _INT_BYTES + 64 + 16
"""Such an int in a list of its own, which the garbage collector keeps account of."""
MOST = 300
"""So many workers at most are started until an error comes; the limits allow for far fewer."""
_ADDRESS_SPACE = 256 << 20
_DESCRIPTORS = 40
_TASKS = 24
_NOBODY = 64_000
"""Users from here on are looked at for one that has no process: root has no limit of processes."""


def worker(ready: Any, turns: Any, work_bytes: int) -> None:
    """Say that it is there; work; collect garbage; look at what was inherited; go. Waits for its turn before each."""
    ready.release()
    acts = (_work, _collect, _touch, _nothing)
    for turn, act in zip(turns, acts):
        turn.acquire()
        act(work_bytes)
        ready.release()


def _work(work_bytes: int) -> None:
    """Make so many bytes of numbers, and let them go."""
    sum(_numbers(work_bytes))


def _collect(_: int) -> None:
    """Collect garbage: it marks every object that it keeps account of, which writes to its page."""
    gc.collect()


def _touch(_: int) -> None:
    """Look at everything: each is counted as used and then as not, which writes to its page."""
    for one in _INHERITED:
        del one


def _nothing(_: int) -> None:
    """The end."""


def _numbers(count_bytes: int) -> list[int]:
    # Beyond the small numbers that exist once.
    return list(range(1000, 1000 + count_bytes // _INT_BYTES))


TURNS = ("worked", "collected", "touched", "ended")


class _Workers:
    """Workers of one kind, started one by one."""

    def __init__(self, way: str, work_bytes: int) -> None:
        self._context: Any = threading if way == "threads" else multiprocessing.get_context(way)
        self._ready = self._context.Semaphore(0)
        self._turns = [self._context.Semaphore(0) for _ in range(len(TURNS))]
        self._work_bytes = work_bytes
        self._turn = 0
        self.all: list[Any] = []

    def start(self) -> None:
        """One more, until it is there."""
        make = self._context.Thread if self._context is threading else self._context.Process
        one = make(target=worker, args=(self._ready, self._turns, self._work_bytes), daemon=True)
        one.start()
        self.all.append(one)
        self._wait(1)

    def turn(self) -> str:
        """All of them do what comes next, and are done with it. Returns what it was."""
        for _ in self.all:
            self._turns[self._turn].release()
        self._wait(len(self.all))
        self._turn += 1
        return TURNS[self._turn - 1]

    def end(self) -> None:
        """They do what is left, and go."""
        while self._turn < len(TURNS):
            self.turn()
        for one in self.all:
            one.join()

    def kill(self) -> None:
        """Whatever is left."""
        for one in self.all:
            if self._context is not threading and one.is_alive():
                one.kill()
                one.join()

    def _wait(self, count: int) -> None:
        for _ in range(count):
            if not self._ready.acquire(timeout=LIMIT_S):
                raise TimeoutError(f"a worker did nothing for {LIMIT_S:.0f} s")


def hold(way: str, workers: int, data_bytes: int, work_bytes: int, freeze: bool) -> dict[str, Any]:
    """What the family holds at each moment: a list of moments, each {"moment", "workers", ...sums}."""
    # Without a collection meanwhile, as gc.freeze's documentation advises: freed objects leave gaps that are filled
    # in the workers.
    gc.disable()
    _INHERITED.extend([number] for number in range(1000, 1000 + data_bytes // _LIST_BYTES))
    if freeze:
        gc.freeze()
    pool = _Workers(way, work_bytes)
    # The resource tracker and the fork server come with the first worker; they are part of having any.
    moments = [{"moment": "alone", "workers": 0, **family()}]
    left = limits()
    try:
        for number in range(1, workers + 1):
            pool.start()
            moments.append({"moment": "up", "workers": number, **family(pool.all)})
        for _ in TURNS[:-1]:
            moment = pool.turn()
            moments.append({"moment": moment, "workers": workers, **family(pool.all)})
        pool.end()
    finally:
        pool.kill()
    return {"moments": moments, "limits": left}


def family(workers: Sequence[Any] = ()) -> dict[str, int]:
    """Sums over this process and all that came from it; `parent_fds` of this one alone, `workers_uss_bytes` and
    `workers_rss_bytes` of those that are worker processes."""
    found = {"rss_bytes": 0, "pss_bytes": 0, "uss_bytes": 0, "fds": 0, "tasks": 0, "processes": 0}
    found.update(workers_uss_bytes=0, workers_rss_bytes=0)
    own = {one.pid for one in workers if hasattr(one, "pid")}
    for pid in descendants(os.getpid()):
        held = of_process(pid)
        for name, value in held.items():
            found[name] += value
        found["processes"] += 1
        if pid in own:
            found["workers_uss_bytes"] += held["uss_bytes"]
            found["workers_rss_bytes"] += held["rss_bytes"]
    found["parent_fds"] = len(os.listdir("/proc/self/fd"))
    return found


def of_process(pid: int) -> dict[str, int]:
    """Of one: its smaps_rollup, descriptors and threads. Raises OSError."""
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


def descendants(pid: int) -> list[int]:
    """A process and all that came from it, itself first."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # Behind the name, which may contain anything.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found = [pid]
    for known in found:
        found += parents.get(known, [])
    return found


def limits() -> dict[str, int]:
    """What there can be at most, and how much of it is left; those that there are none of are left out."""
    import resource  # noqa: PLC0415 - not there on Windows

    found = {}
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors != resource.RLIM_INFINITY:
        found["nofile"] = descriptors
        found["nofile_left"] = descriptors - len(os.listdir("/proc/self/fd"))
    tasks = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    # Of root it is not asked.
    if tasks != resource.RLIM_INFINITY and os.geteuid() != 0:
        found["nproc"] = tasks
        found["nproc_left"] = tasks - tasks_of_user(os.getuid())
    for name in ("pids", "memory"):
        most, used = _of_cgroup(name)
        if most is not None and used is not None:
            found[f"{name}_max"] = most
            found[f"{name}_left"] = most - used
    most_tasks = [_number("/proc/sys/kernel/threads-max"), _number("/proc/sys/kernel/pid_max")]
    with open("/proc/loadavg", encoding="ascii") as file:
        there_are = int(file.read().split()[3].partition("/")[2])
    found["machine_left"] = min(most for most in most_tasks if most is not None) - there_are
    with open("/proc/meminfo", encoding="ascii") as lines:
        available = next((line for line in lines if line.startswith("MemAvailable:")), "")
    if available:
        found["available_left"] = int(available.split()[1]) << 10
    return found


def tasks_of_user(uid: int) -> int:
    """Threads of all processes of a user: what RLIMIT_NPROC counts."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def _of_cgroup(name: str) -> tuple[int | None, int | None]:
    """The least that is left in this process's cgroup and those above it: (max, current); of `pids` or `memory`.

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
                # Version 1 writes a limit that there is not as 2^63 less a page.
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


def exhaust(way: str, what: str) -> dict[str, Any]:
    """Start workers inside a limit of its own until there are no more: how many there were, and the error."""
    pool = _Workers(way, 0)
    error: BaseException | None = None
    try:
        # The first one before: another user may not be allowed to read what Python imports for it.
        pool.start()
        refused = _lower(what)
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
        "errno": getattr(error, "errno", None) or 0,
        "message": str(error) if error else "",
    }


def _lower(what: str) -> str:
    """Lower one limit of this process and its children; why that is not possible, else nothing."""
    try:
        import resource  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return "this system has no limits of its own for a process"
    if what == "address-space":
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        _at_most(resource.RLIMIT_AS, used + _ADDRESS_SPACE)
    elif what == "descriptors":
        _at_most(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    else:
        if os.geteuid() == 0:
            user = next((uid for uid in range(_NOBODY, _NOBODY + 200) if not tasks_of_user(uid)), None)
            if user is None:
                return "root has no limit of processes, and no user was found that has none"
            try:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            except OSError as error:
                return f"root has no limit of processes, and cannot become another user: {error}"
        _at_most(resource.RLIMIT_NPROC, tasks_of_user(os.getuid()) + _TASKS)
    return ""


def _at_most(limit: int, wanted: int) -> None:
    """Lower a limit for good; one that is lower already stays as it is."""
    import resource  # noqa: PLC0415 - as above

    hard = resource.getrlimit(limit)[1]
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(limit, (most, most))


def main() -> None:
    # Its own group, by which whoever started it finds all that came from it.
    os.setpgid(0, 0)
    what, way = sys.argv[1:3]
    given = json.loads(sys.argv[3])
    start = time.monotonic()
    found = hold(way, **given) if what == "hold" else exhaust(way, **given)
    print(json.dumps({**found, "took_s": time.monotonic() - start}), flush=True)


if __name__ == "__main__":
    main()
