"""One corpus: every key of the YAML, its type, its default and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.config.clean import Clean
from tasks.config.gates import Gates
from tasks.config.kubernetes import Kubernetes
from tasks.config.notification import Notification
from tasks.config.resources import Resources
from tasks.config.schedule import Schedule
from tasks.config.search import Search
from tasks.config.source import SourceSection
from tasks.config.spark import Spark
from tasks.config.train import Train
from tasks.judging.base import JUDGES
from tasks.kinds.base import KINDS
from tasks.models.base import RECIPES, judge_of, kinds_of
from tasks.section import Choice, ChoiceOf, Duration, Section
from tasks.splits.base import STRATEGIES, Ratios


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
