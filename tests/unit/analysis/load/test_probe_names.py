"""Names of processes and threads, as the wait probe's files tell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.analysis.load.loaded_lives import CHILD, THREAD, image, of_pid, of_tid, recorded
from tests.unit.analysis.load.made_bundles import MAIN
from tests.unit.analysis.load.made_waits import KNOWN, slot, text_slots, waits_bytes


@pytest.mark.parametrize(
    ("python", "system", "name"),
    [
        ("regex_scan", "python3.11", "regex_scan"),
        ("regex_scan of page 1", "regex_scan of p", "regex_scan of page 1"),
        ("gr\u00f6\u00dfe und farbe 7", "gr\u00f6\u00dfe und farb\ufffd", "gr\u00f6\u00dfe und farbe 7"),
        ("half\ufffd", "half?", "half\ufffd"),
        ("Thread-1 (work)", "consumer", "consumer"),
        ("a", "ab", "ab"),
        ("line\nESC \x1b[31m", "python3.11", "line\nESC \x1b[31m"),
        ("", "grpc_poller", "grpc_poller"),
    ],
)
def test_a_thread_has_pythons_name_whole_or_a_later_one_of_the_system(
    tmp_path: Path, python: str, system: str, name: str
) -> None:
    slots = [
        *text_slots(800, "python3.11"),
        *text_slots(801, system),
        slot("thread-name", 90, tid=MAIN, site=800),
        slot("thread-name", 20, tid=THREAD, site=801),
    ]
    if python:
        slots += text_slots(2**31, python)
        slots.insert(0, slot("thread-name", 1, tid=THREAD, site=2**31, flags=KNOWN))
    [row] = of_tid(recorded(tmp_path, {MAIN: waits_bytes(slots)}), THREAD)
    assert row["name"] == name


def named(kind: str, text: str, at_ms: float = 2, of: int = CHILD, number: int = 2**31) -> list[bytes]:
    """A record that gives a process a name, and the name."""
    return [*text_slots(number, text), slot(kind, at_ms, tid=MAIN, of=of, site=number)]


@pytest.mark.parametrize(
    ("slots", "name"),
    [
        ([], None),
        (named("command", "/srv/app/worker.py"), "worker.py"),
        (named("command", "-m http.server"), "python -m http.server"),
        (named("command", "-c import secrets"), "python -c"),
        (named("command", "-c from multiprocessing.spawn import spawn_main; spawn_m"), "spawned process"),
        (named("command", "-c import sys; from multiprocessing.forkserver import main; "), "fork server"),
        (named("command", "-c from multiprocessing.resource_tracker import main;main(4"), "resource tracker"),
        ([*named("command", "app.py"), *named("title", " server: worker ", 9, number=2**31 + 1)], "server: worker"),
        ([*named("title", "a title"), *named("process-name", "Process-7", number=2**31 + 1)], "Process-7"),
        (
            [*named("command", "old.py"), *image(5, pid=CHILD), *named("command", "new.py", 6, number=2**31 + 1)],
            "new.py",
        ),
        ([*named("command", "old.py"), *image(5, pid=CHILD)], None),
    ],
)
def test_a_process_is_named_as_its_reader_knows_it(tmp_path: Path, slots: list[bytes], name: str | None) -> None:
    child = waits_bytes(slots, pid=CHILD, ppid=MAIN)
    tables = recorded(tmp_path, {MAIN: waits_bytes([]), CHILD: child})
    assert of_pid(tables, CHILD)["name"] == name


def test_a_forked_process_has_the_name_that_its_parent_gave_it_last(tmp_path: Path) -> None:
    """Also one without a file; a name that the pid got when this process had ended is another's."""
    parent = [
        *named("process-name", "ForkPoolWorker-1", 10),
        *named("process-name", "ForkPoolWorker-2", 2000, number=2**31 + 1),
        slot("fork", 20, 1, of=CHILD + 1),
        *named("process-name", "Process-3", 21, of=CHILD + 1, number=2**31 + 2),
    ]
    child = waits_bytes([], pid=CHILD, ppid=MAIN, began_ms=9, ended_ms=100)
    tables = recorded(tmp_path, {MAIN: waits_bytes(parent), CHILD: child})
    assert of_pid(tables, CHILD)["name"] == "ForkPoolWorker-1"
    assert of_pid(tables, CHILD + 1)["name"] == "Process-3"


def test_a_child_of_a_fork_server_that_was_killed_is_named_after_it(tmp_path: Path) -> None:
    server = waits_bytes(
        named("command", "-c from multiprocessing.forkserver import main; main(", of=MAIN), pid=CHILD, ppid=MAIN
    )
    files = {MAIN: waits_bytes([]), CHILD: server, CHILD + 1: waits_bytes([], pid=CHILD + 1, ppid=CHILD, began_ms=9)}
    tables = recorded(tmp_path, files)
    assert [of_pid(tables, pid)["name"] for pid in (CHILD, CHILD + 1)] == ["fork server", "fork server's child"]
