"""Finds the models that cannot run a user's own workload, in the measured interpreter and before anything is run.

`python -m tracekit.measure.inside.compatibility_probe QUESTION_FILE ANSWER_FILE USERS_FOLDER`, both files JSON.
Only there is the user's module
what the measured process imports, and its import may print, hang or crash here without harm.
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

from tracekit.measure.inside.target import as_workload, load_target, with_article
from tracekit.workload import Workload

EVERYWHERE, PROCESSES = "all", "processes"
"""The models that a problem concerns: all, or those that send functions and items to worker processes."""

_MOST_S = 2.0
"""For how long items are pickled to see whether that works; most are like the first."""

Problem = tuple[str, str, str]
"""(the models that it concerns: EVERYWHERE or PROCESSES, the problem, the remedy)."""


def find_problems(target: str, items: str, size: str, seed: int, given: dict[str, Any]) -> dict[str, Any]:
    """`problems`, which keep models from running it, none where all can; and all its `parameters` with their values."""
    try:
        workload = as_workload(load_target(target), target, items)
        parameters = workload.values(given)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything while it is imported
        return {"problems": [(EVERYWHERE, *_unusable(target, error))]}
    return {"problems": _find_item_problems(target, workload, items, size, seed, parameters), "parameters": parameters}


def _find_item_problems(
    target: str, workload: Workload, expression: str, size: str, seed: int, parameters: dict[str, Any]
) -> list[Problem]:
    if inspect.iscoroutinefunction(workload.task):
        return [
            (
                EVERYWHERE,
                f"{target} is a coroutine function: called by a worker it only returns a coroutine that nothing awaits",
                "def work(item): return asyncio.run(function(item)), and run that",
            )
        ]
    try:
        with workload.items(size, seed, parameters) as found:
            return _find_pickling_problems(target, workload, found)
    except Exception as error:  # noqa: BLE001 - what a user's expression or make_items raises
        sizes = "|".join(workload.sizes)
        remedy = f"tracekit run {target} --size {sizes}" if not expression else "--items 'range(100)'"
        return [(EVERYWHERE, f"the items of {target} cannot be made: {_describe(error)}", remedy)]


def _unusable(target: str, error: Exception) -> tuple[str, str]:
    module, _, attribute = target.partition(":")
    if isinstance(error, TypeError) and str(error).startswith(target):
        lacks_items = "there are no items" in str(error)
        return str(
            error
        ), f"tracekit run {target} --items 'range(100)'" if lacks_items else f"tracekit run {module}:function"
    if isinstance(error, ValueError):
        return str(error), "see parameters=... of the workload"
    return f"{target} cannot be used: {_describe(error)}", f"python -c 'from {module} import {attribute.split('.')[0]}'"


def _find_pickling_problems(target: str, workload: Workload, items: Sequence[Any]) -> list[Problem]:
    found: list[Problem] = []
    try:
        pickle.dumps(workload.task)
    except Exception as error:  # noqa: BLE001 - pickling calls the user's own code
        name = getattr(workload.task, "__qualname__", target)
        found.append((PROCESSES, f"{_named(name, target)} cannot be pickled: {_describe(error)}", _remedy_for(name)))
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
                    f"item {number} of {target}, {with_article(item)}, cannot be pickled: {_describe(error)}",
                    "pass what a task needs to create such an object itself: a name, a path, a number",
                )
            )
            break
    return found


def _named(name: str, target: str) -> str:
    return f"the lambda {target}" if name.endswith("<lambda>") else f"the function {name}"


def _remedy_for(name: str) -> str:
    if name.endswith("<lambda>"):
        return "make it a named function: def at the top level of its module"
    if "<locals>" in name:
        return "move it out of the function that defines it, to the top level of its module"
    return "def it at the top level of its module, under the name that it is called by"


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def main() -> int:
    """Answer the question in the file."""
    question_file, answer_file, folder = map(Path, sys.argv[1:])
    question = json.loads(question_file.read_text(encoding="utf-8"))
    os.chdir(folder)
    sys.path.append(str(folder))
    found = find_problems(**question)
    answer_file.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
