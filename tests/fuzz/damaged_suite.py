"""One case of the fuzz test: damage a file of a sealed suite, give the suite to a command, and judge what it does.

`python -m tests.fuzz.damaged_suite --cases 1000 --seed 1` (`make fuzz`) makes a suite, runs the cases, and prints
counts and faults. A case is right when the command ends in time and in memory, without a traceback, with a documented
code; and when its result is that of the whole suite, or it says on stderr or in the report what is wrong.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from tests.conftest import run_tracekit
from tests.fuzz.damages import DAMAGES, JSON, TEXT, list_damages
from tracekit import cli
from tracekit.analysis import view
from tracekit.bundle.files import is_regular, read_json, seal_file, write_json
from tracekit.bundle.store import Bundle, Store, SuiteFolder

MAKE = (
    "run", "matmul", "--models", "serial,threads", "--workers", "2", "--size", "smoke", "--runs", "1", "--no-controls",
    "--capture", "waits,viztracer,py-spy,kernel,stages",
)  # fmt: skip
"""The quickest suite with every kind of file. What this machine cannot capture is left out by itself."""

DOCUMENTED = {0, 3, 5}
"""The exit codes that a damaged suite may end with: as if nothing were, refused, nothing there."""
_SIZE = re.compile(rb'\d[\d.,]* [KMGTkmgt]?i?B\b|"bytes": \d+')
LIMIT_S = 60.0
ROOM = 2 << 30
"""Bytes that a command may take: a file of 6 GB must not be loaded."""

COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "report": (("report", "{id}", "--reports", "{out}"),),
    "view": (("view", "{id}", "--no-browser"),),
    "export": tuple(
        ("export", "{id}", table, "--format", kind)
        for table, kind in (
            ("metrics", "csv"), ("runs", "json"), ("slices", "csv"), ("samples", "csv"), ("waits", "parquet"),
            ("sched", "csv"), ("threads", "json"), ("counters", "csv"), ("notices", "json"),
        )
    ),
    "explain": (("explain", "break-even", "{id}"), ("explain", "prediction", "{id}", "--json")),
    "list": (("list", "suites"), ("list", "suites", "--json")),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file, one damage, one command. `resealed`: the suite is sealed again, as if it had been written so."""

    file: str
    damage: str
    words: tuple[str, ...]
    seed: int
    resealed: bool = False

    def __str__(self) -> str:
        again = ", sealed again" if self.resealed else ""
        return f"{self.damage} of {self.file} (seed {self.seed}){again}: tracekit {' '.join(self.words)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command did: its exit code, a digest of its result, its lines, and a fault that needs no comparison."""

    code: int
    result: str
    lines: tuple[str, ...]
    fault: str = ""


class _Late(BaseException):
    """The command took too long."""


@dataclass(slots=True, kw_only=True)
class Fuzzer:
    """Runs cases on copies of one sealed suite, each in `scratch`."""

    suite: SuiteFolder
    scratch: Path
    whole: dict[tuple[str, ...], Answer] = field(default_factory=dict)

    def judge(self, case: Case) -> tuple[str, str]:
        """`unchanged`, `refused`, `told` or `fault`, and of a fault what is wrong."""
        whole = self._ask_whole(case.words)
        with self._copy() as store:
            folder = SuiteFolder(store.root / self.suite.suite_id)
            damage(folder, case)
            answer = ask(store, case.words, self.scratch / "reports")
        if answer.fault:
            return "fault", answer.fault
        if answer.code not in DOCUMENTED:
            return "fault", f"exit code {answer.code}: {' '.join(answer.lines[-2:])}"
        if answer.code:
            fault = _check_refusal(answer, whole, resealed=case.resealed)
            return ("fault", fault) if fault else ("refused", "")
        if answer.result == whole.result:
            return "unchanged", ""
        # Sealed again, it is another suite with numbers of its own.
        if case.resealed or _told(answer, whole):
            return "told", ""
        return "fault", "another result, and nothing says why"

    def _ask_whole(self, words: tuple[str, ...]) -> Answer:
        if words not in self.whole:
            with self._copy() as store:
                answer = ask(store, words, self.scratch / "reports")
            assert answer.code == 0 or "list" not in words, answer
            assert not answer.fault, answer
            self.whole[words] = answer
        return self.whole[words]

    @contextmanager
    def _copy(self) -> Iterator[Store]:
        store = Store(self.scratch / "store")
        shutil.copytree(self.suite.root, store.root / self.suite.suite_id)
        try:
            yield store
        finally:
            shutil.rmtree(self.scratch)
            self.scratch.mkdir()


