"""Which functions mean idleness; and that those named exist in the interpreters that are here."""

from __future__ import annotations

import importlib

import pandas as pd
import pytest

from tracekit.analysis.metrics.ledger.idle import IDLE_FUNCTIONS, idle_waits, is_idle

LIB = "/opt/python/lib/python3.12"


@pytest.mark.parametrize(
    ("function", "file", "idle"),
    [
        ("Condition.wait", f"{LIB}/threading.py", True),
        ("wait", f"{LIB}/threading.py", True),  # before 3.11
        ("Thread._wait_for_tstate_lock", f"{LIB}/threading.py", True),
        ("_worker", f"{LIB}/concurrent/futures/thread.py", True),
        ("Connection._recv", f"{LIB}/multiprocessing/connection.py", True),
        ("EpollSelector.select", "C:\\Python312\\Lib\\selectors.py", True),
        ("Popen.wait", f"{LIB}/subprocess.py", True),
        ("Lock.acquire", f"{LIB}/threading.py", False),
        ("SemLock.__enter__", f"{LIB}/multiprocessing/synchronize.py", False),
        ("wait", "/app/my_threading.py", False),
        ("Condition.wait", "/app/threading.py.bak", False),
        ("worker", "/app/pool.py", False),  # of multiprocessing only
        ("Condition.wait", "", False),
        ("", f"{LIB}/threading.py", False),
    ],
)
def test_by_function_and_end_of_the_file(function: str, file: str, idle: bool) -> None:
    assert is_idle(function, file) is idle


def test_a_column_of_waits_with_and_without_sites() -> None:
    frame = pd.DataFrame(
        {
            "function": pd.Categorical(["Condition.wait", None, "work", "Condition.wait"]),
            "file": pd.Categorical([f"{LIB}/threading.py", None, "/app/a.py", None]),
        }
    )
    assert idle_waits(frame).tolist() == [True, False, False, False]
    assert idle_waits(frame.iloc[:0]).tolist() == []


@pytest.mark.parametrize(
    ("tail", "qualname"),
    [
        ("threading.py", "Condition.wait"),
        ("threading.py", "Event.wait"),
        ("threading.py", "Thread.join"),
        ("threading.py", "_shutdown"),
        ("queue.py", "Queue.get"),
        ("concurrent/futures/thread.py", "_worker"),
        ("concurrent/futures/process.py", "_process_worker"),
        ("concurrent/futures/process.py", "_ExecutorManagerThread.wait_result_broken_or_wakeup"),
        ("multiprocessing/connection.py", "wait"),
        ("multiprocessing/connection.py", "Connection._recv"),
        ("multiprocessing/pool.py", "worker"),
        ("multiprocessing/pool.py", "Pool._handle_results"),
        ("selectors.py", "SelectSelector.select"),
        ("asyncio/base_events.py", "BaseEventLoop._run_once"),
        ("socketserver.py", "BaseServer.serve_forever"),
        ("subprocess.py", "Popen.communicate"),
    ],
)
def test_the_names_are_those_of_the_standard_library(tail: str, qualname: str) -> None:
    found = importlib.import_module(tail.removesuffix(".py").replace("/", "."))
    for part in qualname.split("."):
        found = getattr(found, part)
    code = found.__code__  # type: ignore[attr-defined]
    assert qualname in IDLE_FUNCTIONS[tail]
    assert is_idle(code.co_qualname, code.co_filename)
    assert is_idle(code.co_name, code.co_filename)


@pytest.mark.parametrize(
    ("function", "file", "idle"),
    [
        ("Popen2IO.read", "execnet/gateway_base.py", True),
        ("Popen2IO.write", "execnet/gateway_base.py", False),
        ("Arbiter.wait_for_signals", "gunicorn/arbiter.py", True),
        ("main", "joblib/externals/loky/backend/resource_tracker.py", True),
        ("SyncWorker.wait", "app/workers/sync.py", False),
    ],
)
def test_what_serves_and_works_in_known_packages_waits_for_work(function: str, file: str, idle: bool) -> None:
    assert is_idle(function, f"/venv/lib/site-packages/{file}") is idle
