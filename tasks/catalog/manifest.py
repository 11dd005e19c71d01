"""The JSON that commits a step's output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import Corrupt
from tasks.section import digest_of


class FileEntry(BaseModel):
    """One committed file. ``key`` is relative to the store's root and never overwritten."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    key: str
    role: str
    size: int
    sha256: str
    rows: int = 0
    etag: str = ""
    """The store's ETag when the file was committed: lets a no-op trust it without reading it. Volatile."""


class Input(BaseModel):
    """One input of a step: a manifest's folder, or an outside file's URL, with its digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    digest: str


class Manifest(BaseModel):
    """Files, counts and the digests of everything that made them.

    ``digest()`` leaves out ``volatile`` and the files' ETags: equal work has an equal digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    step: str
    corpus: str
    partition: str
    """The partition, or the id of the snapshot, training or gate."""
    fingerprint: str
    """Digest of inputs, configuration and code: the same fingerprint makes a no-op."""
    code: dict[str, Any]
    config: str
    """Digest of the part of the corpus YAML that the step depends on."""
    inputs: tuple[Input, ...] = ()
    files: tuple[FileEntry, ...] = ()
    counts: dict[str, Any] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    """What later steps read beside the files."""
    volatile: dict[str, Any] = Field(default_factory=dict)
    """Times, hosts, seconds: differs between equal runs."""

    def digest(self) -> str:
        """sha256 (hex) over all that does not change between equal runs."""
        # By way of the stored text, so that it is the same again for whoever reads the manifest back.
        text = self.model_dump_json(exclude={"volatile": True, "files": {"__all__": {"etag"}}})
        return digest_of(json.loads(text))

    def of_role(self, *roles: str) -> list[FileEntry]:
        """The files of the given roles, in committed order."""
        return [f for f in self.files if f.role in roles]

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes, url: str) -> Manifest:
        """Parse a stored manifest.

        Raises:
            Corrupt: the bytes at ``url`` are not a manifest of this format.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise Corrupt(f"{url} is not a readable manifest: {f'{key}: ' if key else ''}{first['msg']}") from error


def fingerprint(code: Mapping[str, Any], config: str, inputs: Iterable[Input]) -> str:
    """Digest of what determines a step's output."""
    return digest_of({"code": dict(code), "config": config, "inputs": [i.model_dump() for i in inputs]})
