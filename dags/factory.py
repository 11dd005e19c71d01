"""What the DAG files share: the corpora there are, and a task of the chain for one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, BaseOperator, get_parsing_context

from plugins.notify import RunNotifier, WebhookNotifier
from plugins.operators.gate import Gate, GateOperator
from plugins.operators.snapshot import Snapshot, SnapshotOperator
from plugins.operators.step import Step, StepOperator
from plugins.retry import retry_arguments
from plugins.runtime.connection import connection_of
from plugins.settings import wrong
from plugins.sites import SiteAccess
from tasks.cli import COMMANDS
from tasks.config import Corpus, load_corpora, load_corpus
from tasks.config.schedule import Schedule
from tasks.errors import BadInput
from tasks.kinds.base import KINDS
from tasks.models.base import RECIPES

SNAPSHOT = "{{ ti.xcom_pull(task_ids='snapshot') }}"
"""The snapshot's manifest URL, as every step of a training is handed it."""
TRAINING_POOL = "training"
"""Where gangs wait unless the corpus says otherwise: a pool that counts deferred tasks, as Airflow's own does not."""
FIRST_RUN = timedelta(minutes=15)
"""A DAG's first run on a cron is made if it was due so long ago: Airflow asks again whenever it reads the file."""


@dataclass(frozen=True)
class Chain:
    """One corpus as the DAG files see it."""

    corpus: Corpus
    path: Path

    @property
    def name(self) -> str:
        return self.corpus.corpus

    @property
    def schedule(self) -> Schedule:
        """The corpus' schedule, or the defaults of one that has none."""
        return self.corpus.schedule or Schedule()

    @cached_property
    def dataset(self) -> Asset:
        """The published partitions; its events carry the day as their partition key."""
        return Asset(name=f"dataset_{self.name}", uri=f"nightshift://dataset/{self.name}", group="nightshift")

    @cached_property
    def model(self) -> Asset:
        """The champion."""
        return Asset(name=f"model_{self.name}", uri=f"nightshift://model/{self.name}", group="nightshift")

    @property
    def mirrored(self) -> bool:
        """Whether one gang of workers trains the model in step; else each shard is fitted alone."""
        return RECIPES.get(self.corpus.train.recipe.name).spread == "mirrored"

    @property
    def cluster(self) -> dict[str, Any] | None:
        """Where the pods of this corpus are, as ``ReaperOperator`` takes it; None if it has none."""
        settings = self.corpus.kubernetes
        if self.corpus.runtime != "kubernetes" or settings is None:
            return None
        return {"namespace": settings.namespace, **connection_of(settings)}

    @property
    def on_spark(self) -> bool:
        """Whether cleaning and counting are one task each, which Spark spreads out, and not one a shard."""
        return self.corpus.engine == "spark"

    @property
    def prose(self) -> bool:
        """Whether rows are running text, whose nights are counted and drawn."""
        return KINDS.get(self.corpus.kind.name).prose

    @property
    def shards(self) -> list[str]:
        """The shards of the train split, ``i/n``."""
        return _shares(self.corpus.train.shards)

    @property
    def earlier(self) -> range:
        """The rounds in which all shards are fitted before the last one."""
        return range(self.corpus.train.rounds - 1)

    @property
    def folds(self) -> list[str]:
        """The folds of the cross-validation; none where the corpus asks for none."""
        return _shares(self.corpus.crossvalidate.folds) if self.corpus.crossvalidate else []

    @property
    def rounds(self) -> list[list[str]]:
        """The trials of each round of the search, ``i/n``; none where the corpus searches for nothing."""
        search = self.corpus.search
        return [[f"{number}/{search.trials}" for number in each] for each in search.rounds] if search else []

    @property
    def parts(self) -> list[str]:
        """The part models that ``merge`` unites: one a shard, or of a gang one an epoch that is kept."""
        return _shares(self.corpus.train.recipe.params.average) if self.mirrored else self.shards

    def dag_arguments(self, kind: str, doc_md: str) -> dict[str, Any]:
        """Keyword arguments that every DAG of this corpus is made with."""
        return {
            "dag_id": f"{kind}_{self.name}",
            "description": self.corpus.description or f"{kind} of the corpus {self.name}",
            "doc_md": f"{doc_md}\n\nCorpus file: `{self.path}`",
            "start_date": datetime.combine(
                self.schedule.start, datetime.min.time(), tzinfo=ZoneInfo(self.schedule.timezone)
            ),
            "catchup": False,
            "tags": ["nightshift", kind, self.name, *([self.corpus.team] if self.corpus.team else [])],
            "default_args": self.task_arguments,
            "on_success_callback": self.notifiers("success") or None,
            "on_failure_callback": self.notifiers("failure", RunNotifier) or None,
        }

    @cached_property
    def task_arguments(self) -> dict[str, Any]:
        """Keyword arguments that every task of this corpus is made with."""
        resources = self.corpus.resources
        return {
            "owner": self.corpus.owner,
            "retries": resources.retries,
            **retry_arguments(),
            "execution_timeout": resources.timeout,
            "pool": resources.pool or "default_pool",
            "on_failure_callback": self.notifiers("failure") or None,
        }

    def notifiers(self, event: str, kind: type[WebhookNotifier] = WebhookNotifier) -> list[WebhookNotifier]:
        """Who wants to know of ``failure``, ``success`` or ``promotion``."""
        return [
            kind(webhook=n.webhook, event=event, corpus=self.name) for n in self.corpus.notifications if event in n.on
        ]

    @cached_property
    def _operators(self) -> tuple[type[Step], type[Gate], type[Snapshot]]:
        if self.corpus.runtime == "kubernetes":
            # Only here: it takes seconds, which only a process that works for such a corpus may spend.
            from plugins.operators.pod import PodGateOperator, PodSnapshotOperator, PodStepOperator

            return PodStepOperator, PodGateOperator, PodSnapshotOperator
        return StepOperator, GateOperator, SnapshotOperator

    def step(self, step: str, *, task_id: str | None = None, **arguments: Any) -> Step:
        """The task ``step`` of this corpus; ``arguments`` are those of ``Step``."""
        operator, _, _ = self._operators
        return operator(**self._step_arguments(step, task_id), **arguments)

    def mapped(self, step: str, *, task_id: str | None = None, **arguments: Any) -> Any:
        """As ``step``, to be expanded over ``shard``."""
        label = "{{ task.shard.rpartition('#')[2] }}"
        operator, _, _ = self._operators
        return operator.partial(**self._step_arguments(step, task_id), map_index_template=label, **arguments)

    def gang(self, **arguments: Any) -> BaseOperator:
        """The task ``train`` of a recipe whose workers train in step: one task, which takes a slot for each worker."""
        workers = self.corpus.gang
        arguments = {"pool": self.corpus.resources.pool or TRAINING_POOL, **arguments}
        if self.corpus.runtime == "kubernetes":
            from plugins.operators.gang import TrainingGangOperator

            return TrainingGangOperator(**self._step_arguments("train", None), workers=workers, **arguments)
        return self.step("train", pool_slots=workers, **arguments)

    def snapshot(self) -> Snapshot:
        """The task ``snapshot`` of this corpus."""
        _, _, operator = self._operators
        return operator(
            **self._step_arguments("snapshot", None)
            | {"doc_md": "Resolves the partitions into the exact data of this training, or says it was trained on."}
        )

    def gate(self, stage: str, **options: str) -> Gate:
        """The task ``gate_<stage>`` of this corpus."""
        _, operator, _ = self._operators
        return operator(
            task_id=f"gate_{stage}",
            expectation_suite_name=stage,
            corpus=str(self.path),
            options=options,
            **self._access,
            doc_md=f"{COMMANDS['gate']}\n\nSuite: `data_contracts/{stage}.py`. When it fails, see docs/gates.md.",
        )

    @property
    def sites(self) -> list[str]:
        """The sites of a federated corpus, ``i/n``; none where it has none."""
        federated = self.corpus.train.federated
        return _shares(len(federated.sites)) if federated else []

    @cached_property
    def _access(self) -> dict[str, Any]:
        """What keeps the sites' credentials from every task but their own."""
        federated = self.corpus.train.federated
        if federated is None:
            return {}
        sites = [
            SiteAccess(site.name, site.credentials or "", tuple(site.variables), site.connection)
            for site in federated.sites
        ]
        return {"sites": sites}

    def _step_arguments(self, step: str, task_id: str | None) -> dict[str, Any]:
        return {
            **self._access,
            "task_id": task_id or step,
            "step": step,
            "corpus": str(self.path),
            "doc_md": f"{COMMANDS[step]}\n\nBy hand: `nightshift {step} --help`.",
        }


