"""import-heavy: workers whose main module imports much.

Shows: that the start of a worker costs what its imports cost. A forked worker has all modules from its parent. A
spawned worker imports them again, and so does each worker under forkserver, since the server has not imported them.
Claim: creating a process costs time; how much depends on the program.
A good answer: fork as fast as in `start-stop`; spawn and forkserver slower by the time of the imports, for each worker.
Depends on: how long these modules of the standard library take to import, 0.1 to 0.3 s. The module that is imported
again is this one, as a user's main module would be.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import decimal
import email.message
import html.parser
import http.client
import http.server
import importlib.metadata
import json
import logging.handlers
import multiprocessing.managers
import time
import unittest.mock
import urllib.request
import xml.dom.minidom
import xmlrpc.client
import zipfile
from collections.abc import Sequence

from tracekit.workload import Workload

IMPORTED = (
    asyncio,
    concurrent.futures,
    decimal,
    email.message,
    html.parser,
    http.client,
    http.server,
    importlib.metadata,
    json,
    logging.handlers,
    multiprocessing.managers,
    unittest.mock,
    urllib.request,
    xml.dom.minidom,
    xmlrpc.client,
    zipfile,
)
_S = 0.001


def make_items(tasks: int, seed: int) -> list[int]:
    """The tasks' numbers; the seed changes nothing."""
    return list(range(tasks))


def task(number: int) -> int:
    """Sleep a millisecond; returns the number of modules that are imported."""
    time.sleep(_S)
    return len(IMPORTED)


def combine(results: Sequence[int]) -> str:
    """The sum over all tasks."""
    return str(sum(results))


WORKLOAD = Workload(
    name="import-heavy",
    summary="workers whose module imports much: what that adds to their start",
    kind="io",
    sizes={"smoke": 8, "small": 16, "default": 32, "large": 128},
    make_items=make_items,
    task=task,
    combine=combine,
)
