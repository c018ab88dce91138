"""Runs each program of tests/cases/ by its command and says whether tracekit gives the right answer: `make cases`.

tests/cases/README.md has the right answers. A case is right, wrong, not yet (its answer needs something that tracekit
does not have), or not here (this machine cannot measure it).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.case_findings import SPEAKS, Rows, draw_matrix, judge_findings
from tests.conftest import ROOT, Said, run_tracekit
from tests.real.leftovers import abandoned_segments, processes_with
from tracekit.analysis.metrics.methods import KERNEL_UPROBE, WAITS_PROBE
from tracekit.bundle.names import UNTRACED

CASES = ROOT / "tests" / "cases"
RIGHT, WRONG, NOT_YET, NOT_HERE = "right", "wrong", "not yet", "not here"
_LISTEN_S = 120
DOCUMENTED = {0, 1, 2, 3, 4, 5}
"""The exit codes of docs/cli.md for a command that nobody interrupts."""

LACKS = 4
"""That of a capture that this machine cannot make."""


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """One row of the table."""

    verdict: str
    answer: str = ""
    spoke: tuple[str, ...] = ()
    """The diagnostics that have a finding in the report of the recorded program, the answer first."""


def judge(faults: Sequence[str], answer: str) -> CaseVerdict:
    """Wrong with what is wrong, or right with the answer."""
    return CaseVerdict(WRONG, "; ".join(faults)) if faults else CaseVerdict(RIGHT, answer)


@dataclass(slots=True)
class Workshop:
    """A scratch folder to run tracekit in for `limit_s` seconds; what it leaves can be told from what others leave."""

    folder: Path
    limit_s: float
    begun_s: float = field(default_factory=time.monotonic)
    mark: str = field(default_factory=lambda: f"TRACEKIT_CASE={os.getpid()}-{time.monotonic_ns()}")
    group: int | None = field(default_factory=lambda: None if os.geteuid() else 20_000 + os.getpid() % 40_000)
    """Of files, those in shared memory too; only root can choose it."""

    def call(self, *words: str) -> Said:
        """tracekit in the folder; the programs of tests/cases/ can be imported, temporary files have a folder.

        It waits for no other measurement on this machine: the time would have no bound.
        """
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        name, _, value = self.mark.partition("=")
        env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{CASES}", "TMPDIR": str(temporary), "TRACEKIT_LOCK": "cases"}
        left_s = max(1, self.begun_s + self.limit_s - time.monotonic())
        return run_tracekit(*words, cwd=self.folder, env={**env, name: value}, timeout=left_s, group=self.group)

    def record(self, name: str, *options: str, words: Sequence[str] = ()) -> Said:
        return self.call("record", *options, "--", sys.executable, str(CASES / f"{name}.py"), *words)

    def metrics(self) -> Rows:
        """The newest run's own rows."""
        said = self.call("export", "latest", "metrics", "--format", "json")
        return [row for row in said.rows() if row["scope"] == "run"]


def pick(rows: Rows, metric: str, method: str = "") -> dict[str, Any]:
    """The row of a metric, by that method."""
    found = [row for row in rows if row["metric"] == metric and row["method"].startswith(method)]
    return found[0] if found else {"value": None, "quality": "unavailable"}


def check_signal(shop: Workshop) -> CaseVerdict:
    codes = {}
    for captures in ("none", "waits", "py-spy", "waits,py-spy", "waits,kernel", "waits,viztracer,py-spy"):
        for quiet in ((), ("--quiet",)):
            codes[f"{captures} {''.join(quiet)}".strip()] = shop.record(
                "killed_by_signal", "--capture", captures, *quiet
            )
    return judge_signal(codes)


def judge_signal(codes: dict[str, Said]) -> CaseVerdict:
    can = {name: said.code for name, said in codes.items() if said.code != LACKS}
    faults = [f"exit code {code} under {name}" for name, code in can.items() if code != 139]
    return judge(faults or ["no capture could be made"][: not can], f"139 under {len(can)} of {len(codes)} commands")


def check_blas(shop: Workshop) -> CaseVerdict:
    said = shop.record("blas_threads")
    return judge_blas(said.out, shop.metrics(), shop.call("report", "latest").out)


def judge_blas(printed: str, rows: Rows, report: str) -> CaseVerdict:
    found = re.search(r"process ([\d.]+) s, main thread ([\d.]+) s", printed)
    if not found:
        return CaseVerdict(NOT_HERE, "numpy is missing")
    whole, main = (float(text) for text in found.groups())
    if whole < 1.2 * main:
        return CaseVerdict(NOT_HERE, f"BLAS used one thread: {whole:.2f} s, main thread {main:.2f} s")
    measured = (pick(rows, "cpu_ns")["value"] or 0) / 1e9
    named = re.search(r"\d+ native threads? \(\S+\), .*? of CPU time and waited .*? for work", " ".join(report.split()))
    faults = []
    # The program reads its clock before it ends.
    if not whole * 0.98 <= measured <= whole * 1.1 + 0.1:
        faults.append(f"{measured:.2f} s of CPU time, not {whole:.2f}")
    if not named:
        faults.append("the headline does not name the native threads and what they waited for")
    return judge(faults, f"{measured:.2f} s of CPU time, {whole:.2f} by its own clock; {named and named[0]}")


