"""evaluate and merge: parts, their union or the part that beats it, and the champion beside it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.evaluate import evaluate, evaluate_part
from tasks.gate import gate
from tasks.merge import merge
from tasks.model_registry import Registry, Version
from tasks.models.base import Scoring
from tasks.models.tfidf_forest import TfidfForest
from tasks.prepare import prepare
from tasks.promote import promote
from tasks.step import Context, Shard
from tasks.train import train
from tasks.training import Training, load_model, models
from tasks.training.overlap import trained_on

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
WORDS = [f"word{i}" for i in range(30)]
Start = Callable[..., tuple[Context, Training]]


def rows(count: int, labels: str = "abc", seed: int = 0, clean: bool = True) -> list[dict[str, Any]]:
    """Rows whose label shows in two of their words, or, unless ``clean``, in none."""
    chance = random.Random(seed)
    return [
        {
            "text": " ".join([*chance.choices(WORDS, k=8), *([f"{label}sign", f"{label}mark"] if clean else [])]),
            "label": label,
            "url": f"http://site/{seed}/{i}",
            "language": "en" if i % 4 else "de",
        }
        for i, label in enumerate(chance.choice(labels) for _ in range(count))
    ]


@pytest.fixture
def start(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], make_snapshot: Callable[..., Manifest]
) -> Start:
    """``start(shards=2, trees=8, merge_tolerance=…, train=[…], …)``: a context and its training."""

    def begin(shards: int = 2, trees: int = 8, tolerance: float = 0.01, id: str = "a" * 16, **splits: Any) -> Any:
        section = {
            "recipe": {"tfidf_forest": {"trees": trees}},
            "shards": shards,
            "merge_tolerance": tolerance,
            "slices": ["language", "length"],
        }
        context = make_context(make_corpus(train=section))
        data = {"train": rows(60), "validation": rows(24, seed=1), "test": rows(20, seed=2), **splits}
        return context, Training.of(context.corpus, make_snapshot(context, id=id, **data))

    return begin


def fit(context: Context, training: Training) -> None:
    for shard in training.shards:
        prepare(context, training, shard)
    combine(context, training)
    for shard in training.shards:
        train(context, training, shard)
        evaluate_part(context, training, shard)


def crown(context: Context, training: Training) -> None:
    """Make a training's candidate the champion."""
    registry = Registry(context.catalog, "docs")
    model = context.catalog.load(training.model(), made_by="merge")
    report = context.catalog.load(training.report(), made_by="evaluate")
    champion = Version(
        version=0,  # the registry numbers it
        corpus="docs",
        run=training.run,
        folder=training.model(),
        digest=model.digest(),
        report=training.report(),
        report_digest=report.digest(),
        snapshot=training.snapshot_id,
        snapshot_digest=training.snapshot.digest(),
        recipe="tfidf_forest",
        metrics=report.details["metrics"],
        code={},
        created=NOW.isoformat(),
    )
    registry.change("promote", registry.add(champion), by="test", at=NOW)


def report_of(context: Context, training: Training, part: Shard | None = None) -> Manifest:
    return context.catalog.load(training.report(part), made_by="evaluate")


def test_the_union_is_the_candidate_and_its_numbers_are_kept_beside_the_parts(start: Start) -> None:
    context, training = start()
    fit(context, training)
    result = merge(context, training)
    assert result.counts["chosen"] == "union"
    assert (result.counts["parts"], result.counts["trees"], result.counts["rows"]) == (2, 8, 60)
    details = context.catalog.load(training.model(), made_by="merge").details
    assert set(details["validation"]) == {"union", "part 0/2", "part 1/2"}
    assert details["snapshot"] == {"id": training.snapshot_id, "digest": training.snapshot.digest()}
    assert details["labels"] == ["a", "b", "c"]
    assert merge(context, training).noop


