"""The viewer's server: on 127.0.0.1 only, with fixed addresses, and unreadable for any other web page."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import socketserver
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit

from tracekit.analysis.view.items import ViewItem
from tracekit.analysis.view.routes import Response, routes
from tracekit.core.errors import NothingToDo, UsageError

HOST = "127.0.0.1"
DEFAULT_PORT = 9001
_TRIES = 20
# A browser keeps connections open; this closes those of a browser that is gone.
_IDLE_SECONDS = 60
_CONSOLE_BROWSERS = {"www-browser", "links", "elinks", "lynx", "w3m"}


def serve(
    items: Sequence[ViewItem],
    *,
    port: int | None = None,
    open_browser: bool = True,
    announce: Callable[[str], None],
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the traces until Ctrl-C, then close the port and return.

    `announce` gets each line for the user; `ready` is called with the address once the server responds. Raises
    UsageError when the requested port is in use, NothingToDo without items.
    """
    server = ViewServer(items, port=port)
    try:
        with server as address:
            if port is None and server.port != DEFAULT_PORT:
                announce(f"port {DEFAULT_PORT} is in use, taking {server.port}")
            count = "1 trace" if len(items) == 1 else f"{len(items)} traces"
            announce(f"viewing {count} at {address}  (Ctrl-C ends)")
            if os.environ.get("SSH_CONNECTION"):
                here = f"{server.port}:{HOST}:{server.port} {socket.gethostname()}"
                announce(f"from your own machine: ssh -L {here}")
            if open_browser:
                _open_browser(address)
            if ready is not None:
                ready(address)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        return


class ViewServer:
    """A server that runs in the background for the length of a `with`; the value of `with` is its address."""

    def __init__(self, items: Sequence[ViewItem], *, port: int | None = None) -> None:
        """Take the port; None means 9001 or the next free one, 0 any. Raises UsageError, NothingToDo."""
        if not items:
            raise NothingToDo("there is no trace to view", "tracekit run matmul --capture viztracer")
        self._server = _bind_server(routes(items), port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/"

    def __enter__(self) -> str:
        self._thread.start()
        return self.address

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C while closing would end in a traceback.
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        try:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        finally:
            if main:
                signal.signal(signal.SIGINT, before)


class _TraceServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # On Windows this option would let two programs share the port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int, table: Mapping[str, Response]) -> None:
        self.table = table
        super().__init__((HOST, port), _TraceHandler)
        number = self.server_address[1]
        self.hosts = {f"{name}:{number}" for name in (HOST, "localhost", "[::1]")}

    def server_bind(self) -> None:
        # The parent class asks DNS for this machine's name, which can take seconds and is not needed.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a browser that closes a connection early."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _TraceHandler(BaseHTTPRequestHandler):
    """Responds to GET and HEAD for the addresses of the table."""

    server: _TraceServer
    protocol_version = "HTTP/1.1"
    server_version = "tracekit"
    sys_version = ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send a short plain text; the base class also calls this for other methods and malformed requests."""
        reason = explain or message or HTTPStatus(code).phrase
        if code == HTTPStatus.NOT_IMPLEMENTED:
            code, reason = HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD"
        body = f"{reason}\n".encode("utf-8", "replace")
        # The body of a refused request is still unread and would be taken for the next request.
        self.close_connection = True
        self.send_response(code)
        self._common_headers("text/plain; charset=utf-8", len(body), policy="default-src 'none'", keep=False)
        if code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _respond(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            # DNS rebinding: a foreign host name that resolves to 127.0.0.1 would count as the same origin.
            here = f"http://{HOST}:{self.server.server_port}/"
            self.send_error(HTTPStatus.FORBIDDEN, explain=f"this viewer responds only as {here}")
            return
        response = self.server.table.get(unquote(urlsplit(self.path).path))
        if response is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="there is nothing here")
        elif response.text is not None:
            self._send_text(response, response.text(f"http://{hosts[0].strip().lower()}"))
        else:
            self._send_file(response)

    def _send_text(self, response: Response, text: str) -> None:
        body = b"" if response.redirect else text.encode("utf-8")
        self.send_response(HTTPStatus.FOUND if response.redirect else HTTPStatus.OK)
        if response.redirect:
            self.send_header("Location", text)
        self._common_headers(response.content_type, len(body), response.policy, response.keep)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, response: Response) -> None:
        assert response.file is not None
        try:
            file = response.file.open("rb")
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND, explain="the trace file is gone")
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            self.send_response(HTTPStatus.OK)
            self._common_headers(response.content_type, size, response.policy, response.keep)
            self.end_headers()
            if self.command != "HEAD":
                shutil.copyfileobj(file, self.wfile, 1 << 20)

    def _common_headers(self, kind: str, length: int, policy: str, keep: bool) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "private, max-age=86400, immutable" if keep else "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        if policy:
            self.send_header("Content-Security-Policy", policy)


def _bind_server(table: Mapping[str, Response], port: int | None) -> _TraceServer:
    if port is not None:
        try:
            return _TraceServer(port, table)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
            raise UsageError(
                f"port {port} cannot be used: {why}", "tracekit view takes the next free port by itself"
            ) from error
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + _TRIES):
        try:
            return _TraceServer(candidate, table)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise UsageError(f"cannot listen on {HOST}: {error.strerror}", "tracekit doctor") from error
    return _TraceServer(0, table)


def _open_browser(address: str) -> None:
    """Open a graphical browser if there is one, without waiting for it or using the terminal."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if getattr(browser, "name", "") in _CONSOLE_BROWSERS:
        return
    threading.Thread(target=_try_open, args=(browser, address), daemon=True).start()


def _try_open(browser: webbrowser.BaseBrowser, address: str) -> None:
    try:
        browser.open_new_tab(address)
    except (webbrowser.Error, OSError):
        return
