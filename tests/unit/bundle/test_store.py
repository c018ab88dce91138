"""The sealed folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tracekit.bundle.files import make_output_folder, read_file
from tracekit.bundle.spec import FORMAT, RunSpec, Suite
from tracekit.bundle.store import Bundle, Store, SuiteFolder
from tracekit.core.errors import (
    BundleCorrupt,
    BundleTooNew,
    BundleUnfinished,
    NothingToDo,
    OutputUnwritable,
    UsageError,
)

SPEC = RunSpec(
    suite_id="s", run_id="001-x", workload="spin", workload_target="w:W", size="smoke", model="serial", workers=1
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    made = Bundle(tmp_path / "001-x")
    made.create(SPEC)
    (made.streams / "7.jsonl").write_text('{"kind":"meta"}\n')
    return made


def test_the_spec_comes_back(bundle: Bundle) -> None:
    assert bundle.spec() == SPEC


def test_a_later_key_is_ignored_and_a_missing_one_has_its_default(bundle: Bundle) -> None:
    path = bundle.root / "spec.json"
    data = json.loads(path.read_text())
    del data["seed"]
    path.write_text(json.dumps({**data, "colour": "green"}))
    assert bundle.spec() == SPEC


def test_without_a_manifest_the_run_did_not_finish(bundle: Bundle) -> None:
    with pytest.raises(BundleUnfinished, match="001-x"):
        bundle.manifest()


def test_sealed_and_opened(bundle: Bundle) -> None:
    bundle.seal({"status": "ok"})
    manifest = bundle.manifest()
    assert manifest["status"] == "ok"
    assert manifest["format"] == FORMAT
    assert set(manifest["files"]) == {"spec.json", "streams/7.jsonl"}


def test_an_altered_a_lost_and_a_shortened_file_are_found(bundle: Bundle) -> None:
    bundle.seal({"status": "ok"})
    stream = bundle.streams / "7.jsonl"
    whole = stream.read_text()
    for damage in (whole.replace("meta", "mete"), whole[:-1]):
        stream.write_text(damage)
        with pytest.raises(BundleCorrupt, match=r"7\.jsonl"):
            bundle.manifest()
    stream.unlink()
    with pytest.raises(BundleCorrupt, match=r"7\.jsonl"):
        bundle.manifest()


@pytest.mark.parametrize("folder", ["streams", "raw"])
def test_what_was_added_after_the_sealing_is_found(bundle: Bundle, folder: str, tmp_path: Path) -> None:
    """A stream that nobody sealed would be counted like the others."""
    bundle.seal({"status": "ok"})
    added = bundle.root / folder / "9.jsonl"
    added.write_text("")
    with pytest.raises(BundleCorrupt, match="added"):
        bundle.manifest()
    added.unlink()
    added.symlink_to(tmp_path)
    with pytest.raises(BundleCorrupt, match="added"):
        bundle.manifest()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "streams/../../secret", "nul\0"])
def test_a_manifest_cannot_point_outside(bundle: Bundle, name: str) -> None:
    bundle.seal({"status": "ok"})
    data = json.loads(bundle.manifest_path.read_text())
    data["files"][name] = {"bytes": 1, "sha256": "0"}
    bundle.manifest_path.write_text(json.dumps(data))
    with pytest.raises(BundleCorrupt, match="outside"):
        bundle.manifest()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": "1"}', '{"format": 1}', '{"format": 1, "files": []}', "[" * 100_000]
)
def test_a_damaged_manifest_is_corrupt(bundle: Bundle, text: str) -> None:
    bundle.manifest_path.write_text(text)
    with pytest.raises(BundleCorrupt):
        bundle.manifest()


def test_a_newer_format_is_refused_by_name(bundle: Bundle) -> None:
    bundle.manifest_path.write_text(json.dumps({"format": FORMAT + 1, "files": {}}))
    with pytest.raises(BundleTooNew, match=f"format {FORMAT + 1}") as caught:
        bundle.manifest()
    assert "upgrade" in caught.value.hint


def test_a_run_is_not_written_over_another(bundle: Bundle) -> None:
    with pytest.raises(OutputUnwritable):
        bundle.create(SPEC)


class TestStore:
    """Finding suites by name."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        store = Store(tmp_path)
        for suite_id in ("20260101-120000-spin", "20260102-120000-spin"):
            suite = Suite(suite_id=suite_id, workload="spin", size="smoke", specs=(SPEC,))
            SuiteFolder(tmp_path / suite_id).create(suite)
        (tmp_path / "stray").mkdir()
        return store

    def test_latest_is_the_newest_that_has_ended_with_a_run(self, store: Store) -> None:
        older, newer = store.suites()
        assert store.suite("latest").suite_id == newer.suite_id
        older.bundle(SPEC.run_id).create(SPEC)
        older.bundle(SPEC.run_id).seal({"status": "ok"})
        older.finish("ok", [])
        assert store.suite("latest").suite_id == older.suite_id
        # Ended before its first run did.
        newer.finish("interrupted", [])
        assert store.suite("latest").suite_id == older.suite_id
        newer.bundle(SPEC.run_id).create(SPEC)
        newer.bundle(SPEC.run_id).seal({"status": "ok"})
        newer.finish("failed", [])
        assert store.suite("latest").suite_id == newer.suite_id

    def test_beginnings(self, store: Store) -> None:
        assert store.suite("20260101").suite_id == "20260101-120000-spin"

    def test_unknown_and_ambiguous(self, store: Store) -> None:
        with pytest.raises(UsageError, match="unknown"):
            store.suite("1999")
        with pytest.raises(UsageError, match="not unique"):
            store.suite("2026")

    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(NothingToDo):
            Store(tmp_path / "none").suite("latest")

    @pytest.mark.parametrize("damage", [{"suite_id": "../../elsewhere"}, {"runs": 5}, {"runs": None}])
    def test_a_suite_cannot_choose_where_its_report_goes(
        self, store: Store, tmp_path: Path, damage: dict[str, object]
    ) -> None:
        path = tmp_path / "20260102-120000-spin" / "suite.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
        with pytest.raises(BundleCorrupt):
            store.suite("20260102").facts()

    def test_a_run_name_cannot_lead_outside(self, store: Store, tmp_path: Path) -> None:
        path = tmp_path / "20260102-120000-spin" / "suite.json"
        for runs in (["../20260101-120000-spin"], [".."], [""], [7], ["a/b"], [None]):
            path.write_text(json.dumps({**json.loads(path.read_text()), "runs": runs}))
            with pytest.raises(BundleCorrupt, match="a run that cannot be"):
                store.suite("20260102").bundles()

    def test_a_run_may_have_the_name_of_a_capture_of_ones_own(self, store: Store) -> None:
        suite = store.suite("20260102")
        data = json.loads(suite.suite_path.read_text())
        data["runs"] = ["001-spin py3.11.7-module:CAPTURE é"]
        suite.suite_path.write_text(json.dumps(data))
        assert suite.facts()["runs"] == data["runs"]

    def test_a_run_that_is_listed_twice_is_refused(self, store: Store, tmp_path: Path) -> None:
        """It would be counted twice: one run listed nine times gave n = 10 and a narrow interval."""
        path = tmp_path / "20260102-120000-spin" / "suite.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "runs": [SPEC.run_id] * 9}))
        with pytest.raises(BundleCorrupt, match="001-x 9 times"):
            store.suite("20260102").facts()

    @pytest.mark.parametrize("kind", ["gone", "folder", "fifo", "loop"])
    def test_a_suite_whose_file_is_replaced_is_not_passed_over(self, store: Store, tmp_path: Path, kind: str) -> None:
        """`latest` would mean the older one, without a word."""
        newest = SuiteFolder(tmp_path / "20260102-120000-spin")
        newest.finish("ok", [])
        replace_by(newest.suite_path, kind)
        assert store.suite("latest").suite_id == newest.suite_id
        with pytest.raises(BundleCorrupt, match=r"suite\.json"):
            store.suite("latest").facts()


