"""From raw files to raw documents, one at a time: WARC captures, and rows of JSONL, CSV or Parquet."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tasks.cleaning.raw import Gone, Raw, uid_of
from tasks.errors import BadInput, Corrupt
from tasks.sources.lines import csv_rows, lines_of, longest_row
from tasks.sources.warc import pages

if TYPE_CHECKING:
    import pyarrow as pa

_FAULTS = {"oversize": "too_large"}
"""A capture's fault to the reason of its reject, where the two differ."""

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a damaged or cut gzip file raises, by where the damage is."""

_ROWS = 256
_UNREADABLE = (ValueError, OverflowError, KeyError)
"""What a cell of a Parquet file raises that Python has no value for: bytes that are no UTF-8, days and zones."""


def read_warc(path: Path, *, name: str, limit: int, tally: Counter[str]) -> Iterator[Raw | Gone]:
    """Captures of a WARC file in file order; a payload of more than ``limit`` bytes is never held.

    ``tally`` counts ``unchanged`` (revisits), ``damaged`` stretches, a truncated end among them, and ``malformed``
    records. ``name`` is what an error calls the file.

    Raises:
        Corrupt: there is not one readable record in it.
    """
    faults: Counter[str] = Counter()
    records = 0
    for page in pages(path, limit=limit, faults=faults):
        records += 1
        if page.kind == "unchanged":
            tally["unchanged"] += 1
            continue
        url = _storable(page.url)
        if page.kind == "gone":
            yield Gone(uid_of(url), url, page.timestamp)
            continue
        fault = _FAULTS.get(page.fault, page.fault) or None
        yield Raw(
            uid=uid_of(url),
            url=url,
            timestamp=page.timestamp,
            body=page.payload,
            content_type=page.content_type,
            charset=page.charset,
            fault=fault,
            value=f"more than {limit} bytes" if fault == "too_large" else "",
            via=page.via,
        )
    if not records and faults["damaged"]:
        raise Corrupt(f"{name} holds no readable WARC record: it is damaged, or no WARC file at all")
    if truncated := faults.pop("truncated", 0):
        faults["damaged"] += truncated
    tally.update(faults)


def read_rows(
    path: Path,
    *,
    name: str,
    details: Mapping[str, Any],
    partition: str,
    limit: int,
    anonymous: bool = False,
    cells: tuple[str, ...] = (),
) -> Iterator[Raw]:
    """Rows of a file in file order, as ``details`` (``format``, ``columns``) of the raw manifest says.

    A row without a time of its own is of its partition's first moment. A row that cannot be read is a
    document with the fault ``malformed`` or ``too_large``; one without an id is malformed, unless
    ``anonymous`` rows are taken: their place names them. ``cells`` are columns that make the body, as a JSON
    object, in place of the text.

    Raises:
        BadInput: the file breaks off, or is not of its format.
    """
    columns: Mapping[str, str] = details["columns"]
    read = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[details["format"]]
    day = begin_of(partition)
    wanted = [*(column for key, column in columns.items() if key != "text" or not cells), *cells]
    try:
        for place, row in read(path, wanted, longest_row(limit)):
            if isinstance(row, str):
                yield Raw(uid_of(f"{name}#{place}"), "", day, fault=row, value=f"row {place} of {name}")
            else:
                yield _raw(row, columns, day, limit, f"row {place} of {name}", anonymous, cells)
    except (*DAMAGED, csv.Error) as error:
        raise BadInput(f"{name}: cannot be read to its end: {error}") from error


def _raw(
    row: Mapping[str, Any],
    columns: Mapping[str, str],
    day: datetime,
    limit: int,
    place: str,
    anonymous: bool,
    cells: tuple[str, ...],
) -> Raw:
    def cell(key: str) -> str | None:
        value = row.get(columns[key]) if key in columns else None
        return None if value is None or value == "" else _storable(str(value))

    url = cell("url") or ""
    key = cell("id") or url or (place if anonymous else "")
    if cells:
        values = {name: row.get(name) for name in cells}
        body = _storable(json.dumps(values, ensure_ascii=False, default=str)).encode()
    else:
        body = (cell("text") or "").encode()
    when = _moment(row.get(columns["timestamp"])) if "timestamp" in columns else day
    fault, value = None, ""
    if not key or when is None:
        fault, value = "malformed", f"{place} has no {'id' if not key else 'readable timestamp'}"
    elif len(body) > limit:
        fault, value, body = "too_large", str(len(body)), b""
    return Raw(
        uid=uid_of(key or place),
        url=url,
        timestamp=when or day,
        body=body,
        content_type="application/json" if cells else "text/plain",
        charset="utf-8",
        label=cell("label"),
        language=cell("language"),
        group=cell("group"),
        fault=fault,
        value=value,
    )


def begin_of(partition: str) -> datetime:
    """The first moment of a partition's day."""
    return datetime.combine(date.fromisoformat(partition), time(), UTC)


def _moment(value: Any) -> datetime | None:
    """ISO 8601 or seconds since 1970, in UTC; None for anything else."""
    try:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                value = float(value)
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _storable(text: str) -> str:
    """The text as UTF-8 can hold it: JSON may smuggle in halves of characters."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _jsonl(path: Path, columns: list[str], longest: int) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with _bytes(path) as stream:
        for place, line in lines_of(stream, longest):
            if line is None:
                yield place, "too_large"
                continue
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                row = None
            yield place, row if isinstance(row, dict) else "malformed"


def _csv(path: Path, columns: list[str], longest: int) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with _bytes(path) as stream:
        rows = csv_rows(stream, longest)
        _, first = next(rows, (0, []))
        if first is None:
            raise csv.Error(f"its header line is longer than {longest} bytes")
        header = [column.removeprefix("\ufeff") for column in first]
        for place, row in rows:
            if row is None:
                yield place, "too_large"
            else:
                yield place, dict(zip(header, row, strict=True)) if len(row) == len(header) else "malformed"


def _parquet(path: Path, columns: list[str], longest: int) -> Iterator[tuple[int, dict[str, Any] | str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=_ROWS, columns=list(dict.fromkeys(columns))):
                for row in _plain(batch):
                    place += 1
                    yield place, row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Corrupt(f"{path.name}: unreadable behind row {place}: {error}") from error


def _plain(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | str]:
    """Rows in Python's own types; one with a cell that has none, as a day of the year 50,000, is ``malformed``."""
    try:
        yield from batch.to_pylist()
        return
    except _UNREADABLE:
        pass
    for place in range(batch.num_rows):
        try:
            yield from batch.slice(place, 1).to_pylist()
        except _UNREADABLE:
            yield "malformed"


@contextmanager
def _bytes(path: Path) -> Iterator[IO[bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        yield stream  # type: ignore[misc]
