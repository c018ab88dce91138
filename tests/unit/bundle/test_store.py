"""The sealed folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracekit.bundle.spec import FORMAT, RunSpec, Suite
from tracekit.bundle.store import Bundle, Store, SuiteFolder, make_output_folder
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

    def test_latest_and_beginnings(self, store: Store) -> None:
        assert store.suite("latest").suite_id == "20260102-120000-spin"
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
            store.suite("latest").facts()

    def test_a_run_name_cannot_lead_outside(self, store: Store, tmp_path: Path) -> None:
        path = tmp_path / "20260102-120000-spin" / "suite.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "runs": ["../20260101-120000-spin", ".."]}))
        assert store.suite("latest").bundles() == []


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
