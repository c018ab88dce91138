"""The stacks of long waits and holds, with the line that each frame was at, under every Python that is found here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MakeOnce
from tests.probe.conftest import MS, PYTHONS, UNTIL_ASLEEP, Watching, functions, of_kind, run, version
from tests.probe.test_layouts import compile_falsified
from tracekit.analysis.load.waits.slots import WaitsFile
from tracekit.bundle import waits_file
from tracekit.system.interpreters import Interpreter

WAITS = """
import os, re, sys, threading, time; exec(sys.argv[1])
lock, held, asked = threading.Lock(), threading.Event(), threading.Event()
def inner():
    time.sleep(0.004)
    asked.set()
    with lock:
        pass
    return [
        os.read(ends[0], 1),
        time.sleep(0.004),
    ]
def outer():
    for _ in range(1):
        yield inner(
        )
class Calls:
    def method(self):
        list(outer())
def holds():
    with lock:
        held.set()
        asked.wait()
        until_asleep("/proc/self")
    until_asleep("/proc/self")
    os.write(ends[1], b"x")
def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        time.sleep(0.004)
ends = os.pipe()
holder = threading.Thread(target=holds)
holder.start()
held.wait()
Calls().method()
holder.join()
deep(100)
"""

GIL = """
import re, threading
done = []
def scans():
    for _ in range(3):
        re.match("(a+)+b", "a" * 21)
    done.append(True)
def spins():
    while not done:
        sum(
            range(100)
        )
threads = [threading.Thread(target=target) for target in (scans, spins)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def stacks(file: WaitsFile, *kinds: int | str) -> list[tuple[int, list[tuple[str, int]]]]:
    """The stacks of records of these kinds: of which thread, and (function, line) from the innermost frame."""
    numbers = {name: number for number, name in waits_file.WAITS.items()}
    found = of_kind(file, waits_file.STACK)
    found = found[np.isin(found["object"], [numbers.get(str(kind), kind) for kind in kinds])]
    return [(int(slot["tid"]), frames(file, int(slot["site"]))) for slot in found]


def frames(file: WaitsFile, number: int) -> list[tuple[str, int]]:
    pairs = [frame.split(":") for frame in file.texts[number].split()]
    named = [(file.texts[int(site)].split("\0")[0].rsplit(".", 1)[-1], int(line)) for site, line in pairs]
    return [(name, line) for name, line in named if name != "<interpreter trampoline>"]


@pytest.mark.measures
@pytest.mark.parametrize("python", PYTHONS)
def test_a_long_wait_has_the_lines_of_all_its_frames(watching: Watching, python: Interpreter) -> None:
    """Through a generator and C code; without a GIL the functions only."""
    file = run(watching, python, WAITS, UNTIL_ASLEEP).first
    calls = [("outer", 15), ("method", 19), ("<module>", 36)]
    wanted = {
        "sleep": [("inner", 5), *calls],
        "lock": [("inner", 7), *calls],
        "io-read": [("inner", 10), *calls],
    }
    for kind, stack in wanted.items():
        expected = [(name, 0) for name, _ in stack] if python.free_threaded else stack
        assert expected in [found for tid, found in stacks(file, kind) if tid == file.header.pid], kind
    (deep,) = [found for _, found in stacks(file, "sleep") if found[1:2] and found[1][0] == "deep"]
    assert len(deep) == 24
    assert deep[:2] == ([("deep", 0)] * 2 if python.free_threaded else [("deep", 31), ("deep", 29)])


@pytest.mark.parametrize("python", PYTHONS)
def test_each_wait_of_a_millisecond_has_a_stack_and_its_function_is_innermost(
    watching: Watching, python: Interpreter
) -> None:
    file = run(watching, python, WAITS, UNTIL_ASLEEP).first
    found = of_kind(file, waits_file.STACK)
    waits = of_kind(file, "lock", "sleep", "io-read", "io-write", "gil")
    long = waits[(waits["dur_ns"] >= MS) & (waits["site"] > 0)]
    by_start = {(int(slot["tid"]), int(slot["start_ns"])): int(slot["site"]) for slot in found}
    named = [frames(file, by_start[int(wait["tid"]), int(wait["start_ns"])])[0][0] for wait in long]
    assert named == functions(file, long)
    assert len(long) >= 6
    short = waits[waits["dur_ns"] < MS]
    assert not {(int(wait["tid"]), int(wait["start_ns"])) for wait in short} & by_start.keys()


@pytest.mark.measures
@pytest.mark.parametrize("python", PYTHONS)
def test_a_long_hold_and_who_waited_for_it_have_stacks(watching: Watching, python: Interpreter) -> None:
    if python.free_threaded:
        pytest.skip("a free-threaded Python has no GIL to hold; the others are tested")
    file = run(watching, python, GIL).first
    match = "prefixmatch" if version(python) >= (3, 15) else "match"
    held = [stack for _, stack in stacks(file, waits_file.GIL_DROP)]
    assert any([stack[0][0], stack[1]] == [match, ("scans", 6)] for stack in held)
    waited = [(stack[0][0], stack[1]) for _, stack in stacks(file, "gil") if len(stack) > 1]
    # Whoever gives the GIL up because it is asked for it waits for it next.
    assert (match, ("scans", 6)) in waited or any(name == "spins" for name, _ in waited)


@pytest.fixture(scope="module", params=["frame_instruction", "code_instructions"])
def misplaced(request: pytest.FixtureRequest, make_once: MakeOnce) -> Path:
    """The probe, compiled with a wrong place for the instruction that a frame is at."""
    place = request.param
    return make_once(f"falsified-{place}", lambda folder: compile_falsified(place, folder)) / "waits.so"


@pytest.mark.parametrize("python", PYTHONS)
def test_a_line_that_is_read_elsewhere_does_no_harm(misplaced: Path, watching: Watching, python: Interpreter) -> None:
    file = run(Watching(preload=str(misplaced), folder=watching.folder), python, WAITS, UNTIL_ASLEEP).first
    stack = [name for name, _ in stacks(file, "io-read")[-1][1]]
    assert stack == ["inner", "outer", "method", "<module>"]
