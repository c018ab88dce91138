"""What is imported where: the command line starts quickly, and workers pay for nothing of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"pandas", "numpy", "matplotlib", "scipy", "pyarrow", "rich", "msgspec", "jinja2", "psutil"}


def imported_by(code: str) -> set[str]:
    """Top-level packages and tracekit's modules that are loaded after `code`."""
    script = "\n".join(
        [
            "import sys",
            "try:",
            f"    {code}",
            "except SystemExit:",
            "    pass",
            "import json",
            "sys.stderr.write(json.dumps(list(sys.modules)))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    names = json.loads(done.stderr.splitlines()[-1])
    return {name if name.startswith("tracekit") else name.split(".")[0] for name in names}


def test_help_imports_nothing_heavy() -> None:
    loaded = imported_by("from tracekit.cli import main; main(['--help'])")
    assert "click" in loaded
    assert not loaded & HEAVY


def test_only_what_draws_imports_matplotlib() -> None:
    """`tracekit export`, `list`, and every error, would otherwise take twice as long."""
    loaded = imported_by("import tracekit.api, tracekit.analysis.report.render.terminal")
    assert "pandas" in loaded
    assert "matplotlib" not in loaded


def test_a_run_imports_no_tables_before_it_is_measured() -> None:
    """Who mistypes, plans or measures a suite whose runs fail would wait for them, half a second."""
    loaded = imported_by("from tracekit.cli import main; main(['run', 'matmul', '--dry-run'])")
    assert "tracekit.measure.planning.plan" in loaded
    assert not loaded & HEAVY - {"psutil"}


def test_a_spawned_worker_imports_nothing_slow_before_its_first_stamp() -> None:
    """What unpickling the worker's process object imports: multiprocessing's own modules and two of ours."""
    loaded = imported_by("import tracekit.measure.inside.models.processes")
    bare = imported_by("import multiprocessing.context, concurrent.futures.process")
    extra = {name for name in loaded - bare if not name.startswith("_")}
    assert extra <= {
        "importlib",
        "tracekit",
        "tracekit.core",
        "tracekit.core.registry",
        "tracekit.measure",
        "tracekit.measure.inside",
        "tracekit.measure.inside.models",
        "tracekit.measure.inside.models.processes",
        "tracekit.measure.inside.models.stamped",
    }


def test_a_worker_imports_neither_dataclasses_nor_typing_of_ours() -> None:
    bare = imported_by("import multiprocessing.spawn, concurrent.futures.process, resource")
    inside = "tracekit.measure.inside"
    loaded = imported_by(f"import {inside}.worker_process, {inside}.counters.linux, workloads.matmul")
    assert not (loaded - bare) & {"dataclasses", "inspect", "typing", "json", "pathlib", "difflib"}
    assert not loaded & {"tracekit.core.errors", "tracekit.bundle.stream_schema", "tracekit.bundle.store"}


def test_the_measured_main_module_is_empty_for_those_who_import_it_again() -> None:
    bare = imported_by("import tracekit.measure.inside")
    main = "tracekit.measure.inside.measured"
    assert imported_by(f"import {main}") - bare <= {main, "__future__"}
