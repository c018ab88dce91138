"""The probe compiled with gcc's sanitizers, under the C programs and under Python: every report is a failure."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.probe.conftest import HERE, Watching, build, compile_once, functions, of_kind
from tests.probe.test_names import ERRORS, FUNCTIONS, HEAD, MANY, NAMED, PROPERTIES, names
from tracekit.bundle import waits_file
from tracekit.measure.probe import compile as probe

WITHOUT_SHARED = tuple(flag for flag in probe.FLAGS if not flag.startswith("-O"))

COMES_AND_GOES = """
import gc, os, threading, time
stop = time.monotonic() + 1.5
zero, lock = os.open("/dev/zero", os.O_RDONLY), threading.Lock()
def make(thread):
    turn = 0
    while time.monotonic() < stop:
        turn += 1
        name = f"made_{thread}_{turn % 40}"
        text = f"def {name}():\\n    time.sleep(0)\\n    with lock:\\n        os.read(zero, sum(range(300)))\\n"
        names = {"os": os, "time": time, "zero": zero, "lock": lock}
        exec(compile(text, f"<{name}>", "exec"), names)
        names[name]()
        if turn % 40 == 0:
            gc.collect()
def forever():
    ours = os.pipe()
    while True:
        time.sleep(0.0001)
        os.write(ours[1], b"x")
        os.read(ours[0], 1)
def slowly():
    while True:
        time.sleep(0.0015)
for n in range(3):
    threading.Thread(target=forever, daemon=True).start()
    threading.Thread(target=slowly, daemon=True).start()
threads = [threading.Thread(target=make, args=(n,)) for n in range(3)]
for thread in threads:
    thread.start()
if os.fork() == 0:
    time.sleep(0.01)
    os._exit(0)
os.wait()
for thread in threads:
    thread.join()
"""


def sanitizer(name: str) -> str:
    """The path of a sanitizer's runtime library."""
    try:
        command = [*probe.find_compiler(), f"-print-file-name=lib{name}.so"]
    except probe.CannotCompile as error:
        pytest.skip(f"{error}; try: sudo apt install gcc libc6-dev")
    path = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"the compiler has no lib{name}.so; try: sudo apt install gcc")
    return path


@pytest.fixture(scope="module")
def address_checked(make_once: MakeOnce) -> str:
    """What to preload: the probe with AddressSanitizer and UndefinedBehaviorSanitizer, after their own libraries."""
    runtimes = [sanitizer("asan"), sanitizer("ubsan")]
    checks = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
    library = compile_once(make_once, "address-checked-probe", *checks)
    return ":".join([*runtimes, str(library)])


ASAN = {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}
"""Leaks are not looked for: that needs a descriptor, and some plays have closed them all."""


HARD = (
    *("mix 16 6", "errno", "signals", "jumps", "cancel 20", "forks 20 4", "raw-fork", "vfork 2", "exec 2"),
    *("threads 200 50", "closes 20000", "records 200000 3"),
)


@pytest.mark.parametrize("play", HARD)
def test_no_bad_address_and_nothing_undefined(address_checked: str, plays: Path, watching: Watching, play: str) -> None:
    seen = Watching(preload=address_checked, folder=watching.folder)(plays, *play.split(), env=ASAN)
    assert (seen.code, seen.err) == (0, "")
    assert seen.first.header.lost < 20_000


def test_no_freed_memory_is_read_for_a_functions_name(address_checked: str, watching: Watching) -> None:
    """Code objects that come and go, a fork among threads, and daemon threads that wait when Python is torn down."""
    seen = Watching(preload=address_checked, folder=watching.folder)(
        sys.executable, "-I", "-c", COMES_AND_GOES, env={**ASAN, "PYTHONMALLOC": "malloc"}
    )
    assert (seen.code, seen.err) == (0, "")
    texts = [text.split("\0") for text in seen.first.texts.values() if text.startswith("made_")]
    assert len(texts) >= 20
    assert all(file == f"<{name}>" and line == "1" for name, file, line in (text[:3] for text in texts))
    assert "forever" in functions(seen.first, of_kind(seen.first, "sleep", "gil"))
    assert len(of_kind(seen.first, waits_file.STACK)) > 20


def test_no_bad_address_for_a_threads_name(address_checked: str, watching: Watching) -> None:
    """The probe comes first here: AddressSanitizer has a pthread_create of its own."""
    text = "\n".join([HEAD, NAMED, FUNCTIONS, PROPERTIES, ERRORS, MANY])
    *runtimes, probe_library = address_checked.split(":")
    env = {"ASAN_OPTIONS": f"{ASAN['ASAN_OPTIONS']}:verify_asan_link_order=0", "PYTHONMALLOC": "malloc"}
    seen = Watching(preload=":".join([probe_library, *runtimes]), folder=watching.folder)(
        sys.executable, "-I", "-c", text, env=env
    )
    assert (seen.code, seen.err) == (0, "")
    assert {"regex_scan", "plain", "attributes", "in an except", "starts 7"} <= set(names(seen.first))


@pytest.fixture(scope="module")
def race_checked(make_once: MakeOnce) -> list[str]:
    """The command that runs the plays with the probe linked in, both with ThreadSanitizer."""
    sanitizer("tsan")
    # The sanitizer's condition variables have no versions: asked for one, the loader would pass them by.
    flags = [*WITHOUT_SHARED, "-O1", "-g", "-fsanitize=thread", '-DCOND_VERSION="none"']
    sources = [str(HERE / "plays.c"), str(probe.HERE / "waits.c")]

    def make(folder: Path) -> None:
        build([*flags, "-o", str(folder / "plays"), *sources, "-ldl", "-lpthread"])

    program = make_once("race-checked-plays", make) / "plays"
    # It does not know the address layout of newer kernels: without randomisation it does.
    setarch = shutil.which("setarch")
    command = [setarch, platform.machine(), "-R", str(program)] if setarch else [str(program)]
    tried = subprocess.run([*command, "nothing"], capture_output=True, text=True, check=False)
    if "unexpected memory mapping" in tried.stderr or "personality" in tried.stderr:
        pytest.skip("ThreadSanitizer does not run on this kernel; try: sudo sysctl vm.mmap_rnd_bits=28")
    return command


@pytest.mark.parametrize(
    "play", ["mix 24 6", "forks 20 4", "threads 100 50", "records 200000 4", "cancel 10", "exec 2"]
)
def test_no_race(race_checked: list[str], watching: Watching, play: str) -> None:
    """A child of a process with threads may go on: the plays' children do as little as fork allows."""
    unpreloaded = Watching(preload="", folder=watching.folder)
    seen = unpreloaded(*race_checked, *play.split(), env={"TSAN_OPTIONS": "die_after_fork=0"})
    assert (seen.code, seen.err) == (0, "")
    assert seen.first.header.slots > 3