def make_suite(folder: Path) -> SuiteFolder:
    """Run the suite that is damaged, in `folder`."""
    said = run_tracekit(*MAKE, cwd=folder)
    assert said.code == 0, said.err
    (suite,) = Store(folder / ".tracekit").suites()
    return suite


def list_files(suite: SuiteFolder) -> list[str]:
    """Every file of the suite that a manifest names, and the manifests: what a later tracekit adds joins by itself."""
    found = [suite.manifest_path.name, *(suite.sealed() or ())]
    for bundle in suite.bundles():
        found += [f"{bundle.root.name}/{name}" for name in bundle.manifest()["files"]]
    return sorted(found)


def choose_cases(suite: SuiteFolder, count: int, seed: int) -> list[Case]:
    """That many cases: every kind of file with every damage and command in turn, in an order that `seed` shuffles."""
    chance = random.Random(seed)
    kinds: dict[str, list[str]] = {}
    for name in list_files(suite):
        kinds.setdefault(re.sub(r"\d+", "N", name.split("/", 1)[-1] if "/" in name else f"suite's {name}"), []).append(
            name
        )
    combinations = [
        (kind, name, command, resealed)
        for kind in kinds
        for name in list_damages(kind)
        for command in COMMANDS
        for resealed in ((False, True) if name in TEXT or name in JSON else (False,))
    ]
    cases: list[Case] = []
    while len(cases) < count:
        chance.shuffle(combinations)
        cases += [
            Case(
                file=chance.choice(kinds[kind]),
                damage=name,
                words=chance.choice(COMMANDS[command]),
                seed=chance.randrange(1 << 30),
                resealed=resealed,
            )
            for kind, name, command, resealed in combinations[: count - len(cases)]
        ]
    return cases


def damage(suite: SuiteFolder, case: Case) -> None:
    """Damage the file, and seal what it belongs to again where the case says so."""
    path = suite.root / case.file
    DAMAGES[case.damage](path, random.Random(case.seed))
    if not case.resealed or case.file == suite.manifest_path.name:
        return
    run, _, name = case.file.partition("/")
    if name and name != "manifest.json":
        _reseal(Bundle(suite.root / run).manifest_path, name)
        case = Case(file=f"{run}/manifest.json", damage=case.damage, words=case.words, seed=case.seed)
    _reseal(suite.manifest_path, case.file)


def _reseal(manifest_path: Path, name: str) -> None:
    manifest = read_json(manifest_path)
    manifest["files"][name] = seal_file(manifest_path.parent / name)
    write_json(manifest_path, manifest)


