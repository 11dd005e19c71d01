"""``text``: running text for language models, from a crawl, plain text files or rows; where a document ends is kept."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

from pydantic import Field, field_validator

from tasks.errors import BadInput
from tasks.kinds.base import KINDS, Bound, Drift, Kind, Rate, Row
from tasks.section import Section

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.cleaning.raw import Raw
    from tasks.config.clean import Clean

_LINE = 1 << 16
"""Bytes of a line read at a time: a file without line ends fits in memory too."""


class TextParams(Section):
    """Where a document begins in plain text files, and what must hold of one."""

    document: Literal["file", "paragraph", "line"] = Field(
        "file", description="what one document is in a plain text file; a paragraph ends at an empty line"
    )
    begins: str | None = Field(
        None, description="instead: a line that this regular expression finds something in is the first of a document"
    )
    max_faulty: float = Field(
        0.05, ge=0, le=1, description="documents that are no text or too large, of all, at gate clean"
    )
    max_mean_word: float = Field(
        50.0,
        gt=1,
        description="characters of a document over its words between spaces, at most, at gate clean; of "
        "languages without spaces not asked",
    )
    max_drift: float | None = Field(
        None, gt=0, description="deviations that the documents' mean length may move from the last good partitions'"
    )

    @field_validator("begins")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value


@KINDS.register("text")
class Text(Kind):
    """Documents of running text without labels, each whole and in its own order."""

    Params: ClassVar[type[Section]] = TextParams
    labelled: ClassVar[bool] = False
    filtered: ClassVar[bool] = True
    prose: ClassVar[bool] = True
    formats: ClassVar[tuple[str, ...]] = ("txt", "md", "text")
    params: TextParams

    def row(self, raw: Mapping[str, Any]) -> Row:
        raise NotImplementedError("texts are refined by tasks.cleaning.refine")

    def refiner(self, clean: Clean) -> Any:
        from tasks.cleaning.refine import Refiner

        return Refiner(clean)

    def read(self, path: Path, *, name: str, moment: datetime, limit: int) -> Iterator[Raw]:
        """Documents of a plain text file, one held at a time; one of more than ``limit`` bytes is never held.

        A document is named by its text: a changed one is another one.
        """
        from tasks.cleaning.raw import Raw, uid_of

        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
                for place, body in _documents(stream, self._is_first, limit):
                    text = body.decode("utf-8", "surrogateescape")
                    yield Raw(
                        uid=uid_of(text or f"{name}#{place}"),
                        url="",
                        timestamp=moment,
                        body=body,
                        content_type="text/plain",
                        fault=None if body else "too_large",
                        value="" if body else f"the document at line {place} of {name}: more than {limit} bytes",
                    )
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(f"{name}: the gzip file is cut off or damaged: {error}") from error

    @property
    def _is_first(self) -> Callable[[bytes, bytes], bool]:
        """Whether a line, after another one, is the first of a document."""
        if self.params.begins is not None:
            pattern = re.compile(self.params.begins)
            return lambda before, line: bool(pattern.search(line.decode("utf-8", "replace").rstrip("\r\n")))
        match self.params.document:
            case "line":
                return lambda before, line: True
            case "paragraph":
                return lambda before, line: not before.strip()
            case _:
                return lambda before, line: False

    @property
    def pages(self) -> Mapping[str, str]:
        return {".html": "text/html", ".htm": "text/html"}

    @property
    def measured(self) -> tuple[str, ...]:
        return ("text", "language")

    def measures(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa

        from tasks.models._words import spaced

        means = [len(text) / max(len(text.split()), 1) if spaced(text) else None for text in rows["text"].to_pylist()]
        characters = [float(len(text)) for text in rows["text"].to_pylist()]
        return pa.table({"mean_word": pa.array(means, pa.float64()), "characters": pa.array(characters, pa.float64())})

    def bounds(self) -> Sequence[Bound]:
        return (
            Bound(
                "mean_word",
                "A document whose words are longer on average than kind.text.max_mean_word allows is no running text: "
                "data, code without spaces, or a broken extraction. Filter such documents out (gopher_quality).",
                most=self.params.max_mean_word,
                optional=True,
            ),
        )

    def rates(self) -> Sequence[Rate]:
        return (
            Rate(
                "faulty_share",
                ("undecodable", "content_type", "too_large", "malformed", "empty", "crash"),
                self.params.max_faulty,
                "More documents than kind.text.max_faulty are no text, empty, or too large. The rejects say which. Is "
                "kind.text.document what the files are made of? One file that is one document may be no larger than "
                "clean.document_bytes.",
            ),
        )

    def drifts(self) -> Sequence[Drift]:
        if self.params.max_drift is None:
            return ()
        return (
            Drift(
                "characters",
                self.params.max_drift,
                "Documents are much longer or shorter than in the last good partitions (kind.text.max_drift). Did the "
                "site's frame change, or what a document is in the files? If it should be so: nightshift release.",
            ),
        )


def _documents(
    stream: BinaryIO | gzip.GzipFile, is_first: Callable[[bytes, bytes], bool], limit: int
) -> Iterator[tuple[int, bytes]]:
    """The number of its first line and the bytes of each document that is not blank; no bytes if it is too large."""
    begin, size, parts = 1, 0, list[bytes]()
    before = b""

    def whole() -> Iterator[tuple[int, bytes]]:
        body = b"".join(parts)
        if size > limit or body.strip():
            yield begin, b"" if size > limit else body

    place = 0
    while piece := stream.readline(_LINE):
        goes_on = bool(before) and not before.endswith(b"\n")
        place += not goes_on
        if not goes_on and place > 1 and is_first(before, piece):
            yield from whole()
            begin, size, parts = place, 0, []
        size += len(piece)
        if size <= limit:
            parts.append(piece)
        else:
            parts.clear()
        before = piece
    yield from whole()
