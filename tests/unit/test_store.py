"""What is particular to the local store, and how a store is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.address import without_login
from tasks.errors import BadInput, StoreError
from tasks.store import Store, open_store
from tasks.store.local import LocalStore

S3 = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "expected file:///folder or s3://bucket/prefix"),
        ("/data", "expected file:///folder or s3://bucket/prefix"),
        ("http://host/data", "expected file:///folder or s3://bucket/prefix"),
        ("file://data/store", "three slashes"),
        ("file:data", "three slashes and a whole path"),
        ("file://", "three slashes and a whole path"),
        ("file:///data#1", "have no meaning here"),
        ("s3://bucket/prefix?versionId=1", "have no meaning here"),
        ("s3://", "expected s3://bucket/prefix"),
        ("s3://Bucket_With_Capitals", "invalid bucket name"),
        ("s3://bucket/../other", "is not a key"),
        ("s3://[", "not a URL"),
    ],
)
def test_a_wrong_store_url_says_what_is_expected(url: str, fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        open_store(url, S3)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput, match="AWS_SECRET_ACCESS_KEY") as caught:
        open_store("s3://key:hunter2@bucket/prefix", S3)
    assert "hunter2" not in str(caught.value)


def test_an_s3_store_names_the_variables_it_lacks() -> None:
    with pytest.raises(BadInput, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"):
        open_store("s3://bucket", {})


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://minio", "http://", "http://host:port"])
def test_a_wrong_endpoint_is_named(endpoint: str) -> None:
    with pytest.raises(BadInput, match="AWS_ENDPOINT_URL="):
        open_store("s3://bucket", {**S3, "AWS_ENDPOINT_URL": endpoint})


@pytest.mark.parametrize("endpoint", ["http://me:hunter2@minio:9000", "ftp://me:hunter2@minio", "me:hun@ter2@minio/x"])
def test_a_wrong_endpoint_is_named_without_its_password(endpoint: str) -> None:
    with pytest.raises(BadInput, match=r"AWS_ENDPOINT_URL=.*minio") as caught:
        open_store("s3://bucket", {**S3, "AWS_ENDPOINT_URL": endpoint})
    assert not any(secret in str(caught.value) for secret in ("hunter2", "hun", "ter2"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:5000/path", "http://host:5000/path"),
        ("postgresql://me:hunter2@db/mlflow", "postgresql://…@db/mlflow"),
        ("postgresql://me:hun?ter/2#@db/mlflow?sslpassword=x", "postgresql://…@db/mlflow"),
        ("http://host/?token=hunter2", "http://host/"),
        ("minio:9000", "minio:9000"),
        ("databricks", "databricks"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_password(url: str, shown: str) -> None:
    assert without_login(url) == shown


def test_a_url_leads_back_to_its_key(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}", f"file://{tmp_path}/", f"file://{tmp_path}/with%20space%20and%20100%25"):
        store = open_store(url, {})
        assert store.key_of(store.url_of("a/b")) == "a/b"
        assert open_store(store.url, {}).url == store.url
        store.write("a/b", url.encode())
        assert open_store(store.url, {}).read("a/b") == url.encode()


def test_a_url_outside_the_store_is_bad_input(local_store: Store) -> None:
    with pytest.raises(BadInput, match="is not in the store"):
        local_store.key_of("s3://elsewhere/key")
    with pytest.raises(BadInput, match="is not in the store"):
        local_store.key_of(f"{local_store.url}2/key")


def test_files_belong_to_whoever_the_umask_says(local_store: LocalStore) -> None:
    # Steps may run as another user than the one that reads: a private temporary file must not stay private.
    before = os.umask(0o022)
    try:
        local_store.write("key", b"")
    finally:
        os.umask(before)
    assert (local_store.root / "key").stat().st_mode & 0o777 == 0o644


def test_bytes_altered_behind_the_stores_back_show_in_the_etag(local_store: LocalStore) -> None:
    before = local_store.write("key", b"one")
    path = local_store.root / "key"
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a copying tool sets them back
    after = local_store.stat("key")
    assert after is not None
    assert after.etag != before.etag


def test_what_a_killed_writer_left_is_no_object(local_store: LocalStore) -> None:
    local_store.write("a/b", b"1")
    (local_store.root / "a" / ".writing-123").write_bytes(b"half")
    assert [info.key for info in local_store.list("")] == ["a/b"]


def test_a_failed_write_leaves_the_old_bytes_and_nothing_else(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_store.write("a/b", b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write file:.*/a/b: .*No space left"):
        local_store.write("a/b", b"new")
    assert local_store.read("a/b") == b"old"
    assert [path.name for path in (local_store.root / "a").iterdir()] == ["b"]


def test_a_key_below_another_object_is_a_store_error(local_store: LocalStore) -> None:
    local_store.write("a", b"")
    with pytest.raises(StoreError, match="cannot write"):
        local_store.write("a/b", b"")


def test_only_the_folder_of_a_prefix_is_walked(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("raw/docs/1/a", "raw/docs/2/a", "raw/docs2/1/a", "clean/docs/1/a"):
        local_store.write(key, b"")
    walked = []
    scandir = os.scandir

    def counting(path: str) -> Iterator[os.DirEntry[str]]:
        walked.append(Path(path).relative_to(local_store.root).as_posix())
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    assert [info.key for info in local_store.list("raw/docs/1")] == ["raw/docs/1/a"]
    assert walked == ["raw/docs", "raw/docs/1"]


def test_a_folder_that_cannot_be_read_is_an_error_not_an_empty_listing(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_store.write("a/b", b"")

    def denied(path: str) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(StoreError, match="cannot list"):
        list(local_store.list("a/"))
