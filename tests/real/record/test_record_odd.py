"""`tracekit record` where something is missing, closed, full or oddly named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipapp
from pathlib import Path

import pytest

import tracekit
from tests.conftest import Tracekit
from tests.recording import ENV, PYTHON_IN_SHELL, TRACEKIT, needs, only_bundle, recorded, script
from tracekit.analysis.load.suite import load_suite
from tracekit.analysis.metrics.analysis import Analysis
from tracekit.analysis.metrics.metric import compute_all
from tracekit.analysis.tables import records
from tracekit.bundle.store import Store
from tracekit.measure.probe.compile import CannotCompile, find_compiler


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams(tmp_path: Path, closed: str) -> None:
    name = script(tmp_path, "open('ran', 'w').close(); raise SystemExit(3)")
    line = f"{PYTHON_IN_SHELL} -m tracekit record --capture none -- {PYTHON_IN_SHELL} {name} {closed}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=ENV, check=False, timeout=60)
    assert done.returncode == 3
    assert (tmp_path / "ran").exists()
    assert only_bundle(tmp_path).manifest()["exit_code"] == 3


def test_readers_that_have_gone(tmp_path: Path) -> None:
    """The program meets its SIGPIPE as without us; tracekit's own line finds nobody and that is no error.

    Nor does it become one when Python ends and flushes what it has buffered.
    """
    env = {name: value for name, value in ENV.items() if name != "PYTHONUNBUFFERED"}
    pipe = f"{PYTHON_IN_SHELL} -m tracekit record --capture none -- yes 2>err | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], cwd=tmp_path, env=env, check=False, capture_output=True, timeout=60)
    assert done.stdout.split() == [b"y", b"141"], done.stderr
    assert only_bundle(tmp_path).manifest()["exit_code"] == -13
    for program, code in (("true", b"0"), ("no-such-program", b"127")):
        line = f"{PYTHON_IN_SHELL} -m tracekit record -o s -- {program} 2>&1 >&- | true; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, check=False, capture_output=True, timeout=60)
        assert done.stdout.split() == [code]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--", "no-such-program"], 127, "no program 'no-such-program' on PATH"),
        (["--", "./missing/app"], 127, "no program './missing/app'"),
        (["--", f"./{'x' * 300}"], 127, "no program './xxx"),
        (["--", "./data"], 126, "./data is not executable"),
        (["--", "."], 127, "no program '.'"),
        (["--", "./folder"], 126, "./folder is a folder"),
        (["--", "./empty"], 126, "cannot start ./empty"),
        (["--capture", "waits"], 2, "no program is given"),
        (["--capture", "wates", "--", "true"], 2, "unknown capture 'wates'"),
        (["--duration", "-1", "--", "true"], 2, "a duration of -1 s"),
        (["--duration", "nan", "--", "true"], 2, "a duration of nan s"),
        (["--name", "../up", "--", "true"], 2, "'../up' cannot name a suite"),
        (["-o", "data", "--", "true"], 4, "cannot write"),
    ],
)
def test_what_cannot_be_recorded_is_two_lines(
    tmp_path: Path, tracekit: Tracekit, words: list[str], code: int, said: str
) -> None:
    (tmp_path / "data").write_text("no program")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch(mode=0o755)
    answer = tracekit("record", "--capture", "none", *words)
    assert answer.code == code, answer.err
    first, second = answer.err.splitlines()
    assert first.startswith("error: ")
    assert said in first
    assert second.startswith("  try: ")
    assert answer.out == ""
    assert not Store(tmp_path / ".tracekit").suites()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    line = f"mkdir gone && cd gone && rmdir ../gone && {PYTHON_IN_SHELL} -m tracekit record --capture none -- true"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the current folder cannot be used"), done.stderr


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    words = [*TRACEKIT, "record", "--capture", "none", "--", sys.executable, "-c", "pass"]
    several = [subprocess.Popen(words, cwd=tmp_path, env=ENV, stderr=subprocess.PIPE) for _ in range(4)]
    for process in several:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    suites = Store(tmp_path / ".tracekit").suites()
    assert len(suites) == 4
    for suite in suites:
        (bundle,) = suite.bundles()
        assert bundle.manifest()["status"] == "ok"


def test_a_full_disk_costs_the_record_and_not_the_program(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("may not mount a small tmpfs: run the tests as root")
    try:
        fill = f"import sys; open({str(small / 'fill')!r}, 'wb', 0).write(bytes(1 << 20)); print('did its work')"
        done = recorded(tmp_path, "-o", str(small), "--capture", "none", "--", sys.executable, "-c", fill)
        assert b"did its work" in done.stdout
        assert done.returncode == 4
        assert b"no space left" in done.stderr
        (small / "fill").unlink()
        code = fill.replace("print", "sys.exit(9);print")
        done = recorded(tmp_path, "-o", str(small), "--capture", "none", "--", sys.executable, "-c", code)
        assert done.returncode == 9, "the program's own failure counts for more"
        ends = {suite.facts()["status"] for suite in Store(small).suites()}
        assert ends <= {"interrupted"}
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_without_a_compiler_a_program_is_timed_unless_a_capture_is_named(
    tmp_path: Path,
) -> None:
    """As with the wheel that has no compiled probe: here a copy of the package without one."""
    package = tmp_path / "package"
    built = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(Path(tracekit.__file__).parent, package / "tracekit", ignore=built)
    env = ENV | {"PYTHONPATH": str(package), "CC": "/nonexistent/cc", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = [sys.executable, "-m", "tracekit", "record"]
    program = ["--", sys.executable, "-c", "raise SystemExit(3)"]
    done = subprocess.run([*words, *program], cwd=tmp_path, env=env, check=False, capture_output=True, timeout=60)
    assert done.returncode == 3, done.stderr
    assert b"the wait probe is not compiled: there is no C compiler (/nonexistent/cc)" in done.stderr
    assert b"apt install gcc" in done.stderr
    assert only_bundle(tmp_path).manifest()["status"] == "ok"
    words += ["--capture", "waits"]
    done = subprocess.run([*words, *program], cwd=tmp_path, env=env, check=False, capture_output=True, timeout=60)
    assert done.returncode == 4


def test_a_program_in_a_folder_with_blanks_and_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    link = folder / "my python"
    link.symlink_to(sys.executable)
    done = recorded(
        folder,
        "--capture",
        "none",
        "--",
        str(link),
        "-c",
        "import sys; print(ascii(sys.argv[1]))",
        os.fsdecode(b"\xff"),
    )
    assert (done.returncode, done.stdout) == (0, b"'\\udcff'\n"), done.stderr
    bundle = only_bundle(folder)
    assert bundle.root.parent.name.endswith("-my-python")
    assert bundle.spec().program[-1] == "�"


def test_a_pool_thread_that_sleeps_where_nobody_sees_it_waits_for_work(tmp_path: Path) -> None:
    """As an OpenMP thread does, in a call that the probe does not stand before: libc's own address of sem_wait."""
    needs("waits")
    code = """
        import ctypes, time
        libc, program, thread = ctypes.CDLL("libc.so.6"), ctypes.CDLL(None), ctypes.c_ulong()
        semaphore = ctypes.create_string_buffer(64)
        libc.sem_init(semaphore, 0, 0)
        program.pthread_create(ctypes.byref(thread), None, libc.sem_wait, semaphore)
        time.sleep(0.3)
        libc.sem_post(semaphore)
        program.pthread_join(thread, None)
    """
    done = recorded(tmp_path, "--", sys.executable, script(tmp_path, code))
    assert done.returncode == 0, done.stderr
    (suite,) = Store(tmp_path / ".tracekit").suites()
    tables = load_suite(suite)
    (thread,) = [row for row in records(tables.threads) if row["role"] == "native"]
    assert thread["name"] == "libc.so.6"
    rows = records(compute_all(Analysis(tables), ["thread_idle_ns", "thread_wall_ns"]))
    idle, wall = (row["value"] for row in rows if row["tid"] == thread["tid"])
    assert 0.9 * wall < idle <= wall


