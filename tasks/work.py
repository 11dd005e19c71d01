"""One step's work in one folder: is it done already, its files, its commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.catalog import FileEntry, Input, Manifest, fingerprint
from tasks.step import Context, Step, StepResult


@dataclass(frozen=True, slots=True)
class Read:
    """A manifest that a step reads: where it lies, and the command that makes it."""

    folder: str
    manifest: Manifest
    made_by: str
    part: str | None = None
    """The digest of what is read of the manifest, where another page or library beside that changes nothing."""

    @property
    def digest(self) -> str:
        """What a change of is a change of the input."""
        return self.part or self.manifest.digest()


def read(context: Context, folder: str, made_by: str) -> Read:
    """The current manifest of a folder as an input; raises as ``Catalog.load`` does."""
    return Read(folder, context.catalog.load(folder, made_by=made_by), made_by)


class Work:
    """What ``step`` makes of ``reads`` in ``folder``.

    ``name`` is the partition, or the id of the snapshot or training; ``config`` the digest of the
    configuration that shapes the output.
    """

    def __init__(
        self, context: Context, step: Step, folder: str, *, name: str, config: str, reads: Iterable[Read] = ()
    ) -> None:
        self.context = context
        self.folder = folder
        self.name = name
        self._step = step
        self._config = config
        self._reads = tuple(reads)
        self._inputs = tuple(Input(name=r.folder, digest=r.digest) for r in self._reads)
        self.fingerprint = fingerprint(step.code(), config, self._inputs)

    def done(self) -> StepResult | None:
        """The result of an earlier run over the same intact inputs, or None.

        Raises:
            Corrupt: an input's stored bytes are not the committed ones.
        """
        for each in self._reads:
            self.context.catalog.require_intact(each.manifest, made_by=each.made_by)
        manifest = self.context.catalog.unchanged(self.folder, self.fingerprint)
        if manifest is None:
            return None
        return self._result(manifest, noop=True, message="nothing changed: done before")

    def add(self, role: str, path: Path, *, rows: int = 0, sha256: str | None = None) -> FileEntry:
        """Store one local file of this folder, content-addressed."""
        if sha256 is None:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return self.context.catalog.add_file(self.folder, role, path, sha256, rows=rows)

    def commit(
        self,
        files: Iterable[FileEntry],
        *,
        counts: Mapping[str, Any],
        details: Mapping[str, Any] | None = None,
        volatile: Mapping[str, Any] | None = None,
        message: str = "",
    ) -> StepResult:
        """Commit the folder's manifest and return the step's result."""
        manifest = Manifest(
            step=self._step.name,
            corpus=self.context.corpus.corpus,
            partition=self.name,
            fingerprint=self.fingerprint,
            code=self._step.code(),
            config=self._config,
            inputs=self._inputs,
            files=tuple(files),
            counts=dict(counts),
            details=dict(details or {}),
            volatile=dict(volatile or {}),
        )
        self.context.catalog.commit(self.folder, manifest)
        return self._result(manifest, noop=False, message=message)

    def _result(self, manifest: Manifest, *, noop: bool, message: str) -> StepResult:
        return StepResult(
            step=self._step.name,
            corpus=manifest.corpus,
            partition=self.name,
            manifest=self.context.catalog.url(self.folder),
            noop=noop,
            counts=manifest.counts,
            message=message,
        )