class TestSealedSuite:
    """The suite's manifest seals suite.json and the manifests of the runs."""

    @pytest.fixture
    def suite(self, tmp_path: Path) -> SuiteFolder:
        folder = SuiteFolder(tmp_path / "s")
        specs = (SPEC, replace(SPEC, run_id="002-x"))
        folder.create(Suite(suite_id="s", workload="spin", size="smoke", specs=specs))
        for run in specs:
            made = folder.bundle(run.run_id)
            made.create(run)
            made.seal({"status": "ok"})
        folder.finish("ok", [])
        return folder

    def test_as_it_was_sealed(self, suite: SuiteFolder) -> None:
        assert [bundle.manifest()["status"] for bundle in suite.bundles()] == ["ok", "ok"]
        assert set(suite.sealed() or ()) == {"suite.json", "001-x/manifest.json", "002-x/manifest.json"}

    @pytest.mark.parametrize(("old", "new"), [("002-x", "002-y"), ('"ok"', '"no"'), ("smoke", "large")])
    def test_one_word_changed_is_refused(self, suite: SuiteFolder, old: str, new: str) -> None:
        """One character changed in a run's id dropped the run: serial went from 40.9 to 56.3 ms."""
        text = suite.suite_path.read_text()
        assert old in text
        suite.suite_path.write_text(text.replace(old, new))
        with pytest.raises(BundleCorrupt, match=r"suite\.json is not the file that was sealed"):
            suite.bundles()

    def test_a_runs_manifest_that_was_changed_is_refused(self, suite: SuiteFolder) -> None:
        path = suite.bundle("002-x").manifest_path
        path.write_text(path.read_text().replace('"ok"', '"no"'))
        assert suite.bundles()[0].manifest()["status"] == "ok"
        with pytest.raises(BundleCorrupt, match=r"002-x/manifest\.json is not the file that was sealed"):
            suite.bundles()[1].manifest()

    def test_a_runs_manifest_that_was_added_is_refused(self, suite: SuiteFolder) -> None:
        sealed = json.loads(suite.manifest_path.read_text())
        del sealed["files"]["002-x/manifest.json"]
        suite.manifest_path.write_text(json.dumps(sealed))
        with pytest.raises(BundleCorrupt, match="added after the suite was sealed"):
            suite.bundles()

    @pytest.mark.parametrize("damage", ["", "{}", '{"format": true, "files": {}}', '{"format": 2, "files": []}'])
    def test_a_damaged_manifest_of_the_suite_is_refused(self, suite: SuiteFolder, damage: str) -> None:
        suite.manifest_path.write_text(damage)
        with pytest.raises(BundleCorrupt):
            suite.facts()

    def test_one_of_before_there_was_a_manifest_is_read(self, suite: SuiteFolder) -> None:
        suite.manifest_path.unlink()
        assert [bundle.manifest()["status"] for bundle in suite.bundles()] == ["ok", "ok"]


