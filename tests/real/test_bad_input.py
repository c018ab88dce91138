"""Every way a user can get it wrong ends in two lines, the right exit code, nothing lost and nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import RealSuite, Said, Tracekit
from tests.recording import until
from tracekit.spec import FORMAT

FAULTY = Path(__file__).parent.parent / "faulty_workloads.py"
QUICK = ("--size", "smoke", "--runs", "1", "--warmup", "0", "--no-controls", "--capture", "none", "--workers", "2")


def assert_two_lines(said: Said, code: int, *words: str) -> None:
    """The last two lines of stderr are the error and the remedy; no traceback anywhere."""
    assert said.code == code, said.err
    assert "Traceback" not in said.err + said.out
    error, remedy = said.err.rstrip("\n").splitlines()[-2:]
    assert error.startswith("error: "), said.err
    assert remedy.startswith("  try: "), said.err
    assert len(remedy) > len("  try: ")
    for word in words:
        assert word in error, said.err


def measured_processes(folder: Path) -> list[int]:
    """Every living process that was measured for a suite in `folder`, workers and helpers included: their environment
    names it. Others may be measuring on this machine at the same time."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            path = process.environ().get("PYTHONPATH", "")
        except psutil.Error:
            continue
        if path.startswith(f"{folder.resolve()}{os.sep}") and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def assert_nothing_left(folder: Path, before: set[str]) -> None:
    """No measured process of that folder now, and soon no semaphore or segment that was not there before."""
    assert not measured_processes(folder)
    limit = time.monotonic() + 20
    while not shared_memory() <= before:
        assert time.monotonic() < limit, shared_memory() - before
        time.sleep(0.05)


