"""Source ``files``: rows of JSONL, CSV or Parquet files, once or by date."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

from pydantic import Field, field_validator

from tasks.errors import BadInput
from tasks.kinds.base import KINDS, Kind, kind_of
from tasks.section import Section
from tasks.sources.base import SOURCES, Harvest, Target
from tasks.sources.lines import csv_rows, lines_of, longest_row
from tasks.sources.locate import Found, StoredSource, check_pattern

_SAMPLE = 1000
_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


class Columns(Section):
    """Which column of the file is what; null where there is none."""

    id: str = Field("id", description="names a row for good: a row with the same id is a new version of it")
    text: str = Field("text", description="what is cleaned and trained on; of kinds that are made of texts")
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
    format: str | None = Field(
        None, description="jsonl, csv, parquet, or one of the corpus's `kind`; by the file's name if not given"
    )
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

    def __init__(self, params: FilesParams) -> None:
        super().__init__(params)
        self._kind: Kind = KINDS.get("documents")(None)
        self._limit = 0

    def fetch(self, target: Target) -> Harvest:
        clean = target.context.corpus.clean
        self._kind, self._limit = kind_of(clean), clean.document_bytes
        return super().fetch(target)

    def suffix(self, file: Found) -> str:
        packed = ".gz" if file.name.endswith(".gz") else ""
        kind = self._format(file)
        if kind == "parquet" and packed:
            raise BadInput(f"{file.url}: Parquet is compressed inside; unpack the file")
        return f".{kind}{packed}"

    def measure(self, local: Path, file: Found) -> int:
        own = dict.fromkeys(self._kind.formats, self._own)
        count = {"jsonl": self._jsonl, "csv": self._csv, "parquet": self._parquet, **own}[self._format(file)]
        try:
            return count(local, file)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(f"{file.url}: the gzip file is cut off or damaged: {error}") from error

    def details(self, found: Sequence[Found]) -> dict[str, Any]:
        formats = {self._format(file) for file in found}
        if len(formats) > 1:
            raise BadInput(f"{self.params.path} names files of several formats: {', '.join(sorted(formats))}")
        return {"source": "files", "format": formats.pop(), "columns": self._columns()}

    def _columns(self) -> dict[str, str]:
        # A kind of cells of its own has no column `text`.
        return self.params.columns.model_dump(exclude_none=True, exclude={"text"} if self._kind.cells else None)

    def _format(self, file: Found) -> str:
        known = {**_FORMATS, **{f".{name}": name for name in self._kind.formats}}
        if self.params.format and self.params.format in known.values():
            return self.params.format
        suffix = Path(file.name.removesuffix(".gz")).suffix
        if self.params.format or suffix not in known:
            raise BadInput(
                f"{file.url}: no format known for {self.params.format or suffix!r}: set `format` to "
                f"{', '.join(dict.fromkeys(known.values()))}"
            )
        return known[suffix]

    def _own(self, local: Path, file: Found) -> int:
        from tasks.cleaning.reading import begin_of

        moment = begin_of("1970-01-01")  # only counted here
        return sum(1 for _ in self._kind.read(local, name=file.url, moment=moment, limit=self._limit))

    def _jsonl(self, local: Path, file: Found) -> int:
        keys: dict[str, None] = {}
        with _reading(local) as stream:
            for _, line in itertools.islice(lines_of(stream, longest_row(self._limit)), _SAMPLE):
                try:
                    row = json.loads(line or b"")
                except (ValueError, RecursionError):
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
        with _reading(local) as stream:
            rows = csv_rows(stream, longest_row(self._limit))
            try:
                _, header = next(rows, (0, []))
                if not header:
                    fault = (
                        "empty" if header is not None else "its first row is larger than clean.document_bytes allows"
                    )
                    raise BadInput(f"{file.url}: {fault}; a CSV file needs a header line")
                self._check([name.removeprefix("\ufeff") for name in header], file)
                return sum(1 for _ in rows)
            except csv.Error as error:
                raise BadInput(f"{file.url}: not readable as CSV: {error}") from error

    def _parquet(self, local: Path, file: Found) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(local) as table:
                self._check(list(table.schema_arrow.names), file)
                return int(table.metadata.num_rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise BadInput(f"{file.url}: not a readable Parquet file: {error}") from error

    def _check(self, there: list[str], file: Found) -> None:
        named = {f"columns.{key}": column for key, column in self._columns().items()}
        for key, column in {**named, **{f"kind, {cell}": cell for cell in self._kind.cells}}.items():
            if column not in there:
                names = ", ".join(map(repr, there)) or "none"
                raise BadInput(f"{file.url}: no column {column!r} ({key}); there are: {names}")


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked if it is gzip."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        yield stream  # type: ignore[misc]
