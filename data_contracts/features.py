"""Before training: is there enough to learn from?"""

from __future__ import annotations

from typing import Any

from data_contracts.base import SUITES, Contract, Subject, current
from tasks.models.base import RECIPES, labelled
from tasks.step import Context
from tasks.training.runs import features_folder
from tasks.work import Read

SNAPSHOT = "snapshots/"


class Features:
    """Counts of the united features, and of the snapshot that they were counted in."""

    version = 2
    compared = None

    def reads(self, context: Context, name: str) -> list[Read]:
        corpus = context.corpus.corpus
        features = current(context, features_folder(corpus, name), f"combine --corpus {corpus} --snapshot …")
        # The very snapshot that was counted, whatever the pointer says by now.
        counted = [each for each in features.manifest.inputs if each.name.startswith(SNAPSHOT)]
        made_by = f"snapshot --corpus {corpus}"
        return [features, *(Read(each.name, context.catalog.at(each.name, each.digest), made_by) for each in counted)]

    def config(self, context: Context) -> Any:
        return context.corpus.gates.features.model_dump(mode="json")

    def build(self, subject: Subject) -> Contract:
        gate = subject.context.corpus.gates.features
        labels, snapshot = subject.counts["labels"], subject.reads[1].manifest
        total = sum(labels.values())
        learns = labelled(RECIPES.get(subject.context.corpus.train.recipe.name))
        contract = Contract(
            metrics={
                "train_rows": float(subject.counts["rows"]),
                "validation_rows": float(sum(entry.rows for entry in snapshot.of_role("validation"))),
                "vocabulary": float(subject.counts["vocabulary"]),
            }
        )
        if learns:
            contract.metrics["labels"] = float(len(labels))
            contract.metrics["largest_label_share"] = max(labels.values()) / total if total else 1.0
        numbers = contract.measured()
        numbers.bound(
            "train_rows",
            least=gate.min_train_rows,
            says="Fewer labelled rows than gates.features.min_train_rows. Bring more partitions (a backfill), or see "
            "whether train.history leaves too many out.",
        )
        numbers.bound(
            "validation_rows",
            least=gate.min_validation_rows,
            says="Too few rows to judge a model on (gates.features.min_validation_rows). Bring more partitions, or "
            "raise split.ratios.validation.",
        )
        if learns:
            numbers.bound(
                "labels",
                least=gate.min_labels,
                says="Fewer labels than gates.features.min_labels. Do the patterns of clean.labels still fit the URLs?",
            )
            numbers.bound(
                "largest_label_share",
                most=gate.max_label_share,
                says="One label crowds out the others (gates.features.max_label_share): a model that always says it "
                "would look good. Did the crawl miss a part of the site?",
            )
        else:
            contract.skip("labels", "the recipe learns from none")
        numbers.bound(
            "vocabulary",
            least=gate.min_vocabulary,
            says="Fewer terms than gates.features.min_vocabulary. Does clean.strip remove the text, or is the recipe's "
            "min_df too high?",
        )
        return contract


SUITES.register("features")(Features())
