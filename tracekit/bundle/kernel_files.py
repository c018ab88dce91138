"""The files of the kernel capture in `raw/kernel`: pages of the kernel's ring buffers, and the kernel's own description
of them.

`cpuN.bin` holds pages of one CPU's buffer as the kernel wrote them; `meta.json` has the text of the kernel's `format`
files, which say where in an event's bytes each field lies, since that differs from kernel to kernel. Any of these files
may be cut off, half written or not tracekit's at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FOLDER = "kernel"
"""Below the bundle's `raw`."""

META = "meta.json"
PAGES = "{cpu}.bin"
"""The pages of one CPU; `cpu0` is the first."""

FORMAT = 2
"""Of meta.json. Since 2 the event WAKING is recorded too."""

SWITCH, WAKEUP, WAKING = "sched/sched_switch", "sched/sched_wakeup", "sched/sched_waking"
"""The context switch; the thread put in a run queue, recorded on the CPU it is to run on; and just before, on the CPU
of the one who wakes it. Some virtual machines' kernels record nothing on a CPU that was idle: there WAKING is what
tells of the wake-up."""

EVENTS = (
    SWITCH,
    WAKEUP,
    WAKING,
    "sched/sched_process_exec",
    "sched/sched_process_exit",
    "task/task_newtask",
)
"""Recorded besides the uprobes. task_newtask tells new threads from new processes, sched_process_fork does not."""

_ID = re.compile(r"^ID:\s*(\d+)\s*$", re.MULTILINE)
_FIELD = re.compile(r"field:([^;]+);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:([01]);)?")
_NAME = re.compile(r"(\w+)\s*(?:\[[^]]*\])?$")
_MOST = 1 << 16


class BadFormat(ValueError):
    """The text does not describe an event or a page; the message says why."""


@dataclass(frozen=True)
class EventField:
    """One field of an event: its offset from the event's first byte, and its size, both in bytes."""

    offset: int
    size: int
    signed: bool
    located: bool
    """The field holds where in the event its text lies (`__data_loc`): offset below, length above 16 bits."""


@dataclass(frozen=True)
class EventFormat:
    """The format of one kind of event: its id, which each event begins with, and its fields by name."""

    id: int
    fields: dict[str, EventField]

    def field(self, name: str) -> EventField:
        """One of the fields. Raises BadFormat where the event has no such field."""
        try:
            return self.fields[name]
        except KeyError:
            raise BadFormat(f"event {self.id} has no field {name}") from None


@dataclass(frozen=True)
class PageFormat:
    """Byte offsets in a page: of the time of its first event, of the number of bytes in use, and of the events."""

    timestamp: int
    commit: int
    data: int


def parse_event(text: str) -> EventFormat:
    """Parse the text of one `format` file. Raises BadFormat."""
    number = _ID.search(text)
    if number is None or not 0 < int(number[1]) < _MOST:
        raise BadFormat("it has no ID")
    return EventFormat(id=int(number[1]), fields=_fields(text))


def parse_page(text: str) -> PageFormat:
    """Parse the text of `events/header_page`. Raises BadFormat."""
    fields = _fields(text)
    try:
        timestamp, commit, data = (fields[name] for name in ("timestamp", "commit", "data"))
    except KeyError as error:
        raise BadFormat(f"the page has no {error.args[0]}") from None
    if timestamp.size != 8 or commit.size not in (4, 8) or any(at.offset % 4 for at in (timestamp, commit, data)):
        raise BadFormat("the page's header is of an unknown kind")
    return PageFormat(timestamp=timestamp.offset, commit=commit.offset, data=data.offset)


def _fields(text: str) -> dict[str, EventField]:
    fields = {}
    for declaration, offset, size, signed in _FIELD.findall(text):
        name = _NAME.search(declaration.strip())
        if name is None or int(offset) > _MOST or int(size) > _MOST:
            raise BadFormat(f"field {declaration[:80]!r} is of an unknown kind")
        located = declaration.startswith("__data_loc")
        fields[name[1]] = EventField(offset=int(offset), size=int(size), signed=signed == "1", located=located)
    return fields
