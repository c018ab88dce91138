"""The bundle: a run as a sealed folder. Left of it tracekit measures, right of it tracekit computes.

    .tracekit/<suite_id>/suite.json        what was requested, in order; written first
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
not know. Measured processes of Python 3.9 write them, hence stdlib only.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekit.bundle.spec import FORMAT, RunSpec, Suite
from tracekit.bundle.stream_records import stream_name
from tracekit.core.errors import (
    BundleCorrupt,
    BundleTooNew,
    BundleUnfinished,
    NothingToDo,
    OutputUnwritable,
    UsageError,
)

STDOUT_LOG, STDERR_LOG = "stdout.log", "stderr.log"
"""What a measured process printed."""

_SUITE = "suite.json"
_HASH_CHUNK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

OWN_FOLDERS = (".tracekit", "reports")
"""Where suites and reports go unless the user names other folders."""


class Bundle:
    """The folder of one run. Creating the object touches nothing on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def spec_path(self) -> Path:
        return self.root / "spec.json"

    @property
    def manifest_path(self) -> Path:
        return self.root / "manifest.json"

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
            self.spec_path.write_text(spec.to_json(), encoding="utf-8")

    def seal(self, manifest: Mapping[str, Any]) -> None:
        """Hash every file and write manifest.json by rename, so that it is there whole or not at all."""
        with explained_os_errors(self.root):
            files = {
                str(path.relative_to(self.root)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
                for path in sorted(self.root.rglob("*"))
                if path.is_file() and path != self.manifest_path
            }
            write_json(self.manifest_path, {"format": FORMAT, **manifest, "files": files})

    def spec(self) -> RunSpec:
        """The run's spec. Raises BundleCorrupt or BundleTooNew."""
        return RunSpec.from_mapping(read_json(self.spec_path))

    def manifest(self) -> dict[str, Any]:
        """The sealed manifest, its files checked. Raises BundleUnfinished, BundleCorrupt or BundleTooNew."""
        if not self.manifest_path.is_file():
            raise BundleUnfinished(f"run {self.root.name} has no manifest: it did not finish", f"ls {self.root}")
        manifest = read_json(self.manifest_path)
        sealed = _mapping(manifest, "files", self.manifest_path)
        for name, facts in sealed.items():
            self._check_file(name, facts)
        for folder in (self.streams, self.raw, self.waits):
            for path in folder.glob("**/*"):
                name = str(path.relative_to(self.root))
                if name not in sealed and not (path.is_dir() and not path.is_symlink()):
                    raise BundleCorrupt(f"{path} was added after the run was sealed", _again())
        return manifest

    def _check_file(self, name: str, facts: Any) -> None:
        path = self.root / name
        # The manifest is input like any other: it must not make us read outside the bundle.
        if "\0" in name or not path.resolve().is_relative_to(self.root.resolve()):
            raise BundleCorrupt(f"{self.manifest_path} names a file outside the bundle: {name!r}", _again())
        try:
            size = path.stat().st_size
            intact = size == facts["bytes"] and _sha256(path) == facts["sha256"]
        except (OSError, TypeError, KeyError) as error:
            raise BundleCorrupt(f"{path} cannot be checked: {error}", _again()) from error
        if not intact:
            raise BundleCorrupt(f"{path} is not the file that was sealed ({size:,} bytes now)", _again())


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
                },
            )

    def finish(self, status: str, notices: Sequence[tuple[str, str, str, str]]) -> None:
        """Record how the suite ended, and its notices."""
        with explained_os_errors(self.root):
            facts = {**self.facts(), "status": status, "notices": [list(item) for item in notices]}
            write_json(self.suite_path, facts)

    def facts(self) -> dict[str, Any]:
        """suite.json. Raises BundleCorrupt or BundleTooNew."""
        path = self.suite_path
        facts = read_json(path)
        if not isinstance(facts.get("runs"), list):
            raise BundleCorrupt(f"{path} has no list `runs`", _again())
        if facts.get("suite_id") != self.suite_id:
            # The id names the report's folder: a foreign suite must not choose where we write.
            raise BundleCorrupt(f"{path} is of another suite than its folder: {facts.get('suite_id')!r}", _again())
        return facts

    def bundle(self, run_id: str) -> Bundle:
        """The bundle of one run of this suite."""
        return Bundle(self.root / run_id)

    def bundles(self) -> list[Bundle]:
        """The bundles that exist, in the order the suite planned them."""
        planned = [name for name in self.facts()["runs"] if isinstance(name, str)]
        return [self.bundle(name) for name in planned if _NAME.fullmatch(name) and (self.root / name).is_dir()]


class Store:
    """The folder `.tracekit` with all suites. `TRACEKIT_HOME` or `--store` puts it elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def suites(self) -> list[SuiteFolder]:
        """Every suite, oldest first (ids start with their date and time)."""
        if not self.root.is_dir():
            return []
        return [SuiteFolder(path) for path in sorted(self.root.iterdir()) if (path / _SUITE).is_file()]

    def suite(self, name: str) -> SuiteFolder:
        """The suite of that id, `latest`, or any id's unambiguous start; or the one in that folder, wherever it is.

        Raises NothingToDo or UsageError.
        """
        if os.path.isfile(Path(name) / _SUITE):  # noqa: PTH113 - Path.is_file raises for what may not be looked at
            return SuiteFolder(Path(name).resolve())
        suites = self.suites()
        if not suites:
            raise NothingToDo(f"there is no suite in {self.root}", "tracekit run matmul")
        if name == "latest":
            return suites[-1]
        matches = [item for item in suites if item.suite_id == name] or [
            item for item in suites if item.suite_id.startswith(name)
        ]
        if len(matches) == 1:
            return matches[0]
        known = "unknown" if not matches else "not unique"
        raise UsageError(f"suite {name!r} is {known} in {self.root}", "tracekit list suites")


def make_output_folder(folder: Path) -> None:
    """Make a folder for suites or reports if it is not there. Raises OSError.

    One that has tracekit's own name gets a .gitignore, so that a user's repository does not pick up what is in it;
    a folder that the user named is the user's.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        if folder.name in OWN_FOLDERS:
            (folder / ".gitignore").write_text("# written by tracekit\n*\n", encoding="utf-8")


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write by rename, so that a reader never sees half a file. Raises OSError."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(data, indent=1), encoding="utf-8")
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of our own making. Raises BundleCorrupt, or BundleTooNew when its `format` is newer than ours."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", _again()) from error
    if not isinstance(data, dict):
        raise BundleCorrupt(f"{path} does not hold a JSON object", _again())
    found = data.get("format")
    if not isinstance(found, int):
        raise BundleCorrupt(f"{path} has no integer `format`", _again())
    if found > FORMAT:
        raise BundleTooNew(
            f"{path} has format {found}; this tracekit reads up to {FORMAT}", "pip install --upgrade tracekit"
        )
    return data


@contextlib.contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn "permission denied" and "no space left" below `path` into OutputUnwritable."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputUnwritable(f"no space left to write {path}", f"df -h {path.parent}") from error
        raise OutputUnwritable(f"cannot write {path}: {error.strerror}", f"ls -ld {path.parent}") from error


def _mapping(data: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise BundleCorrupt(f"{path} has no object {key!r}", _again())
    return value


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _again() -> str:
    return "tracekit list suites"


def default_store() -> Path:
    """`$TRACEKIT_HOME`, else `.tracekit` in the current folder."""
    return Path(os.environ.get("TRACEKIT_HOME") or ".tracekit")
