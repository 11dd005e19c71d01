"""One corpus: every key of the YAML, its type, its default and what it means."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from tasks.config.federated import Federated
from tasks.config.gates import Gates
from tasks.config.kubernetes import Kubernetes
from tasks.config.notification import Notification
from tasks.config.resources import Resources
from tasks.config.schedule import Schedule
from tasks.config.search import Search
from tasks.config.source import SourceSection
from tasks.config.spark import Spark
from tasks.filters.base import FILTERS
from tasks.judging.base import JUDGES
from tasks.kinds.base import KINDS
from tasks.models.base import RECIPES, judge_of, kinds_of, streams
from tasks.section import Bytes, Choice, ChoiceOf, Duration, Section
from tasks.splits.base import STRATEGIES, Ratios


class Strip(Section):
    """Text removed from every document before filters and training, e.g. what gives a label away."""

    pattern: str = Field(description="a regular expression")
    replacement: str = Field("", description="what stands in its place; \\1 is the pattern's first group")
    ignore_case: bool = Field(False, description="whether A is a")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class LabelRule(Section):
    """A label read off the URL: the first rule whose pattern is found in it wins.

    The label is ``label``, or what the pattern's group named ``label`` matched.
    """

    pattern: str = Field(description="a regular expression that is searched for in the URL")
    label: str | None = Field(None, description="the label, unless the pattern has a group (?P<label>…)")

    @model_validator(mode="after")
    def _names_a_label(self) -> Self:
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is not a regular expression: {error}") from error
        if (self.label is None) == ("label" not in groups):
            raise ValueError("give either `label`, or a group (?P<label>...) in the pattern")
        return self


class Near(Section):
    """Near-duplicates by MinHash over word n-grams."""

    threshold: float = Field(0.8, gt=0, le=1, description="Jaccard similarity from which two are one")
    permutations: int = Field(128, ge=16, le=1024, description="more estimate the similarity better, and cost more")
    ngram: int = Field(
        5,
        ge=1,
        le=20,
        description="so many words in a row are compared; of scripts without spaces, characters",
    )


class Dedup(Section):
    """Duplicates within a partition; the first in (timestamp, url) order stays."""

    exact: bool = Field(True, description="equal texts, letter for letter")
    near: Near | None = Field(None, description="near-equal texts; kept by default")


class Clean(Section):
    """From raw bytes to documents."""

    kind: Annotated[Choice, ChoiceOf(KINDS)] = Field(
        "documents",
        validate_default=True,
        description="the corpus's own `kind`, which is where it is set",
        json_schema_extra={"internal": True},
    )
    extraction: Literal["fast", "accurate", "auto", "article"] = Field(
        "fast",
        description="how the main text of a page is found: fast is resiliparse, accurate is trafilatura, "
        "auto weighs blocks of text and asks trafilatura about the pages it is unsure of, article asks nobody",
    )
    normalise: Literal["NFC", "NFKC"] | None = Field("NFC", description="Unicode normalisation form")
    labels: tuple[LabelRule, ...] = Field((), description="how a crawled page's URL gives its label")
    strip: tuple[Strip, ...] = Field((), description="what is cut out of every text")
    filters: tuple[Annotated[Choice, ChoiceOf(FILTERS)], ...] = Field(
        (), description="in this order; the first that drops a document gives the reason"
    )
    dedup: Dedup = Dedup()
    shards: int = Field(4, ge=1, le=1000, description="at most so many parallel tasks")
    document_timeout: Duration = Field("10s", description="a page that takes more processor time is rejected")  # type: ignore[assignment]
    document_bytes: Bytes = Field("10MB", gt=0, le=1 << 30, description="a page larger than this is rejected")  # type: ignore[assignment]
    document_memory: Bytes = Field("1GiB", ge=1 << 26, description="a page that takes more to parse is rejected")  # type: ignore[assignment]

    @model_validator(mode="after")
    def _judges_texts_where_there_are(self) -> Self:
        if not KINDS.get(self.kind.name).filtered and (given := [n for n in ("filters", "strip") if getattr(self, n)]):
            raise ValueError(
                f"{given[0]}: judges and changes texts, and a corpus of {self.kind.name} has none: leave it out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_the_default_kind(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A corpus of documents is what it was before there were other kinds: so is its digest."""
        values: dict[str, Any] = dump(self)
        if self.kind.name == "documents":
            values.pop("kind", None)
        return values


