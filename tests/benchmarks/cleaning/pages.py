"""Real pages of the web and of documentation, as a WARC file."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[3]
STORE = ROOT / "build" / "bench" / "pages"

SOURCES = ("htmldate==1.4.0", "newspaper4k==0.9.6")
"""Source distributions that carry saved pages of news sites, blogs and shops, in many languages, for their tests."""

DOCUMENTATION = ("/usr/share/doc", "/usr/local/share/doc", "~/.rustup/toolchains")
"""Where systems and toolchains put documentation in HTML; what is there is taken, evenly."""

SMALLEST, LARGEST = 2_000, 2_000_000
"""Bytes of a page: redirects and books in one page left out."""


def write_warc(path: Path, count: int, folders: list[Path]) -> list[int]:
    """A WARC file of ``count`` pages; returns their sizes in bytes.

    First the pages of ``folders`` and of the web; pages of the demo and documentation of this machine, evenly drawn,
    fill up in turn.
    """
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    sizes = []
    with path.open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for number, (name, html) in enumerate(islice(_pages(folders, count), count)):
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
            record = writer.create_warc_record(
                f"http://pages.example/{name}",
                "response",
                payload=io.BytesIO(html),
                http_headers=http,
                warc_headers_dict={
                    "WARC-Date": f"2026-11-20T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
                    # As Common Crawl writes it; readers without it guess the type from the bytes.
                    "WARC-Identified-Payload-Type": "text/html",
                },
            )
            writer.write_record(record)
            sizes.append(len(html))
    return sizes


def _pages(folders: list[Path], count: int) -> Iterator[tuple[str, bytes]]:
    seen: set[bytes] = set()

    def fresh(found: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        for name, html in found:
            key = hashlib.sha256(html).digest()
            if SMALLEST <= len(html) <= LARGEST and key not in seen:
                seen.add(key)
                yield name, html

    for folder in folders:
        yield from fresh(_under(folder))
    for source in SOURCES:
        yield from fresh(_archived(_download(source)))
    yield from fresh(_taken_in_turn(_under(_demo()), _documentation(count)))


def _taken_in_turn(*sources: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    for pages in zip_longest(*sources):
        yield from (page for page in pages if page is not None)


def _documentation(count: int) -> Iterator[tuple[str, bytes]]:
    paths = [path for folder in DOCUMENTATION for path in _files(Path(folder).expanduser())]
    # Every k-th, then those between: a hundred pages of one module say no more than one.
    step = max(1, len(paths) // count)
    for start in range(step):
        for path in paths[start::step]:
            yield f"documentation{path}", path.read_bytes()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".html", ".htm") and path.is_file())


def _under(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in _files(folder):
        yield str(path.relative_to(folder)), path.read_bytes()


def _archived(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda m: m.name):
            if member.isfile() and member.name.endswith((".html", ".htm")):
                stream = files.extractfile(member)
                assert stream is not None
                yield member.name, stream.read()


def _download(source: str) -> Path:
    """A source distribution, from the package index of this environment, kept under build/."""
    name = source.replace("==", "-") + ".tar.gz"
    if not (STORE / name).exists():
        STORE.mkdir(parents=True, exist_ok=True)
        pip = [ROOT / "build" / "bootstrap" / "bin" / "python", "-m", "pip"]
        options = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, *options, "--dest", STORE, source], check=True)
    return STORE / name


def _demo() -> Path:
    """The demo site's pages, rendered unless they are there."""
    site = ROOT / "build" / "site"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "containers.embedded.render", str(site)],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return site
