"""The probe under C programs that are hard on it: nothing is lost or made up, and the program notices nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.probe.conftest import Watching, of_kind, read_files
from tests.recording import until
from tracekit.analysis.load.waits.slots import WaitsFile
from tracekit.bundle import waits_file

MS = 1_000_000


@pytest.mark.parametrize(
    "play", ["nothing", "errno", "signals", "jumps", "cancel 20", "mix 12 6", "vfork 2", "raw-fork", "joins", "epoll"]
)
def test_a_program_behaves_as_without_the_probe(watching: Watching, plays: Path, play: str) -> None:
    """Each play checks for itself what every call gives back, errno too."""
    seen = watching(plays, *play.split())
    assert (seen.code, seen.err) == (0, "")
    assert seen.first.header.ended == "exit"
    assert seen.first.header.lost == 0


def test_without_a_folder_every_call_passes_through(watching: Watching, plays: Path) -> None:
    for folder in ("", "relative/folder", str(watching.folder / "not-there"), "/proc/self"):
        seen = watching(plays, "mix", "4", "3", env={"TRACEKIT_WAITS": folder})
        assert (seen.code, seen.err, seen.files) == (0, "", [])


def test_a_fork_storm_from_several_threads(watching: Watching, plays: Path) -> None:
    """Each of 240 children of 1 ms is there with its sleep and its own exit code, and its parent saw it end."""
    seen = watching(plays, "forks", "60", "4")
    assert seen.code == 0, seen.err
    parent, children = seen.first, seen.files[1:]
    assert len(children) == 240
    assert {child.header.ppid for child in children} == {parent.header.pid}
    assert Counter(child.header.exit_code for child in children) == Counter(list(range(60)) * 4)
    assert {child.header.ended for child in children} == {"_exit"}
    for child in children:
        assert len(of_kind(child, "sleep")) == 1
        [start] = of_kind(child, waits_file.THREAD_START)
        assert start["tid"] == child.header.pid
        assert child.header.images == 1
    pids = {child.header.pid for child in children}
    assert set(of_kind(parent, waits_file.FORK)["object"].tolist()) == pids
    reaped = of_kind(parent, waits_file.CHILD_ENDED)
    assert set(reaped["other"].tolist()) == pids
    assert len(reaped) == len(of_kind(parent, waits_file.FORK)) == 240


def test_a_child_made_behind_libcs_back_has_a_file_of_its_own(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "raw-fork")
    parent, child = seen.files
    assert child.header.ppid == parent.header.pid
    assert len(of_kind(child, "sleep")) == 1
    assert len(of_kind(parent, "sleep")) == 0
    assert set(parent.slots["tid"][parent.slots["kind"] != waits_file.TEXT].tolist()) == {parent.header.pid}


def test_vfork_and_posix_spawn_children_are_images_of_their_own(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "vfork", "3")
    parent, children = seen.first, seen.files[1:]
    assert len(children) == 6, "three of vfork, three of posix_spawn"
    assert all(Path(child.header.executable) == plays and child.header.images == 1 for child in children)
    assert parent.header.ended == "exit", (
        "a vfork child that ends borrows the parent's memory: it is not the parent's end"
    )
    asked = of_kind(parent, waits_file.EXEC)["object"].tolist()
    assert len(asked) == 6, "asking for a program that is not there is no exec"
    assert set(asked) == {child.header.pid for child in children}
    requests = dict(zip(asked, of_kind(parent, waits_file.EXEC)["start_ns"].tolist(), strict=True))
    for child in children:
        [image] = of_kind(child, waits_file.IMAGE)
        assert requests[child.header.pid] < image["start_ns"]
    assert len(of_kind(parent, waits_file.THREAD_END)) == 1


def test_what_the_loader_used_is_not_in_the_life_of_a_program(watching: Watching) -> None:
    seen = watching("/bin/sh", "-c", "/bin/true; /bin/true; /bin/true")
    shell, children = seen.first, seen.files[1:]
    asked = {int(record["object"]): int(record["start_ns"]) for record in of_kind(shell, waits_file.EXEC)}
    assert asked.keys() == {file.header.pid for file in children}
    for file in children:
        [image] = of_kind(file, waits_file.IMAGE)
        [end] = of_kind(file, waits_file.THREAD_END)
        # The clocks are read one after the other, which takes far less than the loader does.
        between = (int(image["start_ns"]) - asked[file.header.pid]) / 4
        assert end["dur_ns"] <= int(end["start_ns"]) - int(image["start_ns"]) + between


def test_a_chain_of_programs_in_one_process_goes_on_in_one_file(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "exec", "3")
    [file] = seen.files
    assert file.header.images == 4
    images = of_kind(file, waits_file.IMAGE)
    assert [file.texts[number] for number in images["site"].tolist()] == [str(plays)] * 4
    assert len(set(images["site"].tolist())) == 4, "texts of two images have different ids"
    assert (of_kind(file, waits_file.EXEC)["object"] == file.header.pid).all()
    assert len(of_kind(file, waits_file.EXEC)) == 3
    reads = of_kind(file, "io-read")
    assert len(reads) == 3, "the other thread's read of each image was going on when exec ended it"
    assert (reads["dur_ns"] > 15 * MS).all()
    assert file.header.pid not in reads["tid"].tolist()
    assert len(of_kind(file, "sleep")) == 4 + 3


@pytest.mark.parametrize(("play", "kind", "count"), [("joins", "lock", 2), ("epoll", "poll", 1)])
def test_waits_in_calls_of_newer_programs(watching: Watching, plays: Path, play: str, kind: str, count: int) -> None:
    """pthread_timedjoin_np, pthread_clockjoin_np and epoll_pwait2, of 20 ms each."""
    seen = watching(plays, play)
    assert (seen.code, seen.err) == (0, "")
    waits = of_kind(seen.first, kind)
    assert (waits["tid"] == seen.first.header.pid).all()
    assert len(waits[waits["dur_ns"] > 15 * MS]) == count


def test_200_threads_start_and_end(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "threads", "200", "20")
    starts, ends = of_kind(seen.first, waits_file.THREAD_START), of_kind(seen.first, waits_file.THREAD_END)
    assert len(starts) == 200
    assert (starts["other"] == seen.first.header.pid).all()
    assert Counter(starts["tid"].tolist()) + Counter([seen.first.header.pid]) == Counter(ends["tid"].tolist())
    assert len(of_kind(seen.first, "sleep")) == 200
    assert (ends["flags"] & waits_file.KNOWN).all()


def test_more_threads_at_once_than_the_table_holds(watching: Watching, plays: Path) -> None:
    """Their waits are recorded; only what they wait for when the process is killed would not be known."""
    seen = watching(plays, "threads", "600", "600")
    assert seen.code == 0, seen.err
    assert len(of_kind(seen.first, "sleep")) == 600
    assert len(of_kind(seen.first, waits_file.THREAD_END)) == 601


def test_ten_million_records(watching: Watching, plays: Path) -> None:
    """Two threads as fast as they can: each record is there or counted as lost, and the file is what was used."""
    seen = watching(plays, "records", "10000000", "2")
    assert seen.code == 0, seen.err
    header = seen.first.header
    recorded = of_kind(seen.first, "sleep")
    assert len(recorded) + header.lost == 10_000_000
    assert header.lost < 1_000_000
    assert not (seen.first.slots["kind"] == 0).any() or header.lost > 0
    assert header.slots >= len(recorded)
    for tid in np.unique(recorded["tid"]):
        own = recorded[recorded["tid"] == tid]
        assert (np.diff(own["start_ns"].astype(np.int64)) > 0).all(), "a thread's records are in its order"
    [path] = watching.folder.glob("*.bin")
    assert path.stat().st_blocks * 512 < header.bytes + (16 << 20)
    path.unlink()


def test_a_killed_program_leaves_everything_up_to_that_moment(watching: Watching, plays: Path) -> None:
    with watching.start(plays, "until-killed", "200000") as running:
        assert running.stdout is not None
        assert running.stdout.read(1) == "!"
        # Who has just got the "!" may be faster than the return of the write that brought it.
        until(lambda: "io-read" in _open_kinds(read_files(watching.folder)[0]), "the read at the end is in the file")
        seen_ns = time.monotonic_ns()
        running.send_signal(signal.SIGKILL)
    [file] = read_files(watching.folder)
    assert running.returncode == -signal.SIGKILL
    assert (file.header.ended, file.header.exit_code, file.header.lost) == ("", None, 0)
    assert len(of_kind(file, "sleep")) == 200_000
    [open_wait] = file.threads[_waiting(file)]
    assert open_wait["tid"] == file.header.pid
    assert _open_kinds(file) == ["io-read"]
    if not open_wait["open_kind"] & waits_file.OPEN_TICKS:
        assert file.header.monotonic_ns < int(open_wait["open_start_ns"]) < seen_ns


def _open_kinds(file: WaitsFile) -> list[str]:
    kinds = file.threads[_waiting(file)]["open_kind"].tolist()
    return [waits_file.WAITS[kind & ~waits_file.OPEN_TICKS] for kind in kinds]


def _waiting(file: WaitsFile) -> np.ndarray[Any, Any]:
    """Which entries of its table of threads are of a thread that waits."""
    return (file.threads["tid"] != 0) & (file.threads["open_kind"] != 0)


@pytest.mark.parametrize("told", [True, False], ids=["rseq", "no-rseq"])
def test_a_signal_handler_that_writes_does_not_hide_the_wait_it_broke(
    watching: Watching, plays: Path, told: bool
) -> None:
    """Each play waits 100 ms in read and in poll, the second time after a long row of calls that do not wait.

    Also where the kernel does not say whether a thread left the CPU.
    """
    seen = watching(plays, "signals", env={} if told else {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"})
    assert (seen.code, seen.err) == (0, "")
    for kind in ("io-read", "poll"):
        long = of_kind(seen.first, kind)
        # A quick read in which it lost its CPU looks like a wait too: the pipe's number is the highest.
        long = long[(long["dur_ns"] > 50 * MS) & (long["object"] == long["object"].max(initial=0))]
        assert len(long) == 2, kind
        assert (long["dur_ns"] >= 95 * MS).all()
        assert long["dur_ns"].sum() < seen.first.header.ended_ns - seen.first.header.monotonic_ns


def test_in_a_calm_a_wait_is_as_long_as_it_was(watching: Watching) -> None:
    """30,000 reads that do not wait, then one of 60 ms, six times: each is there once, and none of it in the next."""
    text = """
