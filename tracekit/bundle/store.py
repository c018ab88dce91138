"""The bundle: a run as a sealed folder. Left of it tracekit measures, right of it tracekit computes.

    .tracekit/<suite_id>/suite.json        what was requested, in order; written first
    .tracekit/<suite_id>/manifest.json     seals suite.json and the manifests of the runs; written last
    .tracekit/<suite_id>/<run_id>/
        spec.json                          written before the run
        streams/<pid>.jsonl                one measured process: first record `meta`, last record `end` with a count
        streams/parent.jsonl               what the parent read from outside (memory, steal)
        raw/                               the capture tools' own files, never rewritten
        waits/<pid>.bin                    what the wait probe recorded in one process (only under capture `waits`)
        stages.bin                         how far each new process had come, when (only under capture `stages`)
        stdout.log  stderr.log             what the measured program printed
        manifest.json                      written last, by rename: no manifest = the run did not finish

Stream records are JSON objects, one a line; `docs/bundle.md` lists their keys. A reader ignores keys and kinds it does
not know. Measured processes of Python 3.9 write them, hence stdlib only. `files.py` opens what is read here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from tracekit.bundle.files import (
    HINT,
    check_file,
    is_regular,
    is_there,
    make_output_folder,
    read_json,
    seal_file,
    take_mapping,
    write_json,
    write_whole,
)
from tracekit.bundle.spec import FORMAT, RunSpec, Suite
from tracekit.bundle.stream_records import stream_name
from tracekit.core.errors import (
    BundleCorrupt,
    BundleUnfinished,
    MeasurementError,
    NothingToDo,
    OutputUnwritable,
    UsageError,
)
from tracekit.core.owner import describe_owner, is_dead

STDOUT_LOG, STDERR_LOG = "stdout.log", "stderr.log"
"""What a measured process printed."""

_SUITE, _MANIFEST = "suite.json", "manifest.json"
_NAME = re.compile(r"(?!\.)[^/\0]+")
"""A run's folder: one part of a path, in which a program's or a capture's name may have any characters."""

TRACING_FOLDER = "tracing"
"""The folder of a run into which VizTracer writes in a recorded program. What is in it when the run is sealed belongs
to processes that outlive the program; they may go on writing there, and nothing reads it."""


class Bundle:
    """The folder of one run. Creating the object touches nothing on disk."""

    def __init__(self, root: Path, sealed: Mapping[str, Any] | None = None) -> None:
        """`sealed`: the suite's manifest about this run's manifest; None where the suite has none."""
        self.root = root
        self._sealed = sealed

    @property
    def spec_path(self) -> Path:
        return self.root / "spec.json"

    @property
    def manifest_path(self) -> Path:
        return self.root / _MANIFEST

    @property
    def streams(self) -> Path:
        return self.root / "streams"

    @property
    def parent_stream(self) -> Path:
        return self.streams / stream_name("parent")

    @property
    def raw(self) -> Path:
        return self.root / "raw"

    @property
    def pyspy_profile(self) -> Path:
        return self.raw / "pyspy.speedscope.json"

    @property
    def stages(self) -> Path:
        return self.root / "stages.bin"

    @property
    def waits(self) -> Path:
        return self.root / "waits"

    @property
    def marks(self) -> Path:
        """What the program marked itself; see marks_file.py."""
        return self.root / "marks.txt"

    @property
    def stderr_log(self) -> Path:
        return self.root / STDERR_LOG

    @property
    def tool_log(self) -> Path:
        """What a capture's tool printed that started a recorded program."""
        return self.root / "capture.log"

    @property
    def workers_ready(self) -> Path:
        """Exists from when all workers of a warm-up run are alive and idle until `memory_read`; holds their number."""
        return self.root / "handshake.ready"

    @property
    def memory_read(self) -> Path:
        """Exists when their memory was read: the run may go on."""
        return self.root / "handshake.go"

    def process_streams(self) -> list[Path]:
        """The streams of the measured processes, sorted; that of the parent is not among them."""
        return sorted(self.streams.glob(stream_name("[0-9]*")))

    def viztracer_trace(self, pid: int | str) -> Path:
        """VizTracer's file of one process."""
        return self.raw / f"viztracer-{pid}.json"

    def viztracer_traces(self) -> list[Path]:
        """VizTracer's files of all processes, sorted."""
        return sorted(self.raw.glob(self.viztracer_trace("*").name))

    def create(self, spec: RunSpec) -> None:
        """Make the folder and write spec.json. Raises OutputUnwritable."""
        with explained_os_errors(self.root):
            self.streams.mkdir(parents=True)
            self.raw.mkdir()
            write_whole(self.spec_path, spec.to_json())

    def seal(self, manifest: Mapping[str, Any]) -> None:
        """Hash every file and write manifest.json by rename, so that it is there whole or not at all."""
        with explained_os_errors(self.root):
            # What is no file, a FIFO say, is not sealed: whoever reads the bundle refuses it as added.
            files = {name: seal_file(path) for name in self._list_files() if is_regular(path := self.root / name)}
            write_json(self.manifest_path, {"format": FORMAT, **manifest, "files": files})

    def spec(self) -> RunSpec:
        """The run's spec. Raises BundleCorrupt or BundleTooNew."""
        try:
            return RunSpec.from_mapping(read_json(self.spec_path))
        except TypeError as error:
            raise BundleCorrupt(f"{self.spec_path} is not what tracekit writes: {error}", HINT) from error

    def manifest(self) -> dict[str, Any]:
        """The sealed manifest, its files checked. Raises BundleUnfinished, BundleCorrupt or BundleTooNew."""
        if not is_there(self.manifest_path):
            raise BundleUnfinished(f"run {self.root.name} has no manifest: it did not finish", f"ls {self.root}")
        manifest = read_json(self.manifest_path)
        if self._sealed is not None:
            check_file(self.root, _MANIFEST, self._sealed)
        sealed = take_mapping(manifest, "files", self.manifest_path)
        for name, facts in sealed.items():
            check_file(self.root, name, facts)
        for name in self._list_files():
            if name not in sealed:
                raise BundleCorrupt(f"{self.root / name} was added after the run was sealed", HINT)
        return manifest

    def _list_files(self) -> list[str]:
        """What is in the folder and is no folder, by its name below the root, without the manifest; links as well.

        What processes that outlive a recorded program write is none of it.
        """
        late = self.root / TRACING_FOLDER
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path != self.manifest_path and late not in path.parents and (path.is_symlink() or not path.is_dir())
        )


