"""Ways to damage one file of a suite: each a function of its path and a random generator.

Text damages change the content and leave a file: with them a suite can be sealed again, so that the readers meet them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path, random.Random], None]

GROWN = 6 << 30
_OTHER_TYPES: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1.5, 1e308, float("inf"), "", "x", "../../etc", "0", "\0", "=1+1", [], {}, [[1]],
    {"a": []},
)  # fmt: skip
_LONE = "\ud800"


def truncate(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(max(1, path.stat().st_size)))


def flip(path: Path, chance: random.Random) -> None:
    """Change one bit of one byte."""
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)


def empty(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def change_type(path: Path, chance: random.Random) -> None:
    """Give one JSON value another type, or one that cannot be."""

    def change(holder: Any, key: Any) -> None:
        others = [value for value in _OTHER_TYPES if type(value) is not type(holder[key]) or chance.random() < 0.2]
        holder[key] = chance.choice(others)

    _change_json(path, chance, change)


def drop_key(path: Path, chance: random.Random) -> None:
    """Leave out one key or one element."""
    _change_json(path, chance, lambda holder, key: holder.pop(key))


def add_surrogate(path: Path, chance: random.Random) -> None:
    """Put half of a surrogate pair into one text, which Python's json writes and reads and no file can hold."""

    def change(holder: Any, key: Any) -> None:
        holder[key] = f"{holder[key]}{_LONE}" if isinstance(holder[key], str) else _LONE

    _change_json(path, chance, change, of_texts=True)


def delete(path: Path, chance: random.Random) -> None:
    path.unlink()


def make_folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()
    (path / path.name).write_text("{}")


def link(path: Path, chance: random.Random) -> None:
    """Put a link in its place: to the same bytes outside of the suite, to a device, to nothing."""
    outside = path.parents[2] / f"outside-{path.name}"
    shutil.copyfile(path, outside)
    path.unlink()
    path.symlink_to(chance.choice([outside, Path("/dev/zero"), Path("/nowhere")]))


def loop(path: Path, chance: random.Random) -> None:
    """Put a link to itself in its place, or for its folder one to itself or to the folder above."""
    folder = path.parent
    if chance.random() < 0.5 or (folder / "suite.json").is_file():
        path.unlink()
        path.symlink_to(path.name)
        return
    shutil.rmtree(folder)
    folder.symlink_to(chance.choice([folder.name, "."]))


def make_fifo(path: Path, chance: random.Random) -> None:
    """A FIFO, which nobody ever writes to."""
    path.unlink()
    os.mkfifo(path)


def grow(path: Path, chance: random.Random) -> None:
    """Gigabytes of zeros, which take no room on the disk."""
    os.truncate(path, GROWN)


TEXT: dict[str, Damage] = {"truncate": truncate, "flip": flip, "empty": empty}
JSON: dict[str, Damage] = {"type": change_type, "key": drop_key, "surrogate": add_surrogate}
PLACE: dict[str, Damage] = {
    "delete": delete, "folder": make_folder, "link": link, "loop": loop, "fifo": make_fifo, "grow": grow,
}  # fmt: skip
DAMAGES = {**TEXT, **JSON, **PLACE}


def list_damages(name: str) -> list[str]:
    """The damages that a file of this name can have."""
    return [*TEXT, *(JSON if name.endswith((".json", ".jsonl")) else ()), *PLACE]


def _change_json(
    path: Path, chance: random.Random, change: Callable[[Any, Any], None], *, of_texts: bool = False
) -> None:
    """Change one value of a JSON document, or of one line of a stream."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    number = chance.randrange(len(lines))
    document = [json.loads(lines[number])]
    places = list(_places(document))
    if of_texts:
        places = [(holder, key) for holder, key in places if isinstance(holder[key], str)] or places
    change(*chance.choice(places))
    lines[number] = json.dumps(document[0]) if document else ""
    path.write_text("\n".join([*lines, ""]) if path.suffix == ".jsonl" else lines[0], encoding="utf-8")


def _places(holder: Any) -> Any:
    """Every value in a document, as its holder and its key there."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])
