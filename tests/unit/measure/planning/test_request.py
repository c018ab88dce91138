"""A request is resolved once, into a value that everything after it trusts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tracekit.cli import cli
from tracekit.core.errors import UsageError
from tracekit.core.registry import Registry
from tracekit.measure.planning import request as requests
from tracekit.measure.planning import workload_registry
from tracekit.measure.planning.request import DEFAULTS, Request, resolve_request
from tracekit.measure.planning.workload_registry import WORKLOADS
from tracekit.workload import Workload


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: Counter[str]) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def counted(*args: Any, **named: Any) -> Any:
        if not isinstance(args[0], Registry) or args[0] is WORKLOADS:
            calls[name] += 1
        return original(*args, **named)

    monkeypatch.setattr(owner, name, counted)


def dry_run(store: Path, *words: str) -> None:
    done = CliRunner().invoke(cli, ["run", *words, "--dry-run", "--store", str(store)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    assert done.return_value == 0


def test_one_dry_run_resolves_its_request_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()
    count_calls(monkeypatch, workload_registry, "find_announced", calls)
    monkeypatch.setattr(requests, "find_announced", workload_registry.find_announced)
    count_calls(monkeypatch, requests, "_check_settings", calls)
    count_calls(monkeypatch, Workload, "values", calls)
    count_calls(monkeypatch, Registry, "load", calls)
    dry_run(tmp_path, "skewed-tasks", "-P", "chunksize=1", "--capture", "none")
    assert calls == {"find_announced": 1, "_check_settings": 1, "values": 1, "load": 1}


def test_each_set_of_parameters_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()
    count_calls(monkeypatch, Workload, "values", calls)
    dry_run(tmp_path, "start-stop", "-P", "parent_mb=0", "-P", "parent_mb=1", "--capture", "none")
    assert calls == {"values": 2}


def test_what_a_request_leaves_open_is_as_the_workload_usually_has_it() -> None:
    plain = resolve_request(Request(workload="matmul"))
    assert {name: getattr(plain, name) for name in DEFAULTS} == dict(DEFAULTS)
    usual = WORKLOADS.load("crash").usual
    crash = resolve_request(Request(workload="crash"))
    assert {name: getattr(crash, name) for name in DEFAULTS} == {**DEFAULTS, **usual}
    assert resolve_request(Request(workload="crash", runs=3)).runs == 3 != usual["runs"]


def test_equal_sets_of_parameters_are_measured_once() -> None:
    request = Request(workload="start-stop", parameters={"parent_mb": "1"}, variants=({"parent_mb": 1}, {}))
    assert [found["parent_mb"] for found in resolve_request(request).parameter_sets] == [1, 0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workload": "matmull"}, "did you mean 'matmul'"),
        ({"workload": "matmul", "models": ()}, "no model is left"),
        ({"workload": "matmul", "models": ("threadz",)}, "did you mean 'threads'"),
        ({"workload": "matmul", "workers": (0,)}, "0 workers cannot be started"),
        ({"workload": "matmul", "workers": (requests.MAX_WORKERS + 1,)}, "1,025 workers cannot be started"),
        ({"workload": "matmul", "timeout_s": float("nan")}, "a timeout of nan s"),
        ({"workload": "matmul", "runs": 0}, "0 runs"),
        ({"workload": "matmul", "runs": 1001}, "1,001 runs"),
        ({"workload": "matmul", "size": "huge"}, "unknown size 'huge'"),
        ({"workload": "matmul", "counters": "none"}, "unknown counter source"),
        ({"workload": "matmul", "items": "range(3)"}, "makes its own items"),
        ({"workload": "matmul", "variants": ({},)}, "one value in a suite"),
        ({"workload": "start-stop", "workers": (2,)}, "one by one"),
        ({"workload": "__main__:task"}, "__main__"),
        ({"workload": "my.py:task"}, "my.py is a file"),
        ({"workload": "a-b:task"}, "no name of the form"),
    ],
)
def test_what_cannot_be_planned(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_request(Request(**settings))


def test_the_most_workers_are_allowed() -> None:
    assert resolve_request(Request(workload="matmul", workers=(requests.MAX_WORKERS,))).workers == (1024,)