def replace_by(path: Path, kind: str) -> None:
    """Put something that is no regular file in the place of a file."""
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
        case "link":
            path.symlink_to(Path(__file__))
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            listening = socket.socket(socket.AF_UNIX)
            with contextlib.chdir(path.parent), listening:
                listening.bind(path.name)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("folder", "is a folder, not a file"),
        ("fifo", "is a FIFO, not a file"),
        ("loop", "is a link, not a file"),
        ("link", "is a link, not a file"),
        ("device", "is a link, not a file"),
        ("socket", "is a socket, not a file"),
        ("gone", "No such file"),
    ],
)
def test_only_a_file_is_opened(bundle: Bundle, kind: str, words: str) -> None:
    """A report hung on a FIFO, and ended with a traceback on a link to itself."""
    bundle.seal({"status": "ok"})
    for path in (bundle.spec_path, bundle.streams / "7.jsonl"):
        whole = path.read_bytes()
        replace_by(path, kind)
        with pytest.raises(BundleCorrupt, match=words):
            read_file(path)
        with pytest.raises(BundleCorrupt):
            bundle.manifest()
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(whole)
    assert bundle.manifest()["status"] == "ok"


def test_a_folder_that_became_a_link_is_refused(bundle: Bundle) -> None:
    bundle.seal({"status": "ok"})
    bundle.streams.rename(bundle.root.with_name("elsewhere"))
    for target in (bundle.root.with_name("elsewhere"), bundle.streams):
        bundle.streams.unlink(missing_ok=True)
        bundle.streams.symlink_to(target)
        with pytest.raises(BundleCorrupt, match="is a link"):
            bundle.manifest()


