"""One size of the growth curve: ``python -m tests.benchmarks.near.measure generate|whole|night DOCUMENTS FOLDER``."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from tasks import log
from tasks.catalog import Catalog, FileEntry
from tasks.config import Corpus
from tasks.near.index import Index
from tasks.near.precedence import nearly_repeated
from tasks.near.signed import near_folder, settings
from tasks.near.verdict import RULE
from tasks.resolution import rules
from tasks.step import Context
from tasks.store import open_store

NIGHT = 10_000
PARTITION = 50_000
LARGE = 1_000
"""Members of a large cluster."""


def context_at(folder: Path) -> Context:
    """A corpus on a store in ``folder``."""
    corpus = Corpus.model_validate(
        {
            "corpus": "bench",
            "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
            "train": {"recipe": "tfidf_forest"},
        }
    )
    store = open_store(f"file://{folder}/store", {})
    return Context(corpus, store, Catalog(store), structlog.get_logger())


def add_partition(context: Context, day: int, signed: NDArray[np.uint32], folder: Path) -> FileEntry:
    """Store signatures as ``tasks.near.signed`` does."""
    path = folder / "signatures.u32"
    signed.astype("<u4").tofile(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    entry = context.catalog.add_file(
        near_folder(context.corpus, f"{day:05}"), "signatures", path, digest, rows=len(signed)
    )
    path.unlink()
    return entry


def generated(day: int, rows: int, documents: int, width: int) -> NDArray[np.uint32]:
    """Signatures of one partition of a corpus of so many documents."""
    rng = np.random.default_rng(day)
    signed = rng.integers(0, 1 << 32, (rows, width), dtype=np.uint32)
    kind = rng.random(rows)
    for chosen, clusters, least in (
        ((kind >= 0.7) & (kind < 0.99), documents * 29 // 300, 0.3),
        (kind >= 0.99, max(1, documents // 100 // LARGE), 0.7),
    ):
        member = np.flatnonzero(chosen)
        cluster = rng.integers(0, clusters, len(member)).astype(np.uint64) + np.uint64(int(least * 100) << 40)
        alike = rng.uniform(least, 1, (len(member), 1))
        same = rng.random((len(member), width)) < np.sqrt(alike)
        signed[member] = np.where(same, _base(cluster, width), signed[member])
    return signed


def _base(cluster: NDArray[np.uint64], width: int) -> NDArray[np.uint32]:
    mixed = cluster[:, None] * np.uint64(0x9E3779B97F4A7C15) + np.arange(width, dtype=np.uint64) * np.uint64(
        0xBF58476D1CE4E5B9
    )
    for shift in (30, 27, 31):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def generate(documents: int, folder: Path) -> dict[str, Any]:
    """Partitions on the store, and one more night."""
    context = context_at(folder)
    width = settings(context.corpus).permutations
    sizes = [min(PARTITION, documents - start) for start in range(0, documents, PARTITION)]
    entries = [
        add_partition(context, day, generated(day, rows, documents, width), folder)
        for day, rows in enumerate([*sizes, NIGHT])
    ]
    (folder / "entries.json").write_text(json.dumps([entry.model_dump() for entry in entries]))
    return {}


def decide(documents: int, folder: Path, *, night: bool) -> dict[str, Any]:
    """What a snapshot does but for texts: the keys of all documents, who is outdated, who is nearly alike."""
    context = context_at(folder)
    everything = [FileEntry.model_validate(entry) for entry in json.loads((folder / "entries.json").read_text())]
    files = everything if night else everything[:-1]
    count = sum(entry.rows for entry in files)
    rng = np.random.default_rng(0)
    begun = time.monotonic()
    uid, digest = (rng.integers(0, 1 << 64, (count, 2), dtype=np.uint64) for _ in range(2))
    # As by a hash: a document keeps its split as others come.
    splits = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 2], np.int8)
    split = np.concatenate([np.random.default_rng((1, day)).choice(splits, e.rows) for day, e in enumerate(files)])
    partition = np.repeat(np.arange(len(files), dtype=np.int32), [entry.rows for entry in files])
    none = rules.Events(np.empty((0, 2), np.uint64), np.empty(0, np.int32))
    reason = rules.outdated(rules.Events(uid, partition), none, none)
    order = rules.precedence(np.flatnonzero(reason == rules.KEPT), split)
    rows, stay = rules.equal_texts(order, digest)
    reason[rows] = rules.DUPLICATE
    other = np.full(count, -1, np.int64)
    other[rows] = stay
    keyed = time.monotonic() - begun

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        begun, busy = time.monotonic(), time.process_time()
        index = Index.open(context, files, Path(scratch))
        index.grow(files)
        indexed, index_busy = time.monotonic() - begun, time.process_time() - busy

        begun, busy = time.monotonic(), time.process_time()
        place = np.full(count, -1, np.int64)
        place[order] = np.arange(len(order))
        mine, stays, again = nearly_repeated(context, index, files, place, Path(scratch))
        reason[order[mine]], other[order[mine]] = rules.NEAR_DUPLICATE, order[stays]
        decided, decide_busy = time.monotonic() - begun, time.process_time() - busy
    found = context.catalog.current(near_folder(context.corpus, "index"))
    verdict = context.store.stat(near_folder(context.corpus, f"verdict-{RULE}"))
    assert found is not None and verdict is not None
    result = {
        "index_seconds": round(indexed, 2),
        "decide_seconds": round(decided, 2),
        "index_cpu_seconds": round(index_busy, 2),
        "decide_cpu_seconds": round(decide_busy, 2),
        "keys_seconds": round(keyed, 2),
        "seconds": round(indexed + decided, 2),
        "peak_rss": peak_memory(),
        "decided": again,
        "removed": len(mine),
        "index_bytes": sum(entry.size for entry in found.files),
        "verdict_bytes": verdict.size,
        **found.counts,
    }
    if night:
        return {f"night_{name}": value for name, value in result.items()}
    return result | {"documents": documents}


def peak_memory() -> int:
    """The most memory that this process has held, mapped files included, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    phase, documents, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    log.configure()
    result = generate(documents, folder) if phase == "generate" else decide(documents, folder, night=phase == "night")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
