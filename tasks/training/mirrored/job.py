"""One mirrored training as data: what it reads, what it will commit, whether it is done. Without TensorFlow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import cast

from tasks.catalog import FileEntry
from tasks.errors import BadInput
from tasks.models.base import MirroredRecipe, files_of
from tasks.step import Context, Shard, Step, StepResult
from tasks.training.runs import Training
from tasks.training.work import claim
from tasks.work import Read, Work, read

STEP = Step("train", 2, ("pyarrow", "numpy"))
"""The loop's own version; the recipe's libraries, TensorFlow among them, are in the run's id."""


def mirrored(training: Training) -> MirroredRecipe:
    """The training's recipe, which must be one whose workers train in step.

    Raises:
        BadInput: its shards are fitted alone.
    """
    if not training.mirrored:
        raise BadInput(
            f"recipe {training.corpus.train.recipe.name} is sharded: its shards are fitted alone, "
            "there is nothing to encode and no gang to train it"
        )
    return cast(MirroredRecipe, training.recipe)


def encode_command(training: Training, shard: Shard) -> str:
    """The command that encodes one shard."""
    return f"encode --snapshot {training.snapshot_id} --shard {shard}"


@dataclass(frozen=True, slots=True)
class Job:
    """What the workers of one training share: the recipe, the features, the encoded shards, the parts to commit."""

    context: Context
    training: Training
    recipe: MirroredRecipe
    features: Read
    examples: tuple[Read, ...]
    """One a shard."""

    @classmethod
    def of(cls, context: Context, training: Training) -> Job:
        """The job of a training whose shards are encoded.

        Raises:
            BadInput: the recipe is not mirrored, or a shard is not encoded.
        """
        recipe = mirrored(training)
        features = read(context, training.features(), f"combine --snapshot {training.snapshot_id}")
        examples = tuple(
            read(context, training.examples(shard), encode_command(training, shard)) for shard in training.shards
        )
        return cls(context, training, recipe, features, examples)

    def work(self, part: Shard) -> Work:
        """The work of one part."""
        return claim(self.context, self.training, STEP, self.training.model(part), [self.features, *self.examples])

    @property
    def fingerprint(self) -> str:
        """Of inputs, configuration and code: a checkpoint of another one is foreign."""
        return self.work(self.training.parts[0]).fingerprint

    def done(self) -> StepResult | None:
        """The result of an earlier training over the same intact inputs, if every part of it is intact; or None.

        Raises:
            Corrupt: an input's stored bytes are not the committed ones.
        """
        results = [self.work(part).done() for part in self.training.parts]
        if any(result is None for result in results):
            return None
        assert results[0] is not None
        return replace(results[0], counts={**results[0].counts, "parts": len(results)})

    def files(self, split: str) -> list[FileEntry]:
        """The encoded files of one split, by shard."""
        return [entry for shard in self.examples for entry in shard.manifest.of_role(split)]

    def labels(self) -> dict[int, int]:
        """Examples of the train split by the number of their label; empty for a recipe without labels."""
        counted: Counter[int] = Counter()
        for shard in self.examples:
            counted.update({int(label): rows for label, rows in shard.manifest.details["labels"].items()})
        return dict(sorted(counted.items()))

    def require_files(self) -> None:
        """Refuse to train with other files beside the corpus, as pretrained weights, than were there at encoding.

        Raises:
            BadInput: one was replaced since, or no shard was encoded with it.
        """
        there = files_of(self.recipe)
        for shard, read_ in zip(self.training.shards, self.examples, strict=True):
            encoded = read_.manifest.details.get("files", {})
            if other := sorted(name for name in {*there, *encoded} if there.get(name) != encoded.get(name)):
                raise BadInput(
                    f"train.recipe.{self.training.corpus.train.recipe.name}: {', '.join(other)} is not the file that "
                    f"shard {shard} was encoded with: a model would be half of one, half of the other. Run "
                    f"{encode_command(self.training, shard)} again, or put the file back"
                )

    def require_learnable(self, workers: int) -> None:
        """Refuse what no training can come of, before a worker starts.

        Raises:
            BadInput: no examples, examples of one label only, fewer examples than workers, nothing to validate on
                where training stops by it, or class weights without labels.
        """
        params, name = self.recipe.params, self.training.corpus.train.recipe.name
        total = sum(entry.rows for entry in self.files("train"))
        left_out = sum(shard.manifest.counts["unseen"] for shard in self.examples)
        of = f"snapshot {self.training.snapshot_id} ({self.training.corpus.corpus})"
        if not total:
            raise BadInput(
                f"the train split of {of} has no examples: {left_out} rows were left out for a label that the features "
                f"do not know; check train.label ({self.training.corpus.train.label!r}) and clean.labels"
            )
        labels = self.labels()
        if len(labels) == 1:
            raise BadInput(
                f"the {total} examples of the train split of {of} have one label only: a classifier needs two; check "
                f"train.label ({self.training.corpus.train.label!r}) and clean.labels"
            )
        if workers > total:
            raise BadInput(
                f"resources.workers is {workers}, but the train split of {of} has {total} examples: lower it to at "
                f"most {total}"
            )
        if params.early_stopping and not sum(entry.rows for entry in self.files("validation")):
            raise BadInput(
                f"train.recipe.{name}.early_stopping watches the validation split, but none of its rows in {of} has a "
                "label that was seen in training: raise split.ratios.validation, or set early_stopping: null"
            )
        if params.class_weight and not labels:
            raise BadInput(
                f"train.recipe.{name}.class_weight is {params.class_weight}, but its examples have no label: set "
                "class_weight: null"
            )
