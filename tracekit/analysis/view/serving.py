"""The viewer's server: 127.0.0.1 only, fixed addresses, and no other web page can read what it gives."""

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
from tracekit.analysis.view.routes import Answer, routes
from tracekit.core.errors import NothingToDo, UsageError

HOST = "127.0.0.1"
DEFAULT_PORT = 9001
_TRIES = 20
# A browser keeps connections open; this ends those of a browser that went away.
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

    `announce` gets each line for the user; `ready` is called with the address once it answers. Raises UsageError
    when a port was asked for and is taken, NothingToDo without items.
    """
    viewing = Viewing(items, port=port)
    try:
        with viewing as address:
            if port is None and viewing.port != DEFAULT_PORT:
                announce(f"port {DEFAULT_PORT} is in use, taking {viewing.port}")
            count = "1 trace" if len(items) == 1 else f"{len(items)} traces"
            announce(f"viewing {count} at {address}  (Ctrl-C ends)")
            if os.environ.get("SSH_CONNECTION"):
                here = f"{viewing.port}:{HOST}:{viewing.port} {socket.gethostname()}"
                announce(f"from your own machine: ssh -L {here}")
            if open_browser:
                _open_browser(address)
            if ready is not None:
                ready(address)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        return


class Viewing:
    """A server that runs in the background for the length of a `with`; the value of `with` is its address."""

    def __init__(self, items: Sequence[ViewItem], *, port: int | None = None) -> None:
        """Take the port; None means 9001 or the next free one, 0 any. Raises UsageError, NothingToDo."""
        if not items:
            raise NothingToDo("there is no trace to view", "tracekit run matmul --capture viztracer")
        self._server = _listen(routes(items), port)
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # On Windows that option would let two programs share the port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int, table: Mapping[str, Answer]) -> None:
        self.table = table
        super().__init__((HOST, port), _Handler)
        number = self.server_address[1]
        self.hosts = {f"{name}:{number}" for name in (HOST, "localhost", "[::1]")}

    def server_bind(self) -> None:
        # The parent class asks DNS for this machine's name, which can take seconds and is not needed.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that closes a connection early is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the addresses of the table."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "tracekit"
    sys_version = ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are nobody's news."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A short plain answer; also what the base class calls for other methods and broken requests."""
        reason = explain or message or HTTPStatus(code).phrase
        if code == HTTPStatus.NOT_IMPLEMENTED:
            code, reason = HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD"
        body = f"{reason}\n".encode("utf-8", "replace")
        # The body of a request that was refused is still in the pipe and would be read as the next request.
        self.close_connection = True
        self.send_response(code)
        self._common_headers("text/plain; charset=utf-8", len(body), policy="default-src 'none'", keep=False)
        if code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            # A foreign name made to resolve to 127.0.0.1 (DNS rebinding) would make us its same origin.
            here = f"http://{HOST}:{self.server.server_port}/"
            self.send_error(HTTPStatus.FORBIDDEN, explain=f"this viewer answers only as {here}")
            return
        answer = self.server.table.get(unquote(urlsplit(self.path).path))
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="there is nothing here")
        elif answer.text is not None:
            self._send_text(answer, answer.text(f"http://{hosts[0].strip().lower()}"))
        else:
            self._send_file(answer)

    def _send_text(self, answer: Answer, text: str) -> None:
        body = b"" if answer.redirect else text.encode("utf-8")
        self.send_response(HTTPStatus.FOUND if answer.redirect else HTTPStatus.OK)
        if answer.redirect:
            self.send_header("Location", text)
        self._common_headers(answer.content_type, len(body), answer.policy, answer.keep)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, answer: Answer) -> None:
        assert answer.file is not None
        try:
            file = answer.file.open("rb")
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND, explain="the trace file is gone")
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            self.send_response(HTTPStatus.OK)
            self._common_headers(answer.content_type, size, answer.policy, answer.keep)
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


def _listen(table: Mapping[str, Answer], port: int | None) -> _Server:
    if port is not None:
        try:
            return _Server(port, table)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
            raise UsageError(
                f"port {port} cannot be used: {why}", "tracekit view takes the next free port by itself"
            ) from error
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + _TRIES):
        try:
            return _Server(candidate, table)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise UsageError(f"cannot listen on {HOST}: {error.strerror}", "tracekit doctor") from error
    return _Server(0, table)


def _open_browser(address: str) -> None:
    """Open a graphical browser, if there is one, without ever waiting for it or taking the terminal."""
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
