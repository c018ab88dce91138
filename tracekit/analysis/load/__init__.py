"""Reads bundles into tidy tables and checks everything in them, so that no later stage has to.

In: the bundles of a suite (`load_suite`) or one bundle (`load_run`). Out: Tables. Read `run` first: it calls one reader
per file. `kernel/` reads the kernel capture, `waits/` the wait probe; `lifetimes` merges what each source knows of
processes and threads. VizTracer's calls, hundreds of megabytes, are read with `traces=True` only.

An unfinished run becomes a row and a notice. A file that is not as it was sealed raises BundleCorrupt, one of a newer
tracekit BundleTooNew, a suite without any finished run BundleUnfinished.
"""

from __future__ import annotations

from tracekit.analysis.load.suite import load_run, load_suite

__all__ = ["load_run", "load_suite"]
