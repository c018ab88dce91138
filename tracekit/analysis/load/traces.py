"""The capture tools' own files of one bundle: py-spy's samples always, VizTracer's calls on request."""

from __future__ import annotations

from tracekit.analysis.load.align import Window
from tracekit.analysis.load.columns import Columns
from tracekit.analysis.load.pyspy import read_pyspy
from tracekit.analysis.load.viztracer import VizTracerFile, read_viztracer
from tracekit.bundle.spec import RunSpec
from tracekit.bundle.store import Bundle
from tracekit.core.notices import notice
from tracekit.core.units import format_ns

PYSPY_FILE = "pyspy.speedscope.json"


def add_samples(bundle: Bundle, spec: RunSpec, columns: Columns) -> None:
    """Add the stack samples the bundle has: some hundred a second, and metrics are made of them. Raises
    BundleCorrupt.
    """
    path = bundle.raw / PYSPY_FILE
    if path.is_file():
        samples = read_pyspy(path, spec.run_id)
        columns.add_frame("samples", samples.samples)
        columns.stacks.update(samples.stacks)


def add_calls(bundle: Bundle, spec: RunSpec, window: Window, columns: Columns) -> None:
    """Add the calls the bundle has: they can be hundreds of megabytes. Raises BundleCorrupt."""
    for path in sorted(bundle.raw.glob("viztracer-*.json")):
        trace = read_viztracer(path, spec.run_id)
        if trace.overflow:
            pid, entries = path.stem.partition("-")[2], f"{len(trace.slices):,}"
            lost = notice("trace-overflow", entries=entries, pid=pid, run_id=spec.run_id, workload=spec.workload)
            columns.add_notice(lost, spec.run_id)
        if _aligned(trace, path.name, spec, window, columns):
            columns.add_frame("slices", trace.slices)


def _aligned(trace: VizTracerFile, file: str, spec: RunSpec, window: Window, columns: Columns) -> bool:
    if not len(trace.slices):
        return False
    distance = window.distance_ns(trace.first_ns, trace.last_ns)
    if distance:
        fields = {"run_id": spec.run_id, "workload": spec.workload, "capture": spec.capture}
        columns.add_notice(notice("trace-misaligned", file=file, distance=format_ns(distance), **fields), spec.run_id)
    return distance == 0
