"""Starting a measured process and leaving nothing of it behind: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from tracekit.core.errors import EnvironmentLacks
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


def run_code(code: str, folder: Path, timeout_s: float = 60.0) -> ProcessResult:
    return launch(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ,
        cwd=Path("/"),
        folder=folder,
        timeout_s=timeout_s,
    )


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)]
)
def test_orphans_end_with_the_leader_however_it_ends(tmp_path: Path, ending: str, code: int) -> None:
    ended = launch(
        [sys.executable, "-c", FAMILY + ending], env=os.environ, cwd=Path("/"), folder=tmp_path, timeout_s=60
    )
    assert ended.exit_code == code
    assert not ended.timed_out
    pids = [int(word) for word in (tmp_path / "stdout.log").read_text().split()]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_the_timeout_ends_all_of_them(tmp_path: Path) -> None:
    code = FAMILY + "time.sleep(600)"
    ended = launch([sys.executable, "-c", code], env=os.environ, cwd=Path("/"), folder=tmp_path, timeout_s=3)
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
        launch(
            [sys.executable, "-c", FAMILY + "time.sleep(600)"],
            env=os.environ,
            cwd=Path("/"),
            folder=tmp_path,
            timeout_s=60,
            while_running=interrupt,
        )
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
    with pytest.raises(EnvironmentLacks, match="/nowhere/python"):
        launch(["/nowhere/python"], env=os.environ, cwd=Path("/"), folder=tmp_path, timeout_s=5)


def test_where_no_process_may_be_started_the_remedy_is_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RLIMIT_NPROC: neither the inspection of a Python nor a run."""

    def refuse(*_words: object, **_options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(EnvironmentLacks, match="Resource temporarily unavailable") as run:
        launch(["/usr/bin/python3"], env=os.environ, cwd=Path("/"), folder=tmp_path, timeout_s=5)
    with pytest.raises(EnvironmentLacks, match="cannot start /usr/bin/env") as inspection:
        interpreters.inspect("/usr/bin/env")
    assert {run.value.hint, inspection.value.hint} == {"ulimit -u unlimited"}


def test_without_pidfd_the_end_is_still_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert run_code("import sys; sys.exit(5)", tmp_path).exit_code == 5
    assert run_code("import time; time.sleep(600)", tmp_path, timeout_s=0.5).timed_out


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
        launch(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env=os.environ,
            cwd=Path("/"),
            folder=tmp_path,
            timeout_s=60,
            started=interrupt,
        )
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


def test_a_dead_watchdog_loses_nothing() -> None:
    with start_watchdog() as watchdog:
        watchdog._process.kill()
        watchdog._process.wait()
        watchdog.watch(1)
        watchdog.rest()


def test_the_watchdog_ends_what_an_exception_leaves() -> None:
    """As when a second Ctrl-C comes while the first one's processes are being ended."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)

    def leave_it() -> None:
        with start_watchdog() as watchdog:
            watchdog.watch(sleeper.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave_it()
    assert sleeper.wait(timeout=10) == -signal.SIGKILL
