"""sockets: many requests to a slow web server.

Shows: waiting for the network needs neither CPU nor GIL. The server, a process of its own on this machine, answers each
request after a set time; a worker sends a request, waits and reads.
Claim: for work that waits, threads do as well as processes and cost less; processes talk over sockets.
A good answer: threads and processes alike, as many times faster than serial as there are workers.
Depends on: the standard library's http.server and http.client. The server has a thread for each connection.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from zlib import crc32

from tracekit.workload import Parameter, Workload

Item = tuple[int, int, int]

_TIMEOUT_S = 30.0

_SERVER = """
import os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

latency = float(sys.argv[1])

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(latency)
        body = self.path.encode() * 8
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

server = Server(("127.0.0.1", 0), Handler)
# This pipe ends when the process that started the server ends, for whatever reason.
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextmanager
def around(requests: int, seed: int, *, latency: float) -> Iterator[Mapping[str, int]]:
    """The server for the time of the run; yields its port."""
    # Preloaded libraries and tracing are for this process, not for the server.
    own = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONPATH")}
    command = [sys.executable, "-I", "-S", "-c", _SERVER, str(latency / 1000)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=own) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line.strip().isdigit():
                raise OSError(f"the server did not start: exit code {server.wait(_TIMEOUT_S)}")
            yield {"port": int(line)}
        finally:
            server.kill()


def make_items(requests: int, seed: int, *, latency: float, port: int) -> list[Item]:
    """16 items, each (number, port, requests)."""
    return [(seed * 1000 + index, port, requests) for index in range(16)]


def task(item: Item) -> int:
    """Send that many requests over one connection; returns a checksum of the answers."""
    number, port, requests = item
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    found = 0
    try:
        for index in range(requests):
            connection.request("GET", f"/{number}/{index}")
            found = crc32(connection.getresponse().read(), found)
    finally:
        connection.close()
    return found


def combine(results: Sequence[int]) -> str:
    """One checksum over all answers, in item order."""
    return f"{crc32(repr(list(results)).encode()):08x}"


WORKLOAD = Workload(
    name="sockets",
    summary="requests to a slow web server: waits for the network",
    kind="io",
    sizes={"smoke": 1, "small": 2, "default": 6, "large": 60},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(Parameter("latency", 5.0, "how long the server takes", unit="ms", least=0, most=60_000),),
    around=around,
)
