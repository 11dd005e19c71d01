"""The store's promises, kept alike by a folder and by a real S3 server."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import socketserver
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from containers.embedded.ports import pick
from tasks.errors import BadInput, NotFound, StoreError
from tasks.store import Store, open_store, s3

pytestmark = pytest.mark.integration


@pytest.fixture(params=["folder", "s3", "s3 with a prefix"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "folder":
        folder: Store = request.getfixturevalue("local_store")
        return folder
    env = request.getfixturevalue("s3_env")
    prefix = "/some/prefix" if request.param.endswith("prefix") else ""
    return open_store(f"s3://test-{uuid.uuid4().hex[:12]}{prefix}", env)


def keys(store: Store, prefix: str) -> list[str]:
    return [info.key for info in store.list(prefix)]


def is_folder(store: Store) -> bool:
    return store.url.startswith("file:")


def test_what_is_written_is_read_back(store: Store, tmp_path: Path) -> None:
    written = store.write("a/b.json", b"bytes")
    assert store.read("a/b.json") == b"bytes"
    assert store.stat("a/b.json") == written
    assert written.size == 5
    assert store.sha256("a/b.json") == hashlib.sha256(b"bytes").hexdigest()
    assert store.download("a/b.json", tmp_path / "new" / "b") == hashlib.sha256(b"bytes").hexdigest()
    assert (tmp_path / "new" / "b").read_bytes() == b"bytes"


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.write("empty", b"")
    assert store.read("empty") == b""
    assert store.stat("empty") is not None
    assert keys(store, "") == ["empty"]


def test_a_large_file_survives_upload_copy_and_download(store: Store, tmp_path: Path) -> None:
    # More than one part of an S3 upload.
    data = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(200_000))
    (tmp_path / "large").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    uploaded = store.upload(tmp_path / "large", "from/large")
    copied = store.copy("from/large", "to/large")
    assert uploaded.size == copied.size == len(data)
    assert store.stat("from/large") == uploaded
    assert store.stat("to/large") == copied
    assert store.download("to/large", tmp_path / "again") == digest


def test_equal_etags_mean_equal_bytes(store: Store) -> None:
    before = store.write("key", b"one")
    assert store.write("key", b"two").etag != before.etag


def test_nothing_is_there_before_the_first_write(store: Store) -> None:
    assert store.stat("a") is None
    assert keys(store, "") == []
    store.delete("a")
    with pytest.raises(NotFound, match=r"no object .*/a"):
        store.read("a")
    with pytest.raises(NotFound, match=r"no object .*/a"):
        store.copy("a", "b")


def test_a_deleted_object_is_gone(store: Store) -> None:
    store.write("a/b", b"1")
    store.delete("a/b")
    store.delete("a/b")
    assert store.stat("a/b") is None
    assert keys(store, "a/") == []


def test_a_folder_is_no_object(store: Store) -> None:
    store.write("a/b/c", b"1")
    assert store.stat("a/b") is None
    with pytest.raises(NotFound):
        store.read("a/b")


def test_a_listing_is_in_key_order(store: Store) -> None:
    # The order of bytes, not that of a walk over folders: `.` comes before `/`, `-` before both.
    expected = ["a", "b-c/d", "b.json", "b/c", "b/c.d/e", "b/c/d", "b0", "é"]
    if is_folder(store):
        expected.remove("b/c")  # a file cannot be a folder too
    for key in reversed(expected):
        store.write(key, key.encode())
    assert keys(store, "") == expected


def test_a_prefix_is_the_beginning_of_a_key_and_nothing_else(store: Store) -> None:
    for key in ("docs/1", "docs2/1", "docs/2/3", "other/docs/1"):
        store.write(key, b"")
    assert keys(store, "docs/") == ["docs/1", "docs/2/3"]
    assert keys(store, "docs") == ["docs/1", "docs/2/3", "docs2/1"]
    assert keys(store, "docs/2") == ["docs/2/3"]
    assert keys(store, "doc/") == []


def test_more_objects_than_one_page_of_a_listing(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: store.write(f"many/{i:04d}", b""), range(1005)))
    assert keys(store, "many/") == [f"many/{i:04d}" for i in range(1005)]


def test_a_reader_sees_the_old_bytes_or_the_new_and_never_a_part(store: Store) -> None:
    versions = [bytes([n]) * 200_000 for n in range(4)]
    store.write("pointer", versions[0])
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for version in versions:
                store.write("pointer", version)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(rewrite) for _ in range(2)]
        try:
            seen = {store.read("pointer") for _ in range(50)}
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    assert seen <= set(versions)


def test_of_several_who_create_a_key_one_succeeds(store: Store) -> None:
    store.write("other", b"")
    offers = [f"writer {n}".encode() for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda data: store.create("taken/once", data), offers))
    assert won.count(True) == 1
    winner = offers[won.index(True)]
    assert store.read("taken/once") == winner
    # Its answer may have been lost: asking again is no failure. Nobody else gets the key any more.
    assert store.create("taken/once", winner)
    assert not store.create("taken/once", b"late")


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../../b", "a/./b", "a\nb", "a\0b"])
def test_a_key_cannot_lead_out_of_the_store(store: Store, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    calls: list[Callable[[], object]] = [
        lambda: store.stat(key),
        lambda: store.read(key),
        lambda: store.write(key, b""),
        lambda: store.create(key, b""),
        lambda: store.upload(tmp_path / "file", key),
        lambda: store.copy("a", key),
        lambda: store.copy(key, "a"),
        lambda: store.delete(key),
    ]
    store.write("a", b"")
    for call in calls:
        with pytest.raises(BadInput, match="is not a key"):
            call()


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a//b"])
def test_a_prefix_cannot_lead_out_of_the_store(store: Store, prefix: str) -> None:
    with pytest.raises(BadInput, match="is not a key"):
        list(store.list(prefix))


def test_wrong_credentials_are_bad_input_that_names_the_variables(s3_env: dict[str, str]) -> None:
    open_store("s3://guarded", s3_env).write("a", b"secret")
    wrong = open_store("s3://guarded", {**s3_env, "AWS_SECRET_ACCESS_KEY": "wrong-secret"})
    calls: list[Callable[[], object]] = [
        lambda: wrong.stat("a"),
        lambda: wrong.read("a"),
        lambda: wrong.write("a", b""),
        lambda: list(wrong.list("")),
    ]
    for call in calls:
        with pytest.raises(BadInput, match=r"guarded.*refuses these credentials.*AWS_SECRET_ACCESS_KEY") as caught:
            call()
        assert "wrong-secret" not in str(caught.value)


def test_a_server_that_is_down_is_a_store_error_in_bounded_time(s3_env: dict[str, str], tmp_path: Path) -> None:
    store = open_store("s3://bucket", {**s3_env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{pick()}"})
    (tmp_path / "file").write_bytes(b"1")
    calls: list[Callable[[], object]] = [
        lambda: store.read("a"),
        lambda: store.upload(tmp_path / "file", "a"),
        lambda: list(store.list("")),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(StoreError, match="s3://bucket"):
            call()
        assert time.monotonic() - started < 30


def test_no_url_that_may_be_written_with_is_in_an_error_or_a_warning(
    s3_env: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store("s3://bucket", {**s3_env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{pick()}"})
    assert isinstance(store, s3.S3Store)
    store._bucket_known = True  # or it would fail before
    with pytest.raises(StoreError, match="cannot create s3://bucket/a") as caught:
        store.create("a", b"1")
    assert "/bucket/a" in caplog.text  # urllib3 says what it tries again
    for told in (str(caught.value), caplog.text):
        assert "X-Amz" not in told
        assert s3_env["AWS_ACCESS_KEY_ID"] not in told


def test_encoded_content_arrives_as_it_is_stored(s3_env: dict[str, str]) -> None:
    # Some tools mark a .gz that they upload as gzip-encoded content: it is still the .gz that was committed.
    store = open_store("s3://encoded", s3_env)
    data = gzip.compress(b"page")
    store.write("other", b"")
    assert isinstance(store, s3.S3Store)
    store._client.put_object(
        bucket_name="encoded",
        object_name="page.gz",
        data=io.BytesIO(data),
        length=len(data),
        metadata={"Content-Encoding": "gzip"},
    )
    assert store.read("page.gz") == data


class _Answer(socketserver.StreamRequestHandler):
    """Says the same to every request, then closes the connection."""

    answer: bytes

    def handle(self) -> None:
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        self.wfile.write(self.answer)


@pytest.fixture
def faulty(s3_env: dict[str, str]) -> Iterator[Callable[[bytes], Store]]:
    """``faulty(answer)``: a store whose server gives that answer to everything."""
    servers = []

    def build(answer: bytes) -> Store:
        handler = type("Handler", (_Answer,), {"answer": answer})
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return open_store("s3://bucket", {**s3_env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}"})

    yield build
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_truncated_download_is_a_store_error(faulty: Callable[[bytes], Store], tmp_path: Path) -> None:
    store = faulty(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: "x"\r\n\r\nonly this')
    with pytest.raises(StoreError, match="cannot read s3://bucket/a"):
        store.download("a", tmp_path / "a")
    with pytest.raises(StoreError, match="cannot read s3://bucket/a"):
        store.read("a")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 6\r\n\r\n<Error",
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n\xff\xfe",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["a web server", "broken XML", "bytes", "another protocol"],
)
def test_a_server_that_is_no_s3_is_a_store_error(faulty: Callable[[bytes], Store], answer: bytes) -> None:
    with pytest.raises(StoreError, match="cannot read s3://bucket/a"):
        faulty(answer).read("a")


def test_a_server_that_accepts_and_never_answers_is_not_waited_for_long(
    s3_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = urllib3.PoolManager(timeout=urllib3.Timeout(connect=1, read=0.2), retries=s3._RETRIES)
    monkeypatch.setattr(s3, "_HTTP", impatient)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store("s3://bucket", {**s3_env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        started = time.monotonic()
        with pytest.raises(StoreError, match="cannot read s3://bucket/a"):
            store.read("a")
        assert time.monotonic() - started < 10
