"""Parses JSON into typed values, with msgspec: only this file imports it.

Types are checked while parsing, without a dict in between: a trace of 146 MB takes 1.3 s instead of 5.5 s.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import msgspec

from tracekit.bundle.files import HINT, read_file
from tracekit.bundle.stream_schema import StreamRecord
from tracekit.core.errors import BundleCorrupt

_LARGEST = 2**62
Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
"""A count, an id or nanoseconds; small enough that the sum of two still fits 64 bits."""
Signed = Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
"""An integer that may be negative, as an exit code is after a signal."""
Reading = Annotated[float, msgspec.Meta(ge=-(2.0**62), le=2.0**62)]
"""A counter's value."""
Microseconds = Annotated[float, msgspec.Meta(ge=0, le=2.0**52)]
"""A stamp or a duration in Chrome's trace format; 2**52 µs are 142 years."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=2.0**30)]
"""A duration in speedscope's format; 2**30 s are 34 years."""

Struct = msgspec.Struct
Raw = msgspec.Raw
"""A value that is not decoded yet: a slice of the file's bytes."""
default = msgspec.field
"""`default(default_factory=list)`: a field of a Struct that may be absent."""

Wanted = TypeVar("Wanted")


Record = TypeVar("Record", bound=StreamRecord)
_RECORD_TYPES = {"Count": Count, "Signed": Signed, "Reading": Reading, "Any": Any}


class Unreadable(ValueError):
    """The bytes are not JSON of the expected type; the text says where."""


def decoder(kind: type[Wanted]) -> Callable[[bytes | Raw], Wanted]:
    """Make a function that decodes bytes to `kind`. It ignores unknown keys and raises Unreadable."""
    inner = msgspec.json.Decoder(kind)

    def decode(data: bytes | Raw) -> Wanted:
        try:
            try:
                return inner.decode(data)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                mended = _ESCAPES.sub(_mend, bytes(data))
                if mended == data:
                    raise
                return inner.decode(mended)
        # Deep nesting ends in a RecursionError, bytes that are no UTF-8 in a ValueError.
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Unreadable(str(error)) from error

    return decode


def record_struct(record: type[Record]) -> type[Record]:
    """Make a Struct with the keys, types and defaults of a record of bundle/stream_schema.py, as a subclass of it."""
    fields = [
        (key, kind, getattr(record, key)) if hasattr(record, key) else (key, kind)
        for key, kind in get_type_hints(record, localns=_RECORD_TYPES, include_extras=True).items()
    ]
    return cast("type[Record]", msgspec.defstruct(record.__name__, fields, bases=(Struct, record), kw_only=True))


def read_keys(record: StreamRecord) -> dict[str, Any]:
    """All keys of a record and their values: the columns of its table."""
    return msgspec.structs.asdict(cast("msgspec.Struct", record))


_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
"""An escape in a JSON string: a surrogate pair, a lone surrogate (group 1), or any other.

Python writes a lone surrogate where an error message quotes a file name that is not UTF-8; msgspec refuses it.
"""


def _mend(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] is None else b"\\ufffd"


def decode_file(decode: Callable[[bytes | Raw], Wanted], path: Path) -> Wanted:
    """Decode a whole file. Raises BundleCorrupt with the file's name."""
    try:
        return decode(read_file(path))
    except Unreadable as error:
        raise BundleCorrupt(f"{path} cannot be read: {error}", HINT) from error


def convert(data: Any, kind: type[Wanted], path: Path) -> Wanted:
    """Convert parsed JSON to `kind`, a dataclass or a Struct. Raises BundleCorrupt with the file's name."""
    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BundleCorrupt(f"{path} is not what tracekit writes: {error}", HINT) from error


def text(value: str) -> str:
    """Replace lone surrogates, which Python's `json` accepts and no table can store."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
