"""`tracekit record` under signals, with programs that will not end and programs that leave others."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_tracekit
from tests.recording import (
    ENV,
    LIMIT_S,
    PYTHON_IN_SHELL,
    TRACEKIT,
    alive,
    needs,
    only_bundle,
    recorded,
    script,
    sleepers,
    until,
)
from tracekit.bundle.store import Store
from tracekit.measure.process import foreground
from tracekit.measure.running.captured_run import RunOutcome
from tracekit.measure.running.program_recorder import record
from tracekit.system import tracefs


@contextmanager
def in_the_background(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tracekit record WORDS` without a terminal, in a process group of its own."""
    process = subprocess.Popen(
        [*TRACEKIT, "record", *words],
        cwd=folder,
        env=ENV,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)


def line_of(process: subprocess.Popen[bytes]) -> str:
    """The next line of its stdout; empty when none comes."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], LIMIT_S)[0]:
        return ""
    return os.read(process.stdout.fileno(), 4096).decode().strip()


TELLS_SIGNALS = """
import os, signal, sys
# Waited for, not handled: a handler may miss its moment just before a sleep.
waited = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, waited)
os.write(1, b"ready")
while True:
    number = signal.sigwait(waited)
    os.write(1, signal.Signals(number).name.encode())
    if number == signal.SIGTERM:
        sys.exit(9)
"""


def test_what_is_sent_to_tracekit_is_passed_on(tmp_path: Path) -> None:
    name = script(tmp_path, TELLS_SIGNALS)
    with in_the_background(tmp_path, "--capture", "none", "--", sys.executable, name) as process:
        assert line_of(process) == "ready"
        asked = (0, 0)
        for number in ("SIGUSR1", "SIGUSR2", "SIGINT", "SIGHUP", "SIGQUIT", "SIGTERM"):
            sent_ns = time.monotonic_ns()
            process.send_signal(getattr(signal, number))
            assert line_of(process) == number
            asked = (sent_ns, time.monotonic_ns()) if number == "SIGINT" else asked
        assert process.wait(LIMIT_S) == 9
    manifest = only_bundle(tmp_path).manifest()
    assert (manifest["exit_code"], manifest["status"]) == (9, "ok")
    # SIGUSR1 and SIGUSR2 ask for something else than the end.
    assert asked[0] < manifest["asked_ns"] < asked[1]


def test_terminated_with_its_program(tmp_path: Path) -> None:
    with in_the_background(tmp_path, "--capture", "none", "--", "sleep", "600") as process:
        until(lambda: sleepers(tmp_path), "sleep runs")
        process.terminate()
        assert process.wait(LIMIT_S) == 143
    assert sleepers(tmp_path) == []
    manifest = only_bundle(tmp_path).manifest()
    assert (manifest["exit_code"], manifest["status"]) == (-15, "ok")


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    """nohup, and a job that a script put into the background."""
    code = "from signal import *; print(getsignal(SIGHUP) == SIG_IGN, getsignal(SIGUSR1) == SIG_DFL)"
    line = f'trap "" HUP; exec {shlex.join(TRACEKIT)} record -q --capture none -- {PYTHON_IN_SHELL} -c "$CODE"'
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env={**ENV, "CODE": code}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_when_tracekit_is_killed_the_program_goes_on(tmp_path: Path) -> None:
    with in_the_background(tmp_path, "--capture", "none", "--", "sleep", "600") as process:
        (sleeper,) = until(lambda: sleepers(tmp_path), "sleep runs")
        process.kill()
        process.wait(LIMIT_S)
        assert alive(sleeper.pid)
        sleeper.kill()
        said = run_tracekit("report", cwd=tmp_path)
    assert said.code == 3
    assert "no finished run" in said.err
    (suite,) = Store(tmp_path / ".tracekit").suites()
    assert suite.facts()["status"] == "interrupted"


def test_a_server_until_its_duration(tmp_path: Path) -> None:
    """http.server ends orderly on Ctrl-C, and so it does here."""
    words = ("--duration", "1", "--", sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1")
    done = recorded(tmp_path, "--capture", "none", *words)
    assert done.returncode == 0, done.stderr
    assert b"Keyboard interrupt received" in done.stdout
    bundle = only_bundle(tmp_path)
    manifest = bundle.manifest()
    assert (manifest["status"], bundle.spec().duration_s, bundle.spec().workload) == ("ok", 1.0, "http.server")
    assert manifest["started_ns"] + 1_000_000_000 <= manifest["asked_ns"] < manifest["ended_ns"]


def recorded_here(folder: Path, code: str, **options: Any) -> RunOutcome:
    """Through the facade, in this very process."""
    return record(
        [sys.executable, "-c", textwrap.dedent(code)],
        store=Store(folder / ".tracekit"),
        captures=options.pop("captures", ("none",)),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        **options,
    )


@pytest.mark.parametrize(
    ("ignored", "code", "status"),
    [((), -2, "ok"), (("SIGINT",), -15, "ok"), (("SIGINT", "SIGTERM"), -9, "killed")],
)
def test_a_program_that_does_not_want_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignored: tuple[str, ...], code: int, status: str
) -> None:
    monkeypatch.setattr(foreground, "GRACE_S", 0.3)
    lines = [f"signal.signal(signal.{name}, signal.SIG_IGN)" for name in ignored]
    found = recorded_here(
        tmp_path,
        "\n".join(["import signal, time", *lines, "time.sleep(600)"]),
        duration_s=1.0,
        stderr=subprocess.DEVNULL,
    )
    assert (found.exit_code, found.status) == (code, status)
    assert ("as it was asked to" in found.reason) == (status == "ok")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_duration_reaches_workers_as_ctrl_c_would(tmp_path: Path) -> None:
    """A pool whose tasks are long: only when its workers are interrupted as well does it end at once."""
    code = """
        import concurrent.futures, multiprocessing, os, time
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(time.sleep, [600, 600]))
    """
    found = recorded_here(tmp_path, code, duration_s=1.5, stderr=subprocess.DEVNULL)
    assert found.status == "ok"
    # By the first signal: a main process that waits for its workers would get SIGTERM next.
    assert found.exit_code in (1, -2)


def test_from_another_thread_nothing_is_held(tmp_path: Path) -> None:
    results: list[RunOutcome] = []
    thread = threading.Thread(target=lambda: results.append(recorded_here(tmp_path, "raise SystemExit(3)")))
    thread.start()
    thread.join(LIMIT_S)
    assert [(found.exit_code, found.status) for found in results] == [(3, "ok")]


def test_an_end_that_no_signal_tells_of_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A thread of numpy's gets some of the signals for this process, and drops SIGCHLD."""
    monkeypatch.setattr(signal, "sigtimedwait", lambda _numbers, seconds: time.sleep(min(seconds, LIMIT_S)))
    with foreground.hold_signals() as signals:
        result = foreground.run_in_foreground(
            ["/bin/true"], env=os.environ, folder=tmp_path, streams=foreground.StandardStreams(), signals=signals
        )
    assert result.exit_code == 0
    assert result.ended_ns - result.started_ns < LIMIT_S * 1e9, "without looking it would sleep that long"


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    out = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(out, fd)
    middle = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == middle:
        time.sleep(0.001)
    # Whoever has it now, and that one's parent.
    adopter = os.getppid()
    above = open(f"/proc/{adopter}/stat").read().rpartition(")")[2].split()[1]
    open("adopters", "w").write(f"{adopter} {above}")
    open("daemon.part", "w").write(str(os.getpid()))
    os.rename("daemon.part", "daemon")
    while not os.path.exists("go"):
        time.sleep(0.01)
    # Long after the suite is sealed: more waits, a child, and an orderly end.
    if os.fork() == 0:
        os._exit(0)
    os.wait()
    open("done", "w").write("daemon did its work")
    sys.exit(0)
