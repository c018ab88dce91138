"""What an interrupted proof had found: the rows of each step, in a file beside its output.

A proof takes an hour and more. The file has a line per finished step; the one that was under way is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import tracekit
from tracekit.accuracy.comparison import Row
from tracekit.bundle.store import explained_os_errors
from tracekit.core.errors import NothingToDo
from tracekit.system.machine import describe as describe_machine


class Progress:
    """The finished steps of one proof.

    `asked` is what the proof was asked for: it can be gone on with for the same only, by the same sources on the same
    machine. Raises OutputUnwritable, and NothingToDo when it is to go on and there is nothing to go on with.
    """

    def __init__(self, output: Path, asked: str, *, go_on: bool) -> None:
        self._path = output.with_name(output.name + ".unfinished")
        about = _about(asked)
        lines = _lines(self._path) if go_on else []
        if go_on and (not lines or lines[0] != about):
            why = "is of another proof, of other sources or of another machine" if lines else "is not there"
            raise NothingToDo(f"{self._path} {why}: nothing to go on with", "make accuracy")
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

    def rows(self, step: str) -> list[Row] | None:
        """Of a step that was finished; None: it is still to be made."""
        return self._steps.get(step)

    def keep(self, step: str, rows: Sequence[Row]) -> None:
        """The step is finished."""
        with explained_os_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(_line(step, rows) + "\n")

    def over(self) -> None:
        """The result is written: there is nothing to go on with any more."""
        self._path.unlink(missing_ok=True)


def _lines(path: Path) -> list[str]:
    """Those that were written whole."""
    try:
        return [line[:-1] for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    except (OSError, ValueError):
        return []


def _line(step: str, rows: Sequence[Row]) -> str:
    return json.dumps([step, [asdict(row) for row in rows]])


def _step(line: str) -> tuple[str, list[Row]]:
    """An empty name: the line cannot be read, and its step is made again."""
    try:
        name, rows = json.loads(line)
        return str(name), [Row(**row) for row in rows]
    except (ValueError, TypeError):
        return "", []


def _about(asked: str) -> str:
    """One line that differs when another proof was asked for, the sources changed, or the machine did."""
    package = Path(tracekit.__file__).resolve().parent
    sources = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.[ch]"), *package.parent.glob("workloads/*.py")]):
        sources.update(f"{path.relative_to(package.parent)}\n".encode())
        sources.update(path.read_bytes())
    facts = describe_machine()
    machine = [facts[name] for name in ("kernel", "cpu_model", "logical_cpus")]
    return json.dumps({"asked": asked, "sources": sources.hexdigest(), "machine": machine})
