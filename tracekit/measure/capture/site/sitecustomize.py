"""Starts VizTracer in every Python of a recorded program: this folder is first on their PYTHONPATH.

Any Python may read this file, also one that is too old to be measured: hence its plain words. What goes wrong here must
not disturb the program. The user's own sitecustomize runs as it would without us.
"""

# mypy: ignore-errors
# Annotations are no words of every Python.

import os
import sys


def _hand_over():
    """Leave the path, and let the next sitecustomize on it, if there is one, take our place."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
    finally:
        # The import system looks for the module that it has just loaded.
        sys.modules.setdefault("sitecustomize", own)
    return here


def _trace(path, measure):
    """Start the tracer of inside/viztracer.py, which is read by its path: tracekit is not on the program's path."""
    try:
        import importlib.util

        source = os.path.join(measure, "inside", "viztracer.py")
        found = importlib.util.spec_from_file_location("_tracekit_viztracer_inside", source)
        module = importlib.util.module_from_spec(found)
        sys.modules[found.name] = module
        found.loader.exec_module(module)
        entries = int(os.environ["TRACEKIT_VIZTRACER_ENTRIES"])
        module.trace_program(path, os.environ.get("TRACEKIT_VIZTRACER_PACKAGES", ""), entries)
    except Exception:
        with open(os.path.join(os.path.dirname(path), "%d.without" % os.getpid()), "w") as file:
            file.write(sys.executable or "")


_here = _hand_over()
if os.path.isdir(os.path.dirname(os.environ.get("TRACEKIT_VIZTRACER", ""))):
    try:
        _trace(os.environ["TRACEKIT_VIZTRACER"], os.path.dirname(os.path.dirname(_here)))
    except Exception:
        pass
