"""A real Chromium for tests that look at pages; conftest takes its fixtures from here.

Without a Chromium these tests are skipped and say what installs one; TRACEKIT_REQUIRE_BROWSER=1 makes them fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

__all__ = ["chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


# Not per session: while Playwright is open its event loop counts as running, and asyncio.run fails in other tests.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium, closed after the module."""
    path = next((found for found in map(shutil.which, _NAMES) if found), None)
    if path is None:
        reason = "no Chromium; make test installs it: python3 bootstrap/browser.py"
        if os.environ.get("TRACEKIT_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A page, and what it asked for."""

    page: Page
    served: list[str] = field(default_factory=list)
    """Addresses of our own that were answered."""
    left_machine: list[str] = field(default_factory=list)
    """Foreign addresses for which a request got as far as the network, where it was stopped."""
    forbidden: list[str] = field(default_factory=list)
    """Foreign addresses that the page's own policy stopped before."""
    errors: list[str] = field(default_factory=list)
    """Exceptions that no script of the page caught."""


def watched(browser: Browser, origin: str, *, width: int = 1500, height: int = 900) -> Watched:
    """A fresh page that reaches `origin` (`http://127.0.0.1:9001`) and nothing else. Close `page.context` after."""
    context = browser.new_context(viewport={"width": width, "height": height}, service_workers="block")
    result = Watched(page=context.new_page())

    def decide(route: Route) -> None:
        address = route.request.url
        if address.startswith((origin + "/", "data:", "blob:")):
            route.continue_()
        else:
            result.left_machine.append(address)
            route.abort()

    context.route("**/*", decide)
    page = result.page
    page.on("response", lambda response: result.served.append(response.url))
    page.on("pageerror", lambda error: result.errors.append(str(error)))
    page.on(
        "requestfailed",
        lambda request: result.forbidden.append(request.url) if request.failure == "csp" else None,
    )
    return result