CLONED = """
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(16)));
static int running = 1;

static long long read_clock(clockid_t clock)
{
    struct timespec now;
    syscall(SYS_clock_gettime, clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int spin(void *unused)
{
    while (read_clock(CLOCK_THREAD_CPUTIME_ID) < 300000000)
        ;
    return 0;
}

int main(void)
{
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    if (clone(spin, stack + sizeof stack, flags, NULL, NULL, NULL, &running) < 0)
        return 1;
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        syscall(SYS_futex, &running, FUTEX_WAIT, 1, NULL, NULL, 0);
    printf("%lld\\n", read_clock(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
"""


def test_the_cpu_time_of_a_thread_that_nobody_saw_begin_is_its_process_s(tmp_path: Path) -> None:
    """A library may call clone itself: the probe sees no such thread, the process's clock counts it."""
    needs("waits")
    try:
        compiler = find_compiler()
    except CannotCompile as error:
        pytest.skip(str(error))
    (tmp_path / "cloned.c").write_text(CLONED)
    subprocess.run([*compiler, "-O1", "-o", "cloned", "cloned.c"], cwd=tmp_path, check=True, timeout=60)
    done = recorded(tmp_path, "--", "./cloned")
    assert done.returncode == 0, done.stderr
    own_ns = int(done.stdout)
    assert own_ns >= 300_000_000
    (suite,) = Store(tmp_path / ".tracekit").suites()
    rows = records(compute_all(Analysis(load_suite(suite)), ["cpu_ns"]))
    found = {row["scope"]: (row["value"], row["quality"]) for row in rows}
    assert found["process"] == found["run"]
    value, quality = found["process"]
    assert own_ns <= value < 1.1 * own_ns
    assert quality == "measured"


