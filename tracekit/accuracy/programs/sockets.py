"""A server waits in accept and recv for a client on the loopback that comes and sends after a known time."""

from __future__ import annotations

import argparse
import socket
import threading
import time

from tracekit.accuracy.programs.known import Known, join, start

SERVER, ACCEPT, CLIENT = "sockets.py:server", "socket.py:socket.accept", "sockets.py:client"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of messages and the time between them."""
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--apart", type=float, default=0.15, help="seconds")


def server(known: Known, times: int, listener: socket.socket) -> None:
    """Block in accept, then in recv."""
    me = known.thread("server")
    me.sites("io-read", SERVER, ACCEPT)
    with me.blocked("io-read", idle=True):
        peer, _ = listener.accept()
    for _ in range(times):
        with me.blocked("io-read"):
            peer.recv(1)
    peer.close()
    me.end()


def client(known: Known, times: int, seconds: float, address: tuple[str, int]) -> None:
    """Connect after a pause, then send with pauses."""
    me = known.thread("client")
    me.sites("sleep", CLIENT)
    time.sleep(seconds)
    with socket.create_connection(address) as peer:
        for _ in range(times):
            time.sleep(seconds)
            peer.sendall(b"x")
    me.waited("sleep", int((times + 1) * seconds * 1e9), calls=times + 1)
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run server and client as threads of one process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [
            threading.Thread(target=server, args=(known, options.times, listener)),
            threading.Thread(target=client, args=(known, options.times, options.apart, listener.getsockname())),
        ]
        start(*threads)
        join(*threads)
