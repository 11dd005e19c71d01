"""A template of very many pages, all in one component: what another page of it costs."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tasks import log
from tasks.near.index import Index
from tasks.near.precedence import nearly_repeated
from tasks.near.signed import settings
from tests.benchmarks.near.measure import PARTITION, add_partition, context_at


def template(pages: int, folder: Path) -> dict[str, Any]:
    """Seconds of a core, and pages decided about: all at once; one more that comes last; one more that comes first, as
    of the test split; and then without the page that came first before."""
    context = context_at(folder)
    width = settings(context.corpus).permutations
    rng = np.random.default_rng(0)
    base = rng.integers(0, 1 << 32, width, dtype=np.uint32)
    files = []
    for rows in [*(min(PARTITION, pages - start) for start in range(0, pages, PARTITION)), 1, 1]:
        same = rng.random((rows, width)) < np.sqrt(rng.uniform(0.7, 1, (rows, 1)))
        signed = np.where(same, base, rng.integers(0, 1 << 32, (rows, width), dtype=np.uint32))
        files.append(add_partition(context, len(files), signed, folder))
    found: dict[str, Any] = {"pages": pages}
    for name, some, place in (
        ("whole", files[:-2], np.arange(pages)),
        ("one_more_last", files[:-1], np.arange(pages + 1)),
        ("one_more_first", files, np.append(np.arange(1, pages + 2), 0)),
        ("first_gone", files, np.append(np.arange(pages + 1), -1)),
    ):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            index = Index.open(context, some, Path(scratch))
            index.grow(some)
            begun = time.process_time()
            mine, _, decided = nearly_repeated(context, index, some, place, Path(scratch))
        found[name] = {"cpu_seconds": round(time.process_time() - begun, 2), "decided": decided, "removed": len(mine)}
    return found


if __name__ == "__main__":
    log.configure()
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-near-") as made:
        sys.stdout.write(json.dumps(template(int(sys.argv[1]), Path(made))) + "\n")