class Split(Section):
    """How documents are divided; ``hash`` and ``group`` never move a document between splits."""

    strategy: Annotated[Choice, ChoiceOf(STRATEGIES)] = Field(
        "hash", validate_default=True, description="what decides where a document goes"
    )
    ratios: Ratios = Ratios(train=0.8, validation=0.1, test=0.1)
    seed: int = Field(0, description="another number divides otherwise")

    @field_validator("ratios")
    @classmethod
    def _sum(cls, value: Ratios) -> Ratios:
        shares = (value.train, value.validation, value.test)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(f"ratios {shares} must be at least 0 and sum to 1")
        return value


class Upload(Section):
    """Publication of a partition."""

    verify: bool = Field(True, description="read every file back before the pointer moves")


class Train(Section):
    """Which model, on how many workers."""

    recipe: Annotated[Choice, ChoiceOf(RECIPES)] = Field(description="the model family")
    strategy: Literal["mirrored", "parameter_server", "sharded", "single"] | None = Field(
        None,
        description="mirrored: all workers take each step together; parameter_server: each at its own pace, on "
        "variables that servers hold; sharded: each part of the rows is fitted alone; single: one process. Default: "
        "the recipe's own",
    )
    label: Literal["label", "language", "group"] = Field("label", description="the column to predict")
    shards: int = Field(2, ge=1, le=1000, description="so many parts are fitted side by side")
    seed: int = Field(0, description="of all that is drawn by chance")
    history: int | None = Field(None, ge=1, description="only the latest so many partitions; all by default")
    merge: Literal["union", "average", "sum", "vote"] | None = Field(
        None, description="how parts become one model, of the ways that the recipe has; by default its first"
    )
    merge_tolerance: float = Field(
        0.01, ge=0, le=1, description="macro-F1 a merged model may lack to its best part before the part replaces it"
    )
    federated: Federated | None = Field(None, description="sites that train on data of their own; null: none")
    warm_start: bool = Field(
        False, description="of a mirrored recipe: begin with the champion's weights where they fit, and not at random"
    )
    freeze: tuple[str, ...] = Field(
        (), description="layers of the network that keep the champion's weights, as embedding; needs warm_start"
    )
    near: Near | None = Field(Near(), description="near-duplicates across partitions and splits; null keeps them")
    slices: tuple[Literal["language", "group", "length"], ...] = Field(
        ("language",), description="by what metrics are broken down"
    )

    @property
    def rounds(self) -> int:
        """How often all shards are fitted: once, unless the recipe has rounds and there are shards to add up."""
        return 1 if self.shards == 1 else getattr(self.recipe.params, "rounds", None) or 1

    @model_validator(mode="before")
    @classmethod
    def _single_is_one_shard(cls, data: Any) -> Any:
        """One process fits all rows, so that there is one shard unless a mirrored recipe is to encode several."""
        if isinstance(data, dict) and data.get("strategy") == "single" and "shards" not in data:
            return {**data, "shards": 1}
        return data

    @model_validator(mode="after")
    def _by_a_strategy_of_the_recipe(self) -> Self:
        spread = RECIPES.get(self.recipe.name).spread
        able = {"mirrored": ("mirrored", "parameter_server", "single"), "sharded": ("sharded", "single")}[spread]
        if self.strategy is None:
            return self
        if self.strategy not in able:
            raise ValueError(
                f"strategy {self.strategy!r}: {self.recipe.name} is {spread}, it can be trained by {' or '.join(able)}"
            )
        if self.strategy == "single" and spread == "sharded" and self.shards != 1:
            raise ValueError(f"strategy 'single': one process fits all rows, and shards is {self.shards}: leave it out")
        if self.strategy == "parameter_server" and streams(RECIPES.get(self.recipe.name)):
            raise ValueError(
                f"strategy 'parameter_server': {self.recipe.name} carries a state from step to step, and there each "
                "worker is at a step of its own; take mirrored or single"
            )
        precision = getattr(self.recipe.params, "precision", None)
        if self.strategy == "parameter_server" and precision == "mixed_float16":
            raise ValueError(
                "strategy 'parameter_server': mixed_float16 scales the loss by what all workers' gradients of a step "
                "say, and there is no such step; take float32 or mixed_bfloat16"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_a_strategy_that_is_not_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A training is what it was before there were others: so is its id."""
        values: dict[str, Any] = dump(self)
        for name in ("strategy", "federated", "freeze"):
            if not getattr(self, name):
                values.pop(name, None)
        return values

    @model_validator(mode="after")
    def _sites_train_what_can_be_averaged(self) -> Self:
        if self.federated is None:
            return self
        if RECIPES.get(self.recipe.name).spread != "mirrored":
            raise ValueError(f"federated: {self.recipe.name} is sharded, it has no weights to average in rounds")
        if self.strategy is not None:
            raise ValueError(f"federated: each site trains by itself; leave strategy {self.strategy!r} out")
        if self.recipe.params.average != 1:
            raise ValueError("federated: the sites' weights are averaged, not epochs: leave average out")
        return self

    @model_validator(mode="after")
    def _as_the_recipe_can(self) -> Self:
        recipe = RECIPES.get(self.recipe.name)
        if self.merge is not None and self.merge not in recipe.merges:
            raise ValueError(
                f"merge {self.merge!r}: {self.recipe.name} can be merged by {' or '.join(recipe.merges)} only"
            )
        if self.warm_start and recipe.spread != "mirrored":
            raise ValueError(f"warm_start: {self.recipe.name} is {recipe.spread}, it has no weights to begin with")
        if self.freeze and (self.federated or not self.warm_start):
            raise ValueError(
                f"freeze {list(self.freeze)}: layers are frozen as the champion has them, and "
                + (
                    "federated rounds begin at random"
                    if self.federated
                    else "without warm_start nothing is taken of it"
                )
            )
        return self


class Crossvalidate(Section):
    """How much a model's quality hangs on what it happened to be trained on."""

    folds: int = Field(
        5, ge=2, le=100, description="so many parts of the train split are each judged by a model that never saw them"
    )


class Promote(Section):
    """What happens to a candidate that passed its gate."""

    approval: bool = Field(False, description="wait for a person in the Airflow UI before promotion")
    approval_timeout: Duration = Field("3d", description="nobody answered for so long: the run fails")  # type: ignore[assignment]


class Backup(Section):
    """Copies of champions in a second store."""

    keep: int = Field(7, ge=1, description="so many newest backups stay")


class Corpus(Section):
    """One YAML file in ``dags/corpora/``."""

    corpus: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="the file's stem")
    description: str = Field("", description="shown in the web UI")
    owner: str = Field("nightshift", description="shown in the web UI")
    team: str | None = Field(None, description="a tag to find the corpus by")
    runtime: Literal["local", "kubernetes"] = Field(
        "local", description="where steps run: as processes of the Airflow worker, or as pods"
    )
    engine: Literal["local", "spark"] = Field(
        "local",
        description="what cleaning and counting run on: tasks side by side, or Apache Spark; the rows are the same",
    )
    spark: Spark = Field(Spark(), description="the Spark of engine: spark")
    kind: Annotated[Choice, ChoiceOf(KINDS)] = Field(
        "documents", validate_default=True, description="what its rows are"
    )
    source: SourceSection
    schedule: Schedule | None = Field(None, description="no nightly run without it")
    clean: Clean = Clean()
    split: Split = Field(default_factory=Split)
    upload: Upload = Upload()
    gates: Gates = Gates()
    train: Train
    crossvalidate: Crossvalidate | None = Field(
        None, description="judge the recipe on folds of the train split; null: train once"
    )
    search: Search | None = Field(None, description="search for parameters of the recipe first; null: take those given")
    promote: Promote = Promote()
    backup: Backup = Backup()
    resources: Resources = Resources()
    kubernetes: Kubernetes | None = Field(None, description="the pods of runtime: kubernetes")
    notifications: tuple[Notification, ...] = Field((), description="whom to tell")

    @model_validator(mode="before")
    @classmethod
    def _cleans_its_kind(cls, data: Any) -> Any:
        """Cleaning runs in processes that know the section ``clean`` alone, so the kind goes there."""
        if not isinstance(data, dict) or not isinstance(clean := data.get("clean") or {}, dict):
            return data
        if "kind" in clean and clean["kind"] != data.get("kind"):
            raise ValueError("clean.kind: give `kind` beside `corpus`, not below `clean`")
        if "kind" not in data:
            return data
        try:
            chosen = ChoiceOf(KINDS).validate(data["kind"])
        except ValueError:
            return data  # the field `kind` says what is wrong with it
        return {**data, "kind": chosen, "clean": {**clean, "kind": chosen}}

    @model_validator(mode="before")
    @classmethod
    def _single_is_one_worker(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(train := data.get("train"), dict):
            return data
        resources = data.get("resources") or {}
        if train.get("strategy") != "single" or not isinstance(resources, dict):
            return data
        if resources.get("workers", 1) != 1:
            raise ValueError(
                f"train.strategy 'single': one process trains, and resources.workers is {resources['workers']}: leave "
                "it out, or set another strategy"
            )
        return {**data, "resources": {**resources, "workers": 1}}

    @property
    def gang(self) -> int:
        """How many processes train one model together, of a mirrored recipe."""
        resources = self.resources
        asynchronous = self.train.strategy == "parameter_server"
        return resources.workers + (1 + resources.parameter_servers if asynchronous else 0)

    @model_validator(mode="after")
    def _trains_on_its_kind(self) -> Self:
        recipe = RECIPES.get(self.train.recipe.name)
        if self.kind.name not in (taken := kinds_of(recipe)):
            raise ValueError(
                f"train.recipe: {self.train.recipe.name} learns from {' or '.join(taken)}, and this corpus is of kind "
                f"{self.kind.name}"
            )
        # Only where it is asked for: a judge imports what a DAG file must not.
        floors = self.gates.model.floors
        named = {measure.name: measure for measure in JUDGES.get(judge_of(recipe)).measures} if floors else {}
        for name, floor in floors.items():
            if name not in named:
                raise ValueError(
                    f"gates.model.floors.{name}: {self.train.recipe.name} is measured by {', '.join(named)}"
                )
            if named[name].share and not 0 <= floor <= 1:
                raise ValueError(f"gates.model.floors.{name}: a share, from 0 to 1; got {floor}")
        return self

    @model_validator(mode="after")
    def _searches_what_the_recipe_has(self) -> Self:
        if (search := self.search) is None:
            return self
        choice = self.train.recipe
        search.require_fitting(choice.name, choice.params)
        if search.metric is not None:
            measured = [measure.name for measure in JUDGES.get(judge_of(RECIPES.get(choice.name))).measures]
            if search.metric not in measured:
                raise ValueError(f"search.metric: {choice.name} is measured by {', '.join(measured)}")
        return self

    @model_validator(mode="after")
    def _says_which_executors(self) -> Self:
        if self.engine != "spark":
            return self
        if self.spark.in_pods and self.kubernetes is None:
            raise ValueError("spark.master: executors in pods need the section `kubernetes`, which says where and how")
        if self.spark.image is None and (self.spark.in_pods or self.runtime == "kubernetes"):
            raise ValueError("engine: spark needs spark.image for its pods: one that holds Spark and Java")
        if self.spark.in_pods and self.runtime == "kubernetes" and self.spark.service_account is None:
            raise ValueError(
                "spark.service_account: a step in a pod starts its executors as an account that may do so: "
                "nightshift-spark, as containers/kubernetes/team/spark.yaml makes it"
            )
        if self.spark.in_pods and self.kubernetes is not None:
            self.spark.require_agreement(self.kubernetes)
        return self

    @model_validator(mode="after")
    def _says_which_pods(self) -> Self:
        if self.runtime != "kubernetes":
            return self
        if self.train.federated:
            raise ValueError(
                "train.federated: pods of a corpus share their secrets, so sites' credentials are not kept apart "
                "there: set runtime: local"
            )
        if self.kubernetes is None:
            raise ValueError("runtime: kubernetes needs the section `kubernetes`, at least with the image of its pods")
        if RECIPES.get(self.train.recipe.name).spread == "mirrored":
            self.kubernetes.require_time_to_leave()
        return self