class SuiteFolder:
    """The folder of one suite: suite.json and a bundle per run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def suite_id(self) -> str:
        return self.root.name

    @property
    def suite_path(self) -> Path:
        return self.root / _SUITE

    @property
    def manifest_path(self) -> Path:
        return self.root / _MANIFEST

    @property
    def imports(self) -> Path:
        """The folder with links to the packages that measured processes import, while the suite is measured."""
        return self.root / "import"

    def create(self, suite: Suite) -> None:
        """Make the folder and write suite.json. Raises OutputUnwritable."""
        with explained_os_errors(self.root):
            make_output_folder(self.root.parent)
            self.root.mkdir()
            write_json(
                self.suite_path,
                {
                    "format": FORMAT,
                    "suite_id": suite.suite_id,
                    "workload": suite.workload,
                    "size": suite.size,
                    "parameters": dict(suite.parameters),
                    "command": list(suite.command),
                    "page": suite.page,
                    "notices": [list(item) for item in suite.notices],
                    "runs": [spec.run_id for spec in suite.specs],
                    "status": "running",
                    "owner": describe_owner(),
                },
            )

    def finish(self, status: str, notices: Sequence[tuple[str, str, str, str]]) -> None:
        """Record how the suite ended, and its notices; then seal suite.json and the manifests of the runs."""
        with explained_os_errors(self.root):
            facts = {**self.facts(), "status": status, "notices": [list(item) for item in notices], "sealed": True}
            facts.pop("owner", None)
            # Another ending before this one was of a suite that was continued.
            self.manifest_path.unlink(missing_ok=True)
            write_json(self.suite_path, facts)
            names = [_SUITE, *(name for run in facts["runs"] if is_there(self.root / (name := f"{run}/{_MANIFEST}")))]
            write_json(
                self.manifest_path, {"format": FORMAT, "files": {name: seal_file(self.root / name) for name in names}}
            )

    def facts(self) -> dict[str, Any]:
        """suite.json, checked against the suite's manifest if there is one. Raises BundleCorrupt or BundleTooNew."""
        path = self.suite_path
        facts = read_json(path)
        _check_runs(facts.get("runs"), path)
        if facts.get("suite_id") != self.suite_id:
            # The id names the report's folder: a foreign suite must not choose where we write.
            raise BundleCorrupt(f"{path} is of another suite than its folder: {facts.get('suite_id')!r}", HINT)
        sealed = self.sealed()
        if sealed is not None:
            check_file(self.root, _SUITE, sealed.get(_SUITE))
        if facts.get("status") == "running" and is_dead(facts.get("owner")):
            # Killed, out of memory, or on a full disk: it could not write how it ended.
            facts["status"] = "interrupted"
        return facts

    def count_bytes(self) -> int:
        """What its files take, without following links."""
        return sum(path.lstat().st_size for path in self.root.rglob("*") if is_regular(path))

    def is_running(self) -> bool:
        """Whether it is still being measured. Raises BundleCorrupt or BundleTooNew."""
        return self.facts().get("status") == "running"

    def check_removable(self) -> None:
        """Raise UsageError for a suite that is still being measured; one that cannot be read may go."""
        with contextlib.suppress(MeasurementError):
            if self.is_running():
                raise UsageError(f"suite {self.suite_id} is still running", "tracekit list suites")

    def remove(self) -> None:
        """Remove the folder. Raises UsageError as `check_removable`, OutputUnwritable."""
        self.check_removable()
        # First its name: half a suite must not be taken for one. What a killed removal left goes as well.
        going = self.root.with_name(f".{self.root.name}.removed")
        with explained_os_errors(self.root):
            self.root.rename(going)
            for path in {going, *self.root.parent.glob(".????????-??????-*.removed")}:
                shutil.rmtree(path)

    def list_missing(self) -> list[str]:
        """The planned runs that have no folder. Raises BundleCorrupt or BundleTooNew."""
        return [name for name in self.facts()["runs"] if not is_there(self.root / name)]

    def sealed(self) -> dict[str, Any] | None:
        """The files that the suite's manifest seals; None while the suite is measured, and for suites of before it was
        written. Raises BundleCorrupt or BundleTooNew."""
        if not is_there(self.manifest_path):
            return None
        return take_mapping(read_json(self.manifest_path), "files", self.manifest_path)

    def bundle(self, run_id: str) -> Bundle:
        """The bundle of one run of this suite, before the suite is sealed."""
        return Bundle(self.root / run_id)

    def bundles(self) -> list[Bundle]:
        """The bundles that exist, in the order the suite planned them. Raises BundleCorrupt or BundleTooNew."""
        planned, sealed = self.facts()["runs"], self.sealed()
        found = [name for name in planned if is_there(self.root / name)]
        for name in found:
            folder = self.root / name
            if folder.is_symlink() or not folder.is_dir():
                raise BundleCorrupt(f"{folder} is not the folder of a run", HINT)
            if sealed is not None and f"{name}/{_MANIFEST}" not in sealed and is_there(folder / _MANIFEST):
                raise BundleCorrupt(f"{folder / _MANIFEST} was added after the suite was sealed", HINT)
        return [
            Bundle(self.root / name, None if sealed is None else sealed.get(f"{name}/{_MANIFEST}")) for name in found
        ]