import os, threading, time
zero, ours = os.open("/dev/zero", os.O_RDONLY), os.pipe()
def feeds():
    for turn in range(6):
        wanted.acquire()
        time.sleep(0.06)
        os.write(ours[1], b"x")
wanted = threading.Semaphore(0)
threading.Thread(target=feeds).start()
for turn in range(6):
    for quick in range(30_000):
        os.read(zero, 1)
    wanted.release()
    begin = time.monotonic_ns()
    os.read(ours[0], 1)
    print(begin, time.monotonic_ns())
"""
    seen = watching(sys.executable, "-c", text)
    assert (seen.code, seen.err) == (0, "")
    reads = of_kind(seen.first, "io-read")
    reads = reads[reads["tid"] == seen.first.header.pid]
    known = [[int(word) for word in line.split()] for line in seen.out.splitlines()]
    for begin, end in known:
        inside = reads[(reads["start_ns"] + reads["dur_ns"] > begin) & (reads["start_ns"] < end)]
        [wait] = inside[inside["dur_ns"] > 30 * MS]
        apart = (end - begin) / 20
        assert begin - apart < wait["start_ns"]
        assert wait["start_ns"] + wait["dur_ns"] <= end
        assert wait["dur_ns"] <= end - begin + apart


def test_a_jump_out_of_a_call_does_not_blind_the_thread(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "jumps")
    polls = of_kind(seen.first, "poll")
    assert len(polls) == 3
    assert (polls["dur_ns"] > 45 * MS).all()
    assert not (seen.first.threads["open_kind"] != 0).any()


def test_a_cancelled_thread_ends_where_it_waits(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "cancel", "30")
    assert seen.code == 0, seen.err
    assert len(of_kind(seen.first, waits_file.THREAD_END)) == 31
    assert not (seen.first.threads["open_kind"] != 0).any()


def test_a_program_that_closes_every_descriptor_keeps_its_files_to_itself(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "closes", "50000")
    assert seen.code == 0, {2: "descriptor 0 was not free", 3: "cannot write", 4: "somebody else wrote"}[seen.code]
    assert len(of_kind(seen.first, "sleep")) + seen.first.header.lost == 50_000
    assert seen.first.header.lost < 1000


def test_threads_are_named_and_their_creators_known(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "threads", "5", "5")
    names = of_kind(seen.first, waits_file.THREAD_NAME)
    assert {seen.first.texts[number] for number in names["site"].tolist()} == {"plays"}
    assert os.path.basename(seen.first.header.executable) == "plays"  # noqa: PTH119 - it is a text in a file
