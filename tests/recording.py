"""Recording programs in tests: the command line with its streams apart, and waiting for other processes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import ROOT
from tracekit.bundle.store import Bundle, Store
from tracekit.core.errors import CaptureUnavailable
from tracekit.measure.capture import CAPTURES, Provision
from tracekit.system import interpreters

ENV = {**{name: value for name, value in os.environ.items() if name != "TRACEKIT_HOME"}, "PYTHONPATH": str(ROOT)}
TRACEKIT = [sys.executable, "-m", "tracekit"]
PYTHON_IN_SHELL = shlex.quote(sys.executable)
"""This Python where a shell reads it: the checkout's path may have blanks."""
LIMIT_S = 60


def needs(capture: str) -> None:
    """Skip where this machine cannot do it."""
    try:
        CAPTURES.load(capture).preflight(interpreters.inspect_own(), Provision())
    except CaptureUnavailable as error:
        pytest.skip(f"{error}; try: {error.hint}")


def recorded(folder: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """`tracekit record WORDS` in `folder`, its three streams kept apart."""
    options = {"stdin": subprocess.DEVNULL, "env": ENV, "timeout": 120, **options}
    if "input" in options:
        del options["stdin"]
    return subprocess.run([*TRACEKIT, "record", *words], cwd=folder, capture_output=True, check=False, **options)


def only_bundle(folder: Path) -> Bundle:
    """The bundle of the one run in the store of `folder`."""
    (suite,) = Store(folder / ".tracekit").suites()
    (bundle,) = suite.bundles()
    return bundle


def script(folder: Path, code: str, name: str = "app.py") -> str:
    (folder / name).write_text(textwrap.dedent(code))
    return name


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait for something that another process does."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        found = holds()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not in {LIMIT_S} s: {what}")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sleepers(folder: Path) -> list[psutil.Process]:
    """Processes called sleep in that folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "sleep" and process.cwd() == str(folder):
                found.append(process)
    return found
