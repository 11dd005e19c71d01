"""Source ``archive``: WARC files by date, which a crawler wrote earlier. What a backfill reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from tasks.errors import BadInput
from tasks.section import Section
from tasks.sources.base import SOURCES
from tasks.sources.locate import Found, StoredSource, check_pattern

_SUFFIXES = (".warc.gz", ".warc.zst", ".warc")


class ArchiveParams(Section):
    """Where the WARC files lie."""

    path: str = Field(
        description="files of a day, as in archive/docs/{partition}/*.warc.gz: in the store, or file://… or s3://…"
    )

    @field_validator("path")
    @classmethod
    def _pattern(cls, value: str) -> str:
        return check_pattern(value)


@SOURCES.register("archive")
class Archive(StoredSource):
    """Copies the day's WARC files into the partition, so that a later change of the archive spoils nothing."""

    Params: ClassVar[type[Section]] = ArchiveParams
    role = "warc"

    def __init__(self, params: ArchiveParams) -> None:
        super().__init__(params)
        self._kinds: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def suffix(self, file: Found) -> str:
        for suffix in _SUFFIXES:
            if file.name.endswith(suffix):
                return suffix
        raise BadInput(f"{file.url} is not a WARC file: expected a name that ends in {', '.join(_SUFFIXES)}")

    def measure(self, local: Path, file: Found) -> int:
        # A damaged member costs its page here as in cleaning: half an archive is better than none.
        from tasks.sources.warc import pages

        before = self._kinds["page"]
        for page in pages(local, faults=self._faults):
            self._kinds[page.kind] += 1
            if page.fault:
                self._faults[page.fault] += 1
        return self._kinds["page"] - before

    def counts(self) -> dict[str, Any]:
        return {
            "unchanged": self._kinds["unchanged"],
            "gone": self._kinds["gone"],
            "visited": self._kinds.total(),
            "errors": self._faults["damaged"] + self._faults["malformed"],
            "skipped": dict(sorted(self._faults.items())),
        }

    def details(self, found: Sequence[Found]) -> dict[str, Any]:
        return {"source": "archive", "format": "warc"}
