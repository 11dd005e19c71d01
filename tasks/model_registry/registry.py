"""The registry on the store: immutable versions, a log of changes, a pointer to the champion.

The store holds the truth, so that a champion predicts, moves to another store and comes back from a
backup without any other service; MLflow shows it to people.

A change of the champion is one write: the audit record of the next sequence number, which the store
lets one writer create. Before it the earlier champion is in use, after it the new one, and of two
promotions at once one has to look again. ``champion.json`` only says where in the log to start
reading: killed before the pointer moved, or overtaken by a slow writer's older one, a reader walks on
to the newest record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from tasks.catalog import Catalog, Manifest
from tasks.errors import BadInput, Corrupt, NotFound, StoreError
from tasks.model_registry.records import Action, Audit, Backed, Champion, Pointer, Record, RunIndex, Version

_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True, slots=True)
class Head:
    """The present state: the newest change (0 before the first) and the champion that it made."""

    sequence: int
    champion: Champion | None
    pointed: bool = True
    """Whether ``champion.json`` says so too."""


class Registry:
    """One corpus's registry under ``models/<corpus>/registry/``."""

    def __init__(self, catalog: Catalog, corpus: str) -> None:
        self._catalog = catalog
        self._store = catalog.store
        self.corpus = corpus
        self.folder = f"models/{corpus}/registry"

    def head(self) -> Head:
        """The present state.

        Raises:
            Corrupt: a record is unreadable, or the champion's is missing.
        """
        pointer = self._find(f"{self.folder}/champion.json", Pointer)
        if pointer is None:
            sequences = [self._sequence(key) for key in self._keys("audit")]
            return self._head(max(sequences), None) if sequences else Head(0, None)
        sequence = pointer.sequence
        while self._store.stat(self._audit_key(sequence + 1)) is not None:
            sequence += 1
        return self._head(sequence, pointer)

    def champion(self) -> Champion | None:
        """The version in use, or None before the first promotion."""
        return self.head().champion

    def versions(self) -> list[Version]:
        """Every version, oldest first."""
        return [self._read(key, Version) for key in self._keys("versions")]

    def version(self, number: int) -> Version:
        """One version.

        Raises:
            BadInput: there is none of that number; names the ones there are.
        """
        found = self._find(self._version_key(number), Version)
        if found is None:
            known = ", ".join(str(self._sequence(key)) for key in self._keys("versions")) or "none"
            raise BadInput(f"corpus {self.corpus} has no version {number}; known: {known}")
        return found

    def of_run(self, run: str) -> Version | None:
        """The newest version that a training became, or None."""
        index = self._find(f"{self.folder}/runs/{run}.json", RunIndex)
        return self.version(index.version) if index else None

    def audits(self) -> list[Audit]:
        """Every change of the champion, oldest first."""
        return [self._read(key, Audit) for key in self._keys("audit")]

    def audit(self, sequence: int) -> Audit:
        """One change of the champion; raises ``NotFound``."""
        return self._read(self._audit_key(sequence), Audit)

    def manifest(self, version: Version) -> Manifest:
        """The manifest of a version's model, whose files nobody looks at.

        Raises:
            Corrupt: it is missing or altered.
        """
        try:
            return self._catalog.at(version.folder, version.digest)
        except NotFound as error:
            raise Corrupt(
                f"the manifest of version {version.version} of {self.corpus} is missing: {error}; "
                f"bring it back with `nightshift {self._restored(version)}`, or roll back to another version"
            ) from error

    def model(self, version: Version) -> Manifest:
        """The manifest of a version's model.

        Raises:
            Corrupt: it, or a file of it, is missing or altered.
        """
        manifest = self.manifest(version)
        self._catalog.require_intact(manifest, made_by=self._restored(version))
        return manifest

    def _restored(self, version: Version) -> str:
        return f"restore --corpus {self.corpus} --version {version.version} --force"

    def add(self, version: Version) -> Version:
        """Keep a version under the next free number; one of the same run and model is returned as it is.

        ``version.version`` does not matter. Two promotions at once get two numbers.
        """
        known = self.of_run(version.run)
        if known is None or known.digest != version.digest:
            known = self._find_or_create(version)
        self._store.write(f"{self.folder}/runs/{known.run}.json", RunIndex(version=known.version).to_bytes())
        return known

    def change(
        self, action: Action, version: Version, *, by: str, at: datetime, reason: str = "", after: Head | None = None
    ) -> Audit:
        """Make a version the champion, if ``after`` (by default the present state) is still the state.

        Raises:
            StoreError: another change came in between; looking again is worth a try.
        """
        head = after or self.head()
        record = Audit(
            sequence=head.sequence + 1,
            action=action,
            by=by,
            at=at.isoformat(timespec="seconds"),
            reason=reason,
            version=version.version,
            previous=head.champion.version if head.champion else None,
            snapshot_digest=version.snapshot_digest,
            code=version.code,
            metrics_before=head.champion.metrics if head.champion else None,
            metrics_after=version.metrics,
        )
        if not self._store.create(self._audit_key(record.sequence), record.to_bytes()):
            raise StoreError(
                f"another change of the champion of {self.corpus} came in between: "
                f"{self._store.url_of(self._audit_key(record.sequence))}; run the step again"
            )
        self._store.write(
            f"{self.folder}/champion.json", Pointer(version=version.version, sequence=record.sequence).to_bytes()
        )
        return record

    def point(self, head: Head) -> None:
        """Let ``champion.json`` say what the log says."""
        assert head.champion is not None
        pointer = Pointer(version=head.champion.version, sequence=head.sequence)
        self._store.write(f"{self.folder}/champion.json", pointer.to_bytes())

    def backed(self, version: int) -> Backed | None:
        """The newest verified backup of a version, or None."""
        return self._find(self._backed_key(version), Backed)

    def set_backed(self, backed: Backed) -> None:
        """Remember a verified backup."""
        self._store.write(self._backed_key(backed.version), backed.to_bytes())

    def history(self) -> dict[str, bytes]:
        """Key and bytes of all but what the rest implies: what a backup keeps of the registry, in writing order."""
        keys = [*self._keys("versions"), *self._keys("runs"), *self._keys("audit")]
        return {key: self._store.read(key) for key in keys}

    def _head(self, sequence: int, pointer: Pointer | None) -> Head:
        try:
            version = self._read(self._audit_key(sequence), Audit).version
            return Head(sequence, self._read(self._version_key(version), Version), self._says(pointer, sequence))
        except NotFound as error:
            raise Corrupt(
                f"the registry of {self.corpus} names a record that is not there: {error}; "
                f"bring it back with `nightshift restore --corpus {self.corpus} --from BACKUP --force`"
            ) from error

    def _says(self, pointer: Pointer | None, sequence: int) -> bool:
        return pointer is not None and pointer.sequence == sequence

    def _find_or_create(self, version: Version) -> Version:
        while True:
            # One listing tells both whether it is there (killed before the index was written, or promoted by
            # somebody else just now) and which number is free: of two listings the second may show what the
            # first did not, and the same promotion would get a second number.
            keys = self._keys("versions")
            for key in keys:
                known = self._read(key, Version)
                if (known.run, known.digest) == (version.run, version.digest):
                    return known
            number = max((self._sequence(key) for key in keys), default=0) + 1
            numbered = version.model_copy(update={"version": number})
            if self._store.create(self._version_key(number), numbered.to_bytes()):
                return numbered

    def _keys(self, kind: str) -> list[str]:
        return [info.key for info in self._store.list(f"{self.folder}/{kind}/")]

    def _sequence(self, key: str) -> int:
        return int(key.rsplit("/", 1)[1].removesuffix(".json"))

    def _version_key(self, number: int) -> str:
        return f"{self.folder}/versions/{number:06d}.json"

    def _audit_key(self, sequence: int) -> str:
        return f"{self.folder}/audit/{sequence:06d}.json"

    def _backed_key(self, version: int) -> str:
        return f"{self.folder}/backups/{version:06d}.json"

    def _find(self, key: str, kind: type[_R]) -> _R | None:
        try:
            return self._read(key, kind)
        except NotFound:
            return None

    def _read(self, key: str, kind: type[_R]) -> _R:
        data = self._store.read(key)
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            advice = (
                "delete it: the next promote or rollback writes it anew from the audit records"
                if kind in (Pointer, RunIndex)
                else f"bring it back with `nightshift restore --corpus {self.corpus} --from BACKUP --force`"
            )
            raise Corrupt(f"{self._store.url_of(key)} is not a readable record; {advice}: {error}") from error
