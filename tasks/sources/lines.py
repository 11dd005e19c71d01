"""Lines of a file, and rows of CSV, none of them held beyond a bound."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import IO


def longest_row(document_bytes: int) -> int:
    """The bytes of the longest row that may hold a document of ``document_bytes``: escapes and other cells included."""
    return 2 * document_bytes + (1 << 20)


def lines_of(stream: IO[bytes], longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Number, from 1, and bytes of each line; None for a line of more than ``longest`` bytes."""
    place = 0
    while line := stream.readline(longest + 1):
        place += 1
        if len(line) <= longest:
            yield place, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(longest)
        yield place, None


def csv_rows(stream: IO[bytes], longest: int) -> Iterator[tuple[int, list[str] | None]]:
    """Cells of each row that has some, with the number, from 1, of the line on which it ends.

    A row of more than ``longest`` bytes, be it in one line or in the many of a quoted cell, is None, with the number
    of the line on which it begins; the rows after it are read.

    Raises:
        csv.Error: what was written is no CSV; or such a row has a quote that is not closed to the end of the file, so
            that nobody can say how many rows are lost.
    """
    csv.field_size_limit(longest)
    rows = _Rows(stream, longest)
    reader = csv.reader(rows)
    while True:
        begin = rows.place + 1
        rows.size = 0
        try:
            row = next(reader, None)
        except _TooLong:
            rows.skip(begin)
            yield begin, None
            reader = csv.reader(rows)  # the one before holds the beginning of the row that was given up
            continue
        if row is None:
            return
        if row:
            yield rows.place, row


class _TooLong(Exception):
    pass


class _Rows:
    """The lines of a stream for ``csv.reader``, until one row has too many bytes; ``size`` is set to 0 before each."""

    def __init__(self, stream: IO[bytes], longest: int) -> None:
        self._stream = stream
        self._longest = longest
        self._piece = b""
        self._quoted = False
        self.size = 0
        self.place = 0

    def __iter__(self) -> _Rows:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self._longest + 1)
        if not line:
            raise StopIteration
        # A row goes on behind the end of a line only within a quoted cell.
        self._quoted = self.size > 0
        self.size += len(line)
        self.place += 1
        if self.size > self._longest:
            self._piece = line
            raise _TooLong
        return line.decode("utf-8", "replace")

    def skip(self, begin: int) -> None:
        """Go on behind the row that was too long; it began on line ``begin``."""
        quotes = _Quotes(quoted=self._quoted)
        piece = self._piece
        while True:
            quotes.read(piece)
            if piece.endswith(b"\n"):
                if not quotes.quoted:
                    return
                self.place += 1
            piece = self._stream.readline(self._longest)
            if not piece:
                break
        if quotes.quoted:
            raise csv.Error(f"a quote in the row that begins on line {begin} is never closed")


class _Quotes:
    """Whether a quoted cell is open, by the rules of ``csv.reader``, over a row that comes in pieces."""

    def __init__(self, *, quoted: bool) -> None:
        self.quoted = quoted
        self._fresh = not quoted
        """The next byte is the first of a cell: only there does a quote open one."""
        self._closed = False
        """The byte before was a quote that closed a cell, unless one more follows: the two are one, and of the cell."""

    def read(self, piece: bytes) -> None:
        """Go over the next bytes of the row."""
        at = 0
        if (self._fresh or self._closed) and piece.startswith(b'"'):
            self.quoted, at = True, 1
        self._closed = False
        while True:
            if self.quoted:
                at = piece.find(b'"', at) + 1
                if not at:
                    break
                self.quoted = piece.startswith(b'"', at)
                at += self.quoted
                if at == len(piece):
                    self._closed = not self.quoted
                    break
            else:
                at = piece.find(b',"', at) + 2
                if at < 2:
                    break
                self.quoted = True
        self._fresh = not self.quoted and piece.endswith(b",")
