"""The records of a stream, `streams/<pid>.jsonl`: a class per kind of record, an annotation per key.

The measured process writes them through `stream_records`, `analysis.load` builds its checked structs from these
annotations, and docs/bundle.md is generated from this file. The kind `span` is the class SpanRecord. A key with a
default may be absent from a record; readers ignore kinds and keys that they do not know. Stamps are CLOCK_MONOTONIC
nanoseconds. `Count` is an integer from 0, `Signed` any integer, `Reading` a finite number.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see tracekit/core/registry.py
if TYPE_CHECKING:
    from typing import Any, dataclass_transform

    Count = int
    Signed = int
    Reading = float
else:

    def dataclass_transform(**_):  # typing has it from 3.11 on
        return lambda record: record


@dataclass_transform(kw_only_default=True)
class StreamRecord:
    """One line of a stream; type checkers know its keys as those of a dataclass."""


class MetaRecord(StreamRecord):
    """The first record of a stream: which process it is, and when it came to run its own code."""

    format: Count
    """the bundle's format"""
    role: str
    """`main`, `worker` or, in `parent.jsonl`, `parent`"""
    pid: Count | None = None
    """the process; absent in `parent.jsonl`, as all that follow"""
    ppid: Count | None = None
    """its parent process"""
    tid: Count | None = None
    """the system's id of its main thread"""
    worker: Count | None = None
    """the worker's number, 0, 1, ...; null in the main process"""
    start_ticks: Count | None = None
    """when the process was created, in clock ticks since boot (proc(5), field 22); null where unknown"""
    spawn_requested_ns: Count | None = None
    """when the parent requested the worker; null in the main process"""
    main_begun_ns: Count | None = None
    """when the worker began to import the main module again; null where it did not"""
    main_imported_ns: Count | None = None
    """when that import ended"""
    unpickled_ns: Count | None = None
    """when the process object was unpickled; null where it was not pickled"""
    interpreter_ready_ns: Count | None = None
    """the first instruction of the worker's own code; null in the main process"""
    counter_source: str | None = None
    """the source of the counters: `linux`, `portable`"""
    clocks: dict[str, Any] | None = None
    """`monotonic_ns`, `boottime_ns`, `realtime_ns` read together; main process only"""
    python: dict[str, Any] | None = None
    """`implementation`, `version`, `build`, `executable`, `free_threaded_build`, `gil_enabled`, `switch_interval_s`,
    `start_method_default`, `start_methods`; main process only"""


class ThreadRecord(StreamRecord):
    """One thread of the process, written by the process that started it."""

    tid: Count
    """the system's thread id"""
    role: str
    """`main`, `worker` or `other`"""
    name: str = ""
    """its name in Python"""
    interpreter_id: Count | None = None
    """the subinterpreter it belongs to; null for the main interpreter"""
    worker: Count | None = None
    """the worker's number, 0, 1, ...; null for other threads"""
    spawn_requested_ns: Count | None = None
    """when it was requested; null where unknown"""
    start_ns: Count | None = None
    """its first stamp"""
    end_ns: Count | None = None
    """its last stamp"""
    cpu_ns: Count | None = None
    """CPU time it used; null where not read"""


class StartRecord(StreamRecord):
    """The start and the end of one worker as its parent saw them."""

    worker: Count
    """the worker's number, 0, 1, ..."""
    pid: Count | None = None
    """its process"""
    tid: Count | None = None
    """its main thread; null where the system does not number it by the process"""
    requested_ns: Count | None = None
    """when the start was requested"""
    returned_ns: Count | None = None
    """when the call that starts it returned; null where an executor makes that call"""
    item: Count | None = None
    """the worker's only item; null, as the two that follow, unless every item has a worker of its own"""
    result_ns: Count | None = None
    """when the parent had its result"""
    joined_ns: Count | None = None
    """when it was joined"""


class StampRecord(StreamRecord):
    """One moment in a worker."""

    name: str
    """`recording`: tracekit's own preparations are over; `done`: the worker's code has ended"""
    ts_ns: Count
    """the moment"""


