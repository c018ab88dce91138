"""The kill campaign: `run` and `record` under each capture, killed at random moments; then what they leave is judged.

`python -m tests.fuzz.kills --kills 60 --seed 1` (`make kills`) prints counts and faults. A kill is right when tracekit
ends soon and without a traceback of its own, when no process, temporary file, segment or tracefs instance is left, when
its suite is not "running" any more and can be read or is refused, and when an older suite is as it was.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT, run_tracekit
from tests.real.leftovers import abandoned_segments, processes_with
from tracekit import api
from tracekit.bundle.store import Store
from tracekit.core.errors import TracekitError
from tracekit.measure.capture import CAPTURES
from tracekit.system import tracefs

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SUITE = ("--models", "threads,fork", "--workers", "2", "--size", "smoke", "--runs", "1", "--no-controls")
_PROGRAM = """
import signal, subprocess, sys, threading, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
thread = threading.Thread(target=sum, args=(range(3_000_000),))
thread.start(); thread.join(); child.wait()
"""
_LONGEST_S = 6.0
"""When the latest signal comes, until a command has been seen to end by itself before that."""
_END_S, _GONE_S = 60.0, 20.0
_MARK = "TRACEKIT_TESTED_BY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One command, one signal, and the part of the command's time after which it comes."""

    words: tuple[str, ...]
    number: signal.Signals
    share: float

    @property
    def command(self) -> str:
        return f"{self.words[0]} {self.words[self.words.index('--capture') + 1]}"


def choose_kills(count: int, seed: int) -> list[Kill]:
    """That many kills: every command and capture in turn, with signals and moments that `seed` chooses."""
    chance = random.Random(seed)
    commands = [
        words
        for capture in CAPTURES
        for words in (
            ("run", "matmul", *_SUITE, "--capture", capture),
            ("record", "--capture", capture, "--", sys.executable, "-c", _PROGRAM),
        )
    ]
    chance.shuffle(commands)
    signals = itertools.cycle(chance.sample(SIGNALS, len(SIGNALS)))
    return [
        Kill(words=words, number=number, share=chance.random())
        for words, number in zip(itertools.islice(itertools.cycle(commands), count), signals, strict=False)
    ]


class Campaign:
    """Kills commands in one folder, beside a suite that nothing may change."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder, self._temporary = folder, temporary
        said = run_tracekit("run", "sleep", *_SUITE, "--capture", "none", cwd=folder)
        assert said.code == 0, said.err
        (self._older,) = Store(folder / ".tracekit").suites()
        self._digest = _digest(self._older.root)
        self._longest: dict[str, float] = {}

    def judge(self, kill: Kill) -> tuple[str, str]:
        """`killed`, `too late` (it had ended) or `fault`, and of a fault what is wrong."""
        segments = abandoned_segments()
        begun = time.monotonic()
        with self._started(kill) as (process, errors):
            with _suppress_timeout():
                process.wait(kill.share * self._longest.get(kill.command, _LONGEST_S))
            verdict = "killed" if process.poll() is None else "too late"
            if verdict == "too late":
                self._longest[kill.command] = time.monotonic() - begun
            process.send_signal(kill.number)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                return "fault", f"still runs {_END_S:.0f} s after the signal"
            said = errors.read_text(errors="replace")
        faults = [*self._find_left(segments), *self._find_changed()]
        if "Traceback" in said and "/tracekit/" in said:
            faults.insert(0, said)
        return ("fault", "; ".join(faults)) if faults else (verdict, "")

    @contextmanager
    def _started(self, kill: Kill) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        errors = self._folder / "stderr"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tracekit", *kill.words],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, _MARK: str(self._folder), "TMPDIR": str(self._temporary), "PYTHONPATH": str(ROOT)},
            )
        try:
            yield process, errors
        finally:
            process.kill()
            process.wait()

    def _find_left(self, segments: set[str]) -> Iterator[str]:
        """What is left of the command after a while."""
        looks = {
            "processes": lambda: processes_with(f"{_MARK}={self._folder}"),
            "temporary files": lambda: {path.name for path in self._temporary.iterdir()},
            "segments": lambda: abandoned_segments() - segments,
            "tracefs instances": lambda: {owner.instance for owner in tracefs.list_leftovers()},
        }
        limit = time.monotonic() + _GONE_S
        for name, look in looks.items():
            while (left := look()) and time.monotonic() < limit:
                time.sleep(0.05)
            if left:
                yield f"{name} left: {', '.join(sorted(left))}"

    def _find_changed(self) -> Iterator[str]:
        """What is wrong with the suites. Those of the command are removed."""
        if _digest(self._older.root) != self._digest:
            yield "the older suite has changed"
        for suite in Store(self._folder / ".tracekit").suites():
            if suite.suite_id == self._older.suite_id:
                continue
            try:
                status = suite.facts()["status"]
                if status == "running":
                    yield f"{suite.suite_id} is running for ever"
                api.analyse(suite)
            except TracekitError:
                pass
            shutil.rmtree(suite.root)


@contextmanager
def _suppress_timeout() -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired:
        return


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(json.dumps([[str(path), path.read_bytes().hex()] for path in files]).encode()).hexdigest()


@contextmanager
def make_campaign() -> Iterator[Campaign]:
    """A campaign in folders of its own, whose paths have room for the names of sockets."""
    with (
        tempfile.TemporaryDirectory(prefix="kill-") as folder,
        tempfile.TemporaryDirectory(prefix="t") as temporary,
    ):
        yield Campaign(Path(folder), Path(temporary))


def main() -> int:
    """`make kills`: kill, print the counts and the faults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    begun = time.monotonic()
    counts: Counter[tuple[str, str]] = Counter()
    with make_campaign() as campaign:
        for number, kill in enumerate(choose_kills(chosen.kills, chosen.seed), 1):
            verdict, why = campaign.judge(kill)
            counts[kill.command, verdict] += 1
            if verdict == "fault":
                _print(f"fault {number}: {kill.command}, {kill.number.name} at {kill.share:.3f}\n  {why}", sys.stderr)
    verdicts = ("killed", "too late", "fault")
    _print(f"{'':<18}" + "".join(f"{name:>10}" for name in verdicts))
    for command in sorted({command for command, _ in counts}):
        _print(f"{command:<18}" + "".join(f"{counts[command, verdict]:>10}" for verdict in verdicts))
    faults = sum(count for (_, verdict), count in counts.items() if verdict == "fault")
    _print(f"{chosen.kills} kills, seed {chosen.seed}, {time.monotonic() - begun:.0f} s: {faults} faults")
    return 1 if faults else 0


def _print(line: str, stream: object = None) -> None:
    print(line, file=stream or sys.stdout, flush=True)  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main())
