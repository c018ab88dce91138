"""Starting a measured process and leaving nothing of it behind: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.recording import until
from tracekit.core.errors import EnvironmentLacks, RunFailed
from tracekit.measure.process.launch import ProcessResult, launch, link_packages, measured_environment
from tracekit.measure.process.watchdog import start_watchdog
from tracekit.system import interpreters

FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
grandchild = subprocess.Popen(
    [sys.executable, "-c", "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', "
     "'import time; time.sleep(600)'], stdout=subprocess.DEVNULL).pid)"], stdout=subprocess.PIPE, text=True)
print(child.pid, grandchild.communicate()[0].strip(), flush=True)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run_code(code: str, folder: Path, timeout_s: float = 60.0, **callbacks: Any) -> ProcessResult:
    with start_watchdog() as watchdog:
        return launch(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=os.environ,
            cwd=Path("/"),
            folder=folder,
            timeout_s=timeout_s,
            watchdog=watchdog,
            **callbacks,
        )


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)]
)
def test_orphans_end_with_the_leader_however_it_ends(tmp_path: Path, ending: str, code: int) -> None:
    ended = run_code(FAMILY + ending, tmp_path)
    assert ended.exit_code == code
    assert not ended.timed_out
    pids = [int(word) for word in (tmp_path / "stdout.log").read_text().split()]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_the_timeout_ends_all_of_them(tmp_path: Path) -> None:
    ended = run_code(FAMILY + "time.sleep(600)", tmp_path, timeout_s=3)
    assert ended.timed_out
    pids = [int(word) for word in (tmp_path / "stdout.log").read_text().split()]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_an_interrupt_of_the_parent_ends_all_of_them(tmp_path: Path) -> None:
    def interrupt(pid: int) -> bool:
        if (tmp_path / "stdout.log").read_text().count("\n"):
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        run_code(FAMILY + "time.sleep(600)", tmp_path, while_running=interrupt)
    assert not any(alive(int(word)) for word in (tmp_path / "stdout.log").read_text().split())


def test_the_tracker_still_removes_what_killed_processes_leave(tmp_path: Path) -> None:
    code = """
    import os, sys
    from multiprocessing import shared_memory
    segment = shared_memory.SharedMemory(create=True, size=64)
    print(segment.name, flush=True)
    os.kill(os.getpid(), 9)
    """
    run_code(code, tmp_path)
    name = (tmp_path / "stdout.log").read_text().strip()
    assert name
    limit = time.monotonic() + 5
    while Path("/dev/shm", name.lstrip("/")).exists():
        assert time.monotonic() < limit, f"{name} was left in /dev/shm"
        time.sleep(0.02)


def test_the_measured_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    monkeypatch.setenv("PYTHON_GIL", "0")
    made = measured_environment(tmp_path)
    assert "PYTHONDONTWRITEBYTECODE" not in made
    assert made["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/theirs"
    assert made["PYTHON_GIL"] == "0"


def test_only_the_linked_packages_are_importable(tmp_path: Path) -> None:
    source = tmp_path / "site" / "wanted"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("")
    (tmp_path / "site" / "unwanted.py").write_text("")
    folder = tmp_path / "import"
    link_packages(folder, {"wanted": source})
    link_packages(folder, {"wanted": source})
    assert [path.name for path in folder.iterdir()] == ["wanted"]


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with start_watchdog() as watchdog, pytest.raises(EnvironmentLacks, match="/nowhere/python"):
        launch(["/nowhere/python"], env={}, cwd=Path("/"), folder=tmp_path, timeout_s=5, watchdog=watchdog)


def test_where_no_process_may_be_started_the_remedy_is_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RLIMIT_NPROC: neither the inspection of a Python nor a run."""

    def refuse(*_words: object, **_options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(EnvironmentLacks, match="Resource temporarily unavailable") as run:
        run_code("pass", tmp_path)
    with pytest.raises(EnvironmentLacks, match="cannot start /usr/bin/env") as inspection:
        interpreters.inspect("/usr/bin/env")
    assert {run.value.hint, inspection.value.hint} == {"ulimit -u unlimited"}


def test_it_has_a_folder_for_temporary_files_that_goes_with_it(tmp_path: Path) -> None:
    run_code("import os, tempfile; print(tempfile.mkdtemp(), flush=True); os.kill(os.getpid(), 9)", tmp_path)
    left = Path((tmp_path / "stdout.log").read_text().strip())
    assert left.name
    assert not left.exists()
    assert not left.parent.exists()


def test_an_interrupt_while_it_is_being_started_ends_it(tmp_path: Path) -> None:
    """Between fork and return nobody would know of the new process."""

    def interrupt(pid: int) -> None:
        (tmp_path / "pid").write_text(str(pid))
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_code("import time; time.sleep(600)", tmp_path, started=interrupt)
    assert not alive(int((tmp_path / "pid").read_text()))


def test_members_that_start_others_meanwhile_are_all_found(tmp_path: Path) -> None:
    """A worker whose tasks call one program after another when the timeout comes."""
    code = """
    import subprocess, sys
    short = "import time; time.sleep(0.03)"
    again = f"import subprocess, sys\\nwhile True: subprocess.run([sys.executable, '-c', {short!r}])"
    workers = [subprocess.Popen([sys.executable, "-c", again], stdout=subprocess.DEVNULL) for _ in range(3)]
    print(workers[0].pid, flush=True)
    workers[0].wait()
    """
    before = {process.pid for process in psutil.process_iter()}
    assert run_code(code, tmp_path, timeout_s=2).timed_out
    left = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.pid not in before and "time.sleep(0.03)" in " ".join(process.info["cmdline"] or [])
    ]
    assert left == []


