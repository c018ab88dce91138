"""Every way a user can get it wrong ends in two lines, the right exit code, nothing lost and nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

import pytest

from tests.conftest import ROOT, RealSuite, Said, Tracekit
from tests.real.leftovers import measured_processes
from tests.real.quick import AS_A_USER, QUICK, assert_two_lines
from tracekit.bundle.spec import FORMAT
from tracekit.bundle.store import Store


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


def run_as_a_user(folder: Path, *words: str, **variables: str) -> Said:
    done = subprocess.run(
        [*AS_A_USER, sys.executable, "-m", "tracekit", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


def test_unwritable_folder(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    assert_two_lines(run_as_a_user(locked, "run", "matmul", *QUICK), 4, "reports")


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that may not be read, nor anything in it."""
    folder = tmp_path / "locked"
    (folder / "below").mkdir(parents=True)
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize(
    "words",
    [
        ("report", "--store", "locked/below"),
        ("list", "suites", "--store", "locked/below"),
        ("export", "latest", "runs", "--store", "locked/below"),
        ("view", "locked/below/trace.json"),
        ("record", "--store", "locked/below", "--capture", "none", "true"),
        ("run", "spin", "--dry-run", "--store", "locked/below"),
    ],
    ids=itemgetter(0),
)
@pytest.mark.usefixtures("locked")
def test_what_may_not_be_read_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = run_as_a_user(tmp_path, *words)
    assert_two_lines(said, 4, "locked/below", "Permission denied")


def test_a_store_that_may_not_be_read_is_not_an_empty_one(tmp_path: Path, locked: Path) -> None:
    (tmp_path / ".tracekit").symlink_to(locked)
    assert_two_lines(run_as_a_user(tmp_path, "report"), 4, ".tracekit", "Permission denied")


@pytest.mark.parametrize("below", ["", "versions", "versions/3.9.18/bin"])
def test_a_folder_of_pyenv_that_may_not_be_read_is_passed_over(tmp_path: Path, below: str) -> None:
    pyenv, folder = tmp_path / "pyenv", tmp_path / "pyenv" / below
    only = pyenv / "versions" / "3.9.18" / "bin" / "python3.9"
    only.parent.mkdir(parents=True)
    only.symlink_to(sys.executable)
    folder.chmod(0)
    variables = {"PYENV_ROOT": str(pyenv), "XDG_CACHE_HOME": str(pyenv / "cache")}
    try:
        for words, code in (
            (("list", "pythons", "--json"), 0),
            (("run", "spin", "--dry-run", "--python", str(only)), 2),
            *([] if below else [(("doctor", "--json"), 0)]),
        ):
            said = run_as_a_user(tmp_path, *words, **variables)
            assert said.code == code, said.err
            if code:
                assert_two_lines(said, code, f"no Python at '{only}'")
            else:
                assert json.loads(said.out)
    finally:
        folder.chmod(0o700)


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
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        ends = [suite.facts()["status"] for suite in Store(small / "store").suites()]
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert ends in ([], ["interrupted"])
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

    @pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "..", "a/b"])
    def test_an_id_that_leads_out_of_the_reports(self, damaged: Path, tracekit: Tracekit, name: str) -> None:
        suite = damaged / "suite.json"
        suite.write_text(json.dumps({**json.loads(suite.read_text()), "suite_id": name}))
        assert_two_lines(tracekit("report"), 3, "is of another suite than its folder")

    def test_unknown_suite(self, damaged: Path, tracekit: Tracekit) -> None:
        assert_two_lines(tracekit("report", "19990101"), 2, "19990101")
        # No file system has a name of this length.
        assert_two_lines(tracekit("report", "n" * 300), 2, "is unknown")


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


WITHOUT_ROOM = "cannot write to stdout: No space left on device", "  try: df -h"
CLOSED = "cannot write to stdout: Bad file descriptor", "  try: tracekit ... >FILE"


def assert_stdout_is_blamed(folder: Path, words: Sequence[str], unbuffered: str = "") -> None:
    """Run the command with a full disk behind `>`, and with a stdout that is closed."""
    for redirection, (error, remedy) in ((">/dev/full", WITHOUT_ROOM), (">&-", CLOSED)):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "tracekit", *words],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=folder,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
        )
        assert done.returncode == 4, (redirection, done.stderr)
        # `view` says first what it reads.
        assert done.stderr.splitlines()[-2:] == [f"error: {error}", remedy]
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [("list", "workloads"), ("list", "models", "--json"), ("--help",), ("run",), ("run", "matmul", "--dry-run")],
)
def test_a_stdout_that_takes_nothing(tmp_path: Path, words: tuple[str, ...], unbuffered: str) -> None:
    """It was a traceback and 1, Python's own words at exit and 120, or nothing and 0."""
    assert_stdout_is_blamed(tmp_path, words, unbuffered)


@pytest.mark.parametrize(
    "words", [("report",), ("export", "latest", "runs"), ("explain", "start-methods"), ("list", "suites"), ("view",)]
)
def test_a_stdout_that_takes_nothing_of_a_suite(real_suite: RealSuite, tmp_path: Path, words: tuple[str, ...]) -> None:
    traced = next(real_suite.root.glob("*-serial-*-viztracer")).name
    more = {"report": ("--reports", str(tmp_path)), "view": (traced, "--no-browser")}
    assert_stdout_is_blamed(real_suite.folder, [*words, *more.get(words[0], ())])


def test_a_file_name_is_met_with_the_way_to_run_it(tracekit: Tracekit) -> None:
    said = tracekit("run", "mine.py")
    assert_two_lines(said, 2, "unknown workload 'mine.py'")
    assert "tracekit run mine:WORKLOAD" in said.err


def test_the_readmes_own_workload_runs(tracekit: Tracekit, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    (tmp_path / "mymodule.py").write_text(code)
    said = tracekit("run", "mymodule:WORKLOAD", *QUICK)
    assert said.code == 0, said.err


def test_a_name_that_commands_a_terminal_is_only_shown(tracekit: Tracekit, tmp_path: Path) -> None:
    name, shown = "=app\x1b[2J\u202e行", r"=app\x1b[2J\u202e行"
    assert tracekit("record", "--capture", "none", "--", sys.executable, "-c", "pass", name).code == 0
    (suite,) = (tmp_path / ".tracekit").glob("2*")
    (suite / "manifest.json").unlink()
    facts = {**json.loads((suite / "suite.json").read_text()), "workload": name}
    (suite / "suite.json").write_text(json.dumps(facts))
    for words in (("report", "--reports", name), ("list", "suites"), ("export", "latest", name), ("explain", name)):
        said = tracekit(*words)
        assert not {"\x1b", "\u202e"} & set(said.out + said.err), words
        # Some messages quote what they were given as Python does.
        assert shown in (said.out + said.err).replace("\\\\", "\\"), words
    page = (tmp_path / name / suite.name / "index.html").read_text()
    assert shown in page
    assert not {"\x1b", "\u202e"} & set(page)
