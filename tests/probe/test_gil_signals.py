"""Signals of the GIL that nobody waits for, and sleeps for its mutex, under every Python that is found here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MakeOnce
from tests.probe.conftest import HERE, MS, PYTHONS, SPINNERS, Watching, build, compile_once, of_kind, run
from tracekit.bundle import waits_file
from tracekit.system.interpreters import Interpreter

READS = """
import os
zero = os.open("/dev/zero", os.O_RDONLY)
for turn in range(20_000):
    os.read(zero, 1)
"""

COMING_AND_GOING = """
import threading, time
def spins():
    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        sum(range(200))
def comes_and_goes():
    while spinner.is_alive():
        time.sleep(0.0001)
spinner = threading.Thread(target=spins)
spinner.start()
for _ in range(3):
    threading.Thread(target=comes_and_goes).start()
"""

# ctypes calls without the GIL: when there are two threads, both are about to take it, and nobody has it.
FIRST_MEETING = """
import ctypes
program, thread = ctypes.CDLL(None), ctypes.c_ulong()
@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def meets(_nothing):
    return None
program.pthread_create(ctypes.byref(thread), None, meets, None)
program.pthread_join(thread, None)
"""


@pytest.fixture(scope="session")
def counted_library(make_once: MakeOnce) -> str:
    """What to preload: the probe and after it a library that counts the signals which the probe passes on."""

    def make(folder: Path) -> None:
        counter = ["-o", str(folder / "signal_counter.so"), str(HERE / "signal_counter.c"), "-ldl"]
        build(["-std=c11", "-O2", "-shared", "-fPIC", *counter])

    # The counter's function has no version: asked for one, the loader would pass it by.
    library = compile_once(make_once, "unversioned-probe", '-DCOND_VERSION="none"')
    return f"{library}:{make_once('signal-counter', make) / 'signal_counter.so'}"


@pytest.mark.parametrize("python", PYTHONS)
def test_a_gil_signal_to_nobody_needs_no_libc_unless_it_is_asked_for(
    counted_library: str, watching: Watching, python: Interpreter
) -> None:
    """Each read gives the GIL up and takes it again: two signals that nobody waits for."""
    if python.free_threaded:
        pytest.skip("a free-threaded Python has no GIL to signal; the others are tested")
    counted = Watching(preload=counted_library, folder=watching.folder)
    passed = {}
    for switch in ("", "0", "1"):
        seen = counted(python.executable, "-I", "-c", READS, env={"TRACEKIT_WAITS_ALL_SIGNALS": switch})
        assert seen.code == 0
        passed[switch] = int(seen.err)
    assert passed[""] < 1000
    assert passed["0"] < 1000
    assert passed["1"] >= 40_000


@pytest.mark.parametrize("python", PYTHONS)
def test_a_sleep_for_the_mutex_of_the_gil_is_a_wait_for_the_gil(
    counted_library: str, watching: Watching, python: Interpreter
) -> None:
    """Who gives the GIL up sleeps with its mutex, again and again. No thread can wait for its condition meanwhile."""
    if python.free_threaded:
        pytest.skip("a free-threaded Python has no GIL to wait for; the others are tested")
    slow = Watching(preload=counted_library, folder=watching.folder)
    seen = slow(python.executable, "-I", "-c", COMING_AND_GOING, env={"SLOW_SIGNALS": "1"})
    assert seen.code == 0
    sleeps = np.reshape([int(word) for word in seen.err.split()], (-1, 2))
    waits = of_kind(seen.first, "gil", "gil-switch")
    inside = [waits[(waits["start_ns"] > begin) & (waits["start_ns"] < end - MS)] for begin, end in sleeps]
    blocked = np.concatenate(inside)["kind"].tolist()
    assert "gil" in {waits_file.WAITS[kind] for kind in blocked}
    for (_begin, end), found in zip(sleeps, inside, strict=True):
        assert (found["start_ns"] + found["dur_ns"] >= end).all()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_mutex_of_the_gil_is_known_before_any_thread_has_waited_for_the_gil(
    counted_library: str, watching: Watching, python: Interpreter
) -> None:
    """One thread takes the free GIL slowly, and keeps its mutex meanwhile; the other finds that one taken first."""
    if python.free_threaded:
        pytest.skip("a free-threaded Python has no GIL to wait for; the others are tested")
    slow = Watching(preload=counted_library, folder=watching.folder)
    env = {"SLOW_SIGNALS": "first", "TRACEKIT_WAITS_ALL_SIGNALS": "1"}
    seen = slow(python.executable, "-I", "-c", FIRST_MEETING, env=env)
    assert seen.code == 0
    begin, end = (int(word) for word in seen.err.split())
    waits = np.sort(of_kind(seen.first, "gil", "gil-switch"), order="start_ns")
    assert waits_file.WAITS[int(waits["kind"][0])] == "gil"
    assert begin < waits["start_ns"][0] < end - MS
    assert waits["start_ns"][0] + waits["dur_ns"][0] >= end


@pytest.mark.parametrize("python", PYTHONS)
def test_the_switch_interval_is_the_one_that_waits_asked_for(watching: Watching, python: Interpreter) -> None:
    text = "import sys; sys.setswitchinterval(0.001)" + SPINNERS.replace("0.25", "0.05")
    found = run(watching, python, text).first.header.switch_interval_ns
    assert found is None if python.free_threaded else found is not None and MS // 2 < found <= MS


@pytest.mark.parametrize("python", PYTHONS)
def test_with_all_signals_the_records_are_the_same(watching: Watching, python: Interpreter) -> None:
    if python.free_threaded:
        pytest.skip("a free-threaded Python has no GIL to wait for; the others are tested")
    seen = watching(python.executable, "-I", "-c", SPINNERS, env={"TRACEKIT_WAITS_ALL_SIGNALS": "1"})
    assert (seen.code, seen.err) == (0, "")
    waits = of_kind(seen.first, "gil")
    assert len(waits) > 20
    assert (waits["other"] != waits["tid"]).all()
