"""The store's interface: keys to bytes, whole-object writes, nothing ever half-visible."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tasks.errors import BadInput

CHUNK = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object. ``etag`` changes whenever the bytes do (S3 ETag; local size and times)."""

    key: str
    size: int
    etag: str


class Store(ABC):
    """Objects under one root URL. Keys are relative and ``/``-separated, every part of them a name.

    Every method raises ``StoreError`` when the store cannot be reached, ``NotFound`` when the named
    object does not exist, and ``BadInput`` when a key could lead outside the root (keys are read from
    stored manifests too) or the store refuses the credentials.
    """

    url: str

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo | None:
        """Size and ETag of one object, or None."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with ``prefix``, in key order."""

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Stream one object's bytes; memory stays bounded whatever its size."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> ObjectInfo:
        """Store ``data`` whole: a reader sees the old bytes or the new, never a part."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Store ``data`` whole unless something has that key; of several callers at once, one succeeds.

        Returns whether the key now holds ``data``: True again for the one who succeeded, so a call whose
        answer was lost can be repeated.
        """

    @abstractmethod
    def upload(self, path: Path, key: str) -> ObjectInfo:
        """Store a local file whole, as ``write`` does."""

    @abstractmethod
    def copy(self, key: str, target: str) -> ObjectInfo:
        """Copy one object to another key of this store, whole; the bytes need not pass through here."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove one object; not an error when it does not exist."""

    def read_at(self, key: str, offset: int, size: int) -> bytes:
        """``size`` bytes of one object from ``offset`` on; a store that can sends nothing else."""
        with self.open(key) as stream:
            while offset and (skipped := len(stream.read(min(offset, CHUNK)))):
                offset -= skipped
            return stream.read(size)

    def local(self, key: str) -> Path | None:
        """The object as a file of this machine, never to be written to; None where it is none."""
        return None

    def read(self, key: str) -> bytes:
        """One object's bytes."""
        with self.open(key) as stream:
            return stream.read()

    def download(self, key: str, path: Path) -> str:
        """Copy one object to a local file; returns the sha256 (hex) of the bytes that arrived."""
        digest = hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.open(key) as stream, path.open("wb") as out:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                out.write(chunk)
        return digest.hexdigest()

    def sha256(self, key: str) -> str:
        """sha256 (hex) of one object's bytes, as the store has them now."""
        digest = hashlib.sha256()
        with self.open(key) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def url_of(self, key: str) -> str:
        """The object's full URL, as manifests and logs name it."""
        return f"{self.url.rstrip('/')}/{key}"

    def key_of(self, url: str) -> str:
        """The key of a full URL within this store.

        Raises:
            BadInput: the URL lies outside this store.
        """
        root = self.url.rstrip("/") + "/"
        if not url.startswith(root):
            raise BadInput(f"{url} is not in the store {self.url}")
        return url[len(root) :]


def checked_key(key: str) -> str:
    """The key itself, if every part of it is a name.

    Raises:
        BadInput: it is empty, or has a part that is empty, ``.`` or ``..``, or a control character.
    """
    if not key or _CONTROL.search(key) or any(part in ("", ".", "..") for part in key.split("/")):
        raise BadInput(f"{key!r} is not a key: expected names joined by /, none of them empty, `.` or `..`")
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix itself, if a key can start with it; empty for all keys."""
    folder, _, _ = prefix.rpartition("/")
    if folder:
        checked_key(folder)
    elif prefix.startswith("/"):
        checked_key(prefix)
    return prefix


def open_store(url: str, env: Mapping[str, str]) -> Store:
    """The store at ``url``: ``file:///folder`` or ``s3://bucket/prefix``.

    ``env`` gives an S3 store its endpoint and credentials (``AWS_ENDPOINT_URL``,
    ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``).

    Raises:
        BadInput: another scheme, or a variable that an S3 store needs is missing.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadInput(f"store {url!r} is not a URL: {error}") from error
    if "@" in parts.netloc:  # a password does not belong here, and less into an error message
        raise BadInput("the store's URL holds credentials: give them as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
    if parts.query or parts.fragment:
        raise BadInput(
            f"store {url!r}: `?` and `#` have no meaning here; write %3F and %23 for them in a folder's name"
        )
    # Each store's client library is imported only where it is used.
    if parts.scheme == "file":
        from tasks.store.local import LocalStore

        return LocalStore(url)
    if parts.scheme == "s3":
        from tasks.store.s3 import S3Store

        return S3Store.from_environment(url, env)
    raise BadInput(f"store {url!r}: expected file:///folder or s3://bucket/prefix")
