"""A store with a snapshot and all that comes before ``train``, made by the real steps of drawn words."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import structlog

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.step import Context
from tasks.store import open_store
from tasks.training import Training
from tests.published import Days, document

DAY = "2026-11-01"
PROGRAM = (sys.executable, "-c", "from tasks.cli import main; main()")


@dataclass(frozen=True, slots=True)
class Texts:
    """What the documents look like."""

    count: int
    words: int
    vocabulary: int
    labels: int = 8
    clear: float = 0.08
    """Share of a text's words that speak of its label."""
    confused: float = 0.1
    """Share of documents with another label than they speak of: what no model gets right."""
    held_out: float = 0.05
    """Share of the documents to validate on."""

    def rows(self) -> list[dict[str, Any]]:
        """The documents; word ``n`` is about ``n`` times rarer than the first."""
        common = [f"word{i}" for i in range(self.vocabulary)]
        weights = list(accumulate(1 / (i + 2) for i in range(self.vocabulary)))
        rows = []
        for number in range(self.count):
            draw = random.Random(number)
            label = said = number % self.labels
            if draw.random() < self.confused:
                label = draw.randrange(self.labels)
            words = draw.choices(common, cum_weights=weights, k=self.words)
            for place in range(self.words):
                if draw.random() < self.clear:
                    # Neighbouring labels share half of their words.
                    words[place] = f"topic{(said * 20 + draw.randrange(40)) % (self.labels * 20)}"
            rows.append(document(f"http://site/{number}", f"{number} " + " ".join(words), label=f"label{label}"))
        return rows


@dataclass(frozen=True, slots=True)
class Place:
    """One training, ready to start, as often as copies of it are made."""

    folder: Path
    snapshot: str

    @property
    def store(self) -> str:
        return f"file://{self.folder}/store"

    @property
    def yaml(self) -> Path:
        return self.folder / "bench.yaml"

    @property
    def context(self) -> Context:
        store = open_store(self.store, {})
        corpus = Corpus.model_validate(json.loads(self.yaml.read_text()))
        return Context(corpus, store, Catalog(store), structlog.get_logger())

    def command(self, step: str, *options: str) -> list[str]:
        """The command line of a step."""
        given = [f"--corpus={self.yaml}", f"--snapshot={self.snapshot}", f"--store={self.store}", "--json"]
        return [*PROGRAM, step, *given, *options]

    def run(self, step: str, *options: str) -> dict[str, Any]:
        """Run a step; returns its result.

        Raises:
            SystemExit: it failed; with what it said.
        """
        done = subprocess.run(self.command(step, *options), env=environment(), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{step} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    @property
    def training(self) -> Training:
        """The run."""
        context = self.context
        snapshot = context.catalog.load(f"snapshots/bench/{self.snapshot}", made_by="snapshot")
        return Training.of(context.corpus, snapshot)

    def copy(self, folder: Path) -> Place:
        """The same, and nothing that is done there is seen here."""
        shutil.copytree(self.folder, folder)
        return Place(folder, self.snapshot)

    def ready(self, train: Mapping[str, Any]) -> Place:
        """With another section ``train``: features and, for a mirrored recipe, examples are made anew."""
        corpus = json.loads(self.yaml.read_text())
        self.yaml.write_text(json.dumps({**corpus, "train": dict(train)}))  # JSON is YAML
        training = self.training
        for shard in training.shards:
            self.run("prepare", f"--shard={shard}")
        self.run("combine")
        for shard in training.shards if training.mirrored else ():
            self.run("encode", f"--shard={shard}")
        return self


def environment() -> dict[str, str]:
    """Of a process that knows no settings of this machine; one thread computes in each."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTSHIFT_", "AWS_", "TF_CONFIG"))}
    return {**kept, "NIGHTSHIFT_LOG": "json", "NIGHTSHIFT_CPUS": "1", "OMP_NUM_THREADS": "1"}


def publish(folder: Path, texts: Texts, **sections: Any) -> Place:
    """A snapshot of drawn documents; ``ready`` makes a training of it."""
    folder.mkdir()
    corpus = {
        "corpus": "bench",
        "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
        "split": {"ratios": {"train": 0.95 - texts.held_out, "validation": texts.held_out, "test": 0.05}},
        "train": {"recipe": "tfidf_forest"},
        **sections,
    }
    place = Place(folder, "")
    place.yaml.write_text(json.dumps(corpus))
    days = Days(place.context, folder)
    days.publish(DAY, *texts.rows())
    return Place(folder, days.snapshot().manifest.partition)
