"""Source ``files``: rows of JSONL, CSV or Parquet files, once or by date."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

from pydantic import Field, field_validator

from tasks.errors import BadInput
from tasks.section import Section
from tasks.sources.base import SOURCES
from tasks.sources.locate import Found, StoredSource, check_pattern

_SAMPLE = 1000
_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


class Columns(Section):
    """Which column of the file is what; null where there is none."""

    id: str = Field("id", description="names a row for good: a row with the same id is a new version of it")
    text: str = Field("text", description="what is cleaned and trained on")
    label: str | None = Field(None, description="what a model is to tell")
    url: str | None = Field(None, description="where it was found")
    timestamp: str | None = Field(None, description="ISO 8601, or seconds since 1970")
    group: str | None = Field(None, description="rows of one group stay in one split")
    language: str | None = Field(None, description="a code as in en; identified from the text by default")


class FilesParams(Section):
    """Where the files lie and how to read them."""

    path: str = Field(
        description="as in exports/{partition}/*.jsonl.gz: in the store, an absolute path, file://… or s3://…"
    )
    format: Literal["jsonl", "csv", "parquet"] | None = Field(None, description="by the file's name if not given")
    columns: Columns = Columns()

    @field_validator("path")
    @classmethod
    def _pattern(cls, value: str) -> str:
        return check_pattern(value)


@SOURCES.register("files")
class Files(StoredSource):
    """Copies row files into the partition after a look at their columns."""

    Params: ClassVar[type[Section]] = FilesParams
    role = "rows"
    params: FilesParams

    def suffix(self, file: Found) -> str:
        packed = ".gz" if file.name.endswith(".gz") else ""
        kind = self._format(file)
        if kind == "parquet" and packed:
            raise BadInput(f"{file.url}: Parquet is compressed inside; unpack the file")
        return f".{kind}{packed}"

    def measure(self, local: Path, file: Found) -> int:
        count = {"jsonl": self._jsonl, "csv": self._csv, "parquet": self._parquet}[self._format(file)]
        try:
            return count(local, file)
        except (EOFError, gzip.BadGzipFile) as error:
            raise BadInput(f"{file.url}: the gzip file is cut off or damaged: {error}") from error

    def details(self, found: Sequence[Found]) -> dict[str, Any]:
        formats = {self._format(file) for file in found}
        if len(formats) > 1:
            raise BadInput(f"{self.params.path} names files of several formats: {', '.join(sorted(formats))}")
        mapped = self.params.columns.model_dump(exclude_none=True)
        return {"source": "files", "format": formats.pop(), "columns": mapped}

    def _format(self, file: Found) -> str:
        if self.params.format:
            return self.params.format
        suffix = Path(file.name.removesuffix(".gz")).suffix
        if suffix not in _FORMATS:
            raise BadInput(f"{file.url}: no format known for {suffix!r}: set `format` to jsonl, csv or parquet")
        return _FORMATS[suffix]

    def _jsonl(self, local: Path, file: Found) -> int:
        keys: dict[str, None] = {}
        with _reading(local) as stream:
            for line in itertools.islice(stream, _SAMPLE):
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # one bad row costs that row, in cleaning
                if isinstance(row, dict):
                    keys.update(dict.fromkeys(row))
        with _reading(local) as stream:
            rows = 0
            ended = True
            while chunk := stream.read(1 << 20):
                rows += chunk.count(b"\n")
                ended = chunk.endswith(b"\n")
            rows += not ended
        if rows:
            self._check(list(keys), file)
        return rows

    def _csv(self, local: Path, file: Found) -> int:
        csv.field_size_limit(min(sys.maxsize, 1 << 31))
        with _reading(local) as stream:
            lines = (line.decode("utf-8", "replace") for line in stream)
            reader = csv.reader(lines)
            header = next(reader, None)
            if header is None:
                raise BadInput(f"{file.url}: empty; a CSV file needs a header line")
            self._check([name.removeprefix("\ufeff") for name in header], file)
            try:
                return sum(1 for row in reader if row)
            except csv.Error as error:
                raise BadInput(f"{file.url}: line {reader.line_num}: {error}") from error

    def _parquet(self, local: Path, file: Found) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(local) as table:
                self._check(list(table.schema_arrow.names), file)
                return int(table.metadata.num_rows)
        except pa.ArrowInvalid as error:
            raise BadInput(f"{file.url}: not a readable Parquet file: {error}") from error

    def _check(self, there: list[str], file: Found) -> None:
        for key, column in self.params.columns.model_dump(exclude_none=True).items():
            if column not in there:
                names = ", ".join(map(repr, there)) or "none"
                raise BadInput(f"{file.url}: no column {column!r} (columns.{key}); there are: {names}")


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked if it is gzip."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        yield stream  # type: ignore[misc]
