"""A subinterpreter per thread; since Python 3.12 each has a GIL of its own, so that none waits for another."""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
from typing import Any

from tracekit.accuracy.programs.known import Known, join, start

INSIDE = ("<string>:spin_inside", "<string>:<module>")
INTERPRET = "subinterpreters.py:interpret"

SCRIPT = """
import time
def spin_inside(until):
    while time.monotonic() < until:
        pass
spin_inside(time.monotonic() + {seconds})
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of subinterpreters and the duration."""
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.8)


def interpret(known: Known, name: str, module: Any, interpreter: Any, seconds: float) -> None:
    """Compute inside the subinterpreter."""
    me = known.thread(name)
    me.sites("gil", *INSIDE, INTERPRET)
    me.holds(*INSIDE, INTERPRET)
    module.run_string(interpreter, SCRIPT.format(seconds=seconds))
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run one thread per subinterpreter."""
    module = load()
    if module is None:
        known.unavailable = "this Python has no module for subinterpreters"
        return
    interpreters = [module.create() for _ in range(options.threads)]
    threads = [
        threading.Thread(target=interpret, args=(known, f"interpreter {number}", module, each, options.seconds))
        for number, each in enumerate(interpreters)
    ]
    start(*threads)
    join(*threads)
    for each in interpreters:
        module.destroy(each)
    if sys.version_info >= (3, 12):
        for thread in known.threads:
            thread["waits"]["gil"] = 0


def load() -> Any:
    """Import the module with create, run_string and destroy; None where there is none."""
    try:
        return importlib.import_module("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    except ImportError:
        return None
