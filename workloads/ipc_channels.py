"""The channels of the workload `ipc`: ways to send bytes to another process or thread, all behind send and receive.

Each is used as a program would: a Connection for pipes, length-prefixed messages on sockets, objects on queues. A
channel with one place for the data (a file, shared memory) announces each message by a pipe, and waits before it writes
there again until the other side has read it.
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import tempfile
from multiprocessing import shared_memory
from pathlib import Path

TYPE_CHECKING = False  # `typing` alone takes 2 ms, which every spawned peer would pay
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from typing import Any

_LENGTH = struct.Struct("!Q")
_TOGETHER = 1 << 16
"""Up to this size a message is sent together with its length."""


class ChannelEnd:
    """One side of a channel. `send` takes and `receive` returns a whole message."""

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def receive(self) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        """Close this side; the other side may still be open."""


class PipeEnd(ChannelEnd):
    """Two one-way pipes of multiprocessing."""

    def __init__(self, reader: Connection, writer: Connection) -> None:
        self._reader, self._writer = reader, writer

    def send(self, data: bytes) -> None:
        self._writer.send_bytes(data)

    def receive(self) -> bytes:
        return self._reader.recv_bytes()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class SocketEnd(ChannelEnd):
    """A stream socket; each message has its length in front."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def send(self, data: bytes) -> None:
        length = _LENGTH.pack(len(data))
        if len(data) <= _TOGETHER:
            self._stream.sendall(length + data)
        else:
            self._stream.sendall(length)
            self._stream.sendall(data)

    def receive(self) -> bytes:
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return bytes(self._exactly(length))

    def _exactly(self, length: int) -> bytearray:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            count = self._stream.recv_into(view)
            if not count:
                raise EOFError("the other side has gone")
            view = view[count:]
        return data

    def close(self) -> None:
        self._stream.close()


class QueueEnd(ChannelEnd):
    """Two queues: multiprocessing's Queue or SimpleQueue, a manager's proxies, or queue.Queue between threads."""

    def __init__(self, incoming: Any, outgoing: Any) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def send(self, data: bytes) -> None:
        self._outgoing.put(data)

    def receive(self) -> bytes:
        data: bytes = self._incoming.get()
        return data


class PlaceEnd(ChannelEnd):
    """One place for each direction, announced by a pipe: the length of a written message, an empty message when it was
    read."""

    def __init__(self, incoming_notes: Connection, outgoing_notes: Connection) -> None:
        self._incoming_notes, self._outgoing_notes = incoming_notes, outgoing_notes
        self._full = False
        self._lengths: list[int] = []

    def send(self, data: bytes) -> None:
        while self._full:
            self._read_note()
        self.write(data)
        self._full = True
        self._outgoing_notes.send_bytes(_LENGTH.pack(len(data)))

    def receive(self) -> bytes:
        while not self._lengths:
            self._read_note()
        data = self.read(self._lengths.pop(0))
        self._outgoing_notes.send_bytes(b"")
        return data

    def _read_note(self) -> None:
        note = self._incoming_notes.recv_bytes()
        if note:
            self._lengths.append(_LENGTH.unpack(note)[0])
        else:
            self._full = False

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def read(self, length: int) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        self._incoming_notes.close()
        self._outgoing_notes.close()


class FileEnd(PlaceEnd):
    """Temporary files, written and read whole; they stay in the page cache."""

    def __init__(self, incoming_notes: Connection, outgoing_notes: Connection, incoming: str, outgoing: str) -> None:
        super().__init__(incoming_notes, outgoing_notes)
        self._incoming, self._outgoing = incoming, outgoing

    def write(self, data: bytes) -> None:
        Path(self._outgoing).write_bytes(data)

    def read(self, length: int) -> bytes:
        return Path(self._incoming).read_bytes()


