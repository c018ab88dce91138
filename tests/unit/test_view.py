"""The viewer's server and its list, without a browser: who is answered, with what, and who is not."""

from __future__ import annotations

import gzip
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
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from tracekit.bundle import Bundle, Store, SuiteFolder
from tracekit.errors import NothingToDo, UsageError
from tracekit.spec import RunSpec, Suite
from tracekit.view import DEFAULT_PORT, Viewing, ViewItem, items, serve, traces_of
from tracekit.view.routes import routes

ROOT = Path(__file__).resolve().parents[2]
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
    viewing = Viewing(two, port=0)
    with viewing:
        yield viewing.port


def ask(
    port: int, path: str = "/", *, method: str = "GET", host: str | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"127.0.0.1:{port}")
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    try:
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
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
    viewing = Viewing([item(tmp_path, "only")], port=0)
    with viewing as address:
        status, headers, _ = ask(viewing.port)
        assert address == f"http://127.0.0.1:{viewing.port}/"
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
    assert all(answer.file is None or answer.file.is_file() for answer in routes(two).values())


def test_a_trace_that_went_away_is_not_found(two: list[ViewItem], port: int) -> None:
    two[0].path.unlink()
    assert ask(port, "/t/0/0.json")[0] == 404


def test_many_browsers_at_a_time_are_answered(tmp_path: Path) -> None:
    big = item(tmp_path, "big", os.urandom(3_000_000))
    viewing = Viewing([big], port=0)
    with viewing, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(viewing.port, "/localtrace")[2], range(48)))
    assert all(answer == big.path.read_bytes() for answer in answers)