def test_a_vote_keeps_the_parts_and_is_read_back_as_one_model(start: Start) -> None:
    context, training = start()
    voting = context.corpus.train.model_copy(update={"merge": "vote"})
    context = replace(context, corpus=context.corpus.model_copy(update={"train": voting}))
    training = Training.of(context.corpus, training.snapshot)
    fit(context, training)
    result = merge(context, training)
    assert (result.counts["chosen"], result.counts["voters"], result.counts["trees"]) == ("vote", 2, 8)
    manifest = context.catalog.load(training.model(), made_by="merge")
    assert manifest.details["vote"] == [0.5, 0.5]
    voted, model = load_model(context, manifest)
    parts = [load_model(context, context.catalog.load(training.model(s), made_by="train")) for s in training.shards]
    texts = [row["text"] for row in rows(5, seed=7)]
    mean = sum(recipe.predict(part, texts) for recipe, part in parts) / 2
    np.testing.assert_allclose(voted.predict(model, texts), mean, atol=1e-12)
    evaluate(context, training, NOW)
    crown(context, training)


def test_a_union_under_its_best_part_gives_way_to_that_part(start: Start) -> None:
    # Shard 0 learns the truth; shards 1 and 2 learn labels drawn at random, with more certainty.
    truth, noise = rows(90), rows(90, seed=5)
    for row in noise:
        row["label"] = {"a": "b", "b": "c", "c": "a"}[row["label"]]
    mixed = [truth[i] if i % 3 == 0 else noise[i] for i in range(90)]
    context, training = start(shards=3, trees=9, train=mixed)
    fit(context, training)
    result = merge(context, training)
    assert result.counts["chosen"] == "part 0/3"
    assert "train.merge_tolerance (0.01) under part 0/3's" in result.message
    manifest = context.catalog.load(training.model(), made_by="merge")
    assert manifest.details["validation"]["union"]["macro_f1"] < manifest.details["validation"]["part 0/3"]["macro_f1"]
    recipe, chosen = load_model(context, manifest)
    _, part = load_model(context, context.catalog.load(training.model(Shard(0, 3)), made_by="train"))
    texts = [row["text"] for row in rows(5)]
    np.testing.assert_array_equal(recipe.predict(chosen, texts), recipe.predict(part, texts))


def test_a_union_within_the_tolerance_stays(start: Start) -> None:
    truth, noise = rows(90), rows(90, seed=5)
    for row in noise:
        row["label"] = {"a": "b", "b": "c", "c": "a"}[row["label"]]
    mixed = [truth[i] if i % 3 == 0 else noise[i] for i in range(90)]
    context, training = start(shards=3, trees=9, tolerance=1.0, train=mixed)
    fit(context, training)
    assert merge(context, training).counts["chosen"] == "union"


def test_empty_parts_are_left_out_of_the_union(start: Start) -> None:
    context, training = start(shards=5, train=rows(4, "ab") + rows(0))
    fit(context, training)
    assert report_of(context, training, Shard(4, 5)).details["metrics"]["validation"]["rows"] == 0
    result = merge(context, training)
    assert (result.counts["parts"], result.counts["empty_parts"]) == (4, 1)


def test_one_part_with_rows_is_the_candidate_as_it_is(start: Start) -> None:
    context, training = start(shards=1)
    fit(context, training)
    result = merge(context, training)
    assert result.counts["chosen"] == "part 0/1"
    (part,) = context.catalog.load(training.model(Shard()), made_by="train").files
    (candidate,) = context.catalog.load(training.model(), made_by="merge").files
    assert candidate.sha256 == part.sha256


def test_an_evaluation_of_an_older_part_is_not_merged_by(start: Start) -> None:
    context, training = start()
    fit(context, training)
    part = context.catalog.load(training.model(Shard(0, 2)), made_by="train")
    context.catalog.commit(training.model(Shard(0, 2)), part.model_copy(update={"counts": {**part.counts, "nodes": 1}}))
    with pytest.raises(BadInput, match=rf"older model: run `nightshift evaluate --snapshot {'a' * 16} --part 0/2`"):
        merge(context, training)