class PickledRecord(StreamRecord):
    """What one item and its result cost to pickle, in warm-up runs of executors only."""

    item: Count
    """the item's index"""
    item_bytes: Count | None = None
    """size of the pickled item"""
    item_dumps_ns: Count | None = None
    """time to pickle it"""
    item_loads_ns: Count | None = None
    """time to unpickle it"""
    result_bytes: Count | None = None
    """size of the pickled result"""
    result_dumps_ns: Count | None = None
    """time to pickle it"""
    result_loads_ns: Count | None = None
    """time to unpickle it"""
    error: str | None = None
    """why it cannot be pickled, in place of the numbers; nothing follows this item"""


class SpanRecord(StreamRecord):
    """A stretch of one thread's time that tracekit stamped at both ends."""

    tid: Count
    """the thread"""
    name: str
    """`task`; in the main process also `run`, `shutdown` and, under executors, `submit` of each item"""
    item: Count | None = None
    """the item's index, for `task` and `submit`"""
    start_ns: Count
    """its beginning"""
    dur_ns: Count
    """its duration"""
    cpu_ns: Count | None = None
    """CPU time of the thread in it; null, as the two that follow, where it was not read"""
    voluntary_switches: Count | None = None
    """voluntary context switches in it"""
    involuntary_switches: Count | None = None
    """involuntary context switches in it"""


class CounterRecord(StreamRecord):
    """One counter, read once."""

    pid: Count | None = None
    """the process it is about, in `parent.jsonl`; elsewhere it is the stream's own"""
    tid: Count | None = None
    """the thread it is about; null for a process or the machine"""
    ts_ns: Count | None = None
    """when it was read"""
    counter: str
    """its name"""
    value: Reading
    """what was read"""
    unit: str
    """`ns`, `count` or `bytes`"""
    scope: str
    """`thread`, `process` or `machine`; in format 1 also `workload`, an observation named by a metric's name"""
    source: str = ""
    """what read it: `linux`, `portable`, `psutil`"""
    at: str | None = None
    """`start` or `end`: of the run in the main process, of the worker's life in a worker"""


class ObservationRecord(StreamRecord):
    """One number or text that the workload observed about itself; main process only."""

    what: str
    """the name of one of the workload's observables"""
    value: Reading | None = None
    """the number; null where it is a text"""
    unit: str = ""
    """any unit of the metrics table; empty for a text"""
    text: str = ""
    """the text; empty where it is a number"""
    pool: str = ""
    """the class that starts the workers: `Process`, `ProcessPoolExecutor`; empty, as the texts that follow, where
    nothing depends on it"""
    start_method: str = ""
    """how the workers are started: `threads`, `fork`, `spawn`"""
    phase: str = ""
    """when it was observed: `up`, `collected`"""
    channel: str = ""
    """what carries the data: `pipe`, `queue`"""
    size: Count | None = None
    """bytes of a message, or a number of workers"""
    case: str = ""
    """anything else that it depends on: the fault `sigkill`, the limit `nofile`"""


class ResultRecord(StreamRecord):
    """The result of the run; main process only."""

    checksum: str
    """of all results; equal for all models"""
    items: Count
    """the number of items"""
    workload_kind: str = ""
    """the workload's kind, one of `tracekit.workload.KINDS`"""
    workload_page: str = ""
    """the report page that the workload names; empty for the page that compares models"""


class FailureRecord(StreamRecord):
    """The exception that ended the run; main process only."""

    type: str = ""
    """its class"""
    message: str = ""
    """its text"""
    traceback: str = ""
    """as Python prints it"""


class GilRecord(StreamRecord):
    """Whether the GIL was enabled at the end of the process."""

    enabled: bool
    """true before Python 3.13"""
    module: str | None = None
    """the import that enabled it; null or absent where none did"""


class EndRecord(StreamRecord):
    """The last record; a process that was killed leaves none."""

    count: Count
    """records before this one"""
    exit_ns: Count | None = None
    """when it was written"""
    exit_code: Signed | None = None
    """the exit code that the process is about to have; null where it fails"""


RECORDS = {record.__name__[: -len("Record")].lower(): record for record in StreamRecord.__subclasses__()}
"""Every kind of record and its class, in the order above."""
