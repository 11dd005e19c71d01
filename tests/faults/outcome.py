"""What a training left on the store, to compare with what the undisturbed one left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tasks.step import Context
from tasks.training import Training, load_model
from tasks.training.scoring import score


class Ended(Protocol):
    """Where a training was."""

    @property
    def context(self) -> Context:
        """For a look at what it left."""

    @property
    def training(self) -> Training:
        """It."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The committed parts: checksums of their files, their weights, and their numbers on the validation split."""

    checksums: tuple[str, ...]
    weights: tuple[Any, ...]
    accuracy: float
    macro_f1: float

    @classmethod
    def of(cls, place: Ended) -> Outcome:
        """Read it."""
        context, training = place.context, place.training
        checksums: list[str] = []
        weights: list[Any] = []
        metrics: dict[str, Any] = {}
        for part in training.parts:
            manifest = context.catalog.load(training.model(part), made_by="train")
            assert not context.catalog.damaged(manifest), f"part {part} is damaged"
            checksums += [f"{entry.role} {entry.sha256}" for entry in manifest.files]
            model: Any
            recipe, model = load_model(context, manifest)
            weights += model.weights
            scores, _ = score(context, training, "validation", {"part": (recipe, model)})
            metrics = scores["part"].metrics()
        return cls(tuple(checksums), tuple(weights), metrics["accuracy"], metrics["macro_f1"])

    def distance(self, other: Outcome) -> float:
        """The largest difference of any weight."""
        pairs = zip(self.weights, other.weights, strict=True)
        return float(max(np.abs(ours - theirs).max() for ours, theirs in pairs))


def corrupt_newest(place: Ended) -> str:
    """Change one byte in the newest checkpoint; returns its key."""
    folder = f"{place.training.model()}/checkpoints/"
    store = place.context.store
    key = max(info.key for info in store.list(folder) if info.key.endswith(".safetensors"))
    data = bytearray(store.read(key))
    data[len(data) // 2] ^= 0xFF
    store.write(key, bytes(data))
    return key
