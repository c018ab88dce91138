"""The names that threads have in Python, as the probe records them under every Python that is found here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.probe.conftest import PYTHONS, Watching, build, of_kind, run, version
from tests.probe.test_layouts import compile_falsified
from tracekit.analysis.load.waits.slots import WaitsFile
from tracekit.bundle import waits_file
from tracekit.system.interpreters import Interpreter

HEAD = """
import _thread, threading, time
from concurrent.futures import ThreadPoolExecutor
def work():
    pass
def run(thread):
    thread.start()
    thread.join()
"""

NAMED = """
class Own(threading.Thread):
    def run(self):
        work()
class Half(threading.Thread):
    pass
run(threading.Thread(target=work, name="regex_scan"))
run(threading.Thread(target=work))
run(Own())
run(Own(name="own run"))
renamed = threading.Thread(target=work)
renamed.name = "renamed before it starts"
run(renamed)
with ThreadPoolExecutor(1) as pool:
    pool.submit(work).result()
many = Own(name="a thread with many attributes")
for number in range(100):
    setattr(many, f"attribute_{number}", number)
run(many)
timer = threading.Timer(0, work)
timer.name = "timer"
run(timer)
"""

FUNCTIONS = """
done = threading.Lock()
done.acquire()
def plain():
    done.release()
class Callable:
    def __call__(self):
        done.release()
    def method(self):
        done.release()
for function in (plain, done.release, Callable().method, Callable(), lambda: done.release()):
    _thread.start_new_thread(function, ())
    done.acquire()
"""

HOSTILE = ["größe_名前", "a\nb\x1b[31mc", "n" * 300, "half\ud800", "名" * 100, "nul\0x", "<b>", "' \" | \\"]

PROPERTIES = """
calls = []
class Attributes(threading.Thread):
    def __getattr__(self, name):
        calls.append(name)
        raise AttributeError(name)
    def __getattribute__(self, name):
        calls.append(name)
        return super().__getattribute__(name)
class Property(threading.Thread):
    @property
    def _name(self):
        calls.append("_name")
        return "of the property"
    @_name.setter
    def _name(self, value):
        calls.append("set")
class Dict(dict):
    def __getitem__(self, key):
        calls.append(key)
        return super().__getitem__(key)
class Text(str):
    def __str__(self):
        return self
    def __hash__(self):
        calls.append("hash")
        return super().__hash__()
    def __eq__(self, other):
        calls.append("eq")
        return super().__eq__(other)
threads = [Attributes(target=work, name="attributes"), Property(target=work), threading.Thread(target=work)]
threads[2].__dict__ = Dict(threads[2].__dict__)
for thread in threads:
    del calls[:]
    run(thread)
    print(sorted(calls))
del calls[:]
run(threading.Thread(target=work, name=Text("text")))
print(sorted(calls))
"""


def names(file: WaitsFile) -> list[str]:
    """Python's names of the threads in the order of their starts, empty where one has none."""
    found = of_kind(file, waits_file.THREAD_NAME)
    found = found[(found["flags"] & waits_file.KNOWN) > 0]
    called = {int(slot["tid"]): file.texts[int(slot["site"])] for slot in found}
    assert len(called) == len(found)
    starts = of_kind(file, waits_file.THREAD_START)
    return [called.get(tid, "") for tid in starts["tid"].tolist()]