def check_holds(shop: Workshop) -> CaseVerdict:
    said = shop.record("long_hold", "--capture", "waits,kernel")
    if said.code:
        return CaseVerdict(NOT_HERE if said.code == LACKS else WRONG, " ".join(said.err.splitlines()[-2:]))
    return judge_holds(shop.metrics())


def judge_holds(rows: Rows) -> CaseVerdict:
    """Within 3 % of the uprobes, or a bound around their number that says what it leaves out."""
    faults, answers = [], []
    for name in ("gil_hold_ns", "gil_hold_longest_ns", "gil_holds_over_interval"):
        true, probe = (pick(rows, name, method) for method in (KERNEL_UPROBE, WAITS_PROBE))
        if true["value"] is None:
            return CaseVerdict(NOT_HERE, f"no {name} by uprobes")
        value, room = probe["value"], 0.03 * true["value"]
        text = (
            f"{name} {true['value']:,.0f} by uprobes, {'n/a' if value is None else format(value, ',.0f')} by the probe"
        )
        if probe["quality"] == "bound":
            right = bool(probe["reason"]) and probe["lower"] - room <= true["value"] <= probe["upper"] + room
        else:
            right = probe["quality"] == "measured" and abs(value - true["value"]) <= room
        if right:
            answers.append(text)
        else:
            faults.append(f"{text} ({probe['quality']})")
    return judge(faults, "; ".join(answers))


def check_overflow(shop: Workshop) -> CaseVerdict:
    words = ("--models", "serial,threads,fork", "--runs", "3", "--no-controls", "--capture", "viztracer")
    said = shop.call("run", "twenty_million_calls:WORKLOAD", *words)
    if said.code:
        return CaseVerdict(WRONG, said.err.splitlines()[-2])
    texts = {"run": said.out + said.err}
    shop.call("report", "latest")
    for path in shop.folder.glob("reports/*/report.md"):
        texts["report"] = path.read_text(encoding="utf-8")
    exported = shop.call("export", "latest", "notices", "--format", "json").rows()
    texts["notices"] = " ".join(row["text"] + row["remedy"] for row in exported)
    slices = shop.call("export", "latest", "slices", "--format", "parquet", "--output", str(shop.folder / "slices"))
    texts["export"] = slices.out + slices.err
    return judge_overflow(texts)


def judge_overflow(texts: dict[str, str]) -> CaseVerdict:
    """Every reader is told that the ring overflowed and how much of the run the trace covers."""
    found = {name: _COVERS.search(" ".join(text.split())) for name, text in texts.items()}
    faults = [f"{name} does not tell" for name, match in found.items() if match is None]
    return judge(faults, f"told by {', '.join(found)}")


_COVERS = re.compile(r"VizTracer's ring of [\d,]+ calls was full in process[^;]*?, and the trace lacks [^(]*\d")


def check_hostile(shop: Workshop) -> CaseVerdict:
    module = runpy.run_path(str(CASES / "hostile_workloads.py"))
    names = [name for name in module if name.isupper() and hasattr(module[name], "make_items")]
    faults = []
    for name in names:
        begun_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tracekit-case-") as folder:
            try:
                found = _misbehave(Workshop(Path(folder), shop.limit_s / len(names)), name)
            except subprocess.TimeoutExpired as error:
                found = [f"did not end within {error.timeout:.0f} s"]
        faults += [f"{name}: {fault}" for fault in found]
        _tell(f"  {name:<20} {time.monotonic() - begun_s:4.0f} s  {'; '.join(found) or RIGHT}")
    return judge(faults, f"{len(names)} workloads end as documented and leave nothing")


def _misbehave(shop: Workshop, name: str) -> list[str]:
    before = abandoned_segments(shop.group)
    words = ("--models", "threads,fork", "--runs", "2", "--timeout", "6", "--no-controls")
    said = shop.call("run", f"hostile_workloads:{name}", *words)
    left = [f"process {pid}" for pid in processes_with(shop.mark)]
    left += [f"segment {segment}" for segment in abandoned_segments(shop.group) - before]
    left += [f"file {path.name}" for path in (shop.folder / "tmp").glob("*")]
    left += [f"file {path.name}" for path in shop.folder.iterdir() if path.name not in {".tracekit", "reports", "tmp"}]
    runs = shop.call("export", "latest", "runs", "--format", "json")
    return judge_hostile(said, left, runs.rows() if runs.code == 0 else [])