while not os.path.exists("daemon"):
    time.sleep(0.01)
print("left of", os.getppid(), flush=True)
"""


@pytest.mark.parametrize("capture", ["none", "waits", "waits,viztracer", "kernel"])
def test_a_daemon_goes_on_and_the_suite_stays_as_it_was_sealed(tmp_path: Path, capture: str) -> None:
    for part in capture.split(","):
        needs(part)
    name = script(tmp_path, DAEMON)
    done = recorded(tmp_path, "--capture", capture, "--", sys.executable, name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"left of "), done.stderr
    # The watchdog, which there is under capture kernel, is a child of tracekit.
    assert done.stdout.split()[-1].decode() not in (tmp_path / "adopters").read_text().split()
    pid = int((tmp_path / "daemon").read_text())
    assert alive(pid)
    bundle = only_bundle(tmp_path)
    manifest = bundle.manifest()
    codes = [item[0] for item in manifest["notices"]]
    assert ("processes-left" in codes) == ("waits" in capture)
    if "waits" in capture:
        (left,) = [process for process in manifest["processes"] if process["pid"] == pid]
        assert (left["ended"], left["exit_code"]) == ("unknown", None)
        assert f"{pid}" in done.stderr.decode()
    (tmp_path / "go").touch()
    until(lambda: (tmp_path / "done").exists() and not alive(pid), "the daemon ended")
    assert bundle.manifest() == manifest


def test_a_killed_tracekit_leaves_nothing_in_the_kernel(tmp_path: Path) -> None:
    needs("kernel")
    with in_the_background(tmp_path, "--capture", "kernel", "--", "sleep", "600") as process:
        (sleeper,) = until(lambda: sleepers(tmp_path), "sleep runs")
        root = tracefs.find_tracefs()
        assert root is not None
        own = f"tracekit-{process.pid}-*"
        assert len(list((root / "instances").glob(own))) == 1
        process.kill()
        process.wait(LIMIT_S)
        until(lambda: not list((root / "instances").glob(own)), "the instance is gone")
        until(lambda: f"tracekit_{process.pid}_" not in (root / "uprobe_events").read_text(), "the probes are gone")
        assert alive(sleeper.pid)
        sleeper.kill()