def _shares(count: int) -> list[str]:
    return [f"{index}/{count}" for index in range(count)]


def chains(*kinds: str) -> Iterator[Chain]:
    """Every corpus whose YAML is right, for a DAG file that makes ``<kind>_<corpus>`` DAGs.

    When Airflow reads the file to run one task, only that task's corpus is read.
    """
    folder, wanted = corpora_folder(), get_parsing_context().dag_id
    for kind in kinds:
        if wanted and wanted.startswith(f"{kind}_"):
            path = folder / f"{wanted.removeprefix(f'{kind}_')}.yaml"
            yield Chain(load_corpus(path, os.environ), path)
            return
    good, _ = load_corpora(folder, os.environ)
    for name, corpus in good.items():
        yield Chain(corpus, folder / f"{name}.yaml")


def require_nothing_wrong() -> None:
    """Refuse corpora that no DAG is made of, and settings of the deployment that make no sense.

    Raises:
        BadInput: one line for each fault of each file, and for each setting.
    """
    _, bad = load_corpora(corpora_folder(), os.environ)
    said = ["corpora without DAGs until their files are mended:", *bad.values()] if bad else []
    if faults := wrong(os.environ):
        said += ["variables of Airflow's environment without effect until they are mended:", *faults]
    if said:
        raise BadInput("\n".join(said))


def corpora_folder() -> Path:
    """``$NIGHTSHIFT_CORPORA``, or ``corpora`` beside this file."""
    return Path(os.environ.get("NIGHTSHIFT_CORPORA") or Path(__file__).with_name("corpora")).absolute()
