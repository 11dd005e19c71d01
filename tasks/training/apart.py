"""A whole training on a store of its own, of which nothing stays but what is told of it: a fold, or a trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.catalog import Catalog
from tasks.combine import combine
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
    corpus = context.corpus
    alone = corpus.resources.model_copy(update={"workers": 1})
    with scratch(context.env) as environment:
        environment.pop("NIGHTSHIFT_RESULT_FILE", None)  # what its processes end with is not this one's result
        store = open_store(f"file://{Path(environment['TMPDIR']) / 'store'}", environment)
        yield replace(
            context,
            corpus=corpus.model_copy(update={"resources": alone}),
            store=store,
            catalog=Catalog(store),
            env=environment,
        )


def judged(context: Context, training: Training, corpus: str) -> dict[str, Any]:
    """Every step from the features to the merged model; its metrics on the snapshot's validation split.

    ``corpus`` is what ``--corpus`` said.

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
        start_all(context, training, corpus, None)
    else:
        for shard in training.shards:
            train(context, training, shard)
    for part in training.parts:
        evaluate_part(context, training, part)
    merge(context, training)
    model = context.catalog.load(training.model(), made_by="merge")
    judges, _ = score(context, training, "validation", {"model": load_model(context, model)})
    return judges["model"].metrics()