def shared_memory() -> set[str]:
    """Names in /dev/shm: semaphores and segments that multiprocessing would leave behind."""
    return {name for name in os.listdir("/dev/shm") if "mp-" in name or "psm_" in name}  # noqa: PTH208


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A folder with the faulty workloads as a user's own module."""
    shutil.copy(FAULTY, tmp_path / "faulty.py")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "matmull"), ("unknown workload 'matmull'", "did you mean 'matmul'")),
        (("run", "matmul", "--models", "serial,thread"), ("unknown model 'thread'", "did you mean 'threads'")),
        (("run", "matmul", "--capture", "viztrace"), ("unknown capture 'viztrace'", "did you mean 'viztracer'")),
        (("run", "matmul", "--counters", "linus"), ("unknown counter source 'linus'", "did you mean 'linux'")),
        (("run", "matmul", "--workers", "0"), ("0 workers",)),
        (("run", "matmul", "--workers", "1000000"), ("1,000,000 workers",)),
        (("run", "matmul", "--workers", "two"), ("'two'",)),
        (("run", "matmul", "--size", "huge"), ("unknown size 'huge'",)),
        (("run", "matmul", "--runs", "0"), ("0 runs",)),
        (("run", "matmul", "--timeout", "nan"), ("a timeout of nan s",)),
        (("run", "matmul", "--timeout", "inf"), ("a timeout of inf s",)),
        (("run", "matmul", "--timeout", "0"), ("a timeout of 0 s",)),
        (("run", "matmul", "--python", "/nowhere/python3"), ("/nowhere/python3",)),
        (("export", "latest", "metrics", "--format", "xml"), ("no suite",)),
        (("run",), ()),
        (("frobnicate",), ("frobnicate",)),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, tuple) and value and value[0] == "run" else None,
)
def test_words_that_do_not_fit(tracekit: Tracekit, words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    said = tracekit(*words)
    if words == ("run",):
        assert said.code == 2
        assert "Examples" in said.out + said.err
        return
    assert_two_lines(said, 5 if words[0] == "export" else 2, *expected)
    assert not list(Path.cwd().glob("nonexistent"))


def test_nothing_is_written_when_the_words_do_not_fit(tracekit: Tracekit, tmp_path: Path) -> None:
    assert tracekit("run", "matmul", "--workers", "0").code == 2
    assert not (tmp_path / ".tracekit").exists()


@pytest.mark.parametrize(
    "command", [("report",), ("report", "latest"), ("view",), ("export", "latest"), ("list", "suites")]
)
def test_no_suite_at_all(tracekit: Tracekit, command: tuple[str, ...]) -> None:
    assert_two_lines(tracekit(*command), 5, "no suite")


def test_a_file_stands_where_the_folder_should_be(tracekit: Tracekit, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    said = tracekit("run", "matmul", *QUICK, "--store", "taken")
    assert_two_lines(said, 4, "taken")
    assert_two_lines(tracekit("run", "matmul", *QUICK, "--reports", "taken"), 4, "taken")


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs setpriv to drop root")
def test_unwritable_folder(tmp_path: Path) -> None:
    # Root may write everywhere, so the command is run as nobody where the tests are root.
    as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tracekit.cli import main; main()"
    try_import = [*as_nobody, sys.executable, "-c", "import click"]
    if subprocess.run(try_import, capture_output=True, check=False, cwd="/").returncode != 0:
        pytest.skip("this Python is not readable by nobody: chmod o+x the folders above it")
    done = subprocess.run(
        [*as_nobody, sys.executable, "-c", code, str(FAULTY.parent.parent), "run", "matmul", *QUICK],
        cwd=locked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_two_lines(Said(code=done.returncode, out=done.stdout, err=done.stderr), 4, "reports")


def test_full_disk(tmp_path: Path) -> None:
    """A real file system without room: a tmpfs of 64 KiB."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a small tmpfs: run the tests as root")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tracekit", "run", "matmul", *QUICK, "--store", str(small / "store")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(FAULTY.parent.parent)},
        )
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert_two_lines(Said(code=done.returncode, out=done.stdout, err=done.stderr), 4, "no space left")
    assert not measured_processes(tmp_path)


class TestDamagedSuites:
    """Reports of bundles that must not be believed."""

    @pytest.fixture
    def damaged(self, real_suite: RealSuite, tmp_path: Path) -> Path:
        """A copy of the real suite that may be damaged."""
        shutil.copytree(real_suite.folder / ".tracekit", tmp_path / ".tracekit", symlinks=True)
        return tmp_path / ".tracekit" / real_suite.suite_id

    def test_no_run_finished(self, damaged: Path, tracekit: Tracekit) -> None:
        for manifest in damaged.glob("*/manifest.json"):
            manifest.unlink()
        assert_two_lines(tracekit("report"), 3, "no finished run")

    def test_one_run_did_not_finish(self, damaged: Path, tracekit: Tracekit) -> None:
        manifest = next(damaged.glob("*-threads-w2-*-r1/manifest.json"))
        manifest.unlink()
        said = tracekit("report")
        assert said.code == 0, said.err
        report = next((damaged.parent.parent / "reports").glob("*/report.md")).read_text()
        # On a noisy machine other notices may name other runs of this cell.
        (line,) = [line for line in report.splitlines() if manifest.parent.name in line]
        assert "unfinished" in line

    def test_corrupted(self, damaged: Path, tracekit: Tracekit) -> None:
        stream = next(damaged.glob("*-fork-w2-*-r1/streams/*.jsonl"))
        stream.write_bytes(stream.read_bytes()[:-20])
        assert_two_lines(tracekit("report"), 3, stream.name)

    def test_corrupted_manifest(self, damaged: Path, tracekit: Tracekit) -> None:
        manifest = next(damaged.glob("*-fork-w2-*-r1/manifest.json"))
        manifest.write_text(manifest.read_text()[:100])
        assert_two_lines(tracekit("report"), 3, "manifest.json")

    def test_newer_format(self, damaged: Path, tracekit: Tracekit) -> None:
        manifest = next(damaged.glob("*-fork-w2-*-r1/manifest.json"))
        newer = {**json.loads(manifest.read_text()), "format": FORMAT + 1}
        manifest.write_text(json.dumps(newer))
        assert_two_lines(tracekit("report"), 3, f"format {FORMAT + 1}")

    def test_unknown_suite(self, damaged: Path, tracekit: Tracekit) -> None:
        assert_two_lines(tracekit("report", "19990101"), 2, "19990101")


class TestFaultyTasks:
    """Tasks that end badly, under models that share and do not share a process with them."""

    @pytest.mark.parametrize("model", ["serial", "threads", "fork", "spawn", "forkserver"])
    def test_raises(self, faulty: Path, tracekit: Tracekit, model: str) -> None:
        said = tracekit("run", "faulty:RAISES", *QUICK, "--models", model)
        assert_two_lines(said, 3, "ValueError: item", "is bad")
        # Where the remedy sends people, they find the traceback of the task.
        (log,) = faulty.glob(".tracekit/*/*/stderr.log")
        assert "in raises" in log.read_text()

    @pytest.mark.parametrize("model", ["threads", "fork", "spawn", "forkserver"])
    def test_hangs(self, faulty: Path, tracekit: Tracekit, model: str) -> None:
        before = shared_memory()
        said = tracekit("run", "faulty:HANGS", *QUICK, "--models", model, "--timeout", "3")
        assert_two_lines(said, 3, "was ended after 3 s")
        assert_nothing_left(faulty, before)

    @pytest.mark.parametrize(("model", "expected"), [("threads", "exit code 7"), ("fork", "BrokenProcessPool")])
    def test_calls_os_exit(self, faulty: Path, tracekit: Tracekit, model: str, expected: str) -> None:
        said = tracekit("run", "faulty:LEAVES", *QUICK, "--models", model)
        assert_two_lines(said, 3, expected)

    @pytest.mark.parametrize(("model", "expected"), [("threads", "signal 9"), ("spawn", "BrokenProcessPool")])
    def test_is_killed(self, faulty: Path, tracekit: Tracekit, model: str, expected: str) -> None:
        said = tracekit("run", "faulty:IS_KILLED", *QUICK, "--models", model)
        assert_two_lines(said, 3, expected)
        assert not measured_processes(faulty)

    def test_result_does_not_pickle(self, faulty: Path, tracekit: Tracekit) -> None:
        said = tracekit("run", "faulty:RESULT_DOES_NOT_PICKLE", *QUICK, "--models", "fork")
        assert_two_lines(said, 3, "pickle")

    def test_the_other_models_go_on(self, faulty: Path, tracekit: Tracekit) -> None:
        """One model fails, the others are measured and reported, and the exit code still says so."""
        said = tracekit("run", "faulty:RESULT_DOES_NOT_PICKLE", *QUICK, "--models", "threads,fork")
        assert_two_lines(said, 3, "1 of 2 runs", "fork", "pickle")
        assert "report  " in said.out

    def test_models_disagree(self, faulty: Path, tracekit: Tracekit) -> None:
        said = tracekit("run", "faulty:ANSWERS_DIFFER", *QUICK, "--models", "serial,fork")
        assert_two_lines(said, 3, "ANSWERS_DIFFER", "serial", "fork")

    def test_not_a_workload(self, faulty: Path, tracekit: Tracekit) -> None:
        said = tracekit("run", "faulty:NOT_A_WORKLOAD", *QUICK, "--models", "serial")
        assert_two_lines(said, 2, "neither a function nor a tracekit.workload.Workload")

    def test_what_the_task_prints_is_kept_and_not_mixed_with_ours(self, faulty: Path, tracekit: Tracekit) -> None:
        said = tracekit("run", "faulty:PRINTS", *QUICK, "--models", "serial", "--json")
        assert said.code == 0, said.err
        root = Path(json.loads(said.out)["folder"])
        logs = [path.read_text() for path in (faulty / root).glob("*/stdout.log")]
        assert [log.count("a line of the workload's own") for log in logs] == [4]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_what_was_measured(faulty: Path, number: signal.Signals) -> None:
    """Ctrl-C while the second cell runs: the first one is kept and reported, nobody is left, exit 130."""
    command = ["run", "faulty:SLEEPS_A_LITTLE", "--size", "smoke", "--runs", "3", "--warmup", "0", "--no-controls"]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tracekit",
            *command,
            "--capture",
            "none",
            "--models",
            "threads,fork",
            "--workers",
            "40",
        ],
        cwd=faulty,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(FAULTY.parent.parent)},
    )

    def second_run_started() -> bool:
        started = any(faulty.glob(".tracekit/*/002-*/streams/*.jsonl"))
        assert started or process.poll() is None
        return started

    until(second_run_started, "the second run starts")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 143), err
    assert "Traceback" not in out + err
    assert not measured_processes(faulty)
    folder = next(faulty.glob(".tracekit/*/suite.json"))
    assert json.loads(folder.read_text())["status"] == "interrupted"
    again = subprocess.run(
        [sys.executable, "-m", "tracekit", "report"], cwd=faulty, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "The suite was interrupted after 2 of 6 runs." in " ".join(again.stdout.split())
    assert "what was measured is kept" in err


def test_nothing_is_left_when_tracekit_itself_is_killed(faulty: Path) -> None:
    """SIGKILL leaves tracekit no chance; its guard ends the measured processes."""
    before = shared_memory()
    command = ["run", "faulty:HANGS", *QUICK, "--models", "spawn"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tracekit", *command],
        cwd=faulty,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(FAULTY.parent.parent)},
    )
    until(lambda: len(list(faulty.glob(".tracekit/*/001-*/streams/*.jsonl"))) >= 3, "the workers start")
    assert len(measured_processes(faulty)) >= 3
    process.kill()
    process.wait()
    until(lambda: not measured_processes(faulty), "the measured processes are gone")
    assert_nothing_left(faulty, before)


def test_what_lies_in_the_users_folder_is_not_taken_for_ours(tracekit: Tracekit, tmp_path: Path) -> None:
    """Modules of these names in the current folder would break, or silently replace, what is measured.

    (multiprocessing itself puts the current folder first in its helpers: a `random.py` breaks any fork server.)
    """
    for name in ("psutil.py", "dataclasses.py", "tracekit/__init__.py", "workloads/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise RuntimeError('taken for ours')\n")
    code = "import sys; sys.path.pop(0); from tracekit.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "matmul", *QUICK, "--models", "serial,fork,spawn,forkserver"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_damaged_old_suite_does_not_hinder_a_new_one(tracekit: Tracekit, tmp_path: Path) -> None:
    assert tracekit("run", "spin", *QUICK, "--models", "serial").code == 0
    (old,) = tmp_path.glob(".tracekit/*/001-*/manifest.json")
    manifest = json.loads(old.read_text())
    for damage in ({"ended_ns": 1e999}, {"spec": [1]}, {"spec": {"workers": {}}}):
        old.write_text(json.dumps({**manifest, **damage}))
        assert tracekit("run", "spin", "--dry-run").code == 0
    suite = old.parent.parent / "suite.json"
    suite.write_text('{"format": 1, "runs": 5}')
    said = tracekit("list", "suites")
    assert (said.code, "unreadable" in said.out) == (0, True)
    assert tracekit("run", "spin", "--dry-run").code == 0


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    """`tracekit list workloads | head -n 1`, with the pipe closed before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "tracekit", "list", "workloads"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_combine_must_give_text(faulty: Path, tracekit: Tracekit) -> None:
    said = tracekit("run", "faulty:CHECKSUM_IS_A_NUMBER", *QUICK, "--models", "serial")
    assert_two_lines(said, 3, "combine", "int, not str")


def test_a_workload_that_cannot_be_loaded_is_tried_once(faulty: Path, tracekit: Tracekit) -> None:
    """It would fail in the same way under every model; and a folder with a blank stays one word in the remedy."""
    module = "import sys\nif 'tracekit.child' in sys.modules: raise ImportError('not in a measured process')\n"
    (faulty / "moody.py").write_text(module + "from faulty import SLEEPS_A_LITTLE as W\n", encoding="utf-8")
    said = tracekit("run", "moody:W", *QUICK, "--store", "my store")
    assert_two_lines(said, 3, "not in a measured process")
    assert "'my store/" in said.err
    assert said.err.count("its other runs are skipped") == 1


def test_a_workload_that_there_is_not_is_refused_before_anything_is_run(faulty: Path, tracekit: Tracekit) -> None:
    for target, words in (("nowhere:W", "nowhere"), ("faulty:MISSING", "MISSING"), ("os:path", "Workload")):
        assert_two_lines(tracekit("run", target, *QUICK), 2, words)
    said = tracekit("run", "faulty:ONE_SIZE", "--runs", "1")
    assert_two_lines(said, 2, "has no size default", "known are smoke")
    assert "--size smoke" in said.err
    assert not (faulty / ".tracekit").exists()


def test_a_file_name_is_met_with_the_way_to_run_it(tracekit: Tracekit) -> None:
    said = tracekit("run", "mine.py")
    assert_two_lines(said, 2, "unknown workload 'mine.py'")
    assert "tracekit run mine:WORKLOAD" in said.err


def test_the_readmes_own_workload_runs(tracekit: Tracekit, tmp_path: Path) -> None:
    readme = (FAULTY.parent.parent / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    (tmp_path / "mymodule.py").write_text(code)
    said = tracekit("run", "mymodule:WORKLOAD", "--size", "smoke", "--runs", "1", "--capture", "none")
    assert said.code == 0, said.err
