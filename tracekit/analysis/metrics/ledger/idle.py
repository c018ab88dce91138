"""Idle waits of a program: waiting for work, against waiting because of contention.

A workload's tasks say when there is work. A program has none, so its waits are classified by the Python function they
happen in: a wait inside the queues, joins, executors, events and event loops of the standard library, and of packages
that run servers and workers of their own, is idle, whatever user code called it. Waits for the GIL are never idle, and
sleep is its own part of the ledger.

A native thread (BLAS, OpenMP) has no function. It belongs to a pool, and its waits for locks and its polls are idle.

What the rule cannot distinguish, and how it counts it:

    Condition.wait, Event.wait, Semaphore.acquire, Barrier.wait, Future.result and Queue.put on a full queue all block
    in threading's Condition.wait: idle, also when user code calls them to wait its turn
    a Lock or RLock acquired in user code blocks in that code: a lock wait, also when it is used as a signal
    multiprocessing's Queue.get takes a lock shared with the other readers first, in SemLock.__enter__, which is also
    the user's own multiprocessing.Lock: a lock wait, also for the readers that only wait for an item

Functions are matched by the end of their file's path and their qualified name; CPython before 3.11 has only the bare
name.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tracekit.analysis.metrics.interval_timeline import Bools

IDLE_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "threading.py": (
        "Condition.wait",
        "Condition.wait_for",
        "Event.wait",
        "Thread.join",
        "Thread._wait_for_tstate_lock",
        "_shutdown",
    ),
    "queue.py": ("Queue.get", "Queue.join", "_PySimpleQueue.get"),
    "concurrent/futures/_base.py": ("wait", "as_completed", "Future.result", "Future.exception"),
    "concurrent/futures/thread.py": ("_worker", "ThreadPoolExecutor.shutdown"),
    "concurrent/futures/process.py": (
        "_process_worker",
        "_ExecutorManagerThread.run",
        "_ExecutorManagerThread.wait_result_broken_or_wakeup",
        "_queue_management_worker",
        "ProcessPoolExecutor.shutdown",
    ),
    "multiprocessing/connection.py": (
        "wait",
        "Connection._recv",
        "Connection._recv_bytes",
        "Connection._poll",
        "SocketListener.accept",
    ),
    "multiprocessing/queues.py": ("Queue.get", "Queue._feed", "SimpleQueue.get", "JoinableQueue.join"),
    "multiprocessing/synchronize.py": ("Condition.wait", "Condition.wait_for", "Event.wait"),
    "multiprocessing/pool.py": (
        "worker",
        "ApplyResult.wait",
        "Pool._handle_workers",
        "Pool._handle_tasks",
        "Pool._handle_results",
        "Pool._wait_for_updates",
    ),
    "multiprocessing/process.py": ("BaseProcess.join",),
    "multiprocessing/popen_fork.py": ("Popen.poll", "Popen.wait"),
    "multiprocessing/popen_forkserver.py": ("Popen.poll", "Popen.wait"),
    "multiprocessing/forkserver.py": ("main",),
    "multiprocessing/resource_tracker.py": ("main",),
    "multiprocessing/managers.py": ("Server.serve_forever", "Server.accepter", "Server.serve_client"),
    "selectors.py": (
        "SelectSelector.select",
        "SelectSelector._select",
        "_PollLikeSelector.select",
        "PollSelector.select",
        "EpollSelector.select",
        "DevpollSelector.select",
        "KqueueSelector.select",
    ),
    "asyncio/base_events.py": ("BaseEventLoop._run_once",),
    "socket.py": ("socket.accept",),
    "socketserver.py": ("BaseServer.serve_forever", "BaseServer.handle_request", "TCPServer.get_request"),
    "subprocess.py": ("Popen.wait", "Popen._wait", "Popen._try_wait", "Popen.communicate", "Popen._communicate"),
}
"""End of the file's path -> qualified names of the functions in which a wait is idle, of CPython 3.9 to 3.15."""

_OF_PACKAGES: dict[str, tuple[str, ...]] = {
    "billiard/connection.py": ("Connection._recv", "_poll", "wait"),
    "billiard/popen_fork.py": ("Popen.poll",),
    "execnet/gateway_base.py": ("Popen2IO.read",),
    "gunicorn/arbiter.py": ("Arbiter.wait_for_signals", "Arbiter.sleep"),
    "gunicorn/workers/sync.py": ("SyncWorker.wait",),
    "loky/backend/popen_loky_posix.py": ("Popen.poll",),
    "loky/backend/queues.py": ("Queue._feed",),
    "loky/backend/resource_tracker.py": ("main",),
}
"""The same of Celery's pool, pytest-xdist's messages, gunicorn and joblib's processes."""
_KNOWN = IDLE_FUNCTIONS | _OF_PACKAGES

RULE = (
    "idle: waits in queues, joins, executors, events and event loops of the standard library (and of billiard, "
    "execnet, gunicorn and loky), by function; of a native thread all time that it neither ran nor waited for a CPU, "
    "I/O, a sleep or a child"
)
"""The remark in a row of the metrics table."""


def is_idle(function: str, file: str) -> bool:
    """Whether a wait in this function of this file is idle."""
    parts = file.replace("\\", "/").split("/")
    names = next((_KNOWN[tail] for tail in _tails(parts) if tail in _KNOWN), ())
    # Before 3.11 there is no qualified name; `<locals>` and the like never match.
    return any(name == function or ("." not in function and name.endswith(f".{function}")) for name in names)


def idle_waits(waits: pd.DataFrame) -> Bools:
    """Which rows of the table `waits` are idle; a wait without a function is not."""
    places = waits["function"].astype("str").fillna("") + "\0" + waits["file"].astype("str").fillna("")
    codes, names = pd.factorize(places)
    verdicts = [bool(name) and is_idle(*str(name).split("\0", 1)) for name in names]
    found: Bools = np.array([*verdicts, False], dtype=np.bool_)[codes]
    return found


def rests_in_pool(waits: pd.DataFrame) -> Bools:
    """Which rows of the table `waits` are idle if their thread is native."""
    found: Bools = waits["kind"].isin(("lock", "poll")).to_numpy(bool)
    return found


def _tails(parts: list[str]) -> list[str]:
    return ["/".join(parts[-count:]) for count in (3, 2, 1) if count <= len(parts)]
