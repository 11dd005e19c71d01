"""Images, archives and files of rows through what cleaning does with them, as a source of files hands them in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from tasks.cleaning.raw import Raw, batches, uid_of
from tasks.cleaning.reading import begin_of, read_rows
from tasks.config.clean import Clean
from tasks.errors import BadInput, Corrupt
from tasks.kinds.base import Kind, kind_of
from tasks.sources.files import Files
from tasks.sources.locate import Found
from tasks.store import ObjectInfo, open_store
from tests.benchmarks.fuzzing.rows import FORMATS

DAY = "2026-11-20"
_MOMENT = begin_of(DAY)
# An image that would have more pixels is refused before they are unpacked: of 50 million, as many as are taken
# otherwise, each costs seconds, which says nothing of the input.
_IMAGES: tuple[dict[str, Any], ...] = (
    {"channels": 3, "max_pixels": 500_000, "formats": ["png", "jpeg", "gif", "webp", "bmp", "tiff"], "min_side": 1},
    {"channels": 1, "max_pixels": 500_000, "resize": 24, "formats": ["png", "jpeg", "gif", "webp", "bmp", "tiff"]},
)
_CELLS = {"x": {"type": "number"}, "y": {"type": "category"}, "label": {"type": "category"}}
_KINDS: tuple[Any, ...] = (
    "documents",
    {"table": {"columns": _CELLS, "target": "label"}},
    "sequences",
    "events",
    "summaries",
)
_TOLD = {name: name for name in ("id", "text", "label", "url", "timestamp", "group", "language")}


def through_image(data: bytes, turn: int) -> Iterator[str]:
    """An image as a row of kind ``images``."""
    clean, _ = images(turn % len(_IMAGES))
    yield from refined([Raw(uid_of("x"), "http://x/", _MOMENT, data, "image/png")], clean)


def through_archive(data: bytes, turn: int, limit: int) -> Iterator[str]:
    """An archive: every file that can be had, each an image or not, and nothing raised but that it is damaged."""
    clean, kind = images(turn % len(_IMAGES))
    with _stored(data, "archive.tar") as path:
        raws: list[Raw] = []
        try:
            for raw in kind.read(path, name="x", moment=_MOMENT, limit=limit):
                if len(raw.body) > limit:
                    yield "a member over the limit"
                raws.append(raw)
        except BadInput:
            pass
        yield from refined(raws, clean)


def through_rows(data: bytes, turn: int, limit: int) -> Iterator[str]:
    """A file of rows: counted as the source counts it, read, and cleaned as rows of some kind."""
    name, clean = FORMATS[turn // 16 % len(FORMATS)], of_rows(turn // 64 % len(_KINDS))
    kind = kind_of(clean)
    with _stored(data, f"rows.{name}") as path:
        columns = {key: column for key, column in _TOLD.items() if key != "text" or not kind.cells}
        details = {"format": name.removesuffix(".gz"), "columns": columns}
        files = Files(Files.Params(path="*", columns=columns))
        files._kind, files._limit = kind, limit  # as `fetch` sets them
        info = ObjectInfo(key=path.name, size=len(data), etag="")
        with suppress(BadInput):
            files.measure(path, Found(open_store(path.parent.as_uri(), {}), info))
        raws: list[Raw] = []
        try:
            for raw in read_rows(
                path, name="x", details=details, partition=DAY, limit=limit, anonymous=True, cells=kind.cells
            ):
                if len(raw.body) > limit:
                    yield "a row over the limit"
                raws.append(raw)
        except (BadInput, Corrupt):
            pass
        yield from refined(raws, clean)


def refined(raws: Iterable[Raw], clean: Clean) -> Iterator[str]:
    """What is wrong with what becomes of raw documents."""
    refiner = kind_of(clean).refiner(clean)
    for batch in batches(raws):
        rows = refiner.batch(batch)
        rows.validate(full=True)
        for row in rows.select(["reason", "value", "detail"]).to_pylist():
            if row["reason"] == "crash":
                yield f"{clean.kind.name}: {row['value']}: {row['detail']}"


@cache
def images(turn: int) -> tuple[Clean, Kind]:
    """Images as one corpus or another wants them."""
    clean = Clean.model_validate({"kind": {"images": _IMAGES[turn]}})
    return clean, kind_of(clean)


@cache
def of_rows(turn: int) -> Clean:
    """A kind whose rows come from files."""
    return Clean.model_validate({"kind": _KINDS[turn]})


@contextmanager
def _stored(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path
