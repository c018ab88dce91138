"""Runs well-known programs of PyPI plain and under `tracekit record`, and compares: `make programs`.

A program is right when its stdout and its exit code are those of the plain run, and it leaves no process and no file
that the plain run does not leave. Two plain runs say how exactly its stdout can be compared at all.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.real.leftovers import processes_with
from tests.recording import TRACEKIT

PROGRAMS = ROOT / "tests" / "programs"
LIMIT_S = 600
MARK = "TRACEKIT_PROGRAM"


@dataclass(frozen=True, slots=True)
class Program:
    """The words after `python` that run it in a copy of tests/programs, the other packages that it needs, and the exit
    code that it has when it did its work."""

    words: str
    needs: tuple[str, ...] = ()
    code: int = 0


KNOWN = {
    "pytest": Program("-m pytest -p no:cacheprovider suite_of_tests.py", code=1),
    "gunicorn": Program("served.py s {python} -m gunicorn -w 2 -b unix:s wsgi:app"),
    "uvicorn": Program("served.py s {python} -m uvicorn --uds s asgi:plain", needs=("fastapi",), code=241),
    "fastapi": Program("served.py s {python} -m uvicorn --uds s --workers 2 asgi:app", needs=("uvicorn",)),
    "celery": Program("queued.py"),
    "django": Program("web_project.py test --parallel 2"),
    "flask": Program("pages.py", needs=("requests",)),
    "requests": Program("fetching.py"),
    "aiohttp": Program("talking.py"),
    "uvloop": Program("looping.py"),
    "gevent": Program("greenlets.py"),
    "scrapy": Program("-m scrapy runspider spider.py"),
    "dask": Program("delayed.py"),
    "joblib": Program("parallel.py"),
    "luigi": Program("pipeline.py"),
    "numpy": Program("arrays.py"),
    "pandas": Program("frames.py"),
    "scikit-learn": Program("learning.py"),
    "sqlalchemy": Program("tables.py"),
    "black": Program("-m black --check --workers 2 .", code=1),
    "mypy": Program("-m mypy --cache-dir=/dev/null wrongly_typed.py", code=1),
    "sphinx": Program("-m sphinx -q -C -b text -j 2 -D root_doc=documented . out"),
}
"""By the package that each is about. 241: the server's own end is SIGTERM, -15."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave and left."""

    code: int
    out: str
    left: frozenset[str]
    seconds: float = 0.0


def _hide_numbers(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "#", text)


def _hide_ids(path: str) -> str:
    """Numbers and the parts of a UUID differ from run to run."""
    return re.sub(r"[0-9a-f]{4,}|\d+", "#", path)


WAYS: dict[str, Callable[[str], str]] = {
    "exact": str,
    "but numbers": _hide_numbers,
    "but numbers and order": lambda text: "\n".join(sorted(_hide_numbers(text).splitlines())),
}
"""How two runs' stdouts may be compared, the strictest first."""


def compare(first: Outcome, second: Outcome, recorded: Outcome, code: int = 0) -> tuple[str, list[str]]:
    """How stdout was compared, and what differs between two plain runs and the recorded one.

    Plain runs that do not end with `code` did not do their work, and show nothing.
    """
    faults = [f"a plain run ends with {item.code}, not {code}" for item in (first, second) if item.code != code][:1]
    way = next((name for name, show in WAYS.items() if show(first.out) == show(second.out)), "")
    if not way:
        faults.append("two plain runs differ")
    elif WAYS[way](recorded.out) != WAYS[way](first.out):
        faults.append("stdout differs")
    if recorded.code not in {first.code, second.code}:
        faults.append(f"exit code {recorded.code}, not {first.code}")
    if more := sorted(recorded.left - first.left - second.left):
        faults.append(f"left {', '.join(more[:3])}")
    return way, faults