def test_the_candidate_is_scored_on_validation_and_test(start: Start) -> None:
    context, training = start()
    fit(context, training)
    merge(context, training)
    result = evaluate(context, training, NOW)
    manifest = report_of(context, training)
    (entry,) = manifest.of_role("metrics")
    metrics = json.loads(context.store.read(entry.key))
    assert metrics == manifest.details["metrics"]
    assert (metrics["validation"]["rows"], metrics["test"]["rows"]) == (24, 20)
    assert metrics["validation"]["accuracy"] > 0.9
    assert result.counts["macro_f1"] == metrics["validation"]["macro_f1"]
    assert set(metrics["validation"]["per_class"]["a"]) == {"precision", "recall", "f1", "support", "auc"}
    slices = metrics["validation"]["slices"]
    assert slices["language"]["de"]["rows"] + slices["language"]["en"]["rows"] == 24
    assert slices["length"] == {"under 500": {k: metrics["validation"][k] for k in ("rows", "accuracy", "macro_f1")}}
    assert manifest.details["champion"] is None
    assert "no champion yet" in result.message
    assert [len(manifest.of_role(role)) for role in ("report", "plot")] == [1, 3]


def test_the_champion_is_scored_again_on_the_same_rows(start: Start) -> None:
    context, first = start(train=rows(60, "ab"))
    fit(context, first)
    merge(context, first)
    evaluate(context, first, NOW)
    crown(context, first)
    context, second = start(id="b" * 16)
    fit(context, second)
    merge(context, second)
    result = evaluate(context, second, NOW)
    champion = report_of(context, second).details["champion"]
    assert (champion["version"], champion["run"]) == (1, first.run)
    theirs, mine = champion["metrics"]["validation"], report_of(context, second).details["metrics"]["validation"]
    assert theirs["rows"] == mine["rows"]
    # The old champion never saw label c, so every row of it is an error, counted as one.
    assert theirs["unseen"] == {"c": theirs["per_class"]["c"]["support"]}
    assert theirs["macro_f1"] < mine["macro_f1"]
    assert "champion 1:" in result.message


def test_a_champion_that_nothing_reads_any_more_is_replaced_without_a_comparison(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TfidfForest, "version", 1)
    context, first = start()
    fit(context, first)
    merge(context, first)
    evaluate(context, first, NOW)
    crown(context, first)
    monkeypatch.setattr(TfidfForest, "version", 2)
    monkeypatch.setattr(TfidfForest, "oldest", 2, raising=False)
    with pytest.raises(BadInput, match=r"version 1 of recipe tfidf_forest made this model.*train a new one"):
        load_model(context, context.catalog.load(first.model(), made_by="merge"))
    context, second = start(id="b" * 16)
    fit(context, second)
    merge(context, second)
    assert "champion 1: not measured so" in evaluate(context, second, NOW).message
    champion = report_of(context, second).details["champion"]
    assert champion["version"] == 1 and champion["unread"].startswith("version 1 of recipe tfidf_forest")
    judged = gate(context, "model", partition=None, snapshot=second.snapshot_id)
    verdict = context.catalog.load(context.catalog.folder(judged.manifest), made_by="gate")
    assert "version 1 of recipe tfidf_forest" in str(verdict.details["skipped"])
    (page,) = report_of(context, second).of_role("report")
    assert "Champion 1 was not compared with: version 1" in (html := context.store.read(page.key).decode())
    assert "not read any more</td>" in html and "scored again" not in html
    assert promote(context, second, by="test", at=NOW).counts["version"] == 2


@pytest.mark.parametrize("fault", ["its recipe is not there", "a parameter of a newer Nightshift"])
def test_a_champion_that_cannot_be_read_here_is_replaced_by_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    context, first = start()
    fit(context, first)
    merge(context, first)
    evaluate(context, first, NOW)
    crown(context, first)
    context, second = start(id="b" * 16, trees=6)
    fit(context, second)
    merge(context, second)
    with monkeypatch.context() as patch:
        of = models.recipe_of

        def without(manifest: Manifest) -> Scoring:
            if manifest.partition == first.run:
                details = manifest.details | (
                    {"recipe": "gone"} if "recipe" in fault else {"params": {**manifest.details["params"], "new": 1}}
                )
                manifest = manifest.model_copy(update={"details": details})
            return of(manifest)

        patch.setattr(models, "recipe_of", without)
        with pytest.raises(
            BadInput, match=r"(?s)champion 1 of corpus docs cannot be compared with: .*(gone|new).*rollback"
        ):
            evaluate(context, second, NOW)
    assert report_of(context, first)
    assert not evaluate(context, second, NOW).noop
    assert report_of(context, second).details["champion"]["metrics"]["validation"]["rows"]