@pytest.mark.parametrize("python", PYTHONS)
def test_a_thread_has_its_python_name(watching: Watching, python: Interpreter) -> None:
    target = " (work)" if version(python) >= (3, 10) else ""
    assert names(run(watching, python, HEAD + NAMED).first) == [
        "regex_scan",
        f"Thread-1{target}",
        "Thread-2",
        "own run",
        "renamed before it starts",
        "ThreadPoolExecutor-0_0",
        "a thread with many attributes",
        "timer",
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_a_thread_without_a_thread_object_has_the_name_of_its_function(watching: Watching, python: Interpreter) -> None:
    assert names(run(watching, python, HEAD + FUNCTIONS).first) == ["plain", "release", "method", "", "<lambda>"]


@pytest.mark.parametrize("python", PYTHONS)
def test_any_name_is_written_as_text(watching: Watching, python: Interpreter) -> None:
    """At most 200 bytes of its beginning, whole characters; what no file can hold is replaced."""
    text = f"{HEAD}for name in {HOSTILE!a}:\n    run(threading.Thread(target=work, name=name))\n"
    shown = {"half\ud800": "half\ufffd", "nul\0x": "nul?x", "n" * 300: "n" * 200, "名" * 100: "名" * 66}
    assert names(run(watching, python, text).first) == [shown.get(name, name) for name in HOSTILE]


@pytest.mark.parametrize("python", PYTHONS)
def test_no_code_of_the_program_runs_for_a_name(watching: Watching, python: Interpreter, tmp_path: Path) -> None:
    """Attribute hooks, a property in place of the attribute, and a dict and a text of other types: they are called as
    often as without the probe."""
    seen = run(watching, python, HEAD + PROPERTIES)
    unwatched = Watching(preload="", folder=tmp_path)
    alone = unwatched(python.executable, "-W", "ignore", "-X", "utf8", "-c", HEAD + PROPERTIES)
    assert seen.out == alone.out
    target = " (work)" if version(python) >= (3, 10) else ""
    assert names(seen.first) == ["attributes", "work", f"Thread-2{target}", "work"]


ERRORS = """
class Slots(threading.Thread):
    __slots__ = ("_name",)
    def __init__(self):
        self._name = "in a slot"
        super().__init__(target=work)
run(Slots())
try:
    raise KeyError("kept")
except KeyError as error:
    run(threading.Thread(target=work, name="in an except"))
    print(repr(error))
def generates():
    try:
        yield
    finally:
        run(threading.Thread(target=work, name="in a finally"))
made = generates()
next(made)
made.close()
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_a_name_that_is_not_there_is_no_error(watching: Watching, python: Interpreter) -> None:
    seen = run(watching, python, HEAD + ERRORS)
    assert seen.out == "KeyError('kept')\n"
    assert names(seen.first) == ["work", "in an except", "in a finally"]


MANY = """
def starts(turn):
    for number in range(40):
        run(threading.Thread(target=work, name=f"{turn} {number}"))
threads = [threading.Thread(target=starts, args=(turn,), name=f"starts {turn}") for turn in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
import os, sys
if os.fork() == 0:
    run(threading.Thread(target=work, name="in a child"))
    text = "import threading; threading.Thread(target=sum, args=([],), name='by exec').start()"
    os.execv(sys.executable, ["python", "-c", text])
os.wait()
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_names_of_threads_that_start_at_once_in_a_child_and_after_exec(watching: Watching, python: Interpreter) -> None:
    seen = run(watching, python, HEAD + MANY)
    wanted = [f"{turn} {number}" for turn in range(8) for number in range(40)] + [f"starts {turn}" for turn in range(8)]
    assert sorted(names(seen.first)) == sorted(wanted)
    assert [name for name in names(seen.files[1]) if name] == ["in a child", "by exec"]


CHILDREN = """
import multiprocessing, os, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
def work(number):
    pass
def renames(number):
    multiprocessing.current_process().name = "renamed"
if __name__ == "__main__":
    for how in ("fork", "forkserver"):
        context = multiprocessing.get_context(how)
        for name, target in ((f"named by {how}", work), (None, work), ("to be renamed", renames)):
            process = context.Process(target=target, args=(1,), name=name)
            process.start()
            process.join()
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(work, 1).result()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(1,))
    process.start()
    process.join()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.map(work, range(2))
    for words in (["-c", "pass"], ["-Wignore", "-Bm", "this"], ["-X", "utf8", "-c", "import sys", "secret"]):
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL)
    if os.fork() == 0:
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_a_process_has_the_name_of_multiprocessing_else_what_it_runs(
    watching: Watching, python: Interpreter, tmp_path: Path
) -> None:
    """A worker that a pool ends by SIGTERM has the name that it was forked with."""
    program = tmp_path / "program.py"
    program.write_text(CHILDREN)
    seen = watching(python.executable, "-W", "ignore", program)
    assert (seen.code, seen.err) == (0, "")
    given = {
        int(slot["object"]): file.texts[int(slot["site"])]
        for file in seen.files
        for slot in of_kind(file, waits_file.PROCESS_NAME)
    }
    assert [name for pid in (file.header.pid for file in seen.files) if (name := given.get(pid))] == [
        "named by fork",
        "ForkProcess-2",
        "renamed",
        "ForkProcess-4",
        "named by forkserver",
        "ForkServerProcess-6",
        "renamed",
        "ForkServerProcess-8",
        *(["SpawnProcess-9"] if version(python) < (3, 10) else []),
        "ForkPoolWorker-10",
    ]
    commands = [file.texts[int(slot["site"])] for file in seen.files for slot in of_kind(file, waits_file.COMMAND)]
    main, *parts = [command[:60] for command in commands if "multiprocessing" not in command]
    assert (main, parts) == (str(program)[:60], ["-c pass", "-m this", "-c import sys"])
    assert sum("multiprocessing.spawn import" in command for command in commands) == 1
    assert sum("multiprocessing.forkserver import" in command for command in commands) == 1
    assert not any("secret" in text for file in seen.files for text in file.texts.values())


@pytest.fixture(scope="module")
def misplaced(make_once: MakeOnce) -> Path:
    """The probe, compiled with a wrong place for the variables of a frame."""
    return make_once("falsified-frame_locals", lambda folder: compile_falsified("frame_locals", folder)) / "waits.so"


@pytest.mark.parametrize("python", PYTHONS)
def test_no_process_is_named_by_what_lies_elsewhere(
    misplaced: Path, watching: Watching, python: Interpreter, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(CHILDREN)
    seen = Watching(preload=str(misplaced), folder=watching.folder)(python.executable, "-W", "ignore", program)
    assert (seen.code, seen.err) == (0, "")
    by_itself = [
        file.texts[int(slot["site"])]
        for file in seen.files
        for slot in of_kind(file, waits_file.PROCESS_NAME)
        if slot["object"] == file.header.pid
    ]
    assert {"named by fork", "named by forkserver"} <= set(by_itself)
    assert len(by_itself) == sum(len(of_kind(file, waits_file.PROCESS_NAME)) for file in seen.files)


def test_a_title_in_place_of_the_command_is_read_at_the_end(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "title")
    assert (seen.code, seen.err) == (0, "")
    [title] = of_kind(seen.first, waits_file.TITLE)
    assert seen.first.texts[int(title["site"])] == "server: worker"
    assert len(of_kind(watching(plays, "nothing").files[-1], waits_file.TITLE)) == 0


CPP = """
#include <thread>
#include <unistd.h>
extern "C" void go() { std::thread thread([] { usleep(20000); }); thread.join(); }
"""

NATIVE = """
import ctypes, sys, threading
library = ctypes.CDLL(sys.argv[1])
library.go()
threading.Thread(target=library.go, name="calls it").start()
"""


@pytest.fixture(scope="module")
def engine(make_once: MakeOnce) -> Path:
    """A library in C++ that starts a thread of its own."""

    def make(folder: Path) -> None:
        (folder / "engine.cpp").write_text(CPP)
        build(["-shared", "-fPIC", "-o", str(folder / "libengine.so"), str(folder / "engine.cpp"), "-lstdc++"])

    return make_once("engine", make) / "libengine.so"


@pytest.mark.parametrize("python", PYTHONS)
def test_a_thread_of_cpp_has_the_name_of_the_library_that_made_it(
    engine: Path, watching: Watching, python: Interpreter
) -> None:
    """Its first function is one of libstdc++."""
    file = run(watching, python, NATIVE, str(engine)).first
    assert names(file) == ["", "calls it", ""]
    starts = of_kind(file, waits_file.THREAD_START)
    native = starts[(starts["flags"] & waits_file.NATIVE) > 0]
    assert [file.texts[number] for number in native["site"].tolist()] == ["libengine.so", "libengine.so"]
