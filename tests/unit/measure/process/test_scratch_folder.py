"""Scratch folders of a process that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.recording import ENV, until

_KILLED = """
import os, signal
from tracekit.measure.process.watchdog import make_scratch_folder
with make_scratch_folder() as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_goes_when_its_owner_is_killed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED], env={**ENV, "TMPDIR": str(tmp_path)}, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert Path(done.stdout.decode().strip()).parent == tmp_path
    until(lambda: not list(tmp_path.iterdir()), "the folder is gone")