class SharedEnd(PlaceEnd):
    """Shared memory, copied in and copied out."""

    def __init__(self, incoming_notes: Connection, outgoing_notes: Connection, incoming: str, outgoing: str) -> None:
        super().__init__(incoming_notes, outgoing_notes)
        self._names = (incoming, outgoing)
        self._blocks: list[shared_memory.SharedMemory] = []

    def _block(self, number: int) -> shared_memory.SharedMemory:
        if not self._blocks:
            self._blocks = [shared_memory.SharedMemory(name) for name in self._names]
        return self._blocks[number]

    def write(self, data: bytes) -> None:
        there = self._block(1).buf
        assert there is not None
        there[: len(data)] = data

    def read(self, length: int) -> bytes:
        here = self._block(0).buf
        assert here is not None
        return bytes(here[:length])

    def close(self) -> None:
        super().close()
        for block in self._blocks:
            block.close()


class Channel:
    """An open channel: its two ends, and what to remove when both are closed. `threads`: the other side is a thread of
    this process."""

    threads = False

    def __init__(self, near: ChannelEnd, far: ChannelEnd) -> None:
        self.near, self.far = near, far

    def remove(self) -> None:
        """Called when the other side has ended."""


def open_channel(name: str, context: BaseContext, most: int) -> Channel:
    """The channel of that name, for messages of up to `most` bytes."""
    return _OPENERS[name](context, most)


def _pipe(context: BaseContext, most: int) -> Channel:
    there, back = context.Pipe(duplex=False), context.Pipe(duplex=False)
    return Channel(PipeEnd(back[0], there[1]), PipeEnd(there[0], back[1]))


def _unix(context: BaseContext, most: int) -> Channel:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(SocketEnd(near), SocketEnd(far))


def _tcp(context: BaseContext, most: int) -> Channel:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    for stream in (near, far):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Channel(SocketEnd(near), SocketEnd(far))


def _queue(context: BaseContext, most: int) -> Channel:
    there, back = context.Queue(), context.Queue()
    return Channel(QueueEnd(back, there), QueueEnd(there, back))


def _simple_queue(context: BaseContext, most: int) -> Channel:
    there, back = context.SimpleQueue(), context.SimpleQueue()
    return Channel(QueueEnd(back, there), QueueEnd(there, back))


class _ManagerChannel(Channel):
    def __init__(self, context: BaseContext) -> None:
        self._manager = context.Manager()
        there, back = self._manager.Queue(), self._manager.Queue()
        super().__init__(QueueEnd(back, there), QueueEnd(there, back))

    def remove(self) -> None:
        self._manager.shutdown()


class _FileChannel(Channel):
    def __init__(self, context: BaseContext) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tk-ipc-")
        names = [os.path.join(self._folder.name, name) for name in ("there", "back")]  # noqa: PTH118 - text is wanted
        there, back = context.Pipe(duplex=False), context.Pipe(duplex=False)
        super().__init__(FileEnd(back[0], there[1], names[1], names[0]), FileEnd(there[0], back[1], names[0], names[1]))

    def remove(self) -> None:
        self._folder.cleanup()


class _SharedMemoryChannel(Channel):
    def __init__(self, context: BaseContext, most: int) -> None:
        self._blocks = [shared_memory.SharedMemory(create=True, size=most) for _ in range(2)]
        names = [block.name for block in self._blocks]
        there, back = context.Pipe(duplex=False), context.Pipe(duplex=False)
        super().__init__(
            SharedEnd(back[0], there[1], names[1], names[0]), SharedEnd(there[0], back[1], names[0], names[1])
        )

    def remove(self) -> None:
        for block in self._blocks:
            block.close()
            block.unlink()


class _ThreadChannel(Channel):
    threads = True

    def __init__(self) -> None:
        there: queue.Queue[bytes] = queue.Queue()
        back: queue.Queue[bytes] = queue.Queue()
        super().__init__(QueueEnd(back, there), QueueEnd(there, back))


_OPENERS: dict[str, Callable[[BaseContext, int], Channel]] = {
    "thread-queue": lambda context, most: _ThreadChannel(),
    "pipe": _pipe,
    "unix-socket": _unix,
    "tcp-socket": _tcp,
    "shared-memory": _SharedMemoryChannel,
    "file": lambda context, most: _FileChannel(context),
    "simple-queue": _simple_queue,
    "queue": _queue,
    "manager": lambda context, most: _ManagerChannel(context),
}

CHANNELS = tuple(_OPENERS)
