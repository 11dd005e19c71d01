"""A store in a local folder: for a laptop, for tests, and for reading files where they lie."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from tasks.errors import BadInput, NotFound, StoreError
from tasks.store.base import CHUNK, ObjectInfo, Store, checked_key, checked_prefix

_WRITING = ".writing-"
_ABSENT = (FileNotFoundError, NotADirectoryError)


class LocalStore(Store):
    """Objects as files below ``root``; writes go through a temporary file and a rename."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        path = unquote(parts.path)
        if parts.netloc not in ("", "localhost") or not path.startswith("/"):
            raise BadInput(f"store {url!r}: a file URL has three slashes and a whole path, as in file:///data")
        self.root = Path(path).absolute()
        self.url = self.root.as_uri()

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            found = self._path(key).stat()
        except _ABSENT:
            return None
        except OSError as error:
            raise StoreError(f"cannot stat {self.url_of(key)}: {error}") from error
        if not stat.S_ISREG(found.st_mode):
            return None
        # The change time, which unlike the modification time no copying tool sets back.
        return ObjectInfo(key, found.st_size, f"{found.st_size}-{found.st_ctime_ns}")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        # Only the folder that the prefix names is walked: a night must not cost the whole history.
        folder, _, start = checked_prefix(prefix).rpartition("/")
        return self._walk(folder, start)

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        try:
            return self._path(key).open("rb")
        except (*_ABSENT, IsADirectoryError) as error:
            raise NotFound(f"no object {self.url_of(key)}") from error
        except OSError as error:
            raise StoreError(f"cannot read {self.url_of(key)}: {error}") from error

    def read_at(self, key: str, offset: int, size: int) -> bytes:
        with self.open(key) as stream:
            stream.seek(offset)
            return stream.read(size)

    def local(self, key: str) -> Path | None:
        return self._path(key)

    def write(self, key: str, data: bytes) -> ObjectInfo:
        return self._replace(key, lambda out: out.write(data))

    def create(self, key: str, data: bytes) -> bool:
        with self._written(key, lambda out: out.write(data)) as (writing, target):
            try:
                os.link(writing, target)  # unlike a rename it refuses a name that is taken
            except FileExistsError:
                return self.read(key) == data
        return True

    def upload(self, path: Path, key: str) -> ObjectInfo:
        with path.open("rb") as source:
            return self._replace(key, lambda out: shutil.copyfileobj(source, out, CHUNK))

    def copy(self, key: str, target: str) -> ObjectInfo:
        with self.open(key) as source:
            return self._replace(target, lambda out: shutil.copyfileobj(source, out, CHUNK))

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink()
        except _ABSENT:
            return
        except OSError as error:
            raise StoreError(f"cannot delete {self.url_of(key)}: {error}") from error

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key)

    def _walk(self, folder: str, start: str = "") -> Iterator[ObjectInfo]:
        try:
            with os.scandir(self.root / folder) as found:
                names = [entry.name + "/" * entry.is_dir() for entry in found if entry.name.startswith(start)]
        except _ABSENT:
            return
        except OSError as error:
            raise StoreError(f"cannot list {self.url_of(folder)}: {error}") from error
        # With its slash a folder sorts as the keys below it do: `a.b` comes before `a/b`.
        for name in sorted(names):
            key = f"{folder}/{name}" if folder else name
            if name.endswith("/"):
                yield from self._walk(key[:-1])
            elif not name.startswith(_WRITING) and (info := self.stat(key)) is not None:
                yield info

    def _replace(self, key: str, fill: Callable[[BinaryIO], object]) -> ObjectInfo:
        with self._written(key, fill) as (writing, target):
            writing.replace(target)
        info = self.stat(key)
        if info is None:
            raise StoreError(f"{self.url_of(key)} is gone again right after it was written")
        return info

    @contextmanager
    def _written(self, key: str, fill: Callable[[BinaryIO], object]) -> Iterator[tuple[Path, Path]]:
        """A filled temporary file beside the key's own, for the caller to put in its place."""
        target = self._path(key)
        writing = target.with_name(f"{_WRITING}{uuid.uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with writing.open("xb") as out:
                    fill(out)
                    out.flush()
                    os.fsync(out.fileno())
                yield writing, target
            finally:
                writing.unlink(missing_ok=True)
            _sync(target.parent)
        except OSError as error:
            raise StoreError(f"cannot write {self.url_of(key)}: {error}") from error


def _sync(folder: Path) -> None:
    """Make renames in a folder outlive a power cut, so that no pointer is on disk before its files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
