"""Runs one of the programs: `python FOLDER NAME [OPTIONS] [--answer FILE]`."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys

LIMIT_S = 300


def main() -> None:
    """Run the program that the first word names, and print or write its known answers."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is 8 ms that each start would pay
    root = here
    for _ in range(3):
        root = os.path.dirname(root)  # noqa: PTH120
    # Run as a folder, Python has put it first on the path; last, another Python never takes its standard library from
    # beside an installed tracekit.
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]  # noqa: PTH100
    sys.path.append(root)
    known_module = importlib.import_module("tracekit.accuracy.programs.known")
    names = sorted(
        name[:-3]
        for name in os.listdir(here)  # noqa: PTH208
        if name.endswith(".py") and name not in ("__init__.py", "__main__.py", "known.py")
    )
    parser = argparse.ArgumentParser(prog="python -m tracekit.accuracy.programs", description=__doc__)
    parser.add_argument("--answer", metavar="FILE", help="write the known answers there instead of to stdout")
    commands = parser.add_subparsers(dest="program", required=True, metavar="NAME")
    for name in names if len(sys.argv) < 2 or sys.argv[1] not in names else [sys.argv[1]]:
        module = importlib.import_module(f"tracekit.accuracy.programs.{name}")
        summary = (module.__doc__ or "").split("\n", 1)[0]
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--answer", metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if hasattr(module, "add_options"):
            module.add_options(command)
    options = parser.parse_args()
    known = known_module.Known(options.program)
    module = importlib.import_module(f"tracekit.accuracy.programs.{options.program}")
    # One that never ends would keep `make accuracy` for ever.
    signal.alarm(LIMIT_S)
    module.run(known, options)
    signal.alarm(0)
    text = known.to_json() + "\n"
    if options.answer is None:
        sys.stdout.write(text)
        return
    with open(options.answer, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)


if __name__ == "__main__":
    main()
