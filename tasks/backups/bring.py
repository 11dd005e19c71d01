"""Bringing a backup's objects back into a store, and its registry where that is the same registry."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.backups.vault import Backup, Vault
from tasks.catalog import Catalog
from tasks.errors import Corrupt
from tasks.log import Progress
from tasks.model_registry import Audit, Registry, Version

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_POINTER = "/_manifest.json"


@dataclass(frozen=True, slots=True)
class Kinship:
    """How the registry of a store compares with a backup's."""

    foreign: bool
    """A record differs: the two have had different histories."""
    ahead: bool
    """The store's has records that were made after the backup."""


class Bringer:
    """Brings one backup into one store. Objects that are there with the right bytes are not written again."""

    def __init__(self, vault: Vault, backup: Backup, catalog: Catalog, registry: Registry) -> None:
        self._vault = vault
        self._backup = backup
        self._catalog = catalog
        self._store = catalog.store
        self._history = f"{registry.folder}/"
        self.written = 0

    def version(self) -> Version:
        """The version that was backed up."""
        key = f"{self._history}versions/{self._backup.version:06d}.json"
        return Version.model_validate_json(self._read(key))

    def kinship(self) -> Kinship:
        """Compare the registries; a record of the store that cannot be read is one to be mended."""
        foreign = ahead = False
        for kind in ("versions", "audit"):
            for info in self._store.list(f"{self._history}{kind}/"):
                if info.key not in self._backup.places:
                    ahead = True
                elif self._store.sha256(info.key) != self._backup.places[info.key]:
                    foreign |= _readable(self._store.read(info.key), kind)
        return Kinship(foreign, ahead)

    def bring_data(self, log: FilteringBoundLogger) -> None:
        """Write all but the registry: files and manifests first, then the pointers to them.

        A pointer that is there stays: it may name a newer manifest than the backup knows.
        """
        places = {key: sha256 for key, sha256 in self._backup.places.items() if not key.startswith(self._history)}
        objects = self._backup.objects
        progress = Progress(log, "bytes", sum(objects[sha256].size for sha256 in places.values()))
        pointers = {key for key in places if key.endswith(_POINTER)}
        for key in sorted(places, key=lambda each: each in pointers):
            if key not in pointers or not self._points(key):
                self._bring(key)
            progress.advance(objects[places[key]].size)

    def bring_registry(self) -> None:
        """Write the registry's records in the order in which they were made."""
        for key in self._backup.places:
            if key.startswith(self._history):
                self._bring(key)

    def _bring(self, key: str) -> None:
        sha256 = self._backup.places[key]
        entry = self._backup.objects[sha256]
        found = self._store.stat(key)
        if found is not None and found.size == entry.size and self._store.sha256(key) == sha256:
            return
        with tempfile.TemporaryDirectory(prefix="nightshift-restore-") as scratch:
            self._store.upload(self._vault.catalog.fetch(entry, Path(scratch) / "object"), key)
        if self._store.sha256(key) != sha256:
            raise Corrupt(
                f"{self._store.url_of(key)} is not what was written: its sha256 is not {sha256[:16]}…. "
                "Run the step again; if it fails again, look at the store's disks"
            )
        self.written += 1

    def _points(self, key: str) -> bool:
        try:
            return self._catalog.current(key.removesuffix(_POINTER)) is not None
        except Corrupt:
            return False

    def _read(self, key: str) -> bytes:
        return self._vault.store.read(self._backup.objects[self._backup.places[key]].key)


def _readable(data: bytes, kind: str) -> bool:
    try:
        (Version if kind == "versions" else Audit).model_validate_json(data)
    except ValueError:
        return False
    return True
