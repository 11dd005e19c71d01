"""``nightshift merge``: unite or average the part models into a candidate, or fall back to the best part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import click

from tasks.command import step_command
from tasks.errors import BadInput
from tasks.judging.base import headline, measures_of
from tasks.models._voting import Votes
from tasks.models.base import MirroredRecipe, ShardedRecipe
from tasks.step import Context, Shard, Step, StepResult
from tasks.training import Training, load_model, store_model
from tasks.training.models import scoring
from tasks.training.work import claim, open_training
from tasks.work import Read, read

STEP = Step("merge", 1, ("pyarrow",))


@dataclass(frozen=True, slots=True)
class Part:
    """One part's model, of a shard or an epoch, and what its evaluation says of it."""

    shard: Shard
    model: Read
    report: Read

    @property
    def name(self) -> str:
        return f"part {self.shard}"

    @property
    def rows(self) -> int:
        return int(self.model.manifest.counts["rows"])

    @property
    def validation(self) -> dict[str, Any]:
        return dict(self.report.manifest.details["metrics"]["validation"])


def merge(context: Context, training: Training) -> StepResult:
    """The parts as one model, files of role ``model`` under ``models/<corpus>/<run>/``.

    ``train.merge`` says how, or else the recipe does: the union of a forest's trees, the average of the epochs
    that a mirrored recipe kept, a vote. Parts weigh by their rows. A merged model whose macro-F1 on validation
    lies more than ``train.merge_tolerance`` under the best part's is refused: that part becomes the candidate; not
    where shards were fitted in rounds, whose merged model is that of all rows.
    ``counts["chosen"]`` says which (the way, or ``part i/n``), ``details["validation"]`` has the numbers of all.

    Raises:
        BadInput: a part or its evaluation is missing or outdated, or every part is empty.
    """
    every = [_part(context, training, shard) for shard in training.parts]
    work = claim(context, training, STEP, training.model(), [r for part in every for r in (part.model, part.report)])
    if done := work.done():
        return done
    parts = [part for part in every if part.rows]
    if not parts:
        raise BadInput(
            f"every part of run {training.run} ({training.corpus.corpus}) is empty: the train split of snapshot "
            f"{training.snapshot_id} has no labelled rows"
        )
    validation = {part.name: _headline(part.validation) for part in parts}
    models = [load_model(context, part.model.manifest)[1] for part in parts]
    chosen, model, message = parts[0].name, models[0], "one part has rows: it is the candidate as it is"
    if len(parts) > 1:
        merged = training.corpus.train.merge or training.recipe.merges[0]
        total = sum(part.rows for part in parts)
        union = _merged(training, merged, models, [part.rows / total for part in parts])
        validation[merged] = _headline(_validate(context, training, union))
        if training.rounds > 1:  # a part is no model of its own: it is a shard's share of a step
            chosen, message = (
                merged,
                f"the {merged} of the last of {training.rounds} rounds, which are those of all rows",
            )
        else:
            chosen, message = _choose(validation, merged, training.corpus.train.merge_tolerance)
        model = dict(zip(validation, [*models, union], strict=True))[chosen]
        context.log.info("chosen", model=chosen, reason=message)
    files, details = store_model(context, training, training.model(), model)
    counts = {
        "chosen": chosen,
        "parts": len(parts),
        "empty_parts": len(every) - len(parts),
        "rows": parts[0].rows if training.mirrored else sum(part.rows for part in parts),
        **scoring(training, model).facts(model),
    }
    details |= {
        "chosen": chosen,
        "reason": message,
        "validation": validation,
        "tolerance": training.corpus.train.merge_tolerance,
        "snapshot": {"id": training.snapshot_id, "digest": training.snapshot.digest()},
        "warm_start": parts[0].model.manifest.details.get("warm_start"),
    }
    return work.commit(files, counts=counts, details=details, message=message)


def _part(context: Context, training: Training, shard: Shard) -> Part:
    snapshot = training.snapshot_id
    model = read(context, training.model(shard), training.made_by(shard))
    again = f"evaluate --snapshot {snapshot} --part {shard}"
    report = read(context, training.report(shard), again)
    if model.manifest.digest() not in {source.digest for source in report.manifest.inputs}:
        raise BadInput(
            f"the evaluation of part {shard} of run {training.run} ({training.corpus.corpus}) is about an older model: "
            f"run `nightshift {again}` again"
        )
    return Part(shard, model, report)


def _merged(training: Training, way: str, models: list[Any], weights: list[float]) -> Any:
    """One model of several, by a way of the recipe's or by the one that all have."""
    if way == "vote":
        return Votes(models, weights)
    return cast(MirroredRecipe | ShardedRecipe, training.recipe).merge(models, weights)


def _validate(context: Context, training: Training, model: Any) -> dict[str, Any]:
    from tasks.training.scoring import score

    scores, _ = score(context, training, "validation", {"union": (scoring(training, model), model)})
    return scores["union"].metrics()


def _headline(metrics: dict[str, Any]) -> dict[str, Any]:
    return headline(metrics)


def _choose(validation: dict[str, dict[str, Any]], merged: str, tolerance: float) -> tuple[str, str]:
    """The merged model, unless it is worse than the best part by more than ``tolerance``; and why."""
    leading = measures_of(validation[merged])[0]
    scores = {name: numbers[leading.name] for name, numbers in validation.items()}
    sign = 1 if leading.rising else -1
    best = max((name for name in scores if name != merged), key=lambda name: sign * scores[name])
    if leading.gain(scores[merged], scores[best]) < -tolerance:
        where = "under" if leading.rising else "over"
        return best, (
            f"the {merged}'s {leading.title} {scores[merged]:.4f} lies more than train.merge_tolerance ({tolerance}) "
            f"{where} {best}'s {scores[best]:.4f}: {best} is the candidate"
        )
    return (
        merged,
        f"the {merged}'s {leading.title} is {scores[merged]:.4f}, the best part's ({best}) {scores[best]:.4f}",
    )


@step_command("merge", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
def command(context: Context, snapshot: str) -> StepResult:
    """Unite the part models into the candidate; a union worse than its best part gives way to that part."""
    return merge(context, open_training(context, snapshot))
