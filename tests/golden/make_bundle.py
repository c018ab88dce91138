"""Makes tests/golden/bundle: one small suite that was really run, sealed again after it was made neutral.

    .venv/bin/python tests/golden/make_bundle.py

A suite in that folder is never made again: it is what tracekit of its day wrote, and every later one must read it. Run
this for a new `format` only, with another SUITE_ID. What is changed in the real run: paths, names of the machine, the
date, the suite's id; and of each VizTracer file only the longest calls stay, because the whole is 2 MB.
"""

from __future__ import annotations

import json
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracekit import api
from tracekit.bundle.files import read_json
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Bundle, Store, SuiteFolder

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "tests" / "golden" / "bundle"
SUITE_ID = "20250101-000000-matmul"
CALLS_KEPT = 40
NEUTRAL_REALTIME_NS = 1_735_689_600_000_000_000
"""2025-01-01 00:00 UTC: the date in SUITE_ID."""
NEUTRAL_MACHINE = {"os_release": "Linux", "kernel": "6.0", "cpu_model": "some CPU"}


def main() -> None:
    """Run the suite in a temporary folder, and write its neutral copy to TARGET."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder).resolve() / ".tracekit")
        request = api.Request(
            workload="matmul",
            models=("serial", "threads", "spawn"),
            workers=(2,),
            size="smoke",
            captures=("viztracer",),
            runs=1,
            controls=False,
        )
        command = ("tracekit", "run", "matmul", "--size", "smoke", "--runs", "1", "--no-controls")
        measured = api.measure(api.prepare(request, store=store, command=command))
        copied = copy(measured.folder, SuiteFolder(TARGET / SUITE_ID))
    sys.stdout.write(f"{copied.root}: {sum(1 for path in copied.root.rglob('*') if path.is_file())} files\n")


def copy(real: SuiteFolder, target: SuiteFolder) -> SuiteFolder:
    """The suite `real` with neutral names, written by today's Bundle and SuiteFolder. Raises OutputUnwritable."""
    names = neutral_names(real)
    facts = real.facts()
    bundles = real.bundles()
    suite = Suite(
        suite_id=target.suite_id,
        workload=facts["workload"],
        size=facts["size"],
        specs=tuple(neutral_spec(bundle.spec(), names) for bundle in bundles),
        command=tuple(facts["command"]),
    )
    target.create(suite)
    for bundle, spec in zip(bundles, suite.specs, strict=True):
        _copy_run(bundle, target.bundle(spec.run_id), spec, names)
    target.finish(facts["status"], [])
    return target


def neutral_names(real: SuiteFolder) -> Mapping[str, str]:
    """What is replaced wherever it stands, the longest first."""
    build = sys.version.replace("\n", " ")
    names = {
        str(real.root): f"/golden/.tracekit/{SUITE_ID}",
        real.suite_id: SUITE_ID,
        sys.executable: "/golden/.venv/bin/python",
        sysconfig.get_paths()["stdlib"]: "/usr/lib/python3",
        sys.prefix: "/golden/.venv",
        str(ROOT): "/golden",
        build: build.split(" ", 1)[0],
    }
    return dict(sorted(names.items(), key=lambda pair: -len(pair[0])))


def neutral(text: str, names: Mapping[str, str]) -> str:
    """The text with all names replaced."""
    for name, other in names.items():
        text = text.replace(name, other)
    return text


def neutral_spec(spec: RunSpec, names: Mapping[str, str]) -> RunSpec:
    """The spec of the copy."""
    return replace(spec, suite_id=SUITE_ID, python=neutral(spec.python, names))


def _copy_run(real: Bundle, copied: Bundle, spec: RunSpec, names: Mapping[str, str]) -> None:
    copied.create(spec)
    for path in real.streams.iterdir():
        records = [_with_date(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in records]
        (copied.streams / path.name).write_text(neutral("".join(lines), names), encoding="utf-8")
    for path in real.raw.iterdir():
        (copied.raw / path.name).write_text(neutral(_shortened(path), names), encoding="utf-8")
    for name in ("stdout.log", "stderr.log"):
        text = (real.root / name).read_text(encoding="utf-8")
        (copied.root / name).write_text(neutral(text, names), encoding="utf-8")
    manifest = read_json(real.manifest_path)
    kept = {key: value for key, value in manifest.items() if key not in ("format", "files", "spec")}
    environment = {**_with_date(kept["environment"]), **NEUTRAL_MACHINE}
    if not any(copied.raw.iterdir()):
        # git keeps no empty folder: here it would be there, and in a clone not.
        copied.raw.rmdir()
    copied.seal({**json.loads(neutral(json.dumps(kept), names)), "spec": vars(spec), "environment": environment})


def _with_date(record: dict[str, Any]) -> dict[str, Any]:
    if "clocks" not in record:
        return record
    return {**record, "clocks": {**record["clocks"], "realtime_ns": NEUTRAL_REALTIME_NS}}


def _shortened(path: Path) -> str:
    """A VizTracer file with its names of threads and its longest calls; nesting stays whole when calls are left out."""
    trace = json.loads(path.read_text(encoding="utf-8"))
    calls = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    longest = sorted(calls, key=lambda event: event["dur"], reverse=True)[:CALLS_KEPT]
    least = min((event["dur"] for event in longest), default=0.0)
    kept = [event for event in trace["traceEvents"] if event["ph"] != "X" or event["dur"] >= least]
    return json.dumps({**trace, "traceEvents": kept}, separators=(",", ":"))


if __name__ == "__main__":
    main()
