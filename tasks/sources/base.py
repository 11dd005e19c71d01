"""The interface of a source, and the registry of the ones there are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tasks.catalog import FileEntry, Input
from tasks.registry import Registry
from tasks.section import Section
from tasks.step import Context


@dataclass(frozen=True, slots=True)
class Target:
    """Where a source puts one partition's raw input: ``folder`` on the store, by way of ``scratch``."""

    context: Context
    folder: str
    partition: str
    config: str
    """Digest of what in the YAML shapes the partition."""
    scratch: Path

    def keep(self, path: Path, role: str, *, rows: int = 0, sha256: str | None = None) -> FileEntry:
        """Store a finished local file content-addressed, and remove the local one.

        ``role``: ``warc`` or ``rows`` (documents, the units of cleaning's shards) or ``validators``
        (state of the site, carried to the next crawl). ``rows`` counts what is in it.
        """
        if sha256 is None:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        entry = self.context.catalog.add_file(self.folder, role, path, sha256, rows=rows)
        path.unlink()
        return entry


@dataclass(frozen=True, slots=True)
class Harvest:
    """All that a source brought for one partition."""

    files: Sequence[FileEntry]
    inputs: Sequence[Input] = ()
    """What it read, as its bytes were when it read them."""
    counts: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    """Recorded in the manifest, e.g. ``format`` and ``columns`` of row files."""
    volatile: dict[str, Any] = field(default_factory=dict)
    """Recorded in the manifest, outside its digest."""


class Source(Protocol):
    """One way to get raw input, built from ``Params``, its part of the YAML."""

    Params: ClassVar[type[Section]]

    def __init__(self, params: Any) -> None: ...

    @property
    def replayable(self) -> bool:
        """Whether it can bring any day at any time, as files can; the live web is gone the next day."""

    def shape(self) -> dict[str, Any]:
        """Those of its parameters that shape the partition: another value voids a no-op, or a half-done crawl."""

    def inputs(self, context: Context, partition: str, known: Mapping[str, Any]) -> Sequence[Input]:
        """What it would read, for the no-op; empty for the live web, which cannot be known beforehand.

        ``known`` is the ``volatile`` part of the partition's last manifest: it may save reading again.
        """

    def fetch(self, target: Target) -> Harvest:
        """Bring one partition's raw input to ``target``."""

    def unfinished(self, context: Context, folder: str, config: str) -> bool:
        """Whether an earlier attempt with this configuration left committed work to continue from."""

    def tidy(self, context: Context, folder: str) -> None:
        """Remove what attempts left in ``folder`` beside the committed partition."""


SOURCES: Registry[Any] = Registry(
    "tasks.sources", kind="source", parts=("lines", "locate", "network", "payload", "warc", "web")
)
