"""Everything that a champion needs to come back, judge and be explained: keys, sizes, checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.catalog import Catalog, Input, Manifest
from tasks.errors import Corrupt, NotFound
from tasks.model_registry import Registry, Version
from tasks.section import digest_of


@dataclass(frozen=True, slots=True)
class Original:
    """One object of the store that is to be kept. ``data`` is there for small ones that were read anyway."""

    key: str
    sha256: str
    size: int
    data: bytes | None = None

    @classmethod
    def of(cls, key: str, data: bytes) -> Original:
        return cls(key, hashlib.sha256(data).hexdigest(), len(data), data)


@dataclass(frozen=True, slots=True)
class Collection:
    """The originals of one version, and the digests that identify them all."""

    originals: tuple[Original, ...]
    inputs: tuple[Input, ...]


def collect(catalog: Catalog, registry: Registry, version: Version) -> Collection:
    """Model, report, gate verdict, snapshot, the partitions it was made of, and the registry's history.

    Of each folder: the manifest as that version knows it, its files, and the pointer to it.

    Raises:
        Corrupt: a manifest is missing or altered. Files are not read here.
    """
    snapshot = Input(name=f"snapshots/{version.corpus}/{version.snapshot}", digest=version.snapshot_digest)
    parts = _manifest(catalog, snapshot).inputs
    inputs = [
        Input(name=version.folder, digest=version.digest),
        Input(name=version.report, digest=version.report_digest),
        snapshot,
        *parts,
        *_verdict(catalog, version),
    ]
    originals = {each.key: each for item in inputs for each in _folder(catalog, item)}
    history = [Original.of(key, data) for key, data in registry.history().items()]
    originals |= {each.key: each for each in history}
    inputs.append(Input(name=registry.folder, digest=digest_of({each.key: each.sha256 for each in history})))
    return Collection(tuple(originals.values()), tuple(inputs))


def _verdict(catalog: Catalog, version: Version) -> Iterator[Input]:
    folder = f"gates/{version.corpus}/model/{version.run}"
    gate = catalog.current(folder)
    if gate is not None:
        yield Input(name=folder, digest=gate.digest())


def _folder(catalog: Catalog, item: Input) -> Iterator[Original]:
    manifest = _manifest(catalog, item)
    data = manifest.to_bytes()
    yield Original.of(f"{item.name}/manifests/{item.digest}.json", data)
    yield Original.of(catalog.store.key_of(catalog.url(item.name)), data)
    for entry in manifest.files:
        yield Original(entry.key, entry.sha256, entry.size)


def _manifest(catalog: Catalog, item: Input) -> Manifest:
    try:
        manifest = catalog.at(item.name, item.digest)
    except NotFound as error:
        raise Corrupt(f"a manifest that the champion was made with is missing: {error}") from error
    if manifest.digest() != item.digest:
        raise Corrupt(
            f"the manifest {item.digest[:16]}… in {catalog.store.url_of(item.name)} was altered: its digest is now "
            f"{manifest.digest()[:16]}…"
        )
    return manifest
