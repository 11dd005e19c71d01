"""A whole training on a store of its own, of which nothing stays but what is told of it: a fold, or a trial."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.catalog import Catalog
from tasks.combine import combine
from tasks.command import VARIABLE, corpus_path
from tasks.config import Corpus, yaml12
from tasks.encode import encode
from tasks.evaluate import evaluate_part
from tasks.gang.scratch import scratch
from tasks.merge import merge
from tasks.prepare import prepare
from tasks.step import Context
from tasks.store import open_store
from tasks.train import train
from tasks.training.models import load_model
from tasks.training.runs import Training


@contextmanager
def apart(context: Context) -> Iterator[Context]:
    """The same context over an empty store on this machine, gone afterwards; one worker trains at a time.

    There is no champion on it, so that every training begins at random.
    """
    with scratch(context.env) as environment:
        environment.pop("NIGHTSHIFT_RESULT_FILE", None)  # what its processes end with is not this one's result
        store = open_store(f"file://{Path(environment['TMPDIR']) / 'store'}", environment)
        yield replace(
            context,
            corpus=alone(context.corpus),
            store=store,
            catalog=Catalog(store),
            env=environment,
        )


def alone(corpus: Corpus) -> Corpus:
    """The same trained by one worker, with the parameters that it has."""
    changed: dict[str, Any] = {"federated": None, "freeze": ()} | ({"strategy": None} if _asynchronous(corpus) else {})
    train = corpus.train.model_copy(update=changed)
    resources = corpus.resources.model_copy(update={"workers": 1})
    return corpus.model_copy(update={"train": train, "resources": resources, "search": None})


def _asynchronous(corpus: Corpus) -> bool:
    return corpus.train.strategy == "parameter_server"


def judged(
    context: Context,
    training: Training,
    corpus: str,
    after_part: Callable[[int, Mapping[str, Any]], None] = lambda count, metrics: None,
) -> dict[str, Any]:
    """Every step from the features to the merged model; its metrics on the snapshot's validation split.

    ``corpus`` is what ``--corpus`` said. ``after_part`` is told, of a sharded recipe, how many parts are fitted and
    what the last one measures, if it has rows; what it raises ends the training.

    Raises:
        BadInput: nothing can be learned from the snapshot.
    """
    from tasks.training.scoring import score

    for shard in training.shards:
        prepare(context, training, shard)
    combine(context, training)
    if training.mirrored:
        from tasks.gang.start import start_all

        for shard in training.shards:
            encode(context, training, shard)
        start_all(context, training, written(context, training, corpus), None)
    else:
        for number in range(training.rounds - 1):
            for shard in training.shards:
                train(context, training, shard, number)
        for count, shard in enumerate(training.shards, start=1):
            train(context, training, shard)
            evaluate_part(context, training, shard)
            report = context.catalog.load(training.report(shard), made_by="evaluate")
            if (metrics := report.details["metrics"]["validation"])["rows"]:
                after_part(count, metrics)
    for part in training.parts:
        evaluate_part(context, training, part)
    merge(context, training)
    model = context.catalog.load(training.model(), made_by="merge")
    judges, _ = score(context, training, "validation", {"model": load_model(context, model)})
    return judges["model"].metrics()


def written(context: Context, training: Training, corpus: str) -> str:
    """The YAML of this very training, as its processes are to read it: with these parameters, and nothing to search."""
    if corpus.startswith(VARIABLE):
        text = os.environ[corpus.removeprefix(VARIABLE)]
    else:
        text = corpus_path(corpus).read_text(encoding="utf-8")
    raw = yaml12.parse(text)
    recipe = training.corpus.train.recipe
    raw["train"]["recipe"] = {recipe.name: _unsubstituted(recipe.params.model_dump(mode="json"))}
    raw["train"]["seed"] = training.corpus.train.seed
    raw.pop("search", None)
    raw["train"].pop("federated", None)
    raw["train"].pop("freeze", None)  # of a champion's layers, and here there is none
    if training.corpus.train.strategy is None:
        raw["train"].pop("strategy", None)
    path = Path(context.env["TMPDIR"]) / f"{training.corpus.corpus}.yaml"
    path.write_text(json.dumps(raw, ensure_ascii=False), encoding="utf-8")  # JSON is YAML, and read without surprises
    return str(path)


def _unsubstituted(value: Any) -> Any:
    """A value as a YAML file has it: its variables are replaced already, and what looks like one is none."""
    if isinstance(value, dict):
        return {name: _unsubstituted(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_unsubstituted(each) for each in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
