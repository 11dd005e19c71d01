"""Reads and commits manifests; decides what is a no-op and what is intact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.catalog.manifest import FileEntry, Manifest
from tasks.catalog.quarantine import Quarantine
from tasks.errors import BadInput, Corrupt, NotFound
from tasks.store import Store

POINTER = "_manifest.json"


class Catalog:
    """The manifests of one store. A *folder* is a key prefix such as ``clean/docs/2026-11-20``."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.quarantine = Quarantine(store)

    def url(self, folder: str) -> str:
        """URL of a folder's current manifest."""
        return self.store.url_of(f"{folder}/{POINTER}")

    def folder(self, url: str) -> str:
        """The folder of a manifest URL, as ``url`` returned it."""
        return self.store.key_of(url).removesuffix(f"/{POINTER}")

    def current(self, folder: str) -> Manifest | None:
        """The manifest that a folder's pointer holds now, quarantined or not; None before a commit."""
        try:
            data = self.store.read(f"{folder}/{POINTER}")
        except NotFound:
            return None
        return Manifest.from_bytes(data, self.url(folder))

    def load(self, folder: str, *, made_by: str) -> Manifest:
        """The current manifest, for a step that is about to read its files.

        Raises:
            BadInput: nothing was committed there; names the step to run first.
            Quarantined: a gate rejected it and nobody released it.
            Corrupt: it cannot be read; names the step that makes it anew.
        """
        try:
            manifest = self.current(folder)
        except Corrupt as error:
            raise Corrupt(f"{error}; run `nightshift {made_by}` again to make it anew") from error
        if manifest is None:
            raise BadInput(f"nothing at {self.url(folder)}: run `nightshift {made_by}` first")
        self.quarantine.check(manifest, self.url(folder))
        return manifest

    def at(self, folder: str, digest: str) -> Manifest:
        """A manifest kept by digest, whatever the pointer says now.

        Raises:
            NotFound: no manifest of that digest was committed in ``folder``.
            Corrupt: what is kept under that digest has another one.
        """
        key = f"{folder}/manifests/{digest}.json"
        manifest = Manifest.from_bytes(self.store.read(key), self.store.url_of(key))
        if manifest.digest() != digest:
            raise Corrupt(f"{self.store.url_of(key)} was altered: its digest is {manifest.digest()[:16]}…")
        return manifest

    def folders(self, prefix: str) -> Iterator[str]:
        """Folders directly below ``prefix`` (no trailing slash) that have a committed manifest, in order."""
        depth = prefix.count("/") + 2
        for info in self.store.list(f"{prefix}/"):
            if info.key.endswith(f"/{POINTER}") and info.key.count("/") == depth:
                yield info.key.removesuffix(f"/{POINTER}")

    def add_file(self, folder: str, role: str, path: Path, sha256: str, *, rows: int = 0) -> FileEntry:
        """Store a local file content-addressed as ``<folder>/<role>-<sha256[:16]><suffixes>``.

        A file that is there already with the right size is not sent again.
        """
        key = f"{folder}/{role}-{sha256[:16]}{''.join(path.suffixes)}"
        size = path.stat().st_size
        found = self.store.stat(key)
        if found is None or found.size != size or self.store.sha256(key) != sha256:
            found = self.store.upload(path, key)
        return FileEntry(key=key, role=role, size=size, sha256=sha256, rows=rows, etag=found.etag)

    def commit(self, folder: str, manifest: Manifest) -> str:
        """Keep the manifest by digest, then move the pointer to it; returns the pointer's URL."""
        data = manifest.to_bytes()
        self.store.write(f"{folder}/manifests/{manifest.digest()}.json", data)
        self.store.write(f"{folder}/{POINTER}", data)
        return self.url(folder)

    def unchanged(self, folder: str, fingerprint: str) -> Manifest | None:
        """The committed manifest if it was made from the same fingerprint and all its files are intact.

        A manifest that cannot be read is as good as none: the step is about to write it anew.
        """
        try:
            manifest = self.current(folder)
        except Corrupt:
            return None
        if manifest is None or manifest.fingerprint != fingerprint or self.damaged(manifest):
            return None
        return manifest

    def damaged(self, manifest: Manifest) -> list[FileEntry]:
        """Files that are missing or differ from their manifest.

        An ETag equal to the committed one is trusted; otherwise the bytes are hashed again.
        """
        return [entry for entry in manifest.files if not self._intact(entry)]

    def require_intact(self, manifest: Manifest, *, made_by: str) -> None:
        """Refuse an input whose stored bytes are not the committed ones.

        Raises:
            Corrupt: names each damaged file and the step that makes it again.
        """
        damaged = self.damaged(manifest)
        if damaged:
            names = ", ".join(self.store.url_of(entry.key) for entry in damaged)
            raise Corrupt(
                f"{len(damaged)} file(s) of {manifest.corpus} {manifest.partition} are missing or altered: "
                f"{names}; run `nightshift {made_by}` again to make them anew"
            )

    def fetch(self, entry: FileEntry, target: Path) -> Path:
        """Download a committed file, checking its bytes.

        Raises:
            Corrupt: what arrived is not what was committed.
        """
        arrived = self.store.download(entry.key, target)
        if arrived != entry.sha256:
            target.unlink()
            raise Corrupt(
                f"{self.store.url_of(entry.key)} has sha256 {arrived[:16]}…, its manifest says {entry.sha256[:16]}…"
            )
        return target

    def _intact(self, entry: FileEntry) -> bool:
        found = self.store.stat(entry.key)
        if found is None or found.size != entry.size:
            return False
        if entry.etag and found.etag == entry.etag:
            return True
        return self.store.sha256(entry.key) == entry.sha256
