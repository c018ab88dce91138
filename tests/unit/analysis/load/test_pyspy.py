"""py-spy's speedscope file to samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.analysis.load.made_bundles import make_bundle, spec
from tracekit.analysis.load import load_run
from tracekit.analysis.load.pyspy import PySpyFile, read_pyspy
from tracekit.analysis.tables import records
from tracekit.core.errors import BundleCorrupt

FRAMES = [
    {"name": 'process 9147:"python prog.py"', "file": "", "line": 0, "col": None},
    {"name": 'thread (9152): w "0" (x)', "file": "", "line": 0, "col": None},
    {"name": "work", "file": "/tmp/prog.py", "line": 7, "col": None},
    {"name": "burn", "file": "/tmp/prog.py", "line": 4, "col": None},
    {"name": "pthread_cond_timedwait", "file": "/usr/lib/libc.so.6", "line": 0, "col": None},
    {"name": "0x7f9713aa3f16", "file": "/usr/lib/libc.so.6", "line": 0, "col": None},
    {"name": "thread (9153)", "file": "", "line": 0, "col": None},
]
"""As py-spy 0.4.3 writes them."""

PROFILE: dict[str, Any] = {
    "type": "sampled",
    "name": 'Process 9147 Thread 9152 "w "0" (x)"',
    "unit": "seconds",
    "startValue": 0.0,
    "endValue": 0.03,
    "samples": [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3]],
    "weights": [0.01, 0.01, 0.02],
}


def document(*profiles: Any, frames: Any = FRAMES) -> bytes:
    return json.dumps({"$schema": "x", "profiles": profiles, "shared": {"frames": frames}}).encode()


def read(tmp_path: Path, data: bytes) -> PySpyFile:
    path = tmp_path / "pyspy.speedscope.json"
    path.write_bytes(data)
    return read_pyspy(path, "r")


def test_samples_have_place_weight_and_leaf_and_nothing_invented(tmp_path: Path) -> None:
    rows = records(read(tmp_path, document(PROFILE)).samples)
    assert [(row["pid"], row["tid"], row["weight_ns"], row["leaf"]) for row in rows] == [
        (9147, 9152, 10_000_000, "burn (/tmp/prog.py:4)"),
        (9147, 9152, 10_000_000, "0x7f9713aa3f16 (/usr/lib/libc.so.6)"),
        (9147, 9152, 20_000_000, "burn (/tmp/prog.py:4)"),
    ]
    # The format has no clock and does not say who was idle.
    assert {(row["ts_ns"], row["state"]) for row in rows} == {(None, None)}


def test_equal_stacks_share_an_id_and_lose_the_made_up_frames(tmp_path: Path) -> None:
    file = read(
        tmp_path, document(PROFILE, {**PROFILE, "name": 'Process 9147 Thread 9153 ""', "samples": [[0, 6, 2, 3]] * 3})
    )
    ids = [row["stack_id"] for row in records(file.samples)]
    assert ids == ["r/0", "r/1", "r/0", "r/0", "r/0", "r/0"]
    assert file.stacks["r/0"] == ("work (/tmp/prog.py:7)", "burn (/tmp/prog.py:4)")


def test_threads_are_named_by_number_or_address(tmp_path: Path) -> None:
    hexadecimal = {**PROFILE, "name": 'Process 9147 Thread 0x7F97130006C0 "MainThread"'}
    assert records(read(tmp_path, document(hexadecimal)).samples)[0]["tid"] == 0x7F97130006C0


def test_a_sample_of_made_up_frames_only_has_no_leaf(tmp_path: Path) -> None:
    (row,) = records(read(tmp_path, document({**PROFILE, "samples": [[0, 1]], "weights": [0.01]})).samples)
    assert row["leaf"] is None


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        document({**PROFILE, "name": "MainThread"}),
        document({**PROFILE, "type": "evented"}),
        document({**PROFILE, "unit": "milliseconds"}),
        document({**PROFILE, "weights": [0.01]}),
        document({**PROFILE, "weights": [0.01, -0.01, 0.01]}),
        document({**PROFILE, "weights": [0.01, 1e300, 0.01]}),
        document({**PROFILE, "samples": [[99]], "weights": [0.01]}),
        document({**PROFILE, "samples": [[-1]], "weights": [0.01]}),
        document(PROFILE, frames=[{"file": "x"}]),
        document("profile"),
    ],
)
def test_a_broken_file_is_corrupt(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BundleCorrupt, match=r"pyspy\.speedscope\.json"):
        read(tmp_path, data)


def test_stacks_are_kept_beside_the_tables(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, spec("a"), raw={"pyspy.speedscope.json": document(PROFILE)})
    tables = load_run(bundle)
    assert {row["stack_id"] for row in records(tables.samples)} == set(tables.suite["stacks"])
