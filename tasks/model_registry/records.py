"""What the registry keeps: versions, changes of the champion, backups."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["promote", "rollback", "restore"]


class Record(BaseModel):
    """One JSON object under ``models/<corpus>/registry/``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode()


class Version(Record):
    """One model that was promoted at least once: ``versions/<number>.json``, never rewritten."""

    version: int
    corpus: str
    run: str
    folder: str
    """Folder of the model's manifest, kept by ``digest`` whatever its pointer says later."""
    digest: str
    report: str
    """Folder of the report of its evaluation."""
    report_digest: str
    snapshot: str
    """Id of the snapshot that it was trained on."""
    snapshot_digest: str
    recipe: str
    label: str = "label"
    """The column it learned to predict."""
    metrics: dict[str, Any]
    """``{"validation": …, "test": …}`` as the report has them."""
    code: dict[str, Any]
    search: dict[str, Any] | None = None
    """The search that found its parameters: where it lies, and which trial they are of."""
    created: str
    """ISO 8601, UTC."""


Champion = Version


class Audit(Record):
    """One change of the champion: ``audit/<sequence>.json``, never rewritten."""

    sequence: int
    action: Action
    by: str
    """Who or what: a person, or the run of a DAG."""
    at: str
    reason: str = ""
    version: int
    previous: int | None
    snapshot_digest: str
    code: dict[str, Any]
    metrics_before: dict[str, Any] | None
    metrics_after: dict[str, Any]


class Backed(Record):
    """That a version was copied to a backup store and read back there: ``backups/<number>.json``."""

    version: int
    url: str
    """The backup's inventory."""
    files: int
    bytes: int
    verified: bool
    at: str


class Pointer(Record):
    """``champion.json``: the version in use, and the audit record that made it so."""

    version: int
    sequence: int


class RunIndex(Record):
    """``runs/<run>.json``: the version that a training became, so that finding it reads one object."""

    version: int
