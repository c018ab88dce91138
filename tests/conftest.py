"""What every test may use: the command line as a user runs it, and suites that are made once for all of them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.browser import *  # noqa: F403 - fixtures for the browser tests
from tracekit import api
from tracekit.bundle.store import Store
from tracekit.system import interpreters

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declared here because pytest reads only the outermost conftest for options. `--accept`: see tests/golden."""
    parser.addoption("--accept", action="store_true", help="golden tests: write what is seen now as what is wanted")
    parser.addoption(
        "--thorough",
        action="store_true",
        help="also what takes long: whole suites on every Python, and every start of the claims",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with `each_python` runs on the oldest, our own and the newest Python here, and one with `other_python` on
    those but our own; with --thorough on all that are found."""
    for name in {"each_python", "other_python"} & set(metafunc.fixturenames):
        found = pythons_to_test(every=bool(metafunc.config.getoption("--thorough")))
        if name == "other_python":
            found = [item for item in found if item.version != interpreters.inspect_own().version]
        metafunc.parametrize(name, found, ids=lambda item: item.label)


@cache
def find_pythons() -> tuple[interpreters.Interpreter, ...]:
    """The Pythons that tracekit finds here, each of which is started for that: once, and not by every file of tests."""
    return tuple(interpreters.discover())


def pythons_to_test(*, every: bool) -> list[interpreters.Interpreter]:
    """Of the Pythons found here all, or the oldest, the newest, our own and those without a GIL."""
    found = find_pythons()
    by_age = sorted(found, key=lambda item: [int(part) for part in re.findall(r"\d+", item.version)])
    chosen = {by_age[0].version, by_age[-1].version, interpreters.inspect_own().version}
    return [item for item in found if every or item.free_threaded or item.version in chosen]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that measure come last: `make test` runs them alone, after the others have run in parallel. What is slow
    comes first, so that no worker is left alone with it at the end.
    """
    items.sort(
        key=lambda item: (item.get_closest_marker("measures") is not None, item.get_closest_marker("slow") is None)
    )


def pytest_configure() -> None:
    """Give tests the signals of a user's shell: what is started in the background (nohup, `&`, many a CI) has some of
    them ignored, and every program that a test starts would inherit that.
    """
    # One measuring lock for each worker of each session: they do not wait for each other, nor for the user's tracekit.
    os.environ["TRACEKIT_LOCK"] = f"test-{os.getpid()}"
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


def run_tracekit(
    *words: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    timeout: float = 240,
    code: str = "",
    group: int | None = None,
) -> Said:
    """Run `tracekit WORDS` in `cwd` without a terminal; with `code`, that Python program with these words instead."""
    clean = {name: value for name, value in os.environ.items() if name != "TRACEKIT_HOME"}
    done = subprocess.run(
        [sys.executable, *(("-c", code) if code else ("-m", "tracekit")), *words],
        cwd=cwd,
        env={**clean, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        group=group,
        check=False,
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


def read_rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows that `tracekit export latest TABLE --format json` writes in that folder, without a process for it."""
    rows = json.loads(api.export(Store(folder / ".tracekit").suites()[-1], table, "json"))
    assert isinstance(rows, list)
    return rows


@dataclass(frozen=True, slots=True)
class Tracekit:
    """The command line in `folder`."""

    folder: Path

    def __call__(self, *words: str, cwd: Path | None = None, **options: Any) -> Said:
        return run_tracekit(*words, cwd=cwd or self.folder, **options)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table of the newest suite."""
        return read_rows(self.folder, table)


@pytest.fixture
def tracekit(tmp_path: Path) -> Tracekit:
    """The command line in an empty folder of its own."""
    return Tracekit(tmp_path)


MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """`make_once(name, make)`: the folder that `make(folder)` filled, once per session for all pytest-xdist workers.

    The first worker that needs it makes it, the others wait. Tests only read it.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Each worker has a folder of its own in the session's.
        base = base.parent

    def once(name: str, make: Callable[[Path], None]) -> Path:
        folder, complete = base / name, base / f"{name}.complete"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                complete.touch()
        return folder

    return once


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

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of one of its tables."""
        return read_rows(self.folder, table)


def make_suite_once(
    make_once: MakeOnce, name: str, *words: str, then: Callable[[Path], None] = lambda _folder: None, **options: Any
) -> RealSuite:
    """The suite of `tracekit run WORDS --json`, made once in a folder of that name; `then` gets the folder."""

    def make(folder: Path) -> None:
        said = run_tracekit("run", *words, "--json", cwd=folder, **options)
        assert said.code == 0, said.err
        (folder / "said.json").write_text(json.dumps([said.out, said.err]))
        then(folder)

    folder = make_once(name, make)
    out, err = json.loads((folder / "said.json").read_text())
    return RealSuite(folder=folder, said=Said(code=0, out=out, err=err), suite_id=json.loads(out)["suite_id"])


@pytest.fixture(scope="session")
def real_suite(make_once: MakeOnce) -> RealSuite:
    """Every model with two workers, untraced and under both captures that show calls: for tests that read no times.

    Its folder has a blank in its name.
    """
    words = ("--size", "small", "--runs", "1", "--workers", "2", "--capture", "viztracer,py-spy")
    return make_suite_once(make_once, "real suite", "matmul", *words)
