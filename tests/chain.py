"""The whole chain of one corpus, step after step in this process, over a file: as the DAGs run it."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import structlog
import yaml

from tasks.backup import backup, open_vault
from tasks.catalog import Catalog
from tasks.clean import clean_all
from tasks.combine import combine
from tasks.config import Corpus
from tasks.crawl import crawl
from tasks.dedup import dedup
from tasks.encode import encode
from tasks.evaluate import evaluate, evaluate_part
from tasks.gang.start import start_all
from tasks.gate import gate
from tasks.merge import merge
from tasks.prepare import prepare
from tasks.promote import promote
from tasks.snapshot import resolve, snapshot
from tasks.split import split
from tasks.step import Context
from tasks.store import open_store
from tasks.train import train
from tasks.training import Training
from tasks.upload import upload

AT = datetime(2026, 11, 21, 3, tzinfo=UTC)
DAY = "2026-11-21"


class Chain:
    """One corpus over a local store of its own."""

    def __init__(self, folder: Path, corpus: dict[str, Any]) -> None:
        store = open_store(f"file://{folder}/store", {})
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTSHIFT_")}
        env = {**kept, "NIGHTSHIFT_BACKUP": f"file://{folder}/backups", "NIGHTSHIFT_CPUS": "1"}
        self._yaml = folder / f"{corpus['corpus']}.yaml"
        self._yaml.write_text(yaml.safe_dump(corpus))
        self.context = Context(Corpus.model_validate(corpus), store, Catalog(store), structlog.get_logger(), env)

    def ingest(self, day: str = DAY, *, gates: bool = True) -> None:
        """From the source to a published partition."""
        context = self.context
        crawl(context, day, today=date.fromisoformat(day))
        self._gate(gates, "raw", day)
        clean_all(context, day)
        dedup(context, day)
        self._gate(gates, "clean", day)
        split(context, day)
        self._gate(gates, "splits", day)
        upload(context, day)

    def retrain(self, *, gates: bool = True, promoted: bool = True) -> Training:
        """From the snapshot to a champion; of a mirrored recipe on ``resources.workers`` real workers."""
        context = self.context
        name = snapshot(context).manifest.rsplit("/", 2)[-2]
        training = Training.of(context.corpus, resolve(context, name))
        for shard in training.shards:
            prepare(context, training, shard)
        combine(context, training)
        self._gate(gates, "features", snapshot=name)
        self._train(training)
        for part in training.parts:
            evaluate_part(context, training, part)
        merge(context, training)
        evaluate(context, training, AT)
        self._gate(gates or promoted, "model", snapshot=name)
        if promoted:
            promote(context, training, by="test", at=AT)
            backup(context, open_vault(context, None), at=AT)
        return training

    def _train(self, training: Training) -> None:
        context = self.context
        if not training.mirrored:
            for number in range(training.rounds):
                for shard in training.shards:
                    train(context, training, shard, number)
            return
        for shard in training.shards:
            encode(context, training, shard)
        start_all(context, training, str(self._yaml), None)

    def metrics(self, training: Training) -> dict[str, Any]:
        """The candidate's report."""
        report = self.context.catalog.load(training.report(), made_by="evaluate")
        return dict(report.details["metrics"])

    def _gate(self, wanted: bool, stage: str, day: str | None = None, snapshot: str | None = None) -> None:
        if wanted:
            gate(self.context, stage, partition=day, snapshot=snapshot)