def run(words: Sequence[str], folder: Path, patience_s: float = 10) -> Outcome:
    """Run a command in a fresh copy of the programs, with a temporary folder of its own. What still runs after
    `patience_s` seconds is left, and ended.
    """
    shutil.copytree(PROGRAMS, folder / "work", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tmp").mkdir()
    mark = f"{folder.name}-{time.monotonic_ns()}"
    # No bytecode: the copies are new each time, and the first run would pay for all. A lock of its own: waiting for
    # another tracekit would stand in the time of the recorded run.
    own = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder / "tmp"), MARK: mark}
    own["TRACEKIT_LOCK"] = "programs"
    begun = time.monotonic()
    try:
        # Into a file: a process that is left would keep a pipe open.
        with (folder / "out").open("w+", errors="replace") as out:
            done = subprocess.run(
                words,
                cwd=folder / "work",
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
                timeout=LIMIT_S,
                check=False,
            )
            seconds = time.monotonic() - begun
            out.seek(0)
            text = out.read().replace(str(folder), "")
        # A resource tracker ends a moment after its process.
        limit = time.monotonic() + patience_s
        while (alive := processes_with(f"{MARK}={mark}")) and time.monotonic() < limit:
            time.sleep(0.1)
        files = [path for path in folder.rglob("*") if not path.is_dir() and "__pycache__" not in path.parts]
        left = {_hide_ids(str(path.relative_to(folder))) for path in files} | {f"process {pid}" for pid in alive}
    finally:
        for pid in processes_with(f"{MARK}={mark}"):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        shutil.rmtree(folder)
        folder.mkdir()
    return Outcome(done.returncode, text, frozenset(left), seconds)


def check(
    words: Sequence[str], store: Path, folder: Path, captures: str, code: int
) -> tuple[str, list[str], Sequence[Outcome]]:
    """Run it plain, recorded and plain again."""
    record = [*TRACEKIT, "record", "--capture", captures, "--store", str(store), "--quiet", "--", *words]
    runs = []
    for command in (words, record, words):
        try:
            runs.append(run(command, folder))
        except subprocess.TimeoutExpired:
            return "", [f"not done after {LIMIT_S} s{' under tracekit' if command is record else ''}"], runs
    first, recorded, second = runs
    return (*compare(first, second, recorded, code), runs)


def make_venv(folder: Path, names: Sequence[str]) -> Path:
    """A new venv with what these programs need; prints the versions of the packages that they are about."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    packages = dict.fromkeys(package for name in names for package in (name, *KNOWN[name].needs))
    sys.stderr.write(f"installing {len(packages)} packages in a venv\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    found = subprocess.run([python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True)
    versions = dict(line.lower().split("==") for line in found.stdout.splitlines() if "==" in line)
    _print(", ".join(f"{name} {versions.get(name, '?')}" for name in names))
    return python


def main() -> int:
    """`make programs`: a table with a verdict per program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="*", choices=[[], *KNOWN], help="only these")
    parser.add_argument("--python", type=Path, help="a Python that has the packages, instead of a new venv")
    parser.add_argument("--capture", default="waits")
    chosen = parser.parse_args()
    names = chosen.program or list(KNOWN)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="tracekit-programs-") as scratch:
        python = str(chosen.python or make_venv(Path(scratch) / "venv", names))
        folder = Path(scratch) / "run"
        folder.mkdir()
        _print(f"{'':<14}{'verdict':<9}{'code':>4}  {'plain':>8}{'recorded':>10}  stdout")
        for name in names:
            program = KNOWN[name]
            words = [python, *(word.format(python=python) for word in program.words.split())]
            way, faults, runs = check(words, Path(scratch) / "store", folder, chosen.capture, program.code)
            wrong += bool(faults)
            times = [f"{item.seconds:.1f} s" for item in runs[:2]] + ["", ""]
            code = runs[0].code if runs else ""
            said = f"{len(runs[0].out):,} bytes, {way}" if runs else ""
            _print(f"{name:<14}{'wrong' if faults else 'right':<9}{code:>4}  {times[0]:>8}{times[1]:>10}  {said}")
            for fault in faults:
                _print(f"{'':<14}{fault}")
    _print(f"{len(names)} programs under {chosen.capture}: {wrong} wrong")
    return int(wrong > 0)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
