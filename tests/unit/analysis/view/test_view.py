"""The viewer's server and its list, without a browser: who is answered, with what, and who is not."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest

from tracekit.analysis.view import DEFAULT_PORT, ViewItem, ViewServer, serve
from tracekit.analysis.view.routes import routes
from tracekit.core.errors import NothingToDo, UsageError

ROOT = Path(__file__).resolve().parents[4]
HOSTILE = "a \"<b>&' name"


def item(folder: Path, title: str, body: bytes = b'{"traceEvents":[]}') -> ViewItem:
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_bytes(body)
    return ViewItem(title=title, path=path, processes=("main (spawn) 1",), overview=("phases",))


@pytest.fixture
def two(tmp_path: Path) -> list[ViewItem]:
    return [item(tmp_path, HOSTILE), item(tmp_path, "threads")]


@pytest.fixture
def port(two: list[ViewItem]) -> Iterator[int]:
    server = ViewServer(two, port=0)
    with server:
        yield server.port


def ask(
    port: int, path: str = "/", *, method: str = "GET", host: str | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"127.0.0.1:{port}")
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    try:
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, bool]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append((str(dict(attrs)["href"]), "download" in dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_list_links_to_the_ui_with_each_trace(port: int) -> None:
    status, headers, body = ask(port)
    page = _Links()
    page.feed(body.decode())
    opens = [href for href, download in page.found if not download]
    saves = [href for href, download in page.found if download]
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert HOSTILE in page.text
    assert HOSTILE.encode() not in body
    assert len(opens) == len(saves) == 2
    for href, file in zip(opens, saves, strict=True):
        route, _, query = href.partition("#!/?")
        asked = parse_qs(query)
        assert (route, asked["url"]) == ("/ui/", [f"http://127.0.0.1:{port}{file}"])
        commands = json.loads(asked["startupCommands"][0])
        assert [command["args"][0] for command in commands] == [
            "tracekit",
            "^phases$",
            r"^main\ \(spawn\)\ 1$",
            "tracekit",
            ".",
        ]
        assert ask(port, file)[2] == b'{"traceEvents":[]}'


def test_a_single_trace_opens_at_once(tmp_path: Path) -> None:
    server = ViewServer([item(tmp_path, "only")], port=0)
    with server as address:
        status, headers, _ = ask(server.port)
        assert address == f"http://127.0.0.1:{server.port}/"
    assert status == 302
    assert unquote(headers["location"]).startswith("/ui/#!/?")


@pytest.mark.parametrize("path", ["/", "/ui/", "/t/0/0.json", "/ui/index.html", "/localtrace", "/nothing"])
def test_no_other_page_may_read_an_answer(port: int, path: str) -> None:
    _, headers, _ = ask(port, path)
    assert "access-control-allow-origin" not in headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "Python" not in headers["server"]


def test_the_ui_may_reach_nobody_but_this_server(port: int) -> None:
    policy = ask(port, "/ui/")[1]["content-security-policy"]
    assert "connect-src 'self' blob: data:" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "http" not in policy


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_our_own_names_are_answered(port: int, name: str) -> None:
    assert ask(port, host=f"{name}:{port}")[0] == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}", "0.0.0.0:{port}"]
)
def test_any_other_name_is_refused_because_of_dns_rebinding(port: int, host: str) -> None:
    status, _, body = ask(port, "/t/0/0.json", host=host.format(port=port))
    assert status == 403
    assert b"traceEvents" not in body


def test_two_host_headers_are_refused(port: int) -> None:
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND"])
def test_only_get_and_head_are_methods(port: int, method: str) -> None:
    status, headers, _ = ask(port, method=method, body=b"x" * 10)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_head_tells_the_size_and_sends_no_body(port: int) -> None:
    status, headers, body = ask(port, "/t/0/0.json", method="HEAD")
    assert (status, headers["content-length"], body) == (200, "18", b"")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/t/",
        "/t/0/",
        "/t/9/0.json",
        "/t/0/../1/1.json",
        "/ui/../../../../../../etc/passwd",
        "/ui/%2e%2e/%2e%2e/viewer.py",
        "/ui/..%2f..%2fviewer.py",
        "//etc/passwd",
        "/ui//etc/passwd",
        "/t/0/%00",
        "/ui/service_worker.js",
        "/ui/trace_processor",
    ],
)
def test_what_is_not_offered_is_not_found(port: int, path: str) -> None:
    status, _, body = ask(port, path)
    assert (status, body) == (404, b"there is nothing here\n")


def test_no_folder_is_ever_listed(two: list[ViewItem]) -> None:
    assert all(response.file is None or response.file.is_file() for response in routes(two).values())


def test_a_trace_that_went_away_is_not_found(two: list[ViewItem], port: int) -> None:
    two[0].path.unlink()
    assert ask(port, "/t/0/0.json")[0] == 404


def test_many_browsers_at_a_time_are_answered(tmp_path: Path) -> None:
    big = item(tmp_path, "big", os.urandom(3_000_000))
    server = ViewServer([big], port=0)
    with server, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(server.port, "/localtrace")[2], range(48)))
    assert all(response == big.path.read_bytes() for response in answers)


def test_a_browser_that_hangs_up_makes_no_noise(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = ViewServer([item(tmp_path, "big", bytes(30_000_000))], port=0)
    with server:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(f"GET /localtrace HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
                assert connection.recv(100)
        assert ask(server.port)[0] == 302
    assert capfd.readouterr() == ("", "")


def test_it_listens_on_the_loopback_address_only(port: int) -> None:
    listening = Path("/proc/net/tcp")
    if not listening.exists():
        pytest.skip("needs /proc/net/tcp")
    rows = [line.split() for line in listening.read_text(encoding="ascii").splitlines()[1:]]
    mine = {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    assert mine == {"0100007F"}


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_with_a_way_out(two: list[ViewItem], port: int) -> None:
    with pytest.raises(UsageError) as caught:
        ViewServer(two, port=port)
    assert str(port) in str(caught.value)
    assert "tracekit view" in caught.value.hint


def test_the_port_is_free_again_afterwards(two: list[ViewItem]) -> None:
    first = ViewServer(two, port=0)
    with first:
        assert ask(first.port)[0] == 200
    with ViewServer(two, port=first.port):
        assert ask(first.port)[0] == 200


def test_a_default_port_that_is_taken_gives_way_to_the_next(
    two: list[ViewItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 22")
    said: list[str] = []

    def stop(_address: str) -> None:
        raise KeyboardInterrupt

    with socket.socket() as blocker:
        blocker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            blocker.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            pass  # somebody else has it, which is as good
        else:
            blocker.listen()
        serve(two, open_browser=False, announce=said.append, ready=stop)
    number = said[0].split()[-1]
    assert said == [
        f"port {DEFAULT_PORT} is in use, taking {number}",
        f"viewing 2 traces at http://127.0.0.1:{number}/  (Ctrl-C ends)",
        f"from your own machine: ssh -L {number}:127.0.0.1:{number} {socket.gethostname()}",
    ]


def test_without_a_trace_there_is_nothing_to_do() -> None:
    with pytest.raises(NothingToDo):
        ViewServer([])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly_and_leave_nothing(number: signal.Signals, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text('{"traceEvents":[]}', encoding="utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program = (
        "import pathlib, sys\nfrom tracekit.bundle.store import Store\nfrom tracekit.analysis.view import open_view\n"
        "open_view(Store(pathlib.Path('none')), sys.argv[1], port=None, open_browser=True,"
        " announce=lambda text: print(text, flush=True))"
    )
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
    environment.pop("DISPLAY", None)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(trace)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("viewing 1 trace at "):
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert list(scratch.iterdir()) == []


def test_it_can_be_used_from_a_thread(two: list[ViewItem]) -> None:
    failures: list[BaseException] = []

    def use() -> None:
        try:
            server = ViewServer(two, port=0)
            with server:
                assert ask(server.port)[0] == 200
        except BaseException as error:  # noqa: BLE001 - the test's own thread reports everything
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures == []
