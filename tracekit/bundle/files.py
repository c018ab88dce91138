"""The one door to the files of a bundle: every reader opens them here.

A bundle is input, and anything may stand where one of its files was: a link, a folder, a FIFO, a device, a file that
grew to gigabytes. Only a regular file is opened, and never through a link: a link could lead out of the suite, or to
itself. (The suite's own folder may be one; below it tracekit makes none that lasts.) Anything else is not even opened,
since opening a FIFO waits for a writer, and opening a device may act on it.

How much is read is bounded by what the manifest says: `Bundle.manifest` compares the size of each file before it reads
any of it. A file that has no manifest yet is bounded by `most`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tracekit.bundle.spec import FORMAT
from tracekit.core.errors import BundleCorrupt, BundleTooNew

HINT = "tracekit list suites"
_CHUNK = 1 << 20
_MOST_JSON = 1 << 26
"""Bytes of the largest JSON file of our own making; a manifest has some 150 for each file."""
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
OWN_FOLDERS = (".tracekit", "reports")
"""Where suites and reports go unless the user names other folders."""

# Windows has neither FIFOs nor these flags.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def is_there(path: Path) -> bool:
    """Whether anything has this name, also what cannot be opened: whoever skips what is no file hides that it was
    replaced."""
    return os.path.lexists(path)


def is_regular(path: Path) -> bool:
    """Whether it is a regular file, and not a link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def open_file(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file of at most `most` bytes for reading. Raises BundleCorrupt."""
    try:
        _check_kind(path, os.lstat(path).st_mode)
        # Between the two calls something else may have taken its place.
        descriptor = os.open(path, _FLAGS)
        file = os.fdopen(descriptor, "rb")
        try:
            found = os.fstat(descriptor)
            _check_kind(path, found.st_mode)
            if most is not None and found.st_size > most:
                raise BundleCorrupt(f"{path} has {found.st_size:,} bytes; at most {most:,} are read", HINT)
        except BaseException:
            file.close()
            raise
    # A name that no file can have is a ValueError.
    except (OSError, ValueError) as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    return file


def read_file(path: Path, most: int | None = None, length: int | None = None) -> bytes:
    """The bytes of a regular file of at most `most` bytes, or its first `length` ones; never more than it had when it
    was opened. Raises BundleCorrupt."""
    with open_file(path, most) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            return file.read(size if length is None else min(length, size))
        except (OSError, MemoryError) as error:
            raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error


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
    write_whole(path, json.dumps(data, indent=1))


def write_whole(path: Path, text: str) -> None:
    """The same, of any text. Raises OSError."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of our own making. Raises BundleCorrupt, or BundleTooNew when its `format` is newer than ours."""
    raw = read_file(path, _MOST_JSON)
    try:
        data = json.loads(raw)
        if b"\\ud" in raw.lower():
            # A lone surrogate, which no text file and no table can hold.
            data = json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    if not isinstance(data, dict):
        raise BundleCorrupt(f"{path} does not hold a JSON object", HINT)
    found = data.get("format")
    if type(found) is not int:
        raise BundleCorrupt(f"{path} has no integer `format`", HINT)
    if found > FORMAT:
        raise BundleTooNew(
            f"{path} has format {found}; this tracekit reads up to {FORMAT}", "pip install --upgrade tracekit"
        )
    return data


def take_mapping(data: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """The object `key` of what was read from `path`. Raises BundleCorrupt."""
    value = data.get(key)
    if not isinstance(value, dict):
        raise BundleCorrupt(f"{path} has no object {key!r}", HINT)
    return value


def seal_file(path: Path) -> dict[str, int | str]:
    """A file's entry in a manifest: its size and its SHA-256. Raises BundleCorrupt."""
    with open_file(path) as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": _hash(file)}


def check_file(root: Path, name: str, sealed: object) -> None:
    """Compare the file `name` below `root` with its entry in the manifest; it is read only where its size is right.

    Raises BundleCorrupt.
    """
    path = root / name
    parts = name.split("/")
    # The manifest is input like any other: it must not make us read outside the bundle.
    if "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise BundleCorrupt(f"the manifest of {root} names a file outside of it: {name!r}", HINT)
    for depth in range(1, len(parts)):
        folder = root.joinpath(*parts[:depth])
        if folder.is_symlink():
            raise BundleCorrupt(f"{folder} is a link, not the folder that was sealed", HINT)
    if not isinstance(sealed, dict) or not isinstance(sealed.get("bytes"), int):
        raise BundleCorrupt(f"the manifest of {root} does not describe {name!r}", HINT)
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            intact = size == sealed["bytes"] and _hash(file) == sealed.get("sha256")
        except OSError as error:
            raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error
    if not intact:
        raise BundleCorrupt(f"{path} is not the file that was sealed ({size:,} bytes now)", HINT)


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BundleCorrupt(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a file", HINT)


def _hash(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
