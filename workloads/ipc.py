"""ipc: what it costs to talk to another process or thread, by channel and size of the message.

Shows: what each task that goes to a worker pays before and after its work. Two sides: the main process and one peer, a
process or, for queue.Queue, a thread. A message goes there and comes back (round trip), and many go one way
(throughput). What it takes to turn an object into bytes and back is measured apart from carrying them.
Claim: threads share memory, processes have to copy; talking between processes is slow.
A good answer: some microseconds there and back for small messages over pipes and sockets, more where a thread or a
third process stands between (Queue, Manager); for megabytes it is how often the bytes are copied. Between threads only
a reference goes over, whatever the size.
Depends on: the system's scheduler (a round trip wakes two processes) and its memory bandwidth.
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence

from tracekit.workload import Observation, Workload
from workloads.ipc_channels import CHANNELS, End, open_channel

TYPE_CHECKING = False  # see ipc_channels.py
if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

Item = tuple[str, tuple[int, ...]]
Seen = dict[str, float]

SIZES = {1: "1B", 1 << 10: "1KiB", 1 << 16: "64KiB", 1 << 20: "1MiB", 1 << 24: "16MiB", 1 << 26: "64MiB"}
BY_REFERENCE = "thread-queue"
"""A channel that carries no bytes has no throughput of them."""
PICKLES = ("pickle-bytes", "pickle-floats", "pickle-out-of-band")
"""A bytes object; a list of floats of as many bytes; a buffer that protocol 5 leaves out of the pickle."""

_WHAT = (
    ("round_trip_p50_ns", "ns", "a message of that size there and back, median"),
    ("round_trip_p99_ns", "ns", "the same, 99th percentile; of 200 and more"),
    ("throughput_bytes_per_s", "bytes", "one way, in a second"),
)
_WHAT_PICKLED = (
    ("dumps_ns", "ns", "making bytes of the object"),
    ("loads_ns", "ns", "making the object of the bytes"),
    ("pickled_bytes", "bytes", "how many there are, without what goes out of band"),
)
_SPEND_S = 0.15
_ROUND_TRIPS = (5, 2000)
_ONE_WAY = (3, 1000)
_IN_FLIGHT = 256 << 20
_FOR_P99 = 200
_WARM = 2
_ECHO, _SINK, _END = "echo", "sink", "end"
_LIMIT_S = 60.0


def make_items(sizes: tuple[int, ...], seed: int) -> list[Item]:
    """Each channel and each kind of pickle with the sizes of its messages; the seed changes nothing."""
    return [(name, sizes) for name in (*CHANNELS, *PICKLES)]


def task(item: Item) -> tuple[str, Seen]:
    """Measure one channel, or one kind of pickle, at every size. Returns its name and what was seen."""
    name, sizes = item
    return name, _pickled(name, sizes) if name in PICKLES else _carried(name, sizes)


def _carried(name: str, sizes: tuple[int, ...]) -> Seen:
    context = multiprocessing.get_context("spawn")
    channel = open_channel(name, context, max(sizes))
    control, theirs = context.Pipe()
    peer: Any
    if channel.threads:
        peer = threading.Thread(target=serve, args=(channel.far, theirs), daemon=True)
    else:
        peer = context.Process(target=serve, args=(channel.far, theirs), daemon=True)
    peer.start()
    if not channel.threads:
        # Only the peer may hold these, so that its death is an end of file here.
        theirs.close()
        channel.far.close()
    try:
        seen: Seen = {}
        for size in sizes:
            seen.update(_of_size(name, size, channel.near, control))
        control.send((_END, 0))
        peer.join(_LIMIT_S)
    finally:
        if not channel.threads and peer.is_alive():
            peer.kill()
            peer.join()
        channel.near.close()
        channel.remove()
        control.close()
    return seen


def serve(end: End, control: Connection) -> None:
    """The other side: what the main process says over the pipe, until it says that it is over."""
    while True:
        what, count = control.recv()
        if what == _END:
            break
        for _ in range(count):
            data = end.receive()
            if what == _ECHO:
                end.send(data)
        del data
        if what == _SINK:
            control.send(count)
    end.close()
    control.close()


def _of_size(name: str, size: int, near: End, control: Connection) -> Seen:
    data = bytes(size)
    first = _round_trips(near, control, data, _WARM)[-1]
    count = _count(_SPEND_S / first, _ROUND_TRIPS)
    lengths = sorted(_round_trips(near, control, data, count))
    place = f"{name}.{SIZES[size]}"
    seen = {f"{place}.round_trip_p50_ns": _quantile(lengths, 0.5) * 1e9}
    if len(lengths) >= _FOR_P99:
        seen[f"{place}.round_trip_p99_ns"] = _quantile(lengths, 0.99) * 1e9
    if name != BY_REFERENCE:
        many = max(_ONE_WAY[0], min(_count(2 * _SPEND_S / first, _ONE_WAY), _IN_FLIGHT // size))
        seen[f"{place}.throughput_bytes_per_s"] = _throughput(near, control, data, many)
    return seen


def _throughput(near: End, control: Connection, data: bytes, count: int) -> float:
    """Bytes a second, until the other side has them all."""
    control.send((_SINK, count))
    start = time.perf_counter()
    for _ in range(count):
        near.send(data)
    control.recv()
    return count * len(data) / (time.perf_counter() - start)


def _round_trips(near: End, control: Connection, data: bytes, count: int) -> list[float]:
    """Seconds of each. Raises RuntimeError when something else comes back."""
    control.send((_ECHO, count))
    lengths = []
    for _ in range(count):
        start = time.perf_counter()
        near.send(data)
        back = near.receive()
        lengths.append(time.perf_counter() - start)
        if len(back) != len(data):
            raise RuntimeError(f"{len(data)} bytes were sent and {len(back)} came back")
    return lengths


def _pickled(name: str, sizes: tuple[int, ...]) -> Seen:
    seen: Seen = {}
    for size in sizes:
        dumps, loads = _KINDS[name](size)
        data = dumps()
        place = f"{name}.{SIZES[size]}"
        seen[f"{place}.dumps_ns"] = _median_s(dumps) * 1e9
        seen[f"{place}.loads_ns"] = _median_s(lambda: loads(data)) * 1e9  # noqa: B023 - called at once
        seen[f"{place}.pickled_bytes"] = len(data)
    return seen


Pair = tuple[Callable[[], bytes], Callable[[bytes], object]]


def _bytes(size: int) -> Pair:
    value = bytes(size)
    return lambda: pickle.dumps(value, pickle.HIGHEST_PROTOCOL), pickle.loads


def _floats(size: int) -> Pair:
    value = [number + 0.5 for number in range(max(1, size // 8))]
    return lambda: pickle.dumps(value, pickle.HIGHEST_PROTOCOL), pickle.loads


def _out_of_band(size: int) -> Pair:
    value = array("b", bytes(size))
    buffers: list[pickle.PickleBuffer] = []

    def dumps() -> bytes:
        buffers.clear()
        return pickle.dumps(pickle.PickleBuffer(value), 5, buffer_callback=buffers.append)

    return dumps, lambda data: pickle.loads(data, buffers=buffers)


_KINDS: dict[str, Callable[[int], Pair]] = dict(zip(PICKLES, (_bytes, _floats, _out_of_band)))


def _median_s(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    first = time.perf_counter() - start
    lengths = []
    for _ in range(_count(_SPEND_S / 3 / max(first, 1e-7), _ROUND_TRIPS)):
        start = time.perf_counter()
        function()
        lengths.append(time.perf_counter() - start)
    return _quantile(sorted(lengths), 0.5)


def _count(wanted: float, ends: tuple[int, int]) -> int:
    return max(ends[0], min(ends[1], int(wanted)))


def _quantile(ordered: Sequence[float], at: float) -> float:
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))]


def combine(results: Sequence[tuple[str, Seen]]) -> str:
    """Which channels there were: how long they took is what is observed."""
    return ",".join(name for name, _ in results)


def observe(results: Sequence[tuple[str, Seen]]) -> Mapping[str, float]:
    """Everything that was seen."""
    return {name: value for _, seen in results for name, value in seen.items()}


def _observations() -> tuple[Observation, ...]:
    return tuple(
        Observation(f"{name}.{size}.{what}", unit, summary)
        for names, whats in ((CHANNELS, _WHAT), (PICKLES, _WHAT_PICKLED))
        for name in names
        for size in SIZES.values()
        for what, unit, summary in whats
        if (name, what) != (BY_REFERENCE, "throughput_bytes_per_s")
    )


WORKLOAD = Workload(
    name="ipc",
    summary="talking to another process or thread: every channel, from 1 byte to 64 MiB",
    kind="ipc",
    sizes={
        "smoke": (1, 1 << 16),
        "small": (1, 1 << 10, 1 << 16, 1 << 20),
        "default": (1, 1 << 10, 1 << 16, 1 << 20, 1 << 26),
        "large": tuple(SIZES),
    },
    make_items=make_items,
    task=task,
    combine=combine,
    observe=observe,
    observations=_observations(),
    usual={
        "models": ("serial",),
        "workers": (1,),
        "captures": ("none",),
        "runs": 5,
        "warmup": 0,
        "controls": False,
        "timeout_s": 300.0,
    },
)
