"""The probe where it cannot have what it needs: it counts what it loses, and the program is not harmed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probe.conftest import Watching, build, of_kind, read_files
from tests.recording import until
from tracekit.bundle.waits_file import is_begun, stop_growth

MB = 1 << 20
RECORDS = 50_000
FILE_BYTES = RECORDS * 40


def limited(*limits: tuple[int, int]) -> dict[str, object]:
    """For subprocess: the child has these limits."""

    def set_limits() -> None:
        for which, most in limits:
            resource.setrlimit(which, (most, most))

    return {"preexec_fn": set_limits}


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can do this; try: sudo make test")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 1 MB."""
    needs_root()
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_costs_records_and_nothing_else(library: Path, plays: Path, small_disk: Path) -> None:
    seen = Watching(preload=str(library), folder=small_disk)(plays, "records", str(RECORDS), "2")
    assert (seen.code, seen.err) == (0, "")
    recorded = len(of_kind(seen.first, "sleep"))
    assert recorded + seen.first.header.lost >= RECORDS
    assert 1000 < recorded < RECORDS
    assert seen.first.header.ended == "exit"


def test_a_disk_that_is_full_from_the_beginning_leaves_no_file(library: Path, plays: Path, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(MB - 32 * 1024))
    seen = Watching(preload=str(library), folder=small_disk)(plays, "mix", "4", "3")
    assert (seen.code, seen.err, seen.files) == (0, "", [])
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("most", [0, 4096, 50_000, 200_000, MB])
def test_a_limit_on_file_sizes_is_kept_without_a_signal(watching: Watching, plays: Path, most: int) -> None:
    seen = watching(plays, "records", str(RECORDS), "2", **limited((resource.RLIMIT_FSIZE, most)))
    assert (seen.code, seen.err) == (0, "")
    for path in watching.folder.iterdir():
        assert path.stat().st_size <= most
    for file in seen.files:
        assert len(of_kind(file, "sleep")) + file.header.lost >= RECORDS
        assert file.header.lost > 0
    assert len(seen.files) == (1 if most >= 200_000 else 0)


@pytest.mark.parametrize("most", [64 * MB, 256 * MB])
def test_a_limited_address_space_is_left_to_the_program(watching: Watching, plays: Path, most: int) -> None:
    seen = watching(plays, "records", str(RECORDS), "2", **limited((resource.RLIMIT_AS, most)))
    assert (seen.code, seen.err) == (0, "")
    assert len(of_kind(seen.first, "sleep")) + seen.first.header.lost >= RECORDS
    [path] = watching.folder.iterdir()
    assert path.stat().st_size <= most // 16


def test_a_program_that_follows_may_have_less_address_space(watching: Watching, plays: Path) -> None:
    """It goes on in the file of the one before, of which it can map only a part."""
    line = f'ulimit -v {64 * MB // 1024}; exec "$@"'
    seen = watching("/bin/sh", "-c", line, "sh", plays, "records", str(4 * RECORDS))
    assert (seen.code, seen.err) == (0, "")
    [file] = seen.files
    assert file.header.images == 2
    recorded = len(of_kind(file, "sleep"))
    assert recorded + file.header.lost >= 4 * RECORDS
    assert RECORDS < recorded < 4 * RECORDS


