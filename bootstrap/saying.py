"""What a set-up says while it goes on, and how it ends when it cannot go on. Everything goes to stderr."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


class SetUpError(Exception):
    """The set-up cannot go on: what, then the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def say(text: str) -> None:
    sys.stderr.write(f"set-up {text}\n")
    sys.stderr.flush()


class Progress:
    """pip's many lines as one that counts up on a terminal, as a line now and then elsewhere."""

    def __init__(self, packages: Path, total: int) -> None:
        self.packages = packages
        self.total = total
        self.there = self.count()
        self.fetched = 0
        self.installing = False
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.shown = ""
        self.shown_at = time.monotonic()

    def count(self) -> int:
        return sum(1 for _ in self.packages.glob("*.dist-info"))

    def line(self, text: str) -> None:
        """Takes one line of pip's output."""
        if text.startswith(("Collecting ", "Requirement already satisfied")):
            self.fetched += 1
            self.show(f"fetching {self.fetched}/{self.total}")
        elif text.startswith("Ignoring "):
            self.total -= 1
        elif text.startswith("Installing collected packages"):
            self.installing = True
        elif "Retrying (" in text:
            self.show("the package index does not answer, trying again", now=True)

    def tick(self) -> None:
        """Called while pip says nothing: it installs without a word."""
        if self.installing:
            self.show(f"installing, {self.count() - self.there} done")

    def show(self, text: str, now: bool = False) -> None:
        if text == self.shown or not (self.live or now or time.monotonic() - self.shown_at > 3):
            return
        self.shown, self.shown_at = text, time.monotonic()
        if self.live:
            sys.stderr.write(f"\r\033[Kset-up 2/3: {text}")
            sys.stderr.flush()
        else:
            say(f"2/3: {text}")

    def close(self) -> None:
        if self.live and self.shown:
            sys.stderr.write("\r\033[K")
