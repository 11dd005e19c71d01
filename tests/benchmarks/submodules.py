"""The harder variant of the demo corpus on a store of its own: real pages, through the real chain, no network.

The site is rendered with every module it has, packed as one WARC file under addresses that are the same on
every machine (so is the split then), and goes through the commands from ``crawl`` to ``snapshot``.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from containers.embedded.render import ROOT, render

CORPUS = Path(__file__).parent / "corpora" / "submodules.yaml"
_DAY = "2026-01-01"
_CHAIN = ("crawl", "clean", "dedup", "split", "upload")


def build(folder: Path) -> tuple[str, str]:
    """Store URL and snapshot id of the corpus in ``folder``; what is there from an earlier call stays."""
    render(folder / "site", deep=True)
    archive = folder / "store" / "archive" / CORPUS.stem / _DAY / "pages.warc.gz"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        pack(folder / "site", archive.with_suffix(".part"))
        archive.with_suffix(".part").replace(archive)
    store = f"file://{folder}/store"
    for step in _CHAIN:
        nightshift(store, step, "--partition", _DAY)
    return store, str(nightshift(store, "snapshot")["partition"])


def pack(site: Path, target: Path) -> None:
    """Every page of a rendered site as a record of one WARC file."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    urls: list[str] = json.loads((site / "urls.json").read_text())
    with target.open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for url in urls:
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            record = writer.create_warc_record(
                f"http://docs.example{url}",
                "response",
                payload=io.BytesIO((site / url[1:]).read_bytes()),
                http_headers=http,
                warc_headers_dict={"WARC-Date": f"{_DAY}T00:00:00Z"},
            )
            writer.write_record(record)


def nightshift(store: str, step: str, *arguments: str, corpus: Path = CORPUS) -> dict[str, Any]:
    """Run one step as a command; returns its result.

    Raises:
        SystemExit: it failed; with what it said.
    """
    command = [str(Path(sys.executable).parent / "nightshift"), step, "--corpus", str(corpus), "--json", *arguments]
    environment = {**os.environ, "NIGHTSHIFT_STORE": store}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