def judge_hostile(said: Said, left: Sequence[str], runs: Rows) -> list[str]:
    """What is wrong with how a workload that misbehaves ended; `left`: what it left behind."""
    faults = [f"left {', '.join(left[:3])}{f' and {len(left) - 3} more' if left[3:] else ''}"] if left else []
    if said.code not in DOCUMENTED:
        faults.append(f"exit code {said.code}")
    if any(line.startswith("Traceback") for line in (said.out + said.err).splitlines()):
        faults.append("a traceback")
    end = ["", "", *said.err.rstrip("\n").splitlines()][-2:]
    if said.code and not (end[0].startswith("error: ") and end[1].startswith("  try: ")):
        faults.append("the last two lines are not an error and a remedy")
    failed = [row for row in runs if row["status"] != "ok"]
    if said.code == 0 and any(row["capture"] == UNTRACED for row in failed):
        faults.append("exit code 0 though a timed run failed")
    # A traced run that fails costs only its trace.
    untold = [row["run_id"] for row in failed if row["run_id"] not in said.out + said.err]
    if untold and said.code == 0:
        faults.append(f"nothing says that {untold[0]} failed")
    return faults


@dataclass(frozen=True, slots=True)
class Case:
    """How a program of tests/cases/ is checked; `limit_s`: with slower disks and CPUs than ours it ends by then."""

    check: Callable[[Workshop], CaseVerdict]
    limit_s: float


def record_and_listen(name: str, shop: Workshop) -> Rows:
    """Record the case, and read what its report says, the answer first. Raises RuntimeError where it says nothing."""
    wanted = SPEAKS[name]
    said = shop.record(name, *wanted.options, words=wanted.words)
    shop.call("report", "latest")
    paths = list(shop.folder.glob("reports/*/findings.json"))
    if not paths:
        raise RuntimeError(f"its report has no findings: {said.err[-200:]}")
    found: Rows = json.loads(paths[0].read_text(encoding="utf-8"))
    return found


CHECKS: dict[str, Case | None] = {
    "killed_by_signal": Case(check_signal, 300),
    "blas_threads": Case(check_blas, 120),
    "long_hold": Case(check_holds, 120),
    "twenty_million_calls": Case(check_overflow, 900),
    "hostile_workloads": Case(check_hostile, 4500),
    "waiting_for_work": None,
    "join_before_get": None,
    "fork_beside_lock": None,
    "blocked_loop": None,
    "big_items_pool": None,
    "start_with_data": None,
    "named_holders": None,
    "contended_lock": None,
    "many_threads": None,
}
"""Each case and how it is checked; None: its answer is not there yet."""


def check(name: str) -> CaseVerdict:
    """Run one case in a folder of its own; a command that does not end is wrong too."""
    case = CHECKS[name]
    if case is None and name not in SPEAKS:
        return CaseVerdict(NOT_YET)
    limit_s = _LISTEN_S if case is None else case.limit_s
    _tell(f"{name}: at most {limit_s:.0f} s")
    with tempfile.TemporaryDirectory(prefix="tracekit-case-") as folder:
        try:
            shop = Workshop(Path(folder), limit_s)
            found = CaseVerdict(NOT_YET) if case is None else case.check(shop)
            if name not in SPEAKS or found.verdict == NOT_HERE:
                return found
            apart = shop.folder / "apart"
            apart.mkdir()
            return listen(name, replace(shop, folder=apart), found)
        except Exception as error:  # noqa: BLE001 - one case must not hide the verdicts of the others
            return CaseVerdict(WRONG, f"{type(error).__name__}: {error}"[:400])


def listen(name: str, shop: Workshop, before: CaseVerdict) -> CaseVerdict:
    """The verdict with that about the first sentence of the case's report; `before` is that of its own check."""
    found, wanted = record_and_listen(name, shop), SPEAKS[name]
    spoke = tuple(row["diagnostic"] for row in found if row["diagnostic"])
    faults = judge_findings(found, wanted)
    if faults:
        own = [before.answer] if before.verdict == WRONG else []
        return CaseVerdict(WRONG, "; ".join([*own, *faults]), spoke)
    if before.verdict == NOT_YET:
        sentence = next((row["sentence"] for row in found if row["diagnostic"] == wanted.first), "")
        return CaseVerdict(RIGHT if wanted.whole else NOT_YET, sentence, spoke)
    return replace(before, spoke=spoke)


def count_exit_code(verdicts: Sequence[CaseVerdict]) -> int:
    """1 when a case is wrong: what make shows."""
    return int(any(found.verdict == WRONG for found in verdicts))


def main() -> int:
    """`make cases`: a table with a verdict per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *CHECKS], help="only these")
    found = {}
    begun_s = time.monotonic()
    for name in parser.parse_args().case or CHECKS:
        case_begun_s = time.monotonic()
        found[name] = check(name)
        answer = textwrap.wrap(found[name].answer, 86, break_on_hyphens=False) or [""]
        took = f"{time.monotonic() - case_begun_s:.0f} s" if CHECKS[name] or name in SPEAKS else ""
        _print(f"{name:<22}{found[name].verdict:<10}{took:>6}  {answer[0]}")
        for line in answer[1:]:
            _print(f"{'':<40}{line}")
    _print("\n".join(["", *draw_matrix({name: item.spoke for name, item in found.items()}), ""]))
    counts = [
        f"{sum(item.verdict == name for item in found.values())} {name}" for name in (RIGHT, WRONG, NOT_YET, NOT_HERE)
    ]
    _print(f"{', '.join(counts)}, in {time.monotonic() - begun_s:.0f} s")
    return count_exit_code(list(found.values()))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _tell(line: str) -> None:
    """Progress, which is no part of the table."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
