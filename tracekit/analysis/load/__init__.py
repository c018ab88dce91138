"""From bundles to tidy tables. Everything a bundle says is checked here, so that nothing behind it has to.

`load_suite` reads the bundles of a suite, `load_run` one bundle; both give Tables. VizTracer's calls are
read on request only (`traces=True`): a report needs none of those hundreds of megabytes.

What is wrong is never a traceback: a run without an end becomes a row and a notice, a file that is not what
was sealed raises BundleCorrupt, one of a newer tracekit BundleTooNew, and a suite without any finished run
BundleUnfinished.
"""

from __future__ import annotations

from tracekit.analysis.load.suite import load_run, load_suite

__all__ = ["load_run", "load_suite"]
