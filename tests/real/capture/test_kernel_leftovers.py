"""The kernel capture leaves nothing in tracefs, however a run ends; what a killed tracekit leaves, doctor removes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.real.capture.kernel_watching import leaving_nothing, mine, needs_symbols, spec_of
from tests.recording import needs, until
from tracekit.bundle.store import Bundle, Store
from tracekit.core.owner import read_start_ticks
from tracekit.doctor import clean, diagnose
from tracekit.measure.capture import load_capture
from tracekit.system import tracefs

# What others do in tracefs meanwhile is seen here.
pytestmark = pytest.mark.measures


@pytest.fixture(autouse=True)
def tracefs_root() -> Iterator[Path]:
    needs("kernel")
    yield from leaving_nothing()


def test_an_exception_leaves_nothing(tmp_path: Path, tracefs_root: Path) -> None:
    bundle = Bundle(tmp_path / "run")
    bundle.create(spec_of(bundle))

    def fail() -> None:
        with load_capture("kernel").around(spec_of(bundle), bundle):
            assert len(mine(tracefs_root)) == 1
            raise RuntimeError("somebody's mistake")

    with pytest.raises(RuntimeError, match="somebody"):
        fail()
    assert mine(tracefs_root) == []
    assert (bundle.raw / "kernel" / "meta.json").is_file()


def test_pages_that_cannot_be_written_leave_nothing(tmp_path: Path, tracefs_root: Path) -> None:
    bundle = Bundle(tmp_path / "run")
    bundle.create(spec_of(bundle))
    (bundle.raw / "kernel").mkdir()
    (bundle.raw / "kernel" / "cpu0.bin").touch()
    with pytest.raises(FileExistsError), load_capture("kernel").around(spec_of(bundle), bundle):
        pytest.fail("entered although nothing can be recorded")
    assert mine(tracefs_root) == []


OWNER = """
import os, sys, time
from pathlib import Path
from tracekit.bundle.store import Bundle
from tracekit.measure.capture import load_capture
from tracekit.measure.process.watchdog import start_watchdog
from tracekit.measure.process.launch import launch
from tests.real.capture.kernel_watching import spec_of

bundle = Bundle(Path(sys.argv[1]))
bundle.create(spec_of(bundle))
program = "import time; print(1, flush=True); time.sleep(600)"
with start_watchdog() as watchdog, watchdog.starts_here():
    with load_capture("kernel").around(spec_of(bundle), bundle):
        launch([sys.executable, "-c", program], env=os.environ, cwd=Path("/"), folder=bundle.root, timeout_s=600,
               watchdog=watchdog)
"""


def list_children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start_owner(folder: Path) -> subprocess.Popen[bytes]:
    """A tracekit whose run does not end by itself, once its program runs."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], cwd=ROOT, stderr=subprocess.DEVNULL)
    output = folder / "stdout.log"

    def program_runs() -> bool:
        runs = output.exists() and output.read_text() != ""
        assert runs or owner.poll() is None
        return runs

    until(program_runs, "the program runs")
    return owner


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_tracekit_that_is_killed_leaves_nothing(tmp_path: Path, tracefs_root: Path, number: signal.Signals) -> None:
    owner = start_owner(tmp_path / "run")
    assert len(mine(tracefs_root, owner.pid)) == 1
    owner.send_signal(number)
    owner.wait()
    until(lambda: not mine(tracefs_root, owner.pid), "nothing of it is left in tracefs")


def test_doctor_finds_and_removes_what_is_left(tmp_path: Path, tracefs_root: Path) -> None:
    needs_symbols()
    owner = start_owner(tmp_path / "run")
    (left,) = mine(tracefs_root, owner.pid)
    assert left not in tracefs.list_leftovers()
    # Somebody who looks at the same probes keeps the kernel from removing them.
    stranger = tracefs_root / "instances" / f"stranger-{os.getpid()}"
    stranger.mkdir()
    (watchdog,) = list_children(owner.pid)
    (program,) = list_children(watchdog)
    try:
        tracefs.write_setting(stranger / "events" / left.group / "enable", "1")
        # Neither of the two has time to clean up for the other.
        owner.send_signal(signal.SIGSTOP)
        os.kill(watchdog, signal.SIGKILL)
        owner.kill()
        owner.wait()
        assert (tracefs_root / "instances" / left.instance / "tracing_on").read_text().strip() == "1"
        assert left in tracefs.list_leftovers()
        (finding,) = [item for item in diagnose(Store(tmp_path)) if item.name == "leftovers"]
        assert left.instance in finding.detail
        assert finding.remedy == "tracekit doctor --clean"
        assert left.instance in clean()
        assert mine(tracefs_root, owner.pid) == []
        assert clean() == []
    finally:
        os.kill(program, signal.SIGKILL)
        stranger.rmdir()


def test_the_dead_are_told_from_the_living() -> None:
    pid = os.getpid()
    ticks = read_start_ticks(pid)
    assert ticks is not None
    assert tracefs.Owner(pid, ticks, 0).is_alive
    # The same id at another time is another process.
    assert not tracefs.Owner(pid, ticks - 1, 0).is_alive
    gone = subprocess.Popen(["/bin/true"])
    until(lambda: read_start_ticks(gone.pid) is None, "the program ended")
    # Dead already, though nobody has reaped it.
    assert Path(f"/proc/{gone.pid}").exists()
    gone.wait()
    assert not tracefs.Owner(gone.pid, 1, 0).is_alive
