"""Thresholds of the gates; ``data_contracts/`` turns them into expectations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tasks.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class RawGate(Section):
    """After the crawl."""

    min_documents: int = Field(1, ge=0, description="fewer, unchanged ones counted, is a failure")
    max_error_share: float = Field(0.2, ge=0, le=1, description="fetches that failed, of all")
    max_drop: float = Field(0.5, ge=0, le=1, description="fall of visited pages against the last good ones")


class CleanGate(Section):
    """After cleaning and deduplication."""

    min_rows: int = Field(1, ge=0, description="fewer documents, unchanged ones counted, is a failure")
    rates_from: int = Field(20, ge=1, description="rates and shares are judged from so many documents on")
    max_drop: float = Field(
        0.7, ge=0, le=1, description="fall of documents, unchanged ones counted, against the last good ones"
    )
    max_reject_rate: float = Field(0.8, ge=0, le=1, description="rejected documents, of all")
    max_reject_rise: float = Field(0.3, ge=0, le=1, description="rise of the reject rate against the last good ones")
    labels: tuple[str, ...] | None = Field(None, description="the labels there may be; any by default")
    max_unlabelled: float = Field(0.0, ge=0, le=1, description="documents without a label, of all kept")
    max_label_share: float = Field(1.0, gt=0, le=1, description="how much of a partition one label may be")
    languages: tuple[str, ...] | None = Field(None, description="the languages there may be; any by default")
    min_language_share: dict[str, Share] = Field(
        default_factory=dict, description="language to the share of kept documents that it has at least"
    )
    usual_documents: int = Field(
        100, ge=1, description="`stats` is compared with usual nights from so many documents on, unchanged ones too"
    )
    usual_nights: int = Field(
        3, ge=1, description="usual is the median of so many good partitions at least, or of all of `gates.history`"
    )
    max_length_change: float = Field(
        3.0, ge=1, description="how many times as long, or as short, as usual the median document may be"
    )
    max_language_shift: float = Field(
        0.3, ge=0, le=1, description="documents in other languages than usual, of all (total variation distance)"
    )
    max_domain_rise: float = Field(
        0.3, ge=0, le=1, description="how much more of the documents than usual the largest domain may have"
    )
    max_common_rise: float = Field(
        0.5, ge=0, le=1, description="how much more of the documents than usual may share a run of four words"
    )


class SplitsGate(Section):
    """After the split."""

    tolerance: float = Field(0.1, ge=0, le=1, description="how far a split's share may lie from its ratio")
    tolerance_from: int = Field(200, ge=1, description="shares are judged from so many documents on")


class FeaturesGate(Section):
    """Before training."""

    min_train_rows: int = Field(10, ge=1, description="labelled rows to learn from")
    min_validation_rows: int = Field(1, ge=1, description="rows to judge the model on")
    min_labels: int = Field(2, ge=1, description="different labels in train")
    max_label_share: float = Field(0.95, gt=0, le=1, description="how much of the train split one label may be")
    max_unseen_share: float = Field(
        0.0, ge=0, le=1, description="how much of validation and test may carry labels that train has not"
    )
    min_vocabulary: int | None = Field(
        None,
        ge=1,
        description="terms that the recipe counts: words of texts, else an image's labels, a table's axes, users and "
        "items; null: 10 words, 1 of anything else",
    )


class ModelGate(Section):
    """Before promotion; metrics are of the validation split."""

    floors: dict[str, float] = Field(
        default_factory=dict,
        description="what a metric must be at least, as `accuracy` and `macro_f1` of classes; one that is better the "
        "lower it is, as `perplexity`, at most",
    )
    tolerance: float = Field(0.01, ge=0, le=1, description="how much worse than the champion overall")
    class_tolerance: float = Field(0.1, ge=0, le=1, description="how much worse than the champion in any class's F1")
    class_from: int = Field(10, ge=1, description="a class is compared from so many validation rows on")
    fold_floors: dict[str, float] = Field(
        default_factory=dict, description="as `floors`, of the mean over the folds of `crossvalidate`"
    )
    max_fold_deviation: float | None = Field(
        None, ge=0, description="standard deviation of the leading metric over the folds, at most; null: any"
    )
    max_champion_overlap: float = Field(
        0.05, ge=0, le=1, description="a champion trained on more of the validation rows is not compared with"
    )


class Gates(Section):
    """One section a stage."""

    history: int = Field(7, ge=1, description="how many good partitions a partition is compared with")
    raw: RawGate = RawGate()
    clean: CleanGate = CleanGate()
    splits: SplitsGate = SplitsGate()
    features: FeaturesGate = FeaturesGate()
    model: ModelGate = ModelGate()
