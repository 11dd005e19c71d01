"""``retrain_<corpus>``: from the published partitions to a promoted, backed-up champion. An Airflow DAG file."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, CronTriggerTimetable, FixedKeyMapper, PartitionedAssetTimetable, TaskGroup
from airflow.sdk import chain as in_order
from factory import FIRST_RUN, SNAPSHOT, Chain, chains

from plugins.operators.snapshot import QuietSensor

DOC = """
Trains on all published partitions; the candidate becomes champion if its gate finds it good enough.

`snapshot -> prepare (a task a shard) -> combine -> gate features -> {train} -> evaluate parts -> merge
-> evaluate -> gate model -> [approve] -> promote -> backup`

* **It starts by itself** as the corpus' `schedule.retrain` says ({schedule}), and from the trigger form at any time.
* **It first waits** until no ingest run is queued or running, so that a backfill of thirty days ends in one training.
* **Where the corpus has a `search`**, its trials come first, a round of mapped tasks after the other, and the best
  trial's parameters are the run's.
* **A snapshot that was trained on before is not trained on again**: `snapshot` says so and the rest is skipped.
* **A candidate that its gate rejects** is quarantined and the champion stays. `release_{corpus}` lets it pass;
  `rollback_{corpus}` makes an earlier version champion again.
"""
SHARDED = "train (a task a shard)"
MIRRORED = "encode (a task a shard) -> train (one task for the whole gang of workers)"
ROUNDS = "rounds (a task a shard), train (the last one)"
FEDERATED = "a round: sites (a task a site), average"


def retrain(chain: Chain) -> DAG:
    """The DAG of one corpus."""
    trained_on = {"snapshot": SNAPSHOT}
    doc = DOC.format(corpus=chain.name, schedule=chain.schedule.retrain, train=_told(chain))
    with DAG(
        # Without a start date, so that a corpus that was just added waits for its cron: it has nothing to train on.
        **(chain.dag_arguments("retrain", doc) | {"start_date": None}),
        schedule=_schedule(chain),
        # Two trainings of the same snapshot would do the work twice; the second one waits and finds it done.
        max_active_runs=1,
    ) as dag:
        with TaskGroup("data", prefix_group_id=False):
            wait = QuietSensor(
                task_id="wait_for_ingest",
                ingest_dag_id=f"ingest_{chain.name}",
                patience=chain.schedule.patience,
                doc_md="Waits until the days being ingested are published.",
            )
            snapshot = chain.snapshot()
        search: list[Any] = []
        if chain.rounds:
            with TaskGroup("parameters", prefix_group_id=False):
                for number, trials in enumerate(chain.rounds):
                    tried = chain.mapped(
                        "search", task_id=f"trials_{number}", options=trained_on, shard_option="trial"
                    ).expand(shard=trials)
                    search.append(tried)
                search.append(chain.step("search", options=trained_on))
        with TaskGroup("features", prefix_group_id=False):
            if chain.on_spark:
                prepare = chain.step("prepare", options=trained_on)
            else:
                prepare = chain.mapped("prepare", options=trained_on).expand(shard=chain.shards)
            combine = chain.step("combine", options=trained_on)
            gate_features = chain.gate("features", **trained_on)
        with TaskGroup("training", prefix_group_id=False):
            if chain.sites:
                encode, train = _federated(chain)
            elif chain.mirrored:
                encode = chain.mapped("encode", options=trained_on).expand(shard=chain.shards)
                train = encode >> chain.gang(options=trained_on)
            else:
                encode, train = _sharded(chain)
            parts = chain.mapped("evaluate", task_id="evaluate_parts", options=trained_on, shard_option="part").expand(
                shard=chain.parts
            )
            merge = chain.step("merge", options=trained_on)
            evaluate = chain.step("evaluate", options=trained_on)
            gate_model = chain.gate("model", **trained_on)
            if chain.folds:
                folds = chain.mapped("crossvalidate", options=trained_on, shard_option="fold").expand(shard=chain.folds)
                gate_features >> folds >> evaluate
        with TaskGroup("release", prefix_group_id=False):
            by, approval = _approval(chain)
            promote = chain.step(
                "promote",
                options={**trained_on, "by": by},
                outlets=[chain.model],
                on_success_callback=chain.notifiers("promotion") or None,
            )
            backup = chain.step("backup")
        wait >> snapshot
        in_order(snapshot, *search, prepare)
        prepare >> combine >> gate_features >> encode
        train >> parts >> merge >> evaluate >> gate_model
        gate_model >> approval >> promote if approval else gate_model >> promote
        promote >> backup
    return dag


def _told(chain: Chain) -> str:
    return FEDERATED if chain.sites else MIRRORED if chain.mirrored else ROUNDS if chain.earlier else SHARDED


def _sharded(chain: Chain) -> tuple[Any, Any]:
    """The first and the last task of the shards, which are fitted once, or in rounds from the sum of the last one."""
    tasks: list[Any] = []
    for number in chain.earlier:
        options = {"snapshot": SNAPSHOT, "round": str(number)}
        tasks.append(chain.mapped("train", task_id=f"round_{number}", options=options).expand(shard=chain.shards))
    tasks.append(chain.mapped("train", options={"snapshot": SNAPSHOT}).expand(shard=chain.shards))
    in_order(*tasks)
    return tasks[0], tasks[-1]


def _federated(chain: Chain) -> tuple[Any, Any]:
    """The first and the last task of the rounds: all sites side by side, then the average of their weights."""
    federated = chain.corpus.train.federated
    assert federated is not None
    tasks: list[Any] = []
    for number in range(federated.rounds):
        options = {"snapshot": SNAPSHOT, "round": str(number)}
        sites = chain.mapped("federate", task_id=f"sites_{number}", options=options, shard_option="site")
        tasks += [sites.expand(shard=chain.sites), chain.step("federate", task_id=f"average_{number}", options=options)]
    in_order(*tasks)
    return tasks[0], tasks[-1]


def _schedule(chain: Chain) -> Any:
    # A partitioned event triggers nothing in a DAG that is scheduled on the plain asset.
    if chain.schedule.retrain == "on_data":
        return PartitionedAssetTimetable(assets=chain.dataset, default_partition_mapper=FixedKeyMapper("dataset"))
    if chain.schedule.retrain == "manual":
        return None
    return CronTriggerTimetable(chain.schedule.retrain, timezone=chain.schedule.timezone, run_immediately=FIRST_RUN)


def _approval(chain: Chain) -> tuple[str, ApprovalOperator | None]:
    """Who promotes, for the audit record, and the task that asks a person first, if the corpus wants one."""
    if not chain.corpus.promote.approval:
        return "airflow:{{ dag_run.run_id }}", None
    ask = ApprovalOperator(
        task_id="approve",
        subject=f"Promote the new model of {chain.name}?",
        body=(
            "It passed its gate. Report: `{{ ti.xcom_pull(task_ids='evaluate') }}`, "
            "gate: `{{ ti.xcom_pull(task_ids='gate_model') }}`. Reject keeps the champion."
        ),
        # The wait for an answer is not work: it has a limit of its own, and asking again helps nobody.
        execution_timeout=None,
        response_timeout=chain.corpus.promote.approval_timeout,
        retries=0,
        retry_policy=None,
        doc_md="Waits for a person: *Required actions* in the menu.",
    )
    return "{{ ti.xcom_pull(task_ids='approve')['responded_by_user']['name'] }}", ask


for each in chains("retrain"):
    globals()[f"retrain_{each.name}"] = retrain(each)
