"""One trial: a training apart with parameters that the trials before it suggest, measured on the validation split."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.catalog import Manifest
from tasks.errors import BadInput, Lacking, Outpaced
from tasks.searching.bench import judge, seat, seen
from tasks.searching.study import Record, Referee, drawn
from tasks.snapshot import STEP as SNAPSHOT
from tasks.snapshot import snapshot_folder
from tasks.step import Context, Step, StepResult
from tasks.training.apart import alone, apart, judged
from tasks.training.runs import Training
from tasks.work import Read, Work, read

if TYPE_CHECKING:
    from tasks.searching.hunt import Hunt

STEP = Step("search", 1, ("optuna", "pyarrow", "numpy"))


def reads_of(context: Context, hunt: Hunt, numbers: range) -> list[Read]:
    """The manifests of trials that have ended.

    Raises:
        BadInput: one has not; names the command that makes it.
    """
    return [read(context, hunt.trial(number), hunt.made_by(number)) for number in numbers]


def record_of(told: Read) -> Record:
    """What a trial's manifest says of it."""
    return Record.from_json(told.manifest.details["trial"])


def trial(context: Context, hunt: Hunt, number: int, corpus: str) -> StepResult:
    """Train and measure with one trial's parameters; ``details["trial"]`` of its manifest tells all, without files.

    ``corpus`` is what ``--corpus`` said. Parameters under which training fails are a result too: ``failed``, and why.

    Raises:
        BadInput: a trial of an earlier round has not ended.
        Corrupt: a file of train or validation is not the committed one.
    """
    reads = reads_of(context, hunt, hunt.before(number))
    work = Work(context, STEP, hunt.trial(number), name=hunt.id, config=hunt.id, reads=reads)
    if done := work.done():
        return done
    before = [record_of(each) for each in reads]
    params = drawn(hunt.search, hunt.direction, number, before)
    context.log.info("trial", number=number, learned_from=len(before), **params)
    record = _record(context, hunt, number, params, before, corpus)
    told = f"trial {number} {record.state}" + (f": {record.message}" if record.message else "")
    counts = {"trial": number, "state": record.state, hunt.measure.name: record.value}
    return work.commit([], counts=counts, details={"trial": record.to_json()}, message=told)


def _record(
    context: Context, hunt: Hunt, number: int, params: Mapping[str, Any], before: list[Record], corpus: str
) -> Record:
    with apart(context) as there:
        bench = Path(there.env["TMPDIR"]) / "trial.json"
        try:
            value = _measured(there, context, hunt, number, params, before, corpus, bench)
        except Lacking:
            raise  # of this machine, and not of the parameters
        except (Outpaced, BadInput) as error:
            told, attributes = seen(bench)
            state = "pruned" if isinstance(error, Outpaced) else "failed"
            return Record(number, params, state, None, told, attributes, str(error))  # type: ignore[arg-type]
        told, attributes = seen(bench)
    return Record(number, params, "complete", value, told, attributes)


def _measured(
    there: Context,
    context: Context,
    hunt: Hunt,
    number: int,
    params: Mapping[str, Any],
    before: list[Record],
    corpus: str,
    bench: Path,
) -> float:
    tried = alone(hunt.with_parameters(params))
    training = Training.of(tried, _seen_alone(context, hunt, there))
    there = replace(there, corpus=tried)
    last = tried.train.recipe.params.epochs if training.mirrored else len(training.shards)
    referee = None
    if pruning := hunt.search.pruner:
        there = replace(there, env={**there.env, **seat(bench, pruning, hunt.direction, last, number, before)})
        referee = Referee(pruning, hunt.direction, last, number, before)

    def after_part(count: int, metrics: Mapping[str, Any]) -> None:
        if referee and count < last:
            judge(referee, count, float(metrics[hunt.measure.name]), bench)

    value = judged(there, training, corpus, after_part).get(hunt.measure.name)
    if value is None:
        raise BadInput(f"no row of the validation split can be judged by {hunt.measure.title}")
    if not math.isfinite(value):  # a study takes no such value, and nothing is better or worse than it
        raise BadInput(f"{hunt.measure.title} is {value} under these parameters: is the learning rate too high?")
    return float(value)


def _seen_alone(context: Context, hunt: Hunt, there: Context) -> Manifest:
    """The snapshot as a trial has it, on the store of ``there``: train and validation. There is no test split."""
    name, corpus = hunt.id, hunt.corpus.corpus
    folder = snapshot_folder(corpus, name)
    files = []
    for number, entry in enumerate(hunt.files):
        path = context.catalog.fetch(entry, Path(there.env["TMPDIR"]) / f"{number}.parquet")
        files.append(there.catalog.add_file(folder, entry.role, path, _sha256(path), rows=entry.rows))
        path.unlink()
    manifest = Manifest(
        step=SNAPSHOT.name,
        corpus=corpus,
        partition=name,
        fingerprint=name,
        code=SNAPSHOT.code(),
        config="",
        inputs=(),
        files=tuple(files),
    )
    there.catalog.commit(folder, manifest)
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
