"""A training over real text: Python's own documentation of its packages, rendered by pydoc; label = package."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import pkgutil
import pydoc
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.evaluate import evaluate_part
from tasks.merge import merge
from tasks.prepare import prepare
from tasks.step import Context
from tasks.store import Store
from tasks.train import train
from tasks.training import Training, load_model

pytestmark = pytest.mark.integration

LIBRARIES = (
    "asyncio",
    "email",
    "unittest",
    "http",
    "logging",
    "xml",
    "click",
    "jinja2",
    "rich",
    "urllib3",
    "structlog",
)
PER_LIBRARY = 40
NIGHTSHIFT = str(Path(sys.executable).with_name("nightshift"))

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def documents() -> Rows:
    """A few hundred pages in a fixed order; the library's own name is taken out of the text."""
    pages = [page for library in LIBRARIES for page in _pages(library)[:PER_LIBRARY]]
    random.Random(0).shuffle(pages)
    return pages


def _pages(library: str) -> Rows:
    package = importlib.import_module(library)
    names = [
        library,
        *(f"{library}.{m.name}" for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")),
    ]
    pages: Rows = []
    for name in names:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for key, value in sorted(vars(module).items()):
            mine = inspect.isclass(value) or inspect.isfunction(value)
            if key.startswith("_") or not mine or value.__module__ != name:
                continue
            text = re.sub(library, "", pydoc.plain(pydoc.render_doc(value))[:20_000], flags=re.IGNORECASE)
            if len(text) > 400:
                pages.append({"url": f"http://docs/{name}.{key}", "text": text, "label": library})
    random.Random(library).shuffle(pages)
    return pages


def split(documents: Rows, validation: float = 0.2) -> dict[str, Rows]:
    held = int(len(documents) * validation)
    return {
        "validation": documents[:held],
        "test": documents[held : held * 3 // 2],
        "train": documents[held * 3 // 2 :],
    }


@pytest.fixture
def trained(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], make_snapshot: Callable[..., Manifest]
) -> Callable[..., dict[str, Any]]:
    """``trained(shards, **splits)``: the merged model's metrics on validation."""

    def run(shards: int, **splits: Rows) -> dict[str, Any]:
        section = {"recipe": "tfidf_forest", "shards": shards, "merge_tolerance": 1.0}
        context = make_context(make_corpus(train=section))
        training = Training.of(context.corpus, make_snapshot(context, **splits))
        for shard in training.shards:
            prepare(context, training, shard)
        combine(context, training)
        for shard in training.shards:
            train(context, training, shard)
            evaluate_part(context, training, shard)
        merge(context, training)
        details = context.catalog.load(training.model(), made_by="merge").details
        return {**details["validation"], "candidate": details["validation"][details["chosen"]]}

    return run


def test_the_forest_learns_and_the_union_beats_its_parts(
    trained: Callable[..., dict[str, Any]], documents: Rows
) -> None:
    scores = trained(2, **split(documents))
    assert scores["union"]["macro_f1"] > 0.75
    assert scores["union"]["macro_f1"] > min(scores["part 0/2"]["macro_f1"], scores["part 1/2"]["macro_f1"])


def test_two_shards_lose_little_to_one_forest_on_everything(
    trained: Callable[..., dict[str, Any]], documents: Rows
) -> None:
    splits = split(documents, validation=0.4)
    whole, sharded = (trained(n, **splits)["candidate"]["accuracy"] for n in (1, 2))
    rows = len(splits["validation"])
    # Two standard errors of a share: less cannot be told apart on so few rows.
    assert sharded > whole - 2 * math.sqrt(whole * (1 - whole) / rows)


def test_shuffled_labels_bring_the_metrics_to_chance(trained: Callable[..., dict[str, Any]], documents: Rows) -> None:
    labels = [page["label"] for page in documents]
    random.Random(7).shuffle(labels)
    shuffled = [{**page, "label": label} for page, label in zip(documents, labels, strict=True)]
    splits = split(shuffled, validation=0.4)
    accuracy = trained(2, **splits)["candidate"]["accuracy"]
    chance = 1 / len(set(labels))
    assert accuracy < chance + 4 * math.sqrt(chance * (1 - chance) / len(splits["validation"]))


def test_the_commands_train_on_s3_and_say_so_again(
    tmp_path: Path,
    s3_store: Store,
    s3_env: dict[str, str],
    make_context: Callable[..., Context],
    make_snapshot: Callable[..., Manifest],
    documents: Rows,
) -> None:
    yaml = tmp_path / "docs.yaml"
    yaml.write_text(
        "corpus: docs\nsource: {live: {files: {path: /nowhere/*.jsonl}}}\n"
        "train: {recipe: {tfidf_forest: {trees: 40}}, shards: 2, merge_tolerance: 1}\n"
    )
    context = make_context(store=s3_store)
    make_snapshot(context, id="c" * 16, **split(documents))

    def nightshift(step: str, *options: str) -> dict[str, Any]:
        command = [NIGHTSHIFT, step, "--corpus", str(yaml), "--snapshot", "c" * 16]
        done = subprocess.run(
            [*command, "--store", s3_store.url, "--json", *options], env=s3_env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    chain = [
        ("prepare", "--shard", "0/2"),
        ("prepare", "--shard", "1/2"),
        ("combine",),
        ("train", "--shard", "0/2"),
        ("train", "--shard", "1/2"),
        ("evaluate", "--part", "0/2"),
        ("evaluate", "--part", "1/2"),
        ("merge",),
        ("evaluate",),
    ]
    started = time.monotonic()
    results = [nightshift(*each) for each in chain]
    print(f"{len(documents)} documents, 9 commands: {time.monotonic() - started:.1f} s")
    assert not any(result["noop"] for result in results)
    assert results[-1]["counts"]["macro_f1"] > 0.7
    assert all(nightshift(*each)["noop"] for each in chain[2::3])

    candidate = context.catalog.load(context.catalog.folder(results[7]["manifest"]), made_by="merge")
    recipe, model = load_model(context, candidate)
    chances = recipe.predict(model, [documents[0]["text"]])
    assert chances.shape == (1, len(LIBRARIES))
    assert chances.sum() == pytest.approx(1)


def test_a_wrong_shard_ends_with_exit_code_2_and_what_to_give(
    tmp_path: Path, make_context: Callable[..., Context], make_snapshot: Callable[..., Manifest], local_store: Store
) -> None:
    yaml = tmp_path / "docs.yaml"
    yaml.write_text("corpus: docs\nsource: {live: {files: {path: /x}}}\ntrain: {recipe: tfidf_forest}\n")
    make_snapshot(make_context(), id="c" * 16, train=[{"text": "x", "label": "a"}])
    done = subprocess.run(
        [
            NIGHTSHIFT,
            "train",
            "--corpus",
            str(yaml),
            "--snapshot",
            "c" * 16,
            "--shard",
            "2/3",
            "--store",
            local_store.url,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "give --shard 1/2" in done.stderr