def test_a_file_that_is_given_no_more_room_does_not_grow(watching: Watching, plays: Path, tmp_path: Path) -> None:
    """So it is with a process that outlives its recording, also when it becomes another program."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with watching.start(
        "/bin/sh", "-c", 'read line < "$0"; exec "$@"', gate, plays, "records", str(RECORDS)
    ) as running:
        path = watching.folder / f"{running.pid}.bin"
        until(lambda: path.exists() and is_begun(path), "the shell is recorded")
        stop_growth(path)
        gate.write_text("go")
        assert running.communicate()[1] == ""
    [file] = read_files(watching.folder)
    recorded = len(of_kind(file, "sleep"))
    assert recorded + file.header.lost >= RECORDS
    assert 0 < recorded < 2000


def test_without_a_descriptor_left_the_file_still_grows(watching: Watching, plays: Path) -> None:
    seen = watching(plays, "locked-out", str(RECORDS), **limited((resource.RLIMIT_NOFILE, 64)))
    assert seen.code == 0, seen.err
    recorded = len(of_kind(seen.first, "sleep"))
    assert recorded + seen.first.header.lost >= RECORDS
    assert recorded > RECORDS // 2


def test_a_folder_that_cannot_be_written_leaves_the_program_alone(library: Path, plays: Path) -> None:
    needs_root()
    # Not pytest's own folder: another user may not look into that.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "waits"
        folder.mkdir(mode=0o755)
        preload, program = shutil.copy(library, place), shutil.copy(plays, place)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        seen = Watching(preload=preload, folder=folder)(program, "mix", "4", "3", **nobody)
        assert (seen.code, seen.err, seen.files) == (0, "", [])


def test_a_program_that_gives_up_its_rights_goes_on_in_its_file(watching: Watching, tmp_path: Path) -> None:
    """After chroot and setuid the file cannot be opened again; and its children, who cannot make one, run alone."""
    needs_root()
    source, program = tmp_path / "gives_up.c", tmp_path / "gives_up"
    source.write_text(
        """
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
int main(int count, char **words)
{
    sigset_t none;
    const struct timespec at_once = {0, 0};
    sigemptyset(&none);
    if (count < 3 || chroot(words[1]) != 0 || chdir("/") != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    pid_t child = fork();
    if (child == 0)
        _exit(usleep(1000) == 0 ? 7 : 8);
    int status;
    if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7)
        return 2;
    for (long n = atol(words[2]); n > 0; n--)
        sigtimedwait(&none, NULL, &at_once);
    return 0;
}
"""
    )
    build(["-O1", "-o", str(program), str(source)])
    jail = tmp_path / "jail"
    jail.mkdir()
    seen = watching(program, jail, str(RECORDS))
    assert (seen.code, seen.err) == (0, "")
    [file] = seen.files
    recorded = len(of_kind(file, "sleep"))
    assert recorded + file.header.lost >= RECORDS
    assert recorded > RECORDS // 2


@pytest.mark.parametrize("content", [b"not ours", b""])
def test_what_is_no_file_of_ours_is_not_touched(watching: Watching, plays: Path, content: bytes) -> None:
    """Somebody's file under the name that a process would take; all pids near the next one are occupied."""
    before = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitpid(before, 0)
    taken = {watching.folder / f"{pid}.bin": content for pid in range(before, before + 3000)}
    for path, text in taken.items():
        path.write_bytes(text)
    with watching.start(plays, "nothing") as running:
        running.communicate()
    assert running.returncode == 0
    assert all(path.read_bytes() == text for path, text in taken.items())
    for path in taken:
        path.unlink()
    [file] = read_files(watching.folder)
    assert file.header.pid == running.pid


def test_containers_with_the_same_pids_have_a_file_each(watching: Watching, plays: Path) -> None:
    """Several of them start within one tick of the clock by which a process is known."""
    needs_root()
    unshare = ["unshare", "--pid", "--fork"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode != 0:
        pytest.skip("no pid namespace can be made here")
    running = [watching.start(*unshare, plays, "records", "100") for _ in range(12)]
    assert [process.communicate()[1] for process in running] == [""] * 12
    assert [process.returncode for process in running] == [0] * 12
    inside = [file for file in read_files(watching.folder) if file.header.executable == str(plays)]
    assert [(file.header.images, len(of_kind(file, "sleep"))) for file in inside] == [(2, 100)] * 12, (
        "unshare, then the play"
    )


def test_a_static_program_runs_and_leaves_nothing(watching: Watching, tmp_path: Path) -> None:
    source, program = tmp_path / "static.c", tmp_path / "static"
    source.write_text("#include <unistd.h>\nint main(void) { return usleep(1000); }\n")
    build(["-static", "-o", str(program), str(source)])
    seen = watching(program)
    assert (seen.code, seen.err, seen.files) == (0, "", [])
