"""The wheels as a user has them: installed elsewhere, they run, record, report and view from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tracekit.measure.probe import compile as probe

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 120
NO_COMPILER = "/nonexistent/cc"

pytestmark = pytest.mark.measures


def build_wheel(kind: str, folder: Path) -> Path:
    """Build with the tools of .venv; nothing is written into the repository."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    variables = {**os.environ, "TRACEKIT_WHEEL": kind}
    subprocess.run(words, cwd=ROOT, env=variables, check=True, capture_output=True, timeout=TIMEOUT_S)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.mark.parametrize("case", ["with the probes", "pure, with a compiler", "pure, without a compiler"])
def test_an_installed_wheel_runs_records_reports_and_views(case: str, tmp_path: Path) -> None:
    """Its dependencies are those of .venv; the package itself is the installed one."""
    compiles = "without" not in case
    if compiles:
        try:
            probe.find_compiler()
        except probe.CannotCompile as error:
            pytest.skip(f"{error}; try: {error.hint}")
    site, place = tmp_path / "site", tmp_path / "any folder"
    place.mkdir()
    wheel = build_wheel("pure" if "pure" in case else "", tmp_path / "dist")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, timeout=TIMEOUT_S)
    cache = tmp_path / "cache"
    env = {name: value for name, value in os.environ.items() if name != "TRACEKIT_HOME"}
    env |= {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(cache)} | ({} if compiles else {"CC": NO_COMPILER})

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tracekit", *words]
        done = subprocess.run(
            command, cwd=place, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    ran = run("run", "matmul", "--size", "smoke", "--models", "serial,threads", "--workers", "2")
    assert ("not compiled" in ran.stdout + ran.stderr) == (not compiles)
    assert ("bound" in ran.stdout) == (not compiles)
    recorded = run("record", "--", sys.executable, "-c", "pass")
    assert ("not compiled" in recorded.stderr) == (not compiles)
    run("report")
    assert len(list((place / "reports").glob("*/index.html"))) == 2
    assert sorted(path.name for path in site.glob("tracekit/measure/probe/*.so")) == (
        [] if "pure" in case else ["stages.so", "waits.so"]
    )
    assert len(list(cache.glob("tracekit/probes/waits-*.so"))) == (case == "pure, with a compiler")
    [suite] = (path.name for path in (place / ".tracekit").glob("*-matmul"))
    view = [sys.executable, "-m", "tracekit", "view", suite, "--no-browser"]
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
