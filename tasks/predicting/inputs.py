"""Plain files as raw documents: rows, pages, texts and WARC captures, read as the corpus's own would be."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from tasks.cleaning.raw import Gone, Raw, uid_of
from tasks.cleaning.reading import DAMAGED, begin_of, read_rows, read_warc
from tasks.errors import BadInput, Corrupt
from tasks.kinds.base import Kind
from tasks.sources.lines import csv_rows, lines_of, longest_row

ROWS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
WARC = (".warc", ".warc.gz", ".warc.zst")

_T = TypeVar("_T")
_IDS = ("id", "uid")
_EPOCH = "1970-01-01"
_SAMPLE = 100


def expand(paths: Iterable[Path], kind: Kind) -> list[Path]:
    """The files themselves, and every file in a folder that a corpus of this kind can read.

    Raises:
        BadInput: a path is missing, a folder holds none, or a file is of no known kind.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if each.is_file() and _known(each, kind))
            if not found:
                raise BadInput(f"{path}: no file of a known kind in this folder; known: {_kinds(kind)}")
            files += found
        elif not path.is_file():
            raise BadInput(f"{path}: no such file or folder")
        elif not _known(path, kind):
            raise BadInput(f"{path}: unknown kind of file; known: {_kinds(kind)}")
        else:
            files.append(path)
    return files


def documents(files: Iterable[Path], *, kind: Kind, text: str, limit: int, tally: Counter[str]) -> Iterator[Raw]:
    """The raw documents of all files, in order; one of more than ``limit`` bytes is a reject.

    ``text`` is the column of row files. A row without ``id``, ``uid`` or ``url`` is named by its place.
    ``tally`` counts what no document stands for, as the readers do, and ``gone`` pages of WARC files.

    Raises:
        BadInput: a file cannot be read, or has no such column.
    """
    for path in files:
        name = str(path)
        if path.name.endswith(WARC):
            captures = _whole(path, read_warc(path, name=name, limit=limit, tally=tally))
            yield from _present(captures, tally)
        elif path.suffix in kind.pages:
            yield _page(path, limit, kind.pages[path.suffix])
        elif _suffix(path)[1:] in kind.formats:
            yield from _whole(path, kind.read(path, name=name, moment=begin_of(_EPOCH), limit=limit))
        else:
            yield from _whole(path, _rows(path, name, text, limit, kind.asked))


def _whole(path: Path, items: Iterator[_T]) -> Iterator[_T]:
    """The items; a file that cannot be read to its end is bad input, not worth a retry."""
    try:
        yield from items
    except (Corrupt, OSError, *DAMAGED) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error


def _present(captures: Iterable[Raw | Gone], tally: Counter[str]) -> Iterator[Raw]:
    for capture in captures:
        if isinstance(capture, Gone):
            tally["gone"] += 1
        else:
            yield capture


def _page(path: Path, limit: int, media: str) -> Raw:
    size = path.stat().st_size
    large = size > limit
    return Raw(
        uid=uid_of(str(path)),
        url=str(path),
        timestamp=datetime.fromtimestamp(0, UTC),
        body=b"" if large else path.read_bytes(),
        content_type=media,
        fault="too_large" if large else None,
        value=str(size) if large else "",
    )


def _rows(path: Path, name: str, text: str, limit: int, cells: tuple[str, ...]) -> Iterator[Raw]:
    kind = ROWS[_suffix(path)]
    there = {"jsonl": _jsonl_keys, "csv": _csv_keys, "parquet": _parquet_keys}[kind](path, longest_row(limit))
    missing = [name for name in cells or (text,) if there is not None and name not in there]
    if missing:
        hint = "The corpus's `kind` names it" if cells else "Name it with --text"
        raise BadInput(f"{path}: no column {missing[0]!r} to score; there are: {', '.join(there or ())}. {hint}")
    columns: Mapping[str, str] = {
        **({} if cells else {"text": text}),
        **({"id": next(name for name in _IDS if name in there)} if there and set(_IDS) & set(there) else {}),
        **({"url": "url"} if there and "url" in there else {}),
    }
    details = {"format": kind, "columns": columns}
    yield from read_rows(path, name=name, details=details, partition=_EPOCH, limit=limit, anonymous=True, cells=cells)


def _jsonl_keys(path: Path, longest: int) -> list[str] | None:
    """Keys of the first rows; None for a file without any."""
    keys: dict[str, None] = {}
    with _bytes(path) as stream:
        for _, line in itertools.islice(lines_of(stream, longest), _SAMPLE):
            try:
                row = json.loads(line or b"")
            except (ValueError, RecursionError):
                continue  # one bad row costs that row
            if isinstance(row, dict):
                keys.update(dict.fromkeys(row))
    return list(keys) or None


def _csv_keys(path: Path, longest: int) -> list[str] | None:
    with _bytes(path) as stream:
        try:
            _, header = next(csv_rows(stream, longest), (0, None))
        except csv.Error as error:
            raise BadInput(f"{path}: not readable as CSV: {error}") from error
    return [column.removeprefix("\ufeff") for column in header or ()] or None


def _parquet_keys(path: Path, longest: int) -> list[str] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise BadInput(f"{path}: not a readable Parquet file: {error}") from error


def _bytes(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def _known(path: Path, kind: Kind) -> bool:
    packed_parquet = path.name.endswith(".parquet.gz")
    if path.name.endswith(WARC) or path.suffix in kind.pages or _suffix(path)[1:] in kind.formats:
        return True
    return _suffix(path) in ROWS and not packed_parquet


def _kinds(kind: Kind) -> str:
    own = [f".{name}" for name in kind.formats]
    return ", ".join([*kind.pages, *own, *ROWS, ".jsonl.gz", ".csv.gz", *WARC])