def test_a_file_that_grew_is_refused_unread(bundle: Bundle) -> None:
    """6 GB of nothing, which take no room on the disk, were hashed and then loaded."""
    bundle.seal({"status": "ok"})
    for path in (bundle.spec_path, bundle.streams / "7.jsonl", bundle.manifest_path):
        size = path.stat().st_size
        os.truncate(path, 6 << 30)
        begun = time.process_time()
        with pytest.raises(BundleCorrupt, match="6,442,450,944"):
            bundle.manifest()
        assert time.process_time() - begun < 1
        os.truncate(path, size)


@pytest.mark.parametrize("name", ["stages.bin", "capture.log", "raw/kernel/cpu0.bin", ".hidden"])
def test_what_was_added_anywhere_in_the_folder_is_found(bundle: Bundle, name: str) -> None:
    bundle.seal({"status": "ok"})
    (bundle.root / name).parent.mkdir(exist_ok=True)
    (bundle.root / name).write_text("")
    with pytest.raises(BundleCorrupt, match="added"):
        bundle.manifest()


def test_what_is_no_file_is_not_sealed(bundle: Bundle) -> None:
    """Sealing waited for ever for the writer of a FIFO that the measured program had left."""
    os.mkfifo(bundle.raw / "left")
    bundle.seal({"status": "ok"})
    with pytest.raises(BundleCorrupt, match="added"):
        bundle.manifest()


@pytest.mark.parametrize("damage", [{"program": 5}, {"run_id": None}])
def test_a_spec_of_wrong_types_is_corrupt(bundle: Bundle, damage: dict[str, object]) -> None:
    data = {key: value for key, value in json.loads(bundle.spec_path.read_text()).items() if key not in damage}
    data.update({key: value for key, value in damage.items() if value is not None})
    bundle.spec_path.write_text(json.dumps(data))
    with pytest.raises(BundleCorrupt, match=r"spec\.json"):
        bundle.spec()


def test_a_lone_surrogate_becomes_a_question_mark(bundle: Bundle) -> None:
    bundle.spec_path.write_text(bundle.spec_path.read_text().replace("spin", r"sp\ud800in"))
    assert bundle.spec().workload == "sp?in"


@pytest.mark.parametrize("name", [".tracekit", "reports"])
def test_a_new_folder_of_our_own_name_is_ignored_by_git(tmp_path: Path, name: str) -> None:
    make_output_folder(tmp_path / name)
    assert (tmp_path / name / ".gitignore").read_text().splitlines()[-1] == "*"


def test_a_folder_of_the_users_gets_no_gitignore(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    for folder in (tmp_path / "reports", tmp_path / "results"):
        make_output_folder(folder)
        assert not list(folder.iterdir())


def test_a_suite_makes_the_store_ignored_by_git(tmp_path: Path) -> None:
    SuiteFolder(tmp_path / ".tracekit" / "s").create(Suite(suite_id="s", workload="spin", size="smoke", specs=()))
    assert (tmp_path / ".tracekit" / ".gitignore").is_file()


def test_a_suite_whose_owner_is_dead_is_interrupted_and_a_living_ones_is_running(tmp_path: Path) -> None:
    folder = SuiteFolder(tmp_path / "s")
    folder.create(Suite(suite_id="s", workload="spin", size="smoke", specs=()))
    assert folder.facts()["status"] == "running"
    written = json.loads(folder.suite_path.read_text())
    written["owner"]["start_ticks"] -= 1
    folder.suite_path.write_text(json.dumps(written))
    assert folder.facts()["status"] == "interrupted"
    folder.finish("ok", [])
    assert folder.facts()["status"] == "ok"
    assert "owner" not in folder.facts()
