"""Lists that are too long for a YAML."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.errors import BadInput, StoreError
from tasks.section import Section


class Listed(Section):
    """Parameters of a filter that reads lists: what they say is an input of cleaning, as the pages are."""

    def lists(self) -> Iterable[str]:
        """Where the lists lie."""
        raise NotImplementedError


def digest(location: str) -> str:
    """sha256 (hex) of what a list says.

    Raises:
        BadInput: it cannot be read.
    """
    return hashlib.sha256(_read(location).encode()).hexdigest()


def lines(locations: Iterable[str]) -> Iterator[str]:
    """The lines of text files, without blank ones and those that begin with ``#``.

    ``locations`` are paths, or URLs of files on a store (``s3://…``, ``file:///…``).

    Raises:
        BadInput: a file cannot be read.
    """
    for location in locations:
        for line in _read(location).splitlines():
            if (text := line.strip()) and not text.startswith("#"):
                yield text


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
