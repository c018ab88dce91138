"""The wheels as a user has them: installed elsewhere, they run, record, report and view from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 120
NO_COMPILER = "/nonexistent/cc"


def build_wheel(kind: str, folder: Path) -> Path:
    """Build with the tools of .venv; nothing is written into the repository."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    variables = {**os.environ, "TRACEKIT_WHEEL": kind}
    subprocess.run(words, cwd=ROOT, env=variables, check=True, capture_output=True, timeout=TIMEOUT_S)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "pure"])
def test_an_installed_wheel_runs_records_reports_and_views(kind: str, tmp_path: Path) -> None:
    """The one with the probes, and the pure one where there is no compiler. Dependencies are those of .venv."""
    site, cache, place = tmp_path / "site", tmp_path / "cache", tmp_path / "any folder"
    place.mkdir()
    wheel = build_wheel(kind, tmp_path / "dist")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, timeout=TIMEOUT_S)
    libraries = sorted(path.name for path in site.glob("tracekit/measure/probe/*.so"))
    if not kind and not libraries:
        pytest.skip("the wheel has no probes here: there is no C compiler; try: sudo apt install gcc libc6-dev")
    assert libraries == ([] if kind else ["stages.so", "waits.so"])
    env = {name: value for name, value in os.environ.items() if name != "TRACEKIT_HOME"}
    # matplotlib would look for fonts again in an empty cache.
    env |= {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(cache), "MPLCONFIGDIR": mpl.get_cachedir()}
    env |= {"CC": NO_COMPILER}

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=place, env=env | variables, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    tool = ("-m", "tracekit")
    quick = ("--size", "smoke", "--runs", "2", "--warmup", "0", "--no-controls", "--workers", "2")
    ran = run(*tool, "run", "matmul", *quick, "--models", "serial,threads")
    assert ("not compiled" in ran.stdout + ran.stderr) == bool(kind)
    assert ("bound" in ran.stdout) == bool(kind)
    recorded = run(*tool, "record", "--", sys.executable, "-c", "pass")
    assert ("not compiled" in recorded.stderr) == bool(kind)
    run(*tool, "report")
    assert len(list((place / "reports").glob("*/index.html"))) == 2
    [suite] = (path.name for path in (place / ".tracekit").glob("*-matmul"))
    view = [sys.executable, *tool, "view", suite, "--no-browser"]
    with subprocess.Popen(
        view, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as shown:
        try:
            assert shown.stdout is not None
            found = next(match for line in shown.stdout if (match := re.search(r"http://\S+", line)))
            with urllib.request.urlopen(found[0], timeout=TIMEOUT_S) as page:
                assert page.status == 200
        finally:
            shown.terminate()
    # With a compiler the pure one makes its probe.
    code = "from tracekit.measure.probe import compile as probe; print(probe.find_library(probe.WAITS))"
    used = Path(run("-c", code, CC="").stdout.strip())
    assert used.is_relative_to(cache if kind else site)