DAEMON = """
import os, subprocess, sys, time
pids = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(pids[1], str(os.getpid()).encode())
        %s
        time.sleep(600)
    os._exit(0)
os.wait()
print(os.read(pids[0], 100).decode(), flush=True)
"""
"""Leaves its session and loses its parent before the process ends."""


@pytest.mark.parametrize(
    "in_daemon",
    ["", "subprocess.Popen(['sleep', LONG], start_new_session=True)", "os.execve('/bin/sleep', ['sleep', LONG], {})"],
    ids=["alone", "with a child in a session of its own", "without its environment"],
)
@pytest.mark.parametrize(
    "ending", ["", "os.kill(os.getpid(), 9)", "time.sleep(600)"], ids=["exit", "SIGKILL", "timeout"]
)
def test_daemons_end_with_the_run(tmp_path: Path, in_daemon: str, ending: str) -> None:
    words = ["sleep", f"600.{os.getpid()}"]
    run_code(DAEMON % in_daemon.replace("LONG", repr(words[1])) + ending, tmp_path, timeout_s=1.5)
    (pid,) = map(int, (tmp_path / "stdout.log").read_text().split())
    assert not alive(pid)
    assert not [item for item in psutil.process_iter(["cmdline"]) if item.info["cmdline"] == words]


def test_who_calls_adopts_nobody(tmp_path: Path) -> None:
    """A program that uses the api has daemons of its own, which are not its children."""
    run_code("pass", tmp_path)
    with (tmp_path / "pid").open("w") as file:
        subprocess.run([sys.executable, "-c", DAEMON % ""], stdout=file, check=True)
    process = psutil.Process(int((tmp_path / "pid").read_text()))
    try:
        assert process.ppid() != os.getpid()
    finally:
        process.kill()


def test_signals_are_not_ignored_in_a_measured_process(tmp_path: Path) -> None:
    """What the watchdog ignored a measured process would inherit."""
    run_code("import signal; print([signal.getsignal(n) for n in (2, 15, 17)])", tmp_path)
    assert "SIG_IGN" not in (tmp_path / "stdout.log").read_text()


def test_without_its_watchdog_a_run_fails_and_leaves_nothing(tmp_path: Path) -> None:
    pids = []

    def kill_watchdog(pid: int) -> None:
        pids.append(pid)
        psutil.Process(psutil.Process(pid).ppid()).kill()

    with pytest.raises(RunFailed, match="watchdog"):
        run_code("import time; time.sleep(600)", tmp_path, started=kill_watchdog)
    until(lambda: not alive(pids[0]), "it is gone")


def test_the_watchdog_ends_what_an_exception_leaves(tmp_path: Path) -> None:
    """As when a second Ctrl-C comes while the first one's processes are being ended."""
    begun = []

    def leave_it() -> None:
        with start_watchdog() as watchdog:
            words = [sys.executable, "-c", "import time; time.sleep(600)"]
            for name in ("out", "err"):
                (tmp_path / name).touch()
            begun.append(watchdog.start(words, env={}, cwd=tmp_path, out=tmp_path / "out", err=tmp_path / "err").pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave_it()
    assert not alive(begun[0])
