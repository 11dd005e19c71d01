"""Where the faults happen: a real S3 server behind a turnstile, and on it a small training that is ready to start."""

from __future__ import annotations

import contextlib
import os
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
import yaml

from containers.embedded.ports import pick
from containers.embedded.seaweedfs import s3_environment, seaweedfs
from containers.embedded.service import Service
from tasks.catalog import Catalog
from tasks.combine import combine
from tasks.config import Corpus
from tasks.encode import encode
from tasks.prepare import prepare
from tasks.step import Context
from tasks.store import Store, open_store
from tasks.training import Training
from tests.faults.processes import MARK
from tests.faults.turnstile import Turnstile
from tests.published import Days, document

DAY = "2026-11-01"
LABELS = ("fruit", "metal", "stars")
_COMMON = 60
_OWN = 12


@dataclass(frozen=True, slots=True)
class Size:
    """How long a training takes; another one is another run, with weights of its own."""

    epochs: int = 30
    documents: int = 600

    @property
    def name(self) -> str:
        """One of its own, for folders."""
        return f"{self.epochs}-epochs-{self.documents}-documents"

    def corpus(self, workers: int) -> dict[str, Any]:
        """The corpus YAML of such a training."""
        recipe = {
            "epochs": self.epochs,
            "batch_size": 30,
            "max_tokens": 32,
            "dimension": 16,
            "filters": 16,
            "buckets": 16,
            "max_vocabulary": 200,
            "dropout": 0.1,
        }
        return {
            "corpus": "faults",
            "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
            "train": {"recipe": {"text_encoder": recipe}, "shards": 2},
            "resources": {
                "workers": workers,
                "checkpoints": {"every": "1s"},
            },
        }


QUICK = Size()
LONG = Size(epochs=150)


@dataclass(frozen=True, slots=True)
class Place:
    """One fault's own store, with all that comes before ``train`` in it."""

    ground: Ground
    size: Size
    url: str
    store: Store
    snapshot: str

    @property
    def training(self) -> Training:
        """The run; the number of workers is no part of it."""
        return Training.of(
            self.context.corpus, self.context.catalog.load(f"snapshots/faults/{self.snapshot}", made_by="snapshot")
        )

    @property
    def context(self) -> Context:
        """For a look at what was committed."""
        corpus = Corpus.model_validate(self.size.corpus(2))
        return Context(corpus, self.store, Catalog(self.store), structlog.get_logger())

    def yaml(self, workers: int) -> Path:
        """The corpus YAML for so many workers."""
        path = self.ground.folder / f"{self.size.name}-{workers}-workers" / "faults.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(self.size.corpus(workers)))
        return path


class Ground:
    """The server and what was prepared on it. Every fault gets a copy: none sees what another left."""

    def __init__(self, folder: Path, turnstile: Turnstile, port: int) -> None:
        self.folder = folder
        self.turnstile = turnstile
        self._port, self._secret = port, uuid.uuid4().hex
        self._server = self._made()
        self._prepared: dict[Size, Place] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that reaches the store through the turnstile; of this machine, it knows no settings."""
        ours = ("AWS_", "NIGHTSHIFT_", "MLFLOW_", "AIRFLOW_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            **s3_environment(self.turnstile.port, "faults", self._secret),
            "NIGHTSHIFT_LOG": "json",
            "PYTHONUNBUFFERED": "1",
            "NIGHTSHIFT_CPUS": "1",
        }

    def marked(self, mark: str) -> dict[str, str]:
        """The environment of a training whose processes are found by ``mark``."""
        return {**self.environment, MARK: mark}

    def start(self) -> None:
        """Bring the server up, over what it held before."""
        self._server = self._made()
        self._server.start()
        self._server.wait()

    def stop(self) -> None:
        """Take the server down as a crash would."""
        self._server.kill()
        self._server.stop()

    def place(self, name: str, size: Size = QUICK) -> Place:
        """A store of that fault's own."""
        made = self._prepared.get(size) or self._prepare(size)
        self._prepared[size] = made
        url = f"s3://faults/{name}-{uuid.uuid4().hex[:6]}"
        store = open_store(url, self._direct)
        for info in made.store.list(""):
            store.write(info.key, made.store.read(info.key))
        return replace(made, url=url, store=store)

    def _made(self) -> Service:
        data, log = self.folder / "s3", self.folder / "s3.log"
        return seaweedfs(data, port=self._port, access_key="faults", secret_key=self._secret, log=log)

    @property
    def _direct(self) -> dict[str, str]:
        return s3_environment(self._port, "faults", self._secret)

    def _prepare(self, size: Size) -> Place:
        url = f"s3://faults/prepared-{size.name}"
        store = open_store(url, self._direct)
        context = Context(Corpus.model_validate(size.corpus(2)), store, Catalog(store), structlog.get_logger())
        scratch = self.folder / f"prepared-{size.name}"
        scratch.mkdir()
        days = Days(context, scratch)
        days.publish(DAY, *documents(size.documents))
        snapshot = days.snapshot().manifest
        training = Training.of(context.corpus, snapshot)
        for shard in training.shards:
            prepare(context, training, shard)
        combine(context, training)
        for shard in training.shards:
            encode(context, training, shard)
        return Place(self, size, url, store, snapshot.partition)


@contextlib.contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """A ground in ``folder``, with its server up."""
    port = pick()
    with Turnstile(port) as turnstile:
        made = Ground(folder, turnstile, port)
        made.start()
        try:
            yield made
        finally:
            made.stop()


def documents(count: int) -> list[dict[str, Any]]:
    """Texts of drawn words, of which every third speaks of its label; learnable, but not in one epoch."""
    rows = []
    for number in range(count):
        draw = random.Random(number)
        label = LABELS[number % len(LABELS)]
        words = (
            f"{label}{draw.randrange(_OWN)}" if draw.random() < 0.2 else f"word{draw.randrange(_COMMON)}"
            for _ in range(30)
        )
        rows.append(document(f"http://site/{number}", f"{number} " + " ".join(words), label=label))
    return rows