def test_rows_that_the_champion_was_trained_on_are_counted(start: Start, make_corpus: Callable[..., Corpus]) -> None:
    moved = rows(24, seed=1)
    context, first = start(train=[*rows(50), *moved[:10]])
    fit(context, first)
    merge(context, first)
    evaluate(context, first, NOW)
    crown(context, first)
    _, second = start(id="b" * 16, validation=moved)
    fit(context, second)
    merge(context, second)
    manifest = context.catalog.load(first.model(), made_by="merge")
    drifting = Training.of(
        make_corpus(split={"strategy": "stratified"}, train=context.corpus.train.model_dump(mode="json")),
        second.snapshot,
    )
    assert trained_on(context, drifting, manifest) == {"validation": 10, "test": 0}
    assert trained_on(context, second, manifest) == {"validation": 0, "test": 0}  # a hash split moves nothing
    for info in list(context.store.list(f"snapshots/docs/{'a' * 16}/manifests/")):
        context.store.delete(info.key)
    assert trained_on(context, drifting, manifest) is None


def test_another_champion_voids_the_no_op_but_the_own_promotion_does_not(start: Start) -> None:
    context, first = start()
    fit(context, first)
    merge(context, first)
    evaluate(context, first, NOW)
    context, second = start(id="b" * 16, trees=6)
    fit(context, second)
    merge(context, second)
    assert not evaluate(context, second, NOW).noop
    crown(context, first)
    assert not evaluate(context, second, NOW).noop
    crown(context, second)
    assert evaluate(context, second, NOW).noop
    assert report_of(context, second).details["champion"]["run"] == first.run


def test_a_label_unseen_in_training_is_counted_and_scored_as_an_error(start: Start) -> None:
    context, training = start(train=rows(60, "ab"), validation=[*rows(10, "ab", 1), *rows(5, "z", 2)])
    fit(context, training)
    merge(context, training)
    result = evaluate(context, training, NOW)
    validation = report_of(context, training).details["metrics"]["validation"]
    assert validation["unseen"] == {"z": 5}
    assert validation["per_class"]["z"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 5}
    assert validation["accuracy"] <= 10 / 15
    assert result.counts["unseen_labels"] >= 5


def test_a_validation_split_without_labels_is_bad_input(start: Start) -> None:
    context, training = start(validation=[{"text": "some words", "label": None}] * 3)
    for shard in training.shards:
        prepare(context, training, shard)
    combine(context, training)
    train(context, training, Shard(0, 2))
    with pytest.raises(BadInput, match=r"no rows with a label \(3 without\).*check clean\.labels"):
        evaluate_part(context, training, Shard(0, 2))


def test_an_empty_test_split_leaves_its_numbers_undefined(start: Start) -> None:
    context, training = start(test=[])
    fit(context, training)
    merge(context, training)
    evaluate(context, training, NOW)
    test = report_of(context, training).details["metrics"]["test"]
    assert (test["rows"], test["accuracy"], test["macro_f1"]) == (0, None, None)


def test_the_whole_chain_again_gives_the_same_bytes(start: Start) -> None:
    digests = []
    for _ in range(2):
        context, training = start()
        fit(context, training)
        merge(context, training)
        evaluate(context, training, NOW)
        digests.append([context.catalog.load(f, made_by="x").digest() for f in (training.model(), training.report())])
        for info in list(context.store.list("")):
            if not info.key.startswith("snapshots/"):
                context.store.delete(info.key)
    assert digests[0] == digests[1]
