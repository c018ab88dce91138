"""ipc: the cost of a message to another process or thread, by channel and size.

Shows: what each task that is sent to a worker costs besides its work. There are two sides: the main process and one
peer, a process or, for queue.Queue, a thread. One message goes to the peer and back (round trip), and many go one way
(throughput). Pickling and unpickling are measured apart from sending the bytes.
Claim: threads share memory, processes have to copy; messages between processes are slow.
A good answer: some microseconds for the round trip of a small message over pipes and sockets, more where a thread or a
third process stands between (Queue, Manager); for megabytes the number of copies decides. Between threads only a
reference is passed, whatever the size.
Depends on: the system's scheduler (a round trip wakes two processes) and its memory bandwidth.
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from array import array
from collections.abc import Callable, Sequence

from tracekit.workload import Observable, Observation, Workload
from workloads.ipc_channels import CHANNELS, ChannelEnd, open_channel

TYPE_CHECKING = False  # see ipc_channels.py
if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

Item = tuple[str, tuple[int, ...]]
SIZES = (1, 1 << 10, 1 << 16, 1 << 20, 1 << 24, 1 << 26)
"""Bytes of a message."""
BY_REFERENCE = "thread-queue"
"""A channel that copies no bytes has no throughput."""
PICKLES = ("pickle-bytes", "pickle-floats", "pickle-out-of-band")
"""A bytes object; a list of floats of as many bytes; a buffer that protocol 5 leaves out of the pickle."""

_DIMENSIONS = ("channel", "size")
_OBSERVABLES = (
    Observable("round_trip_p50_ns", "ns", "round trip of a message of that size, median", _DIMENSIONS),
    Observable("round_trip_p99_ns", "ns", "the same, 99th percentile; where 200 or more were made", _DIMENSIONS),
    Observable("throughput_bytes_per_s", "bytes", "bytes a second one way", _DIMENSIONS),
    Observable("dumps_ns", "ns", "time to pickle the object", _DIMENSIONS),
    Observable("loads_ns", "ns", "time to unpickle it", _DIMENSIONS),
    Observable("pickled_bytes", "bytes", "size of the pickle, without an out-of-band buffer", _DIMENSIONS),
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
    """Each channel and each kind of pickle, with the sizes of the messages; the seed changes nothing."""
    return [(name, sizes) for name in (*CHANNELS, *PICKLES)]


def task(item: Item) -> list[Observation]:
    """Measure one channel, or one kind of pickle, at every size."""
    name, sizes = item
    return _measure_pickle(name, sizes) if name in PICKLES else _measure_channel(name, sizes)


def _measure_channel(name: str, sizes: tuple[int, ...]) -> list[Observation]:
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
        # Only the peer may hold these, so that its death is an end of file on this side.
        theirs.close()
        channel.far.close()
    try:
        found: list[Observation] = []
        for size in sizes:
            found += _measure_size(name, size, channel.near, control)
        control.send((_END, 0))
        peer.join(_LIMIT_S)
    finally:
        if not channel.threads and peer.is_alive():
            peer.kill()
            peer.join()
        channel.near.close()
        channel.remove()
        control.close()
    return found


def serve(end: ChannelEnd, control: Connection) -> None:
    """The peer: echo or receive messages as the main process commands over the pipe, until it commands the end."""
    while True:
        command, count = control.recv()
        if command == _END:
            break
        for _ in range(count):
            data = end.receive()
            if command == _ECHO:
                end.send(data)
        del data
        if command == _SINK:
            control.send(count)
    end.close()
    control.close()


def _measure_size(name: str, size: int, near: ChannelEnd, control: Connection) -> list[Observation]:
    data = bytes(size)
    first = _time_round_trips(near, control, data, _WARM)[-1]
    count = _clamp(_SPEND_S / first, _ROUND_TRIPS)
    lengths = sorted(_time_round_trips(near, control, data, count))
    figures = {"round_trip_p50_ns": _quantile(lengths, 0.5) * 1e9}
    if len(lengths) >= _FOR_P99:
        figures["round_trip_p99_ns"] = _quantile(lengths, 0.99) * 1e9
    if name != BY_REFERENCE:
        many = max(_ONE_WAY[0], min(_clamp(2 * _SPEND_S / first, _ONE_WAY), _IN_FLIGHT // size))
        figures["throughput_bytes_per_s"] = _measure_throughput(near, control, data, many)
    return [Observation(what, value, channel=name, size=size) for what, value in figures.items()]


def _measure_throughput(near: ChannelEnd, control: Connection, data: bytes, count: int) -> float:
    """Bytes a second, until the peer has received them all."""
    control.send((_SINK, count))
    start = time.perf_counter()
    for _ in range(count):
        near.send(data)
    control.recv()
    return count * len(data) / (time.perf_counter() - start)


def _time_round_trips(near: ChannelEnd, control: Connection, data: bytes, count: int) -> list[float]:
    """Seconds of each round trip. Raises RuntimeError when a message of another length comes back."""
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


def _measure_pickle(name: str, sizes: tuple[int, ...]) -> list[Observation]:
    found = []
    for size in sizes:
        dumps, loads = _KINDS[name](size)
        data = dumps()
        figures = {
            "dumps_ns": _median_s(dumps) * 1e9,
            "loads_ns": _median_s(lambda: loads(data)) * 1e9,  # noqa: B023 - called at once
            "pickled_bytes": len(data),
        }
        found += [Observation(what, value, channel=name, size=size) for what, value in figures.items()]
    return found


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
    for _ in range(_clamp(_SPEND_S / 3 / max(first, 1e-7), _ROUND_TRIPS)):
        start = time.perf_counter()
        function()
        lengths.append(time.perf_counter() - start)
    return _quantile(sorted(lengths), 0.5)


def _clamp(wanted: float, ends: tuple[int, int]) -> int:
    return max(ends[0], min(ends[1], int(wanted)))


def _quantile(ordered: Sequence[float], at: float) -> float:
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))]


def combine(results: Sequence[list[Observation]]) -> str:
    """The channels; their times are the observations."""
    return ",".join(str(found[0].dimensions["channel"]) for found in results)


def observe(results: Sequence[list[Observation]]) -> list[Observation]:
    """The observations of all channels."""
    return [item for found in results for item in found]


WORKLOAD = Workload(
    name="ipc",
    summary="messages to another process or thread: every channel, from 1 byte to 64 MiB",
    kind="ipc",
    sizes={
        "smoke": (1, 1 << 16),
        "small": (1, 1 << 10, 1 << 16, 1 << 20),
        "default": (1, 1 << 10, 1 << 16, 1 << 20, 1 << 26),
        "large": SIZES,
    },
    make_items=make_items,
    task=task,
    combine=combine,
    observe=observe,
    observables=_OBSERVABLES,
    page="ipc",
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