class Store:
    """The folder `.tracekit` with all suites. `TRACEKIT_HOME` or `--store` puts it elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def suites(self) -> list[SuiteFolder]:
        """Every suite, oldest first (ids start with their date and time)."""
        paths = sorted(self.root.iterdir()) if self.root.is_dir() else []
        return [SuiteFolder(path) for path in paths if not path.name.startswith(".") and is_suite(path)]

    def list_ended(self) -> list[SuiteFolder]:
        """Every suite that can be read and is not being measured any more, oldest first."""
        found = []
        for suite in self.suites():
            with contextlib.suppress(MeasurementError):
                if not suite.is_running():
                    found.append(suite)
        return found

    def suite(self, name: str) -> SuiteFolder:
        """The suite of that id, `latest`, or any id's unambiguous start; or the one in that folder, wherever it is.

        `latest` is the newest that has ended and has a sealed run.

        Raises NothingToDo or UsageError.
        """
        if is_suite(Path(name)):
            return SuiteFolder(Path(name).resolve())
        suites = self.suites()
        if not suites:
            raise NothingToDo(f"there is no suite in {self.root}", "tracekit run matmul")
        if name == "latest":
            # Where none can, what is wrong with the newest is the answer.
            return next(filter(_can_answer, reversed(suites)), suites[-1])
        matches = [item for item in suites if item.suite_id == name] or [
            item for item in suites if item.suite_id.startswith(name)
        ]
        if len(matches) == 1:
            return matches[0]
        known = "unknown" if not matches else "not unique"
        raise UsageError(f"suite {name!r} is {known} in {self.root}", "tracekit list suites")


@contextlib.contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn "permission denied" and "no space left" below `path` into OutputUnwritable."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputUnwritable(f"no space left to write {path}", f"df -h {path.parent}") from error
        raise OutputUnwritable(f"cannot write {path}: {error.strerror}", f"ls -ld {path.parent}") from error


def _check_runs(runs: Any, path: Path) -> None:
    """Raise BundleCorrupt unless these are the ids of different runs."""
    if not isinstance(runs, list):
        raise BundleCorrupt(f"{path} has no list `runs`", HINT)
    for name in runs:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BundleCorrupt(f"{path} lists a run that cannot be: {str(name)[:80]!r}", HINT)
    name, count = max(Counter(runs).items(), key=itemgetter(1), default=("", 0))
    if count > 1:
        raise BundleCorrupt(f"{path} lists run {name} {count} times", HINT)


def _can_answer(suite: SuiteFolder) -> bool:
    try:
        return not suite.is_running() and any(is_there(bundle.manifest_path) for bundle in suite.bundles())
    except MeasurementError:
        # Whoever opens it says what is wrong with it; an older one would be taken for it.
        return True


def is_suite(folder: Path) -> bool:
    """Whether a suite was written there, also where its suite.json is gone or is no file any more: were it not listed,
    `latest` would silently mean an older one."""
    return is_there(folder / _SUITE) or (is_there(folder / _MANIFEST) and not is_there(Bundle(folder).spec_path))


def default_store() -> Path:
    """`$TRACEKIT_HOME`, else `.tracekit` in the current folder."""
    return Path(os.environ.get("TRACEKIT_HOME") or ".tracekit")
