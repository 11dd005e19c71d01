"""Before training: is there enough to learn from?"""

from __future__ import annotations

from collections import Counter
from typing import Any

from data_contracts.base import SUITES, Contract, Subject, current
from tasks.judging.base import JUDGES
from tasks.judging.classes import Classes
from tasks.kinds.base import kind_of
from tasks.models.base import RECIPES, judge_of, labelled
from tasks.step import Context
from tasks.training.runs import features_folder
from tasks.work import Read

SNAPSHOT = "snapshots/"
JUDGED = ("validation", "test")
WORDS = 10
"""Terms that texts have at least, unless the YAML says otherwise."""
SHOWN = 10
"""Labels that an error names."""


class Features:
    """Counts of the united features, and of the snapshot that they were counted in."""

    version = 4
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
        recipe = RECIPES.get(subject.context.corpus.train.recipe.name)
        learns = labelled(recipe)
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
        # What is said of a whole row; tags of single tokens come and go, and are judged by themselves.
        names = learns and issubclass(JUDGES.get(judge_of(recipe)), Classes)
        unseen = _unseen(subject) if names else {}
        if names:
            judged = sum(entry.rows for split in JUDGED for entry in snapshot.of_role(split))
            contract.metrics["unseen_label_share"] = sum(unseen.values()) / judged if judged else 0.0
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
        if names:
            told = ", ".join(f"{label!r} in {rows} rows" for label, rows in sorted(unseen.items())[:SHOWN])
            numbers.bound(
                "unseen_label_share",
                most=gate.max_unseen_share,
                says="More rows of validation and test than gates.features.max_unseen_share have a label that none of "
                f"train has: no model could be right about them: {told or 'none'}. Bring more documents of "
                "such a label, correct clean.labels, or raise the share: then they count as errors.",
            )
        worded = kind_of(subject.context.corpus.clean).worded
        numbers.bound(
            "vocabulary",
            least=gate.min_vocabulary or (WORDS if worded else 1),
            says="Fewer terms than gates.features.min_vocabulary. "
            + (
                "Does clean.strip remove the text, or is the recipe's min_df too high?"
                if worded
                else "They are what the recipe tells apart: labels of images, columns and values of a table, users and "
                "items. Did the source lose a column or a folder, or are most too rare for the recipe?"
            ),
        )
        return contract


def _unseen(subject: Subject) -> dict[str, int]:
    """Rows of validation and test by label, of labels that train has not."""
    import pyarrow.parquet as pq

    context = subject.context
    column = context.corpus.train.label
    found: Counter[str] = Counter()
    for split in JUDGED:
        for entry in subject.reads[1].manifest.of_role(split):
            path = context.catalog.fetch(entry, subject.scratch / "judged.parquet")
            for each in pq.read_table(path, columns=[column])[column].value_counts().to_pylist():
                if each["values"] is not None:
                    found[str(each["values"])] += each["counts"]
            path.unlink()
    return {label: rows for label, rows in found.items() if label not in subject.counts["labels"]}


SUITES.register("features")(Features())
