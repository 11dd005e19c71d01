"""The encoded examples on this machine's disk: fetched and decoded by a thread, ahead of their use."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.catalog import Catalog, FileEntry
from tasks.training.mirrored.order import Numbers
from tasks.training.mirrored.patience import patiently
from tasks.training.mirrored.records import Column, decode

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tasks.models.base import Field

Want = tuple[str, int]
"""A split and the position of one of its files."""


class Examples:
    """The files of each split, which arrive one after the other in the order of ``wanted``.

    Every worker fetches all of them: a global batch is cut across them by row, not by file.
    """

    def __init__(
        self,
        catalog: Catalog,
        fields: Mapping[str, Field],
        files: Mapping[str, Sequence[FileEntry]],
        scratch: Path,
        log: FilteringBoundLogger,
    ) -> None:
        self._catalog = catalog
        self._fields = fields
        self._files = files
        self._starts = {
            split: np.concatenate([[0], np.cumsum([entry.rows for entry in entries])]).astype(np.int64)
            for split, entries in files.items()
        }
        self._scratch = scratch
        self._log = log
        self._news = threading.Condition()
        self._here: dict[Want, dict[str, Column]] = {}
        self._failure: Exception | None = None
        self._closed = False

    def sizes(self, split: str) -> list[int]:
        """Examples of each file of a split."""
        return [entry.rows for entry in self._files[split]]

    @property
    def complete(self) -> bool:
        """Whether every file is here, so that nothing waits for the store again."""
        return len(self._here) == sum(len(entries) for entries in self._files.values())

    def fetch(self, wanted: Sequence[Want]) -> None:
        """Start to fetch the files, in this order."""
        threading.Thread(target=self._fetch_all, args=(tuple(wanted),), name="examples", daemon=True).start()

    def close(self) -> None:
        """Stop fetching, and let whoever waits for a file go."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def take(self, split: str, numbers: Numbers) -> dict[str, Sequence[Any]]:
        """Columns of the examples with these numbers, in their order, as soon as their files are here.

        Raises:
            StoreError: a file could not be fetched.
            Corrupt: a file is not the committed one.
        """
        files = np.searchsorted(self._starts[split], numbers, side="right") - 1
        rows = numbers - self._starts[split][files]
        places = [(int(file), np.flatnonzero(files == file)) for file in np.unique(files)]
        parts = [(self._wait((split, file)), place) for file, place in places]
        return {
            name: _together([(columns[name].take(rows[place]), place) for columns, place in parts], len(numbers))
            for name in self._fields
        }

    def _wait(self, want: Want) -> dict[str, Column]:
        with self._news:
            self._news.wait_for(lambda: want in self._here or self._failure or self._closed)
            if want in self._here:
                return self._here[want]
            raise self._failure or RuntimeError("examples were closed while a batch was being made")

    def _fetch_all(self, wanted: Sequence[Want]) -> None:
        try:
            for want in wanted:
                if self._closed:
                    return
                columns = self._fetched(want)
                with self._news:
                    self._here[want] = columns
                    self._news.notify_all()
        except Exception as error:  # noqa: BLE001  # raised again where a batch is waited for
            with self._news:
                self._failure = error
                self._news.notify_all()

    def _fetched(self, want: Want) -> dict[str, Column]:
        split, file = want
        entry = self._files[split][file]
        folder = self._scratch / f"{split}-{file}"
        path = folder.with_suffix(".tfrecord")
        patiently(
            lambda: self._catalog.fetch(entry, path),
            self._log,
            f"fetching {self._catalog.store.url_of(entry.key)}",
            given_up=lambda: self._closed,
        )
        columns = decode(path, self._fields, folder, entry.rows)
        path.unlink()
        return columns


def _together(pieces: Sequence[tuple[Any, Numbers]], total: int) -> Sequence[Any]:
    """One column of the pieces, each put at its places."""
    if len(pieces) == 1:
        return pieces[0][0]  # type: ignore[no-any-return]
    if isinstance(pieces[0][0], np.ndarray):
        whole = np.empty((total, *pieces[0][0].shape[1:]), pieces[0][0].dtype)
        for values, places in pieces:
            whole[places] = values
        return whole  # type: ignore[return-value]
    lists: list[Any] = [None] * total
    for values, places in pieces:
        for place, value in zip(places, values, strict=True):
            lists[place] = value
    return lists
