"""Clean WARC files where they lie, into a folder: no store, no partition, the very same functions."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import structlog

from tasks.cleaning import flow, schema
from tasks.cleaning.keys import Part
from tasks.cleaning.output import Sink
from tasks.cleaning.raw import Gone, Raw
from tasks.cleaning.reading import read_warc
from tasks.cleaning.unite import unite
from tasks.cleaning.worker import peak_memory
from tasks.config.clean import Clean
from tasks.errors import BadInput, Corrupt

_WARC = (".warc", ".warc.gz", ".warc.zst")


def clean_files(source: Path, output: Path, clean: Clean, *, workers: int) -> dict[str, Any]:
    """Clean a WARC file, or every one in a folder, into ``documents.parquet``, ``rejects.parquet`` and
    ``deletions.parquet`` under ``output``.

    Returns ``documents`` (seen), ``kept``, ``rejected`` by reason, ``seconds``, ``docs_per_s`` and
    ``peak_memory`` (bytes, this process and its children together) among others.

    Raises:
        BadInput: ``source`` is missing, holds no WARC file, or one that cannot be read at all.
    """
    started = time.monotonic()
    log = structlog.get_logger().bind(step="clean")
    files = _files(source)
    tally: Counter[str] = Counter()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{output}: no folder to write to: {error}") from error
    # Beside the results, so that finished files only change their names.
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=output) as scratch:
        sink = Sink(Path(scratch) / "shard", schema.documents(clean))
        children = flow.run(_items(files, clean, tally), clean, sink, workers=workers, log=log)
        written = {file.role: (file.path,) for file in sink.close(even_empty=True)}
        united = unite([Part(**written)], clean.dedup, Path(scratch) / "united")
        made = {file.role: file.path for file in united.files}
        for role, (path,) in written.items():
            if role in made:
                shutil.move(made[role], output / f"{role}.parquet")
            else:  # nothing is left of it, and a reader should find an empty table, not no file
                pq.write_table(pq.read_schema(path).empty_table(), output / f"{role}.parquet")
    counts = united.counts()
    seconds = max(time.monotonic() - started, 1e-9)
    return {
        "step": "clean",
        **counts,
        "unchanged": tally["unchanged"],
        "damaged": tally["damaged"],
        "malformed": tally["malformed"],
        "input_files": len(files),
        "workers": workers,
        "seconds": round(seconds, 3),
        "docs_per_s": round(counts["documents"] / seconds, 1),
        "peak_memory": children + peak_memory(),
        "output": str(output),
    }


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.name.endswith(_WARC) and path.is_file())
        if not files:
            raise BadInput(f"{source}: no {', '.join('*' + suffix for suffix in _WARC)} in this folder")
        return files
    if not source.is_file():
        raise BadInput(f"{source}: no such file or folder")
    return [source]


def _items(files: list[Path], clean: Clean, tally: Counter[str]) -> Iterator[Raw | Gone]:
    for path in files:
        try:
            yield from read_warc(path, name=str(path), limit=clean.document_bytes, tally=tally)
        except (Corrupt, PermissionError) as error:
            raise BadInput(f"{path}: cannot be read: {error}") from error
