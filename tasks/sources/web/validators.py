"""The state of a site between partitions, as a Parquet file of role ``validators``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.catalog import Catalog, Manifest
from tasks.sources.web.journal import Base
from tasks.step import Context

SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("depth", pa.int32()),
        ("hops", pa.int32()),
        ("etag", pa.string()),
        ("modified", pa.string()),
        ("digest", pa.string()),
        ("captured", pa.string()),
        ("status", pa.int32()),
        ("result", pa.string()),
        ("reason", pa.string()),
        ("seen", pa.string()),
        ("misses", pa.int32()),
        ("via", pa.string()),
    ]
)
_BATCH = 10_000


def write(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write the state of a site, in the order given; returns the number of URLs."""
    total = 0
    iterator = iter(rows)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(iterator, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=SCHEMA))
            total += len(batch)
    return total


def read(path: Path) -> Iterator[dict[str, Any]]:
    """What ``write`` wrote, row by row."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH):
            yield from batch.to_pylist()


def base_of(context: Context, partition: str) -> Base | None:
    """The newest committed partition before this one with an intact state of the site, not quarantined."""
    catalog = context.catalog
    earlier = [f for f in catalog.folders(f"raw/{context.corpus.corpus}") if f.rsplit("/", 1)[-1] < partition]
    for folder in reversed(earlier):
        manifest = catalog.current(folder)
        if manifest is None or not manifest.of_role("validators") or _quarantined(catalog, manifest):
            continue
        if set(manifest.of_role("validators")) & set(catalog.damaged(manifest)):
            context.log.warning(
                "state of the site is damaged: building on an earlier one", partition=manifest.partition
            )
            continue
        return Base(folder=folder, digest=manifest.digest())
    return None


def _quarantined(catalog: Catalog, manifest: Manifest) -> bool:
    record = catalog.quarantine.find(manifest)
    return record is not None and record.released is None
