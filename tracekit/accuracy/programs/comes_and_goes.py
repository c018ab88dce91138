"""Code that comes and goes: functions from exec, from templates and from a module that is reloaded, each run for some
milliseconds beside others and then freed, so that new code lies where old code lay."""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import os
import sys
import tempfile
import threading
import time
import types
from typing import Any

from tracekit.accuracy.programs.known import Known, join, start

BODY = """
def {name}(until):
    while monotonic() < until:
        pass
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the duration."""
    parser.add_argument("--seconds", type=float, default=2.0)


def template(until: float) -> None:
    """The function whose code is copied under new names."""
    while time.monotonic() < until:
        pass


def executed(number: int) -> Any:
    """Make a function by exec."""
    name = f"executed_{number}"
    space: dict[str, Any] = {"monotonic": time.monotonic}
    exec(compile(BODY.format(name=name), f"<executed {number}>", "exec"), space)
    return space[name]


def generated(number: int) -> Any:
    """Make a function from a code object that differs from another in its name only."""
    name = f"generated_{number}"
    changes: dict[str, Any] = {"co_name": name}
    if hasattr(template.__code__, "co_qualname"):
        changes["co_qualname"] = name
    return types.FunctionType(template.__code__.replace(**changes), {"time": time}, name)


class Reloaded:
    """A module that is rewritten and reloaded for each function."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "comes_and_goes_reloaded.py")  # noqa: PTH118
        self._module: Any = None
        sys.path.append(folder)
        # Two versions within a second have one time stamp: a bytecode file would be taken for the newer one's.
        sys.dont_write_bytecode = True

    def __call__(self, number: int) -> Any:
        name = f"reloaded_{number}"
        with open(self._path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write("from time import monotonic\n" + BODY.format(name=name))
        if self._module is None:
            self._module = importlib.import_module("comes_and_goes_reloaded")
        else:
            # The old function would stay in it.
            vars(self._module).pop(f"reloaded_{number - 1}")
            importlib.reload(self._module)
        return getattr(self._module, name)


def churn(known: Known, make: Any, until: float) -> None:
    """Make a function, run it, drop it, and repeat."""
    me = known.thread(type(make).__name__ if isinstance(make, Reloaded) else make.__name__)
    for number in itertools.count():
        if time.monotonic() >= until:
            break
        function = make(number)
        begin = time.monotonic_ns()
        function(time.monotonic() + 0.02)
        known.active.append((me.tid, begin, time.monotonic_ns(), function.__name__))
        del function
        if number % 16 == 0:
            gc.collect()
    me.end()


def run(known: Known, options: argparse.Namespace) -> None:
    """Run three threads, each with its kind of function, so that all of them wait for the GIL."""
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        threads = [
            threading.Thread(target=churn, args=(known, make, until))
            for make in (executed, generated, Reloaded(folder))
        ]
        start(*threads)
        join(*threads)
