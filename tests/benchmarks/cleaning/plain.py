"""The reference: ``python -m tests.benchmarks.cleaning.plain WARC`` extracts pages as trafilatura's readme says."""

from __future__ import annotations

import json
import logging
import resource
import sys
from pathlib import Path


def main() -> None:
    import trafilatura
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    pages = 0
    with Path(sys.argv[1]).open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            trafilatura.extract(record.reader.read().decode("utf-8", "replace"))
            pages += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"pages": pages, "peak_memory": peak}))


if __name__ == "__main__":
    main()