def ask(store: Store, words: Sequence[str], out: Path) -> Answer:
    """Give the suite in `store` to a command, in this process: its time and its memory are limited."""
    (suite,) = (path for path in store.root.iterdir() if path.is_dir())
    argv = [word.format(id=suite.name, out=out) for word in words] + ["--store", str(store.root)]
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    served: list[str] = []

    def serve(items: Sequence[view.ViewItem], **_options: object) -> None:
        served.extend(f"{item.title} {item.calls} {item.wall_ns} {item.detail}" for item in items)

    fault, code = "", 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr), patch.object(view, "serve", serve), _limits():
            cli.main(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    except _Late:
        fault = f"not done after {LIMIT_S:.0f} s: {traceback.format_exc(limit=-3)}"
    except BaseException:  # noqa: BLE001 - whatever it is, it would be a traceback
        fault = f"traceback: {traceback.format_exc(limit=-4)}"
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    text, said = (stream.buffer.getvalue() for stream in (stdout, stderr))
    lines = [*text.decode("utf-8", "replace").splitlines(), *said.decode("utf-8", "replace").splitlines()]
    result = text if words[0] != "report" or code or fault else _read_report(out, lines)
    if words[0] == "list":
        # The size on disk is that of the damaged files.
        result = _SIZE.sub(b"", text)
    if not fault and (found := [line for line in lines if "Traceback" in line or re.search(r"\bWarning:", line)]):
        fault = f"on stderr: {found[0]}"
    return Answer(
        code=code,
        result=hashlib.sha256(result + "\n".join(served).encode("utf-8", "replace")).hexdigest(),
        lines=tuple(lines),
        fault=fault,
    )


def _read_report(out: Path, lines: list[str]) -> bytes:
    """The numbers of the report; its notices join the lines."""
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    lines += (folder / "report.md").read_text(encoding="utf-8").split("## Notices")[-1].splitlines()
    for name in ("index.html", "metrics.json"):
        assert is_regular(folder / name)
    numbers = (folder / "metrics.csv").read_bytes()
    assert list(csv.reader(io.StringIO(numbers.decode())))
    return numbers


@contextmanager
def _limits() -> Iterator[None]:
    """Raise _Late after LIMIT_S, and MemoryError beyond ROOM."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _check_refusal(answer: Answer, whole: Answer, *, resealed: bool) -> str:
    """What is wrong with how a command refused; empty for two lines that say why. A suite that was sealed again is
    another one: it may have no answer, and nothing is damaged.
    """
    if answer.code == whole.code and answer.lines == whole.lines:
        return ""
    if (
        len(answer.lines) < 2
        or not answer.lines[-2].startswith("error: ")
        or not answer.lines[-1].startswith("  try: ")
    ):
        return f"not two lines: {answer.lines[-3:]}"
    if answer.code == 5 and not resealed and not _told(answer, whole, "warning:", "left out"):
        return f"nothing there, and nothing says why: {answer.lines[-2]}"
    return ""


def _told(answer: Answer, whole: Answer, *words: str) -> bool:
    """Whether a line that the whole suite does not have says what is wrong."""
    known = set(whole.lines)
    wanted = words or ("warning", "error", "left out", "unreadable", "run-failed", "runs-missing", "suite-unsealed")
    return any(word in line for line in answer.lines if line not in known for word in wanted)


def main() -> int:
    """`make fuzz`: run the cases, print the counts and the faults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suite", type=Path, help="a folder of a sealed suite to damage, instead of a new one")
    chosen = parser.parse_args()
    begun = time.monotonic()
    counts: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tracekit-fuzz-") as name:
        scratch = Path(name) / "scratch"
        scratch.mkdir()
        suite = SuiteFolder(chosen.suite) if chosen.suite else make_suite(Path(name))
        fuzzer = Fuzzer(suite=suite, scratch=scratch)
        for number, case in enumerate(choose_cases(suite, chosen.cases, chosen.seed), 1):
            verdict, why = fuzzer.judge(case)
            counts[case.damage, verdict] += 1
            if verdict == "fault":
                faults.append(f"{case}\n  {why.strip()}")
                _print(f"fault {number}: {faults[-1]}", sys.stderr)
    _print_table(counts)
    _print(f"{chosen.cases:,} cases, seed {chosen.seed}, {time.monotonic() - begun:.0f} s: {len(faults)} faults")
    return 1 if faults else 0


def _print_table(counts: Counter[tuple[str, str]]) -> None:
    verdicts = ("unchanged", "refused", "told", "fault")
    _print(f"{'':<10}" + "".join(f"{name:>11}" for name in verdicts))
    for name in DAMAGES:
        _print(f"{name:<10}" + "".join(f"{counts[name, verdict]:>11,}" for verdict in verdicts))


def _print(line: str, stream: Any = None) -> None:
    (stream or sys.stdout).write(f"{line}\n")
    (stream or sys.stdout).flush()


if __name__ == "__main__":
    sys.exit(main())