WAITING = "import sys, time; time.sleep(0.05); print(sys.prefix, sys.flags.isolated); sys.exit(3)"


@pytest.mark.parametrize("way", ["zipapp", "-I", "-S", "-E", "venv"])
def test_a_program_is_watched_in_whatever_way_python_is_started(tmp_path: Path, way: str) -> None:
    needs("waits")
    python, options, prefix = sys.executable, [way] if way.startswith("-") else [], sys.prefix
    app = tmp_path / "app"
    app.mkdir()
    name = "app/" + script(app, WAITING, "__main__.py")
    if way == "zipapp":
        zipapp.create_archive(app, tmp_path / "app.pyz")
        name = "app.pyz"
    elif way == "venv":
        prefix = str(tmp_path / "env")
        venv.create(prefix, symlinks=True)
        python = f"{prefix}/bin/python"
    elif way == "-S":
        prefix = sys.base_prefix
    done = recorded(tmp_path, "--capture", "waits", "--", python, *options, name)
    assert (done.returncode, done.stdout.decode()) == (3, f"{prefix} {int(way == '-I')}\n"), done.stderr
    assert_main_thread_slept(tmp_path)


def assert_main_thread_slept(folder: Path) -> None:
    """The one suite there has the main thread of WAITING, and its wait."""
    (suite,) = Store(folder / ".tracekit").suites()
    tables = load_suite(suite)
    (main,) = [row for row in records(tables.threads) if row["role"] == "main"]
    sleeps = [row for row in records(tables.waits) if row["tid"] == main["tid"] and row["kind"] == "sleep"]
    assert sum(row["dur_ns"] for row in sleeps) >= 50_000_000


def test_a_user_without_rights_records_under_waits(tmp_path: Path) -> None:
    needs("waits")
    python, setpriv = shutil.which("python3", path="/usr/bin:/bin"), shutil.which("setpriv")
    if os.geteuid() != 0 or python is None or setpriv is None:
        pytest.skip("needs to be root, setpriv and a Python in /usr/bin that everybody may run")
    nobody = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    for each in (tmp_path, *tmp_path.parents[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    if subprocess.run([*nobody, sys.executable, "-c", "import click"], capture_output=True, check=False).returncode:
        pytest.skip("this Python is not readable by nobody: chmod o+x the folders above it")
    words = [*nobody, *TRACEKIT, "record", "--capture", "waits", "--", python, "-c", WAITING]
    done = subprocess.run(words, cwd=own, env=ENV | {"HOME": str(own)}, capture_output=True, check=False, timeout=60)
    assert done.returncode == 3, done.stderr
    assert (own / ".tracekit").stat().st_uid == 65534
    assert_main_thread_slept(own)


def test_a_store_that_is_read_only_is_refused_before_the_program_is_started(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(store)], check=False)
    if mounted.returncode != 0:
        pytest.skip("may not mount a tmpfs: run the tests as root")
    try:
        name = script(tmp_path, "open('ran', 'w').close()")
        done = recorded(tmp_path, "-o", "store", "--capture", "waits", "--", sys.executable, name)
    finally:
        subprocess.run(["umount", str(store)], check=True)
    assert done.returncode == 4, done.stderr
    assert b"error: cannot write" in done.stderr
    assert b"Read-only file system" in done.stderr
    assert not (tmp_path / "ran").exists()
