"""What every test may ask for: the command line as a user runs it, and one small real suite."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser import *  # noqa: F403 - fixtures for the browser tests

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--accept`: see tests/golden/conftest.py. Declared here because pytest asks only the outermost conftest."""
    parser.addoption("--accept", action="store_true", help="golden tests: write what is seen now as what is wanted")


def pytest_configure() -> None:
    """Give tests the signals of a user's shell: what is started in the background (nohup, `&`, many a CI) has some of
    them ignored, and every program that a test starts would inherit that.
    """
    for name in ("SIGHUP", "SIGQUIT"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, Any]]:
        """stdout as a JSON list of objects."""
        rows = json.loads(self.out)
        assert isinstance(rows, list)
        return rows


Tracekit = Callable[..., Said]


def run_tracekit(*words: str, cwd: Path, env: dict[str, str] | None = None, timeout: float = 240) -> Said:
    """Run `tracekit WORDS` in `cwd` without a terminal."""
    clean = {name: value for name, value in os.environ.items() if name != "TRACEKIT_HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "tracekit", *words],
        cwd=cwd,
        env={**clean, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def tracekit(tmp_path: Path) -> Tracekit:
    """The command line in an empty folder of its own."""

    def call(*words: str, cwd: Path = tmp_path, **options: Any) -> Said:
        return run_tracekit(*words, cwd=cwd, **options)

    return call


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSuite:
    """A suite that was really run, in `folder`."""

    folder: Path
    said: Said
    suite_id: str

    @property
    def root(self) -> Path:
        return self.folder / ".tracekit" / self.suite_id

    def call(self, *words: str, **options: Any) -> Said:
        """A command in the suite's folder."""
        return run_tracekit(*words, cwd=self.folder, **options)


@pytest.fixture(scope="session")
def real_suite(tmp_path_factory: pytest.TempPathFactory) -> RealSuite:
    """One suite of every model under both captures, small but real; its folder has a blank in its name."""
    folder = tmp_path_factory.mktemp("real suite")
    said = run_tracekit("run", "matmul", "--size", "small", "--runs", "5", "--workers", "1,2", "--json", cwd=folder)
    assert said.code == 0, said.err
    return RealSuite(folder=folder, said=said, suite_id=json.loads(said.out)["suite_id"])
