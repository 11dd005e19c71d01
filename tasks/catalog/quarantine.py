"""Manifests that a gate rejected: nothing downstream reads them until somebody says why it may."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.errors import BadInput, Corrupt, NotFound, Quarantined
from tasks.store import Store

if TYPE_CHECKING:
    from tasks.catalog.manifest import Manifest


class Release(BaseModel):
    """Who let a quarantined manifest pass, when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: str
    reason: str
    at: str


class Record(BaseModel):
    """One rejected manifest. ``released`` is the latest release, if any."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    corpus: str
    partition: str
    stage: str
    digest: str
    failures: tuple[str, ...]
    at: str
    released: Release | None = None


class Quarantine:
    """Records under ``quarantine/<corpus>/<manifest digest>.json``.

    A record belongs to a manifest's digest: a partition made anew from better input is free.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, manifest: Manifest, *, stage: str, failures: Sequence[str], at: str) -> None:
        """Reject a manifest. A release given to the same digest before stays in force."""
        try:
            earlier = self.find(manifest)
        except Corrupt:  # no release can be read in it, so none is in force
            earlier = None
        record = Record(
            corpus=manifest.corpus,
            partition=manifest.partition,
            stage=stage,
            digest=manifest.digest(),
            failures=tuple(failures),
            at=at,
            released=earlier.released if earlier else None,
        )
        self._write(record)

    def find(self, manifest: Manifest) -> Record | None:
        """The record of a manifest, released or not."""
        return self.record(manifest.corpus, manifest.digest())

    def record(self, corpus: str, digest: str) -> Record | None:
        """The record of a manifest's digest, released or not."""
        try:
            return self._read(_key(corpus, digest))
        except NotFound:
            return None

    def records(self, corpus: str) -> Iterator[Record]:
        """Every record of a corpus."""
        for info in self._store.list(f"quarantine/{corpus}/"):
            yield self._read(info.key)

    def release(self, manifest: Manifest, release: Release) -> Record:
        """Let a rejected manifest pass from now on.

        Raises:
            BadInput: the manifest is not quarantined, or no reason is given.
        """
        record = self.find(manifest)
        if record is None:
            raise BadInput(f"{manifest.corpus} {manifest.partition} ({manifest.step}) is not quarantined")
        if not release.reason.strip():
            raise BadInput("a release needs a reason: it is kept with the record")
        released = record.model_copy(update={"released": release})
        self._write(released)
        return released

    def lift(self, manifest: Manifest, *, stage: str) -> None:
        """Forget that a stage's gate rejected a manifest that it now passes; a release stays on record."""
        record = self.find(manifest)
        if record is not None and record.stage == stage and record.released is None:
            self._store.delete(_key(record.corpus, record.digest))

    def check(self, manifest: Manifest, url: str) -> None:
        """Raise ``Quarantined`` if a gate rejected this manifest and nobody released it."""
        record = self.find(manifest)
        if record is not None and record.released is None:
            raise Quarantined(
                f"{url} was quarantined by gate {record.stage} at {record.at}: {'; '.join(record.failures)}. "
                f"Mend the input and run the step again, or: nightshift release --corpus {record.corpus} "
                f"--partition {record.partition} --stage {record.stage} --reason '…'"
            )

    def _read(self, key: str) -> Record:
        try:
            return Record.model_validate_json(self._store.read(key))
        except ValidationError as error:
            # Not taken for "no record": what a gate rejected must not pass because a record is damaged.
            raise Corrupt(
                f"{self._store.url_of(key)} is not a readable quarantine record: run the gate again, or delete the "
                "record if what it is about may pass"
            ) from error

    def _write(self, record: Record) -> None:
        self._store.write(_key(record.corpus, record.digest), record.model_dump_json(indent=1).encode())


def _key(corpus: str, digest: str) -> str:
    return f"quarantine/{corpus}/{digest}.json"