def test_a_browser_that_hangs_up_makes_no_noise(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    viewing = Viewing([item(tmp_path, "big", bytes(30_000_000))], port=0)
    with viewing:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", viewing.port), timeout=10) as connection:
                connection.sendall(f"GET /localtrace HTTP/1.1\r\nHost: 127.0.0.1:{viewing.port}\r\n\r\n".encode())
                assert connection.recv(100)
        assert ask(viewing.port)[0] == 302
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
        Viewing(two, port=port)
    assert str(port) in str(caught.value)
    assert "tracekit view" in caught.value.hint


def test_the_port_is_free_again_afterwards(two: list[ViewItem]) -> None:
    first = Viewing(two, port=0)
    with first:
        assert ask(first.port)[0] == 200
    with Viewing(two, port=first.port):
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
        Viewing([])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly_and_leave_nothing(number: signal.Signals, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text('{"traceEvents":[]}', encoding="utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program = (
        "import pathlib, sys\nfrom tracekit.bundle import Store\nfrom tracekit.view import open_view\n"
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


# What to view

SPEC: dict[str, Any] = {"suite_id": "s1", "workload": "matmul", "workload_target": "", "size": "small", "workers": 2}


def made_suite(root: Path, *captures: str) -> Store:
    store = Store(root)
    specs = tuple(
        RunSpec(
            suite_id="s1",
            run_id=f"r{index}",
            workload="matmul",
            workload_target="",
            size="small",
            model="threads",
            workers=2,
            capture=capture,
        )
        for index, capture in enumerate(captures)
    )
    folder = SuiteFolder(store.root / "s1")
    folder.create(Suite(suite_id="s1", workload="matmul", size="small", specs=specs))
    for spec in specs:
        folder.bundle(spec.run_id).create(spec)
        folder.bundle(spec.run_id).seal({"spec": {}, "status": "ok", "notices": []})
    return store


@pytest.mark.parametrize("target", ["latest", "s1"])
def test_a_suite_without_a_traced_run_says_how_to_get_one(target: str, tmp_path: Path) -> None:
    with pytest.raises(NothingToDo) as caught:
        traces_of(made_suite(tmp_path / "store", "none", "py-spy"), target, tmp_path)
    assert caught.value.hint == "tracekit run matmul --capture viztracer"


@pytest.mark.parametrize("target", ["r1", "s1/r1"])
def test_a_run_without_calls_says_so(target: str, tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="r1 was made with capture 'py-spy'"):
        traces_of(made_suite(tmp_path / "store", "none", "py-spy"), target, tmp_path)


def test_of_a_suite_whose_waits_were_seen_one_run_of_each_cell_is_shown() -> None:
    """Repeats of a cell look alike; runs with calls, where there are any, show more."""
    by_capture = {
        capture: (Bundle(Path(capture)), RunSpec(run_id=capture, model=model, capture=capture, **SPEC))
        for capture, model in (("waits", "threads"), ("waits+kernel", "threads"), ("kernel", "fork"))
    }
    again = (Bundle(Path("again")), RunSpec(run_id="again", model="threads", capture="waits", **SPEC))
    traced = [*by_capture.values(), again]
    assert [spec.run_id for _, spec in items.chosen(traced)] == ["waits", "waits+kernel", "kernel"]
    calls = (Bundle(Path("calls")), RunSpec(run_id="calls", model="fork", capture="waits+viztracer", **SPEC))
    assert [spec.run_id for _, spec in items.chosen([*traced, calls])] == ["calls"]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([("threads", "waits"), ("fork", "waits")], ["threads", "fork"]),
        ([("threads", "waits"), ("threads", "kernel")], ["threads, capture waits", "threads, capture kernel"]),
        ([("threads", "waits"), ("threads", "waits")], ["r0", "r1"]),
    ],
)
def test_titles_are_as_short_as_tells_the_runs_apart(given: list[tuple[str, str]], names: list[str]) -> None:
    specs = [
        RunSpec(run_id=f"r{index}", model=model, capture=capture, **SPEC)
        for index, (model, capture) in enumerate(given)
    ]
    assert items.titles(specs) == names


def test_a_program_that_left_nothing_to_see_is_told_how_to_record_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    spec = RunSpec(run_id="001-app.py", model="program", capture="none", program=("python", "my app.py"), **SPEC)
    folder = SuiteFolder(store.root / "s1")
    folder.create(Suite(suite_id="s1", workload="app.py", size="", specs=(spec,)))
    folder.bundle(spec.run_id).create(spec)
    folder.bundle(spec.run_id).seal({"spec": {}, "status": "ok", "notices": []})
    for target in ("latest", "001-app.py"):
        with pytest.raises(NothingToDo) as caught:
            traces_of(store, target, tmp_path)
        assert caught.value.hint == "tracekit record --capture waits -- python 'my app.py'"


def test_an_empty_store_and_an_unknown_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        traces_of(Store(tmp_path / "none"), "latest", tmp_path)
    store = made_suite(tmp_path / "store", "none")
    for unknown in ("nope", "s1/nope", "nope/r0"):
        with pytest.raises(UsageError):
            traces_of(store, unknown, tmp_path)


@pytest.mark.parametrize("name", ["t.json", "t.json.gz", "t.pftrace", "t.perfetto-trace"])
def test_a_trace_file_from_anywhere_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    body = b' {"traceEvents":[]}'
    path.write_bytes(gzip.compress(body) if name.endswith("gz") else body)
    (found,) = traces_of(Store(tmp_path / "none"), str(path), tmp_path)
    assert (found.title, found.path, found.calls) == (name, path, None)


@pytest.mark.parametrize("packed", [False, True])
def test_a_speedscope_file_is_refused_with_the_right_tool(packed: bool, tmp_path: Path) -> None:
    body = json.dumps({"$schema": "https://www.speedscope.app/file-format-schema.json", "profiles": []}).encode()
    path = tmp_path / ("p.json.gz" if packed else "p.json")
    path.write_bytes(gzip.compress(body) if packed else body)
    with pytest.raises(UsageError) as caught:
        traces_of(Store(tmp_path / "none"), str(path), tmp_path)
    assert "speedscope" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("empty.json", b""),
        ("page.json", b"<html>"),
        ("half.json.gz", gzip.compress(b'{"traceEvents":[]}' * 100)[:20]),
        ("liar.gz", b"\x1f\x8bnot gzip at all"),
        ("notes.txt", b"words"),
        ("gone.json", None),
    ],
)
def test_what_the_ui_cannot_open_is_refused_in_words(name: str, body: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(UsageError) as caught:
        traces_of(Store(tmp_path / "none"), str(path), tmp_path)
    assert name in str(caught.value)


def test_it_can_be_used_from_a_thread(two: list[ViewItem]) -> None:
    failures: list[BaseException] = []

    def use() -> None:
        try:
            viewing = Viewing(two, port=0)
            with viewing:
                assert ask(viewing.port)[0] == 200
        except BaseException as error:  # noqa: BLE001 - the test's own thread reports everything
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures == []
