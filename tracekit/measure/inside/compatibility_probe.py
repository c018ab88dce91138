"""Which models cannot run a user's own workload, and why: asked of the measured interpreter, before anything is run.

`python -m tracekit.measure.inside.compatibility_probe QUESTION_FILE ANSWER_FILE USERS_FOLDER`, both files JSON.
Only there is the user's module as
the measured process will see it; here its import may print, hang or crash without harm.
"""

from __future__ import annotations

import inspect
import json
import os
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracekit.measure.inside.target import a, as_workload, find
from tracekit.workload import Workload

EVERYWHERE, PROCESSES = "all", "processes"
"""Whom a problem concerns: every model, or those that send functions and items to worker processes."""

_MOST_S = 2.0
"""So long items are pickled to see whether they can be; most are like the first."""

Problem = tuple[str, str, str]
"""(whom it concerns, what is amiss, the way out)."""


def answer(target: str, items: str, size: str, seed: int, given: dict[str, Any]) -> dict[str, Any]:
    """`problems`, which keep models from running it, none where all can; and all its `parameters` with their values."""
    try:
        workload = as_workload(find(target), target, items)
        parameters = workload.values(given)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything while it is imported
        return {"problems": [(EVERYWHERE, *_unusable(target, error))]}
    return {"problems": _problems(target, workload, items, size, seed, parameters), "parameters": parameters}


def _problems(
    target: str, workload: Workload, expression: str, size: str, seed: int, parameters: dict[str, Any]
) -> list[Problem]:
    if inspect.iscoroutinefunction(workload.task):
        return [
            (
                EVERYWHERE,
                f"{target} is a coroutine function: called by a worker it does nothing but give a coroutine",
                "def work(item): return asyncio.run(function(item)), and run that",
            )
        ]
    try:
        with workload.items(size, seed, parameters) as made:
            return _of_pickling(target, workload, made)
    except Exception as error:  # noqa: BLE001 - what a user's expression or make_items raises
        sizes = "|".join(workload.sizes)
        remedy = f"tracekit run {target} --size {sizes}" if not expression else "--items 'range(100)'"
        return [(EVERYWHERE, f"the items of {target} cannot be made: {_said(error)}", remedy)]


def _unusable(target: str, error: Exception) -> tuple[str, str]:
    module, _, attribute = target.partition(":")
    if isinstance(error, TypeError) and str(error).startswith(target):
        asked = "nobody says which items" in str(error)
        return str(error), f"tracekit run {target} --items 'range(100)'" if asked else f"tracekit run {module}:function"
    if isinstance(error, ValueError):
        return str(error), "see where the workload is made, at parameters=..."
    return f"{target} cannot be used: {_said(error)}", f"python -c 'from {module} import {attribute.split('.')[0]}'"


def _of_pickling(target: str, workload: Workload, items: Sequence[Any]) -> list[Problem]:
    found: list[Problem] = []
    try:
        pickle.dumps(workload.task)
    except Exception as error:  # noqa: BLE001 - pickling calls the user's own code
        name = getattr(workload.task, "__qualname__", target)
        found.append((PROCESSES, f"{_named(name, target)} cannot be pickled: {_said(error)}", _way_out(name)))
    until = time.monotonic() + _MOST_S
    for number, item in enumerate(items):
        if time.monotonic() > until:
            break
        try:
            pickle.dumps(item)
        except Exception as error:  # noqa: BLE001 - pickling calls the user's own code
            found.append(
                (
                    PROCESSES,
                    f"item {number} of {target}, {a(item)}, cannot be pickled: {_said(error)}",
                    "give tasks what they need to make such a thing themselves: a name, a path, a number",
                )
            )
            break
    return found


def _named(name: str, target: str) -> str:
    return f"the lambda {target}" if name.endswith("<lambda>") else f"the function {name}"


def _way_out(name: str) -> str:
    if name.endswith("<lambda>"):
        return "make it a function with a name: def at the top level of its module"
    if "<locals>" in name:
        return "move it out of the function that it is made in, to the top level of its module"
    return "def it at the top level of its module, under the name that it is called by"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def main() -> int:
    """Answer the question in the file."""
    asked, answered, folder = map(Path, sys.argv[1:])
    question = json.loads(asked.read_text(encoding="utf-8"))
    os.chdir(folder)
    sys.path.append(str(folder))
    found = answer(**question)
    answered.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
