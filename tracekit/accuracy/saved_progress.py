"""Saves the comparisons of each finished step in a file beside the output, so that an interrupted run can continue.

A full run takes more than an hour. The file has one line per finished step; an unfinished step is run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import tracekit
from tracekit.accuracy.comparison import Comparison
from tracekit.bundle.store import explained_os_errors
from tracekit.core.errors import NothingToDo
from tracekit.system.machine import describe


class SavedProgress:
    """The finished steps of one run of `make accuracy`.

    `asked` identifies the request: a run can be continued for the same request only, with the same sources, on the same
    machine. Raises OutputUnwritable, and NothingToDo when `go_on` is set and there is nothing to continue.
    """

    def __init__(self, output: Path, asked: str, *, go_on: bool) -> None:
        self._path = output.with_name(output.name + ".unfinished")
        about = _about(asked)
        lines = _lines(self._path) if go_on else []
        if go_on and (not lines or lines[0] != about):
            why = "is of another request, of other sources or of another machine" if lines else "does not exist"
            raise NothingToDo(f"{self._path} {why}: there is nothing to continue", "make accuracy")
        found = [_step(line) for line in lines[1:]]
        self._steps = {name: rows for name, rows in found if name}
        kept = [about, *(_line(name, rows) for name, rows in self._steps.items())]
        with explained_os_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_name(self._path.name + ".part")
            draft.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            draft.replace(self._path)

    def __len__(self) -> int:
        return len(self._steps)

    def find(self, step: str) -> list[Comparison] | None:
        """The comparisons of a finished step; None for one that is still to be run."""
        return self._steps.get(step)

    def save(self, step: str, rows: Sequence[Comparison]) -> None:
        """Save the comparisons of a step that has finished."""
        with explained_os_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(_line(step, rows) + "\n")

    def remove(self) -> None:
        """Remove the file: the result is written."""
        self._path.unlink(missing_ok=True)


def _lines(path: Path) -> list[str]:
    """The complete lines of the file."""
    try:
        return [line[:-1] for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    except (OSError, ValueError):
        return []


def _line(step: str, rows: Sequence[Comparison]) -> str:
    return json.dumps([step, [asdict(row) for row in rows]])


def _step(line: str) -> tuple[str, list[Comparison]]:
    """Parse a line; the name is empty where it cannot be read, and the step is run again."""
    try:
        name, rows = json.loads(line)
        return str(name), [Comparison(**row) for row in rows]
    except (ValueError, TypeError):
        return "", []


def _about(asked: str) -> str:
    """One line that changes with the request, the sources and the machine."""
    package = Path(tracekit.__file__).resolve().parent
    sources = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.[ch]"), *package.parent.glob("workloads/*.py")]):
        sources.update(f"{path.relative_to(package.parent)}\n".encode())
        sources.update(path.read_bytes())
    facts = describe()
    machine = [facts[name] for name in ("kernel", "cpu_model", "logical_cpus")]
    return json.dumps({"asked": asked, "sources": sources.hexdigest(), "machine": machine})
