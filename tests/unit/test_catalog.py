"""Manifests, pointers, no-ops: what the catalog promises when the store's content is damaged."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Catalog, FileEntry, Input, Manifest, Release, fingerprint
from tasks.errors import BadInput, Corrupt, NotFound, Quarantined
from tasks.store import Store
from tasks.store.local import LocalStore

FOLDER = "clean/docs/2026-11-20"


@pytest.fixture
def catalog(local_store: Store) -> Catalog:
    return Catalog(local_store)


@pytest.fixture
def part(catalog: Catalog, tmp_path: Path) -> FileEntry:
    path = tmp_path / "part.parquet"
    path.write_bytes(b"rows")
    return catalog.add_file(FOLDER, "documents", path, hashlib.sha256(b"rows").hexdigest(), rows=4)


def manifest(*files: FileEntry, **values: Any) -> Manifest:
    given = {"step": "clean", "corpus": "docs", "partition": "2026-11-20", "fingerprint": "f", "code": {}, "config": ""}
    return Manifest(files=files, **{**given, **values})


def path_of(catalog: Catalog, key: str) -> Path:
    assert isinstance(catalog.store, LocalStore)
    return catalog.store.root / key


def test_a_file_is_named_by_its_content(part: FileEntry, catalog: Catalog) -> None:
    digest = hashlib.sha256(b"rows").hexdigest()
    assert part.key == f"{FOLDER}/documents-{digest[:16]}.parquet"
    assert (part.size, part.rows, part.sha256) == (4, 4, digest)
    assert catalog.store.read(part.key) == b"rows"


def test_a_file_that_is_there_is_not_sent_again_and_a_damaged_one_is(
    catalog: Catalog, part: FileEntry, tmp_path: Path
) -> None:
    before = catalog.store.stat(part.key)
    assert catalog.add_file(FOLDER, "documents", tmp_path / "part.parquet", part.sha256, rows=4) == part
    assert catalog.store.stat(part.key) == before
    path_of(catalog, part.key).write_bytes(b"rosw")
    catalog.add_file(FOLDER, "documents", tmp_path / "part.parquet", part.sha256, rows=4)
    assert catalog.store.read(part.key) == b"rows"


def test_a_commit_is_found_by_folder_url_and_digest(catalog: Catalog, part: FileEntry) -> None:
    committed = manifest(part, volatile={"seconds": 1.5})
    url = catalog.commit(FOLDER, committed)
    assert catalog.folder(url) == FOLDER
    assert catalog.current(FOLDER) == committed
    assert catalog.at(FOLDER, committed.digest()) == committed
    assert catalog.load(FOLDER, made_by="clean") == committed


def test_nothing_is_current_before_the_first_commit(catalog: Catalog) -> None:
    assert catalog.current(FOLDER) is None
    assert catalog.unchanged(FOLDER, "f") is None
    with pytest.raises(BadInput, match=r"nothing at file:.*2026-11-20/_manifest.json: run `nightshift clean` first"):
        catalog.load(FOLDER, made_by="clean")
    with pytest.raises(NotFound):
        catalog.at(FOLDER, "0" * 64)


def test_an_earlier_manifest_stays_when_the_pointer_moves(catalog: Catalog, part: FileEntry) -> None:
    first, second = manifest(part), manifest(fingerprint="g")
    catalog.commit(FOLDER, first)
    catalog.commit(FOLDER, second)
    assert catalog.current(FOLDER) == second
    assert catalog.at(FOLDER, first.digest()) == first


def test_what_differs_between_equal_runs_is_not_in_the_digest(part: FileEntry) -> None:
    moved = part.model_copy(update={"etag": "other"})
    assert manifest(part, volatile={"at": "now"}).digest() == manifest(moved).digest()
    assert manifest(part, counts={"kept": 1}).digest() != manifest(part).digest()
    assert manifest(part.model_copy(update={"rows": 5})).digest() != manifest(part).digest()


def test_a_digest_is_the_same_for_whoever_reads_the_manifest_back() -> None:
    written = manifest(counts={"nan": float("nan"), "big": 1e300, "share": 0.1, "by": {1: 2}, "list": (1, 2)})
    assert Manifest.from_bytes(written.to_bytes(), "url").digest() == written.digest()


def test_the_same_work_is_recognised(catalog: Catalog, part: FileEntry) -> None:
    catalog.commit(FOLDER, manifest(part))
    assert catalog.unchanged(FOLDER, "f") == manifest(part)
    assert catalog.unchanged(FOLDER, "g") is None


def test_a_fingerprint_depends_on_code_configuration_and_inputs() -> None:
    base = fingerprint({"version": 1}, "c", [Input(name="raw", digest="1")])
    assert base == fingerprint({"version": 1}, "c", [Input(name="raw", digest="1")])
    assert base != fingerprint({"version": 2}, "c", [Input(name="raw", digest="1")])
    assert base != fingerprint({"version": 1}, "d", [Input(name="raw", digest="1")])
    assert base != fingerprint({"version": 1}, "c", [Input(name="raw", digest="2")])
    assert base != fingerprint({"version": 1}, "c", [])


def test_a_missing_part_voids_the_noop_and_is_named(catalog: Catalog, part: FileEntry) -> None:
    catalog.commit(FOLDER, manifest(part))
    catalog.store.delete(part.key)
    assert catalog.unchanged(FOLDER, "f") is None
    with pytest.raises(Corrupt, match=rf"1 file\(s\) of docs 2026-11-20 .*{part.key}; run `nightshift clean` again"):
        catalog.require_intact(manifest(part), made_by="clean")


@pytest.mark.parametrize("damage", [b"rowz", b"rows and more", b""])
def test_an_altered_byte_voids_the_noop(catalog: Catalog, part: FileEntry, damage: bytes) -> None:
    catalog.commit(FOLDER, manifest(part))
    path_of(catalog, part.key).write_bytes(damage)
    assert catalog.damaged(manifest(part)) == [part]
    assert catalog.unchanged(FOLDER, "f") is None


def test_another_etag_over_equal_bytes_is_intact(catalog: Catalog, part: FileEntry) -> None:
    # A store that was moved to another server gives other ETags.
    moved = part.model_copy(update={"etag": "of another server"})
    catalog.commit(FOLDER, manifest(moved))
    assert catalog.unchanged(FOLDER, "f") == manifest(moved)


def test_a_file_whose_etag_is_known_is_not_read(
    catalog: Catalog, part: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(key: str) -> str:
        raise AssertionError(f"{key} was read")

    monkeypatch.setattr(catalog.store, "sha256", read)
    catalog.require_intact(manifest(part), made_by="clean")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"{}", "step: Field required"),
        (b'{"format": 2}', "format: Input should be 1"),
    ],
)
def test_a_corrupt_manifest_is_named_and_made_anew(catalog: Catalog, part: FileEntry, data: bytes, fault: str) -> None:
    catalog.commit(FOLDER, manifest(part))
    catalog.store.write(f"{FOLDER}/_manifest.json", data)
    with pytest.raises(Corrupt, match=r"2026-11-20/_manifest.json is not a readable manifest: ") as caught:
        catalog.load(FOLDER, made_by="clean --corpus docs")
    assert fault in str(caught.value)
    assert str(caught.value).endswith("run `nightshift clean --corpus docs` again to make it anew")
    # The step whose output it is does not stumble over it.
    assert catalog.unchanged(FOLDER, "f") is None
    catalog.commit(FOLDER, manifest(part))
    assert catalog.unchanged(FOLDER, "f") is not None


def test_a_manifest_kept_by_digest_that_was_altered_is_found_out(catalog: Catalog) -> None:
    committed = manifest()
    catalog.commit(FOLDER, committed)
    key = f"{FOLDER}/manifests/{committed.digest()}.json"
    altered = json.loads(catalog.store.read(key)) | {"counts": {"kept": 10**6}}
    catalog.store.write(key, json.dumps(altered).encode())
    with pytest.raises(Corrupt, match="was altered"):
        catalog.at(FOLDER, committed.digest())


def test_a_manifest_cannot_name_a_file_outside_the_store(catalog: Catalog, part: FileEntry, tmp_path: Path) -> None:
    stray = part.model_copy(update={"key": "../../etc/passwd"})
    with pytest.raises(BadInput, match="is not a key"):
        catalog.damaged(manifest(stray))
    with pytest.raises(BadInput, match="is not a key"):
        catalog.fetch(stray, tmp_path / "x")


def test_a_download_of_other_bytes_than_were_committed_leaves_nothing(
    catalog: Catalog, part: FileEntry, tmp_path: Path
) -> None:
    assert catalog.fetch(part, tmp_path / "good").read_bytes() == b"rows"
    path_of(catalog, part.key).write_bytes(b"rowz")
    with pytest.raises(Corrupt, match=r"has sha256 \w{16}…, its manifest says"):
        catalog.fetch(part, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_of_two_who_commit_at_once_one_is_current_and_both_are_kept(catalog: Catalog) -> None:
    offers = [manifest(counts={"writer": number}) for number in range(8)]
    barrier = threading.Barrier(len(offers))

    def commit(offer: Manifest) -> None:
        barrier.wait()
        for _ in range(5):
            catalog.commit(FOLDER, offer)
            seen = catalog.current(FOLDER)
            assert seen in offers

    with ThreadPoolExecutor(len(offers)) as pool:
        list(pool.map(commit, offers))
    assert catalog.current(FOLDER) in offers
    for offer in offers:
        assert catalog.at(FOLDER, offer.digest()) == offer


def test_folders_are_those_directly_below_that_were_committed(catalog: Catalog) -> None:
    for folder in ("clean/docs/2026-11-21", "clean/docs/2026-11-20", "clean/docs/2026-11-20/shards/0-of-1"):
        catalog.commit(folder, manifest())
    catalog.commit("clean/docs2/2026-11-19", manifest())
    catalog.store.write("clean/docs/2026-11-22/documents-1.parquet", b"a killed writer's")
    assert list(catalog.folders("clean/docs")) == ["clean/docs/2026-11-20", "clean/docs/2026-11-21"]


def test_a_quarantined_manifest_is_not_loaded_until_it_is_released_or_made_anew(catalog: Catalog) -> None:
    bad = manifest(counts={"kept": 0})
    catalog.commit(FOLDER, bad)
    catalog.quarantine.put(bad, stage="clean", failures=["too few rows"], at="2026-11-20T02:00:00Z")
    with pytest.raises(Quarantined, match="too few rows"):
        catalog.load(FOLDER, made_by="clean")
    better = manifest(counts={"kept": 5})
    catalog.commit(FOLDER, better)
    assert catalog.load(FOLDER, made_by="clean") == better
    catalog.commit(FOLDER, bad)
    catalog.quarantine.release(bad, Release(by="me", reason="checked by hand", at="2026-11-20T08:00:00Z"))
    assert catalog.load(FOLDER, made_by="clean") == bad


def test_a_damaged_quarantine_record_lets_nothing_pass(catalog: Catalog) -> None:
    catalog.commit(FOLDER, manifest())
    catalog.store.write(f"quarantine/docs/{manifest().digest()}.json", b"{")
    with pytest.raises(Corrupt, match="is not a readable quarantine record"):
        catalog.load(FOLDER, made_by="clean")
