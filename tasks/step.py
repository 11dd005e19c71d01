"""What every step is made of: its declaration, its context, its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tasks.catalog import Catalog
    from tasks.config import Corpus
    from tasks.store import Store


@dataclass(frozen=True, slots=True)
class Step:
    """The identity of a step's code: raise ``version`` when the same input gives other output."""

    name: str
    version: int
    libraries: tuple[str, ...] = ()

    def code(self) -> dict[str, Any]:
        """Declared version and the installed versions of the libraries that shape the output."""
        return {"step": self.name, "version": self.version, "libraries": {n: version(n) for n in self.libraries}}


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` of ``count`` equal claims on the work, written ``index/count``."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def folder(self) -> str:
        """The name of this shard's folder on the store."""
        return f"{self.index}-of-{self.count}"


@dataclass(frozen=True, slots=True)
class Context:
    """What a step works on: one corpus, one store, and a logger bound to both."""

    corpus: Corpus
    store: Store
    catalog: Catalog
    log: FilteringBoundLogger
    env: Mapping[str, str] = field(default_factory=dict)
    """The deployment's settings, for the few steps that reach another service (MLflow, the backup)."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step returns; ``to_json`` is the object that the command prints with ``--json``."""

    step: str
    corpus: str
    manifest: str
    """URL of the manifest that commits the step's output."""
    partition: str | None = None
    noop: bool = False
    counts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "corpus": self.corpus,
            "partition": self.partition,
            "manifest": self.manifest,
            "noop": self.noop,
            "counts": dict(self.counts),
            "seconds": round(self.seconds, 3),
            "message": self.message,
        }
