"""Two measurements at once: the second one waits, refuses or goes on, and says for whom."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Tracekit
from tests.real.quick import assert_two_lines
from tests.recording import until
from tracekit.core.errors import EnvironmentLacks
from tracekit.system import measuring_lock

HOLDS = "import pathlib, time\npathlib.Path('begun').touch()\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)\n"


def start(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tracekit", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A folder for locks that is this test's alone."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(runtime)}


@pytest.fixture
def holder(tmp_path: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A tracekit that measures until there is a file `go`."""
    process = start(tmp_path, "record", "--capture", "none", "--", sys.executable, "-c", HOLDS, **variables)
    until((tmp_path / "begun").exists, "the program runs")
    yield process
    (tmp_path / "go").touch()
    process.communicate(timeout=60)


RECORD = ("record", "--capture", "none", "--", "true")


def test_the_second_waits_for_the_first_and_says_so(
    tmp_path: Path, holder: subprocess.Popen[str], variables: dict[str, str]
) -> None:
    second = start(tmp_path, *RECORD, **variables)
    # The program's text has newlines.
    assert second.stderr is not None
    line = second.stderr.readline()
    assert line.startswith("waiting for tracekit record --capture none -- ")
    assert f"(process {holder.pid}), which measures here; --anyway" in line
    assert second.poll() is None
    (tmp_path / "go").touch()
    assert holder.wait(60) == 0
    _, rest = second.communicate(timeout=60)
    assert second.returncode == 0, rest
    assert "true took" in rest
    assert list((tmp_path / "runtime").iterdir()) == []


@pytest.mark.usefixtures("holder")
def test_it_refuses_or_goes_on_where_it_is_asked_to(tracekit: Tracekit, variables: dict[str, str]) -> None:
    said = tracekit("run", "spin", "--no-wait", env=variables)
    assert_two_lines(said, 3, "tracekit record --capture none", "measures here")
    assert tracekit("run", "spin", "--size", "smoke", "--dry-run", env=variables).code == 0
    for words, more in ((RECORD[1:], {}), (RECORD[1:], {"TRACEKIT_LOCK": "mine"})):
        said = tracekit("record", *(() if more else ("--anyway",)), *words, env={**variables, **more})
        assert said.code == 0, said.err
        assert "waiting" not in said.err
    assert_two_lines(tracekit(*RECORD, env={**variables, "TRACEKIT_LOCK": "../x"}), 2, "'../x' cannot name a lock")


def test_one_below_another_does_not_wait(tracekit: Tracekit, variables: dict[str, str]) -> None:
    said = tracekit(*RECORD[:-1], sys.executable, "-m", "tracekit", *RECORD, env=variables, timeout=60)
    assert said.code == 0, said.err
    assert said.err.count("took") == 2
    assert "waiting" not in said.err


def test_both_ends_of_a_pipe_are_recorded(tmp_path: Path, variables: dict[str, str]) -> None:
    """The first one writes more than the pipe holds, and would never end if the second one waited for it."""
    record = f"{sys.executable} -m tracekit record -q --capture none --"
    line = f"{record} head -c 1000000 /dev/zero | {record} wc -c"
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, timeout=60, check=True
    )
    assert int(done.stdout) == 1_000_000


@pytest.mark.usefixtures("holder")
def test_an_interrupt_ends_the_wait(tmp_path: Path, variables: dict[str, str]) -> None:
    second = start(tmp_path, *RECORD, **variables)
    assert second.stderr is not None
    second.stderr.readline()
    second.send_signal(signal.SIGINT)
    _, rest = second.communicate(timeout=60)
    assert second.returncode == 130
    assert rest.strip() == "interrupted"


def test_a_killed_holder_is_waited_for_no_longer(
    tmp_path: Path, holder: subprocess.Popen[str], tracekit: Tracekit, variables: dict[str, str]
) -> None:
    holder.kill()
    holder.wait()
    said = tracekit(*RECORD, env=variables)
    assert said.code == 0, said.err
    assert "waiting" not in said.err


def test_no_link_is_followed(tmp_path: Path, tracekit: Tracekit, variables: dict[str, str]) -> None:
    runtime, target = tmp_path / "runtime", tmp_path / "target"
    target.write_text("precious")
    (runtime / "tracekit-mine.lock").symlink_to(target)
    said = tracekit(*RECORD, env={**variables, "TRACEKIT_LOCK": "mine"})
    assert_two_lines(said, 4, "tracekit-mine.lock as a lock")
    assert target.read_text() == "precious"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for /tmp in this process, which has no runtime folder."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr(measuring_lock, "_SHARED", folder)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return folder


def list_locks(folder: Path) -> list[Path]:
    """The files below the folder while the lock is held."""
    with measuring_lock.hold_lock("tracekit run"):
        return [path for path in folder.rglob("*") if path.is_file()]


def test_without_a_runtime_folder_it_is_in_a_folder_of_ours_alone(shared: Path) -> None:
    before = os.umask(0)
    try:
        (lock,) = list_locks(shared)
    finally:
        os.umask(before)
    found = lock.parent.lstat()
    assert lock.parent == shared / f"tracekit-{os.geteuid()}"
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, os.geteuid())


@pytest.mark.parametrize("kind", ["link", "world-writable", "relative", "missing"])
def test_a_runtime_folder_that_others_could_change_is_not_used(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(0o700)
    given = runtime
    if kind == "link":
        given = tmp_path / "link"
        given.symlink_to(runtime)
    elif kind == "world-writable":
        runtime.chmod(0o1777)
    elif kind == "relative":
        monkeypatch.chdir(tmp_path)
        given = Path("runtime")
    else:
        runtime.rmdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(given))
    assert len(list_locks(shared)) == 1
    assert not runtime.exists() or not list_locks(runtime)


def test_a_shared_folder_that_is_not_ours_alone_is_refused(shared: Path, tmp_path: Path) -> None:
    ours = shared / f"tracekit-{os.geteuid()}"
    target = tmp_path / "target"
    target.mkdir()

    def assert_refused() -> None:
        with pytest.raises(EnvironmentLacks, match="is not a folder of yours alone") as refusal:
            list_locks(shared)
        assert refusal.value.exit_code == 4
        assert list(target.iterdir()) == []

    ours.symlink_to(target)
    assert_refused()
    ours.unlink()
    ours.touch()
    assert_refused()
    ours.unlink()
    ours.mkdir()
    ours.chmod(0o770)
    assert_refused()
    if os.geteuid() == 0:
        ours.chmod(0o700)
        os.chown(ours, 65534, -1)
        assert_refused()


@pytest.mark.parametrize("mode", [0o755, 0o711, 0o500])
def test_a_shared_folder_of_another_mode_is_mended(shared: Path, mode: int) -> None:
    ours = shared / f"tracekit-{os.geteuid()}"
    ours.mkdir()
    ours.chmod(mode)
    assert len(list_locks(shared)) == 1
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
