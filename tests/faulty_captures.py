"""Captures that do not do what they should, by import path: `tests.faulty_captures:REFUSES`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.errors import BundleCorrupt, CaptureUnavailable
from tracekit.core.notices import Notice
from tracekit.measure.capture import Capture


class Refuses(Capture):
    """Cannot begin, although its preflight went well."""

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        raise CaptureUnavailable("the tool refused", "ask it nicely")
        yield {}


class FailsAtTheEnd(Capture):
    """Breaks when everything is over."""

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        yield {}
        raise CaptureUnavailable("the tool broke", "mend it")


class CannotBeRead(Capture):
    """Leaves a file that it cannot read itself."""

    def read_processes(self, bundle: Bundle) -> list[dict[str, Any]]:
        raise BundleCorrupt("the tool's file is cut off", "measure again")


class InterruptedBefore(Capture):
    """Somebody presses Ctrl-C while it begins."""

    @contextmanager
    def around(self, spec: RunSpec, bundle: Bundle) -> Iterator[dict[str, str]]:
        os.kill(os.getpid(), signal.SIGINT)
        yield {}


class InterruptedAfter(Capture):
    """Somebody presses Ctrl-C, and again, while its files are read."""

    def collect(self, spec: RunSpec, bundle: Bundle, pids: Iterable[int]) -> list[Notice]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        return []


REFUSES = Refuses()
FAILS_AT_THE_END = FailsAtTheEnd()
CANNOT_BE_READ = CannotBeRead()
INTERRUPTED_BEFORE = InterruptedBefore()
INTERRUPTED_AFTER = InterruptedAfter()
