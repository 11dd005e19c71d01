"""A text as runs of characters without space, each known by its number to all who ask about words."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.kernels.runs import runs_of
from tasks.kernels.table import Integers, Table

_LARGEST, _LARGEST_BYTES = 1 << 18, 1 << 24
"""Runs that are remembered, and their bytes together; then all is forgotten, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of a text in order. Equal numbers, equal runs, as long as ``epoch`` is the same."""

    numbers: Integers
    counts: Integers
    """How many each line has; lines are what ``\\n`` parts, blank ones included."""
    table: Table
    epoch: int
    """What is known of a number's run is void in another."""


class Reader:
    """This process's table of runs, and the text that was read last: several ask about the same one in turn."""

    def __init__(self) -> None:
        self._table, self._epoch = Table(), 0
        self._text: str | None = None
        self._runs: Runs | None = None

    def read(self, text: str) -> Runs:
        """The runs of a text."""
        if self._runs is None or text is not self._text:
            if self._table.size > _LARGEST or self._table.bounds[self._table.size] > _LARGEST_BYTES:
                self._begin()
            self._text, self._runs = None, None
            try:
                self._runs = Runs(*runs_of(text, self._table), self._table, self._epoch)
            except BaseException:
                self._begin()  # what is half learnt would spoil every text to come
                raise
            self._text = text
        return self._runs

    def _begin(self) -> None:
        self._table, self._epoch = Table(), self._epoch + 1


_READER = Reader()


def read(text: str) -> Runs:
    """The runs of a text, by this process's table."""
    return _READER.read(text)
