"""The kernel's `format` files: where in an event's bytes each field lies. They differ from kernel to kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"^ID:\s*(\d+)\s*$", re.MULTILINE)
_FIELD = re.compile(r"field:([^;]+);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:([01]);)?")
_NAME = re.compile(r"(\w+)\s*(?:\[[^]]*\])?$")
_MOST = 1 << 16


class BadFormat(ValueError):
    """The text does not describe an event; it says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its offset from the event's first byte, and its size in bytes."""

    offset: int
    size: int
    signed: bool
    located: bool
    """The field holds where in the event its text lies (`__data_loc`): offset below, length above 16 bits."""


@dataclass(frozen=True, slots=True)
class EventFormat:
    """One kind of event: the number that its events begin with, and its fields."""

    id: int
    fields: dict[str, Field]

    def field(self, name: str) -> Field:
        """Raises BadFormat when the kernel's event has no such field."""
        try:
            return self.fields[name]
        except KeyError:
            raise BadFormat(f"event {self.id} has no field {name}") from None


@dataclass(frozen=True, slots=True)
class PageFormat:
    """Offsets within a page: the time of its first event, the bytes that are used, and the events."""

    timestamp: int
    commit: int
    data: int


def parse_event(text: str) -> EventFormat:
    """One `format` file. Raises BadFormat."""
    number = _ID.search(text)
    if number is None or not 0 < int(number[1]) < _MOST:
        raise BadFormat("it has no ID")
    return EventFormat(id=int(number[1]), fields=_fields(text))


def parse_page(text: str) -> PageFormat:
    """`events/header_page`. Raises BadFormat."""
    fields = _fields(text)
    try:
        timestamp, commit, data = (fields[name] for name in ("timestamp", "commit", "data"))
    except KeyError as error:
        raise BadFormat(f"the page has no {error.args[0]}") from None
    if timestamp.size != 8 or commit.size not in (4, 8) or any(at.offset % 4 for at in (timestamp, commit, data)):
        raise BadFormat("the page's header is of an unknown kind")
    return PageFormat(timestamp=timestamp.offset, commit=commit.offset, data=data.offset)


def _fields(text: str) -> dict[str, Field]:
    fields = {}
    for declaration, offset, size, signed in _FIELD.findall(text):
        name = _NAME.search(declaration.strip())
        if name is None or int(offset) > _MOST or int(size) > _MOST:
            raise BadFormat(f"field {declaration[:80]!r} is of an unknown kind")
        located = declaration.startswith("__data_loc")
        fields[name[1]] = Field(offset=int(offset), size=int(size), signed=signed == "1", located=located)
    return fields
