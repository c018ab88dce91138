"""What `tracekit view` shows for a target: which runs of a suite, under which titles, which files it takes as they are,
and what it says where there is nothing to open.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.table_factory import BOOT_NS
from tests.unit.analysis.load import made_bundles
from tracekit.analysis.view import find_traces, items
from tracekit.bundle.spec import RunSpec, Suite
from tracekit.bundle.store import Bundle, Store, SuiteFolder
from tracekit.core.errors import NothingToDo, TracekitError, UsageError

SPEC: dict[str, Any] = {"suite_id": "s1", "workload": "matmul", "workload_target": "", "size": "small", "workers": 2}


def made_suite(root: Path, *captures: str) -> Store:
    store = Store(root)
    specs = tuple(
        RunSpec(
            suite_id="s1",
            run_id=f"r{index}",
            workload="matmul",
            workload_target="",
            size="small",
            model="threads",
            workers=2,
            capture=capture,
        )
        for index, capture in enumerate(captures)
    )
    folder = SuiteFolder(store.root / "s1")
    folder.create(Suite(suite_id="s1", workload="matmul", size="small", specs=specs))
    for spec in specs:
        folder.bundle(spec.run_id).create(spec)
        folder.bundle(spec.run_id).seal({"spec": {}, "status": "ok", "notices": []})
    folder.finish("ok", [])
    return store


@pytest.mark.parametrize("target", ["latest", "s1", "{}/store/s1", "{}/store/s1/"])
def test_a_suite_without_a_traced_run_says_how_to_get_one(target: str, tmp_path: Path) -> None:
    store = made_suite(tmp_path / "store", "none", "py-spy")
    with pytest.raises(NothingToDo) as caught:
        find_traces(store, target.format(tmp_path), tmp_path)
    assert caught.value.hint == "tracekit run matmul --capture viztracer"


@pytest.mark.parametrize("target", ["r1", "s1/r1", "{}/store/s1/r1"])
def test_a_run_without_calls_says_so(target: str, tmp_path: Path) -> None:
    store = made_suite(tmp_path / "store", "none", "py-spy")
    with pytest.raises(NothingToDo, match="r1 was made with capture 'py-spy'"):
        find_traces(store, target.format(tmp_path), tmp_path)


def test_of_a_suite_whose_waits_were_seen_one_run_of_each_cell_is_shown() -> None:
    """Repeats of a cell look alike; runs with calls, where there are any, show more."""
    by_capture = {
        capture: (Bundle(Path(capture)), RunSpec(run_id=capture, model=model, capture=capture, **SPEC))
        for capture, model in (("waits", "threads"), ("waits+kernel", "threads"), ("kernel", "fork"))
    }
    again = (Bundle(Path("again")), RunSpec(run_id="again", model="threads", capture="waits", **SPEC))
    traced = [*by_capture.values(), again]
    assert [spec.run_id for _, spec in items.choose_runs(traced)] == ["waits", "waits+kernel", "kernel"]
    calls = (Bundle(Path("calls")), RunSpec(run_id="calls", model="fork", capture="waits+viztracer", **SPEC))
    assert [spec.run_id for _, spec in items.choose_runs([*traced, calls])] == ["calls"]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([("threads", "waits"), ("fork", "waits")], ["threads", "fork"]),
        ([("threads", "waits"), ("threads", "kernel")], ["threads, capture waits", "threads, capture kernel"]),
        ([("threads", "waits"), ("threads", "waits")], ["r0", "r1"]),
    ],
)
def test_titles_are_as_short_as_tells_the_runs_apart(given: list[tuple[str, str]], names: list[str]) -> None:
    specs = [
        RunSpec(run_id=f"r{index}", model=model, capture=capture, **SPEC)
        for index, (model, capture) in enumerate(given)
    ]
    assert items.name_runs(specs) == names


def test_a_program_that_left_nothing_to_see_is_told_how_to_record_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    spec = RunSpec(run_id="001-app.py", model="program", capture="none", program=("python", "my app.py"), **SPEC)
    folder = SuiteFolder(store.root / "s1")
    folder.create(Suite(suite_id="s1", workload="app.py", size="", specs=(spec,)))
    folder.bundle(spec.run_id).create(spec)
    folder.bundle(spec.run_id).seal({"spec": {}, "status": "ok", "notices": []})
    folder.finish("ok", [])
    for target in ("latest", "001-app.py"):
        with pytest.raises(NothingToDo) as caught:
            find_traces(store, target, tmp_path)
        assert caught.value.hint == "tracekit record --capture waits -- python 'my app.py'"


def list_damaged_specs(whole: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What was done, and what spec.json then is: each key dropped, each value of another type or size."""
    others = (None, True, -1, 10**30, "x", ["x"], {"x": []})
    for key, value in whole.items():
        yield f"without {key}", {name: kept for name, kept in whole.items() if name != key}
        for other in others:
            if type(other) is not type(value) or type(value) is int:
                yield f"{key} = {other!r}", {**whole, key: other}
    yield from ((f"spec.json = {other!r}", other) for other in others)


