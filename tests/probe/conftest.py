"""What every test of the wait probe asks for: the library, the C programs, and running something under it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import MakeOnce, find_pythons
from tracekit.analysis.load.waits.slots import WaitsFile, read_slots
from tracekit.bundle import waits_file
from tracekit.core.errors import TracekitError
from tracekit.measure.probe import compile as probe
from tracekit.system.interpreters import Interpreter

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 120


def build(command: list[str]) -> None:
    """Run the C compiler; skip the test where there is none, or one without what is asked for (a sanitizer)."""
    try:
        compiler = probe.find_compiler()
    except probe.CannotCompile as error:
        pytest.skip(f"{error}; try: sudo apt install gcc libc6-dev")
    done = subprocess.run([*compiler, *command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0 and "cannot find" in done.stderr:
        pytest.skip(f"{compiler[0]} cannot link this: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr


def compile_once(make_once: MakeOnce, name: str, *flags: str, wanted: probe.ProbeLibrary = probe.WAITS) -> Path:
    """A probe, compiled from the sources as they are now; skip the test where it cannot be.

    `name` has no blank: LD_PRELOAD would be cut there.
    """

    def make(folder: Path) -> None:
        probe.compile_probe(folder / "probe.so", flags, wanted)

    if probe.explain_unsupported():
        pytest.skip(probe.explain_unsupported())
    try:
        return make_once(name, make) / "probe.so"
    except probe.CannotCompile as error:
        pytest.skip(f"{error}; try: sudo apt install gcc libc6-dev")


UNTIL_ASLEEP = """
def until_asleep(task):
    import time
    seen = 0
    while seen < 3:
        time.sleep(0.01)
        with open(task + "/stat", "rb") as file:
            asleep = file.read().rpartition(b")")[2].split()[0] == b"S"
        seen = seen + 1 if asleep else 0
"""
"""For programs: returns when the thread with this folder in /proc was asleep in three looks, 10 ms apart. However
late a busy machine lets it begin to wait, it has then waited for some milliseconds."""


@pytest.fixture(scope="session")
def library(make_once: MakeOnce) -> Path:
    """The wait probe."""
    return compile_once(make_once, "waits-probe")


@pytest.fixture(scope="session")
def plays(make_once: MakeOnce) -> Path:
    """plays.c, compiled."""

    def make(folder: Path) -> None:
        flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
        build([*flags, "-o", str(folder / "plays"), str(HERE / "plays.c"), "-lpthread"])

    return make_once("plays", make) / "plays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A program that ran under the probe, and the files that it left, the first process first."""

    code: int
    out: str
    err: str
    files: list[WaitsFile]

    @property
    def first(self) -> WaitsFile:
        return self.files[0]

    def of(self, pid: int) -> WaitsFile:
        return next(file for file in self.files if file.header.pid == pid)


def read_files(folder: Path) -> list[WaitsFile]:
    files = [read_slots(path) for path in folder.glob(f"*{waits_file.SUFFIX}")]
    return sorted(files, key=lambda file: file.header.monotonic_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Runs programs under the probe."""

    preload: str
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "LD_PRELOAD": self.preload, "TRACEKIT_WAITS": str(self.folder), **more}

    def start(self, *words: str | Path, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(word) for word in words],
            env=self.environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            **options,
        )

    def __call__(self, *words: str | Path, env: dict[str, str] | None = None, **options: Any) -> Watched:
        """Run to the end, which has to be a good one unless the test asks for `code`."""
        with self.start(*words, env=env, **options) as running:
            try:
                out, err = running.communicate(timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                running.kill()
                raise
        return Watched(code=running.returncode, out=out, err=err, files=read_files(self.folder))


@pytest.fixture
def watching(library: Path, tmp_path: Path) -> Watching:
    """Run something under the probe in an empty folder of its own."""
    folder = tmp_path / "waits"
    folder.mkdir()
    return Watching(preload=str(library), folder=folder)


def of_kind(file: WaitsFile, *kinds: int | str) -> np.ndarray[Any, Any]:
    """The slots of some kinds: numbers, or names of blocking intervals."""
    numbers = {name: number for number, name in waits_file.WAITS.items()}
    wanted = [numbers[kind] if isinstance(kind, str) else kind for kind in kinds]
    return file.slots[np.isin(file.slots["kind"], wanted)]


def functions(file: WaitsFile, slots: np.ndarray[Any, Any]) -> list[str]:
    """The Python functions' names of these slots, last part only; an empty one where there is none."""
    texts = [file.texts.get(number, "") for number in slots["site"].tolist()]
    return [text.split("\0")[0].rsplit(".", 1)[-1] for text in texts]


def found_pythons() -> list[Interpreter]:
    """One of each version and kind."""
    if sys.platform != "linux":
        return []
    try:
        return list({found.label: found for found in find_pythons()}.values())
    except TracekitError:
        return []


PYTHONS = [pytest.param(found, id=found.label) for found in found_pythons()]
"""The Pythons on this machine that tracekit can measure, as parameters of a test."""


MS = 1_000_000

SPINNERS = """
import threading, time
def spins():
    while time.thread_time() < 0.25:
        sum(range(200))
threads = [threading.Thread(target=spins) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def run(watching: Watching, python: Interpreter, text: str, *words: str) -> Watched:
    seen = watching(python.executable, "-W", "ignore", "-X", "utf8", "-c", text, *words)
    assert (seen.code, seen.err) == (0, "")
    assert seen.first.header.lost == 0
    return seen


def version(python: Interpreter) -> tuple[int, ...]:
    return tuple(int(part) for part in python.version.split(".")[:2])
