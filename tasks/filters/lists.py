"""Lists that are too long for a YAML."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks.errors import BadInput, StoreError
from tasks.section import Section


class Listed(Section):
    """Parameters of a filter that reads lists: what they say is an input of cleaning, as the pages are."""

    def lists(self) -> Iterable[str]:
        """Where the lists lie."""
        raise NotImplementedError


_MANIFEST = "/_manifest.json"
_SPLIT = "test"


def digest(location: str) -> str:
    """sha256 (hex) of what a list says; of a manifest, of its test split.

    Raises:
        BadInput: it cannot be read.
    """
    if location.endswith(_MANIFEST):
        return hashlib.sha256("".join(each["sha256"] for each in _test_files(location)).encode()).hexdigest()
    return hashlib.sha256(_read(location).encode()).hexdigest()


def lines(locations: Iterable[str], *, comments: bool = True) -> Iterator[str]:
    """The lines of text files, without blank ones and, where there are ``comments``, those that begin with ``#``.

    ``locations`` are paths, or URLs of files on a store (``s3://…``, ``file:///…``).

    Raises:
        BadInput: a file cannot be read.
    """
    for location in locations:
        for line in _read(location).splitlines():
            if (text := line.strip()) and not (comments and text.startswith("#")):
                yield text


def tests_of(location: str) -> Iterator[str]:
    """The texts of the test split of a snapshot or a published partition, whose manifest has the URL ``location``.

    Raises:
        BadInput: it is no such manifest, or a file of it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.store import open_store

    for each in _test_files(location):
        # A key begins with the folder that all of its kind lie in: what stands before that is the store.
        root, _, _ = location.rpartition(f"/{each['key'].partition('/')[0]}/")
        try:
            data = open_store(root, os.environ).read(each["key"])
            if hashlib.sha256(data).hexdigest() != each["sha256"]:
                raise BadInput(f"{location}: the file {each['key']} was altered")
            yield from pq.read_table(pa.BufferReader(data), columns=["text"])["text"].to_pylist()
        except (StoreError, pa.ArrowException) as error:
            raise BadInput(f"{location}: the file {each['key']} cannot be read: {error}") from error


def _test_files(location: str) -> list[dict[str, Any]]:
    try:
        files = [each for each in json.loads(_read(location))["files"] if each["role"] == _SPLIT]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{location}: not a manifest of files with roles") from error
    if not files:
        raise BadInput(f"{location}: the manifest has no file of role {_SPLIT}: is it one of a snapshot?")
    return files


def _read(location: str) -> str:
    try:
        if "://" in location:
            from tasks.store import open_store

            folder, _, name = location.rpartition("/")
            # Read where the filter is built: in a worker, whose environment tells how to reach the store.
            return open_store(folder, os.environ).read(name).decode()
        return Path(location).read_text()
    except (OSError, UnicodeDecodeError, StoreError) as error:
        raise BadInput(f"{location}: cannot be read as a list: {error}") from error