@pytest.mark.parametrize("target", ["s1", "001"])
def test_a_damaged_spec_is_refused_or_left_out(target: str, tmp_path: Path) -> None:
    """Sealed so, as what is damaged after the sealing is found by its hash. What a reader does without, it does."""
    run = made_bundles.spec("001", capture="viztracer", parameters={"skew": 8.0})
    folder = made_bundles.make_suite(tmp_path / "store", run)
    trace = {"traceEvents": [{"ph": "X", "pid": 100, "tid": 1, "name": "f", "ts": BOOT_NS / 1000, "dur": 1.0}]}
    bundle = made_bundles.make_bundle(folder.root, run, raw={"viztracer-100.json": json.dumps(trace).encode()})
    manifest, whole = bundle.manifest(), json.loads(bundle.spec_path.read_bytes())
    shown = set()
    for what, damaged in [("whole", whole), *list_damaged_specs(whole)]:
        bundle.spec_path.write_text(json.dumps(damaged))
        bundle.seal(manifest)
        said: list[str] = []
        try:
            find_traces(Store(tmp_path / "store"), target, tmp_path, announce=said.append)
        except TracekitError:
            # Without `capture` it is a run like any other, which nothing has to be said of.
            told = any(text.startswith("left out: ") for text in said) or what == "without capture"
            assert target == "001" or told, what
        except Exception as error:
            raise AssertionError(what) from error
        else:
            shown.add(what)
    assert "whole" in shown
    # What has a default may be missing, and a number that is not used here may be any; nothing is of another type.
    assert all(what.startswith(("whole", "without ")) or what.endswith((" = -1", f" = {10**30}")) for what in shown)


def test_an_empty_store_and_an_unknown_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        find_traces(Store(tmp_path / "none"), "latest", tmp_path)
    store = made_suite(tmp_path / "store", "none")
    for unknown in ("nope", "s1/nope", "nope/r0"):
        with pytest.raises(UsageError):
            find_traces(store, unknown, tmp_path)


@pytest.mark.parametrize("name", ["t.json", "t.json.gz", "t.pftrace", "t.perfetto-trace"])
def test_a_trace_file_from_anywhere_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    body = b' {"traceEvents":[]}'
    path.write_bytes(gzip.compress(body) if name.endswith("gz") else body)
    (found,) = find_traces(Store(tmp_path / "none"), str(path), tmp_path)
    assert (found.title, found.path, found.calls) == (name, path, None)


@pytest.mark.parametrize("packed", [False, True])
def test_a_speedscope_file_is_refused_with_the_right_tool(packed: bool, tmp_path: Path) -> None:
    body = json.dumps({"$schema": "https://www.speedscope.app/file-format-schema.json", "profiles": []}).encode()
    path = tmp_path / ("p.json.gz" if packed else "p.json")
    path.write_bytes(gzip.compress(body) if packed else body)
    with pytest.raises(UsageError) as caught:
        find_traces(Store(tmp_path / "none"), str(path), tmp_path)
    assert "speedscope" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("empty.json", b""),
        ("page.json", b"<html>"),
        ("half.json.gz", gzip.compress(b'{"traceEvents":[]}' * 100, mtime=0)[:20]),
        ("liar.gz", b"\x1f\x8bnot gzip at all"),
        ("notes.txt", b"words"),
        ("gone.json", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_ui_cannot_open_is_refused_in_words(name: str, body: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(UsageError) as caught:
        find_traces(Store(tmp_path / "none"), str(path), tmp_path)
    assert name in str(caught.value)
