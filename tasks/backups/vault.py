"""The backups of one corpus in the second store.

``<corpus>/<version>-<fingerprint>/_manifest.json`` is a backup's inventory, written last: which object,
by checksum, was which key. The objects lie under ``_objects/<corpus>/``, named by their sha256, so that
backups share what they have in common.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.backups.collect import Original
from tasks.catalog import Catalog, FileEntry, Manifest
from tasks.errors import BadInput, Corrupt, NotFound, StoreError
from tasks.store import Store

_REMOVING = "_removing"


@dataclass(frozen=True, slots=True)
class Backup:
    """One complete backup."""

    folder: str
    manifest: Manifest

    @property
    def version(self) -> int:
        return int(self.manifest.details["version"])

    @property
    def made(self) -> str:
        return str(self.manifest.details["made"])

    @property
    def places(self) -> Mapping[str, str]:
        """Original key to sha256, in the order in which they are to be written back."""
        places: Mapping[str, str] = self.manifest.details["places"]
        return places

    @property
    def objects(self) -> dict[str, FileEntry]:
        """The backup's objects by sha256."""
        return {entry.sha256: entry for entry in self.manifest.files}


class Vault:
    """A corpus's part of the backup store."""

    def __init__(self, store: Store, corpus: str) -> None:
        self.store = store
        self.catalog = Catalog(store)
        self.corpus = corpus

    def folder(self, version: int, fingerprint: str) -> str:
        """Where the backup of a version lies."""
        return f"{self.corpus}/{version:06d}-{fingerprint[:16]}"

    def backups(self) -> tuple[list[Backup], list[str]]:
        """The complete backups, newest first, and what is wrong with inventories that cannot be read."""
        good: list[Backup] = []
        bad: list[str] = []
        for folder in self.catalog.folders(self.corpus):
            try:
                backup = self.backup(folder)
            except Corrupt as error:
                bad.append(str(error))
            else:
                if backup is not None:
                    good.append(backup)
        return sorted(good, key=lambda each: (each.made, each.folder), reverse=True), bad

    def backup(self, folder: str) -> Backup | None:
        """The backup in a folder, or None.

        Raises:
            Corrupt: its inventory is not the one that was written.
        """
        manifest = self.catalog.current(folder)
        if manifest is None:
            return None
        # The inventory is kept a second time under its own digest: one altered letter, and there is none such.
        if self.store.stat(f"{folder}/manifests/{manifest.digest()}.json") is None:
            raise Corrupt(f"the inventory {self.catalog.url(folder)} was altered after it was written")
        return Backup(folder, manifest)

    def keep(self, source: Store, original: Original, etag: str | None) -> tuple[FileEntry, bool]:
        """Have an object of that content, read back after it was written; and whether it had to be copied.

        ``etag`` is what an earlier inventory says of it: an equal one saves reading it; None reads it.

        Raises:
            Corrupt: the original is missing or altered, or the store does not return what it was given.
        """
        key = f"_objects/{self.corpus}/{original.sha256[:2]}/{original.sha256}"
        found = self.store.stat(key)
        here = found is not None and found.size == original.size
        if here and found is not None and etag != found.etag:
            here = self.store.sha256(key) == original.sha256
        if not here:
            self._copy(source, original, key)
            found = self.store.stat(key)
        return FileEntry(
            key=key, role="object", size=original.size, sha256=original.sha256, etag=found.etag if found else ""
        ), not here

    def verify(self, backup: Backup) -> None:
        """Read all of a backup.

        Raises:
            Corrupt: names each damaged object and what it is the copy of.
        """
        damaged = {entry.sha256: entry for entry in backup.manifest.files if not self._sound(entry)}
        if damaged:
            lines = "\n".join(
                f"  {key}: {self.store.url_of(damaged[sha256].key)}"
                for key, sha256 in backup.places.items()
                if sha256 in damaged
            )
            raise Corrupt(
                f"{len(damaged)} object(s) of the backup {self.catalog.url(backup.folder)} are missing or altered:\n"
                f"{lines}"
            )

    def thin(self, keep: int, *, spare: str) -> list[str]:
        """Remove all but the ``keep`` newest backups, and what only they used; returns their folders.

        ``spare`` is one that stays whatever the clocks of those who made them said.
        """
        others = [each for each in self.backups()[0] if each.folder != spare]
        old = others[keep - 1 :]
        for backup in old:
            # Marked first: killed from here on, the next backup goes on with the removal.
            self.store.write(f"{backup.folder}/{_REMOVING}", b"")
        self.finish_removals()
        return [backup.folder for backup in old]

    def finish_removals(self) -> None:
        """Remove what is marked: the pointer first, so that nobody takes the rest for a backup; its objects last."""
        marked = [info.key for info in self.store.list(f"{self.corpus}/") if info.key.endswith(f"/{_REMOVING}")]
        for mark in marked:
            folder = mark.removesuffix(f"/{_REMOVING}")
            self.store.delete(f"{folder}/_manifest.json")
            kept = [info.key for info in self.store.list(f"{folder}/manifests/")]
            self._drop(entry for key in kept for entry in self._files(key))
            for key in [*kept, mark]:
                self.store.delete(key)

    def _files(self, key: str) -> tuple[FileEntry, ...]:
        try:
            return Manifest.from_bytes(self.store.read(key), self.store.url_of(key)).files
        except Corrupt:
            return ()  # its objects stay: better too many than one too few

    def _drop(self, entries: Iterable[FileEntry]) -> None:
        good, bad = self.backups()
        if bad:
            return  # nobody knows what an unreadable inventory needs
        used = {entry.key for backup in good for entry in backup.manifest.files}
        gone = {entry.key for entry in entries} - used
        for key in sorted(gone):
            self.store.delete(key)
        self._void_what_lacks(gone)

    def _void_what_lacks(self, gone: set[str]) -> None:
        """Leave no inventory that was committed while objects that it counts on were removed.

        One that is committed later than this looks is checked by whoever made it: of two at once, one finds out.
        """
        robbed = [
            backup
            for backup in self.backups()[0]
            if not gone.isdisjoint(entry.key for entry in backup.manifest.files)
            and self.catalog.damaged(backup.manifest)
        ]
        for backup in robbed:
            self.store.delete(f"{backup.folder}/_manifest.json")
        if robbed:
            folders = ", ".join(self.catalog.url(backup.folder) for backup in robbed)
            raise StoreError(
                f"{folders} was made while another backup removed old ones, and lacks what these held: it counts as "
                f"no backup. Run `nightshift backup --corpus {self.corpus}` again, one at a time"
            )

    def _copy(self, source: Store, original: Original, key: str) -> None:
        with tempfile.TemporaryDirectory(prefix="nightshift-backup-") as scratch:
            path = Path(scratch) / "object"
            if original.data is not None:
                path.write_bytes(original.data)
                arrived = original.sha256
            else:
                try:
                    arrived = source.download(original.key, path)
                except NotFound as error:
                    raise Corrupt(f"{source.url_of(original.key)} is missing: it was committed, and is gone") from error
            if arrived != original.sha256:
                raise Corrupt(
                    f"{source.url_of(original.key)} has sha256 {arrived[:16]}…, its manifest says "
                    f"{original.sha256[:16]}…: it was altered after it was committed"
                )
            self.store.upload(path, key)
        if self.store.sha256(key) != original.sha256:
            raise Corrupt(
                f"{self.store.url_of(key)} is not what was written: its sha256 is not {original.sha256[:16]}…. "
                "Run the step again; if it fails again, look at the backup store's disks"
            )

    def _sound(self, entry: FileEntry) -> bool:
        try:
            return self.store.sha256(entry.key) == entry.sha256
        except NotFound:
            return False


def require_apart(store: Store, backup: Store) -> None:
    """Refuse a backup store that would go down with the store itself.

    Raises:
        BadInput: one of the two lies within the other.
    """
    ours, theirs = f"{store.url.rstrip('/')}/", f"{backup.url.rstrip('/')}/"
    if ours.startswith(theirs) or theirs.startswith(ours):
        raise BadInput(
            f"the backup store {backup.url} is part of the store {store.url}, or the other way round: a backup must "
            "survive the loss of what it backs up. Set NIGHTSHIFT_BACKUP, or --backup, to another bucket"
        )
