"""HTML files where they lie to text files: the way of cleaning, without anything but extraction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from tasks.cleaning.crew import Crew
from tasks.cleaning.raw import Raw, batches, uid_of
from tasks.config.clean import Clean
from tasks.errors import BadInput
from tasks.log import Progress
from tasks.sources.payload import Oversize, Undecodable, decode

_SUFFIXES = (".html", ".htm", ".xhtml")
_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def extract_files(
    paths: Sequence[Path], output: Path, mode: Literal["fast", "accurate", "auto", "article"], *, workers: int
) -> dict[str, Any]:
    """The main text of each page into ``output``, as ``<stem>.txt``; below a given folder, its folders stay.

    A page without text, and one that cannot be read or kills the process that parses it, makes an empty file
    and is counted under ``rejected`` by its reason.

    Returns ``documents``, ``extracted``, ``rejected``, ``seconds``, ``docs_per_s`` and ``output``.

    Raises:
        BadInput: a path is missing, a folder holds no page, or two pages would make one file.
    """
    started = time.monotonic()
    log = structlog.get_logger().bind(step="extract")
    pages = _targets(paths, output)
    clean = Clean(extraction=mode)
    rejected: Counter[str] = Counter()
    targets = iter(pages)
    progress = Progress(log, "documents", len(pages))
    with Crew(clean, workers=workers, log=log) as crew:
        for outcomes in crew.refine(batches(_raws(pages.values(), clean.document_bytes))):
            for row in outcomes.select(["text", "reason"]).to_pylist():
                kept = row["reason"] is None
                rejected.update([] if kept else [row["reason"]])
                _write(next(targets), f"{row['text']}\n" if kept else "")
            progress.advance(outcomes.num_rows)
    seconds = max(time.monotonic() - started, 1e-9)
    return {
        "step": "extract",
        "mode": mode,
        "documents": len(pages),
        "extracted": len(pages) - rejected.total(),
        "rejected": dict(sorted(rejected.items())),
        "workers": workers,
        "seconds": round(seconds, 3),
        "docs_per_s": round(len(pages) / seconds, 1),
        "output": str(output),
    }


def _targets(paths: Sequence[Path], output: Path) -> dict[Path, Path]:
    """The text file of each page, to the page; in the order of the paths."""
    found: dict[Path, Path] = {}
    for path in paths:
        for page, place in _pages(path):
            target = output / place.with_name(f"{_stem(page.name)}.txt")
            if (other := found.setdefault(target, page)) != page:
                raise BadInput(f"{other} and {page} would both become {target}: give them one at a time")
    return found


def _pages(path: Path) -> Iterator[tuple[Path, Path]]:
    """Each page under ``path``, and where in the output its text belongs."""
    if path.is_dir():
        pages = [page for page in sorted(path.rglob("*")) if _is_page(page)]
        if not pages:
            raise BadInput(
                f"{path}: no {', '.join('*' + suffix for suffix in _SUFFIXES)} or *.gz of them in this folder"
            )
        yield from ((page, page.relative_to(path)) for page in pages)
    elif path.is_file():
        yield path, Path(path.name)
    else:
        raise BadInput(f"{path}: no such file or folder")


def _is_page(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(_SUFFIXES) and path.is_file()


def _stem(name: str) -> str:
    plain = name[:-3] if name.lower().endswith(".gz") else name
    stem, dot, suffix = plain.rpartition(".")
    return stem if stem and f"{dot}{suffix.lower()}" in _SUFFIXES else plain


def _raws(pages: Iterable[Path], limit: int) -> Iterator[Raw]:
    for page in pages:
        body, fault = b"", None
        try:
            with page.open("rb") as file:
                stored = file.read(limit + 1)
            if len(stored) > limit:
                raise Oversize
            body = decode(stored, ["gzip"], limit)
        except Oversize:
            fault = "too_large"
        except Undecodable:
            fault = "undecodable"
        except OSError as error:
            raise BadInput(f"{page}: cannot be read: {error}") from error
        yield Raw(uid_of(str(page)), str(page), _TIME, body, "text/html", fault=fault)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error}") from error
