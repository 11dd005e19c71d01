"""``ingest_<corpus>``: one day of a corpus, from its source to a published partition. An Airflow DAG file."""

from __future__ import annotations

from airflow.sdk import DAG, Param, TaskGroup
from airflow.sdk import chain as in_order
from factory import Chain, chains

from plugins.timetable import NightlyTimetable

PARTITION = "{{ dag_run.partition_key or '' }}"
ORIGIN = "{{ {'backfill': 'history', 'scheduled': '%s', 'manual': params.origin}.get(dag_run.run_type, 'auto') }}"
"""A backfill reads history, never today's web; the nightly run reads the live source if there is one."""

FORCE = "{{ 'force' if dag_run.run_type == 'manual' and params.force else '' }}"
"""Only a person's word crawls a committed day again."""

PARAMS = {
    "origin": Param(
        "auto",
        type="string",
        enum=["auto", "live", "history"],
        title="Origin",
        description="Where a run by hand reads the day from: source.live, source.history, or auto: live for today, "
        "history for past days. The day is the partition key, under Advanced Options.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Force",
        description="Crawl again although the partition is committed. So does clearing this run's crawl.",
    ),
}

DOC = """
Brings one day of the corpus, cleans it, and publishes it as a partition of the dataset.

`crawl -> gate raw -> clean (one task a shard; on Spark one) -> dedup -> stats (of texts) -> gate clean -> split
-> gate splits -> upload`

* **Every run is for one day**, its partition key (`YYYY-MM-DD`). To run a day by hand, fill in *Partition Key* under
  *Advanced Options* of the trigger form; *Origin* and *Force* there are for such runs alone. For several past days
  create a backfill: it reads `source.history`, each day exactly once.
* **A failed gate** stops the run and quarantines what it saw; the task log has one line for each failed
  expectation. Mend the source and clear the step before the gate, or release it (`release_{corpus}`) and clear
  the gate.
* **`stats`** draws the day, and all days, as pages: the task log has their addresses.
* **Every task may be cleared at any time**: a step whose inputs did not change is a no-op and says so.
* The published partition starts `retrain_{corpus}`, unless the corpus says otherwise.
"""


def ingest(chain: Chain) -> DAG:
    """The DAG of one corpus."""
    corpus, schedule = chain.corpus, chain.schedule
    day = {"partition": PARTITION}
    with DAG(
        **chain.dag_arguments("ingest", DOC.format(corpus=chain.name)),
        schedule=NightlyTimetable(
            schedule.cron,
            timezone=schedule.timezone,
            delay=schedule.delay.total_seconds(),
            start=schedule.start.isoformat(),
            scheduled=corpus.schedule is not None,
        ),
        # Each night's crawl asks only for what changed since the one before.
        max_active_runs=1,
        params=PARAMS,
        # A backfill of a live crawl would record today's web as the past.
        allowed_run_types=None if corpus.source.history else ["scheduled", "manual", "asset_materialization"],
    ) as dag:
        with TaskGroup("collect", prefix_group_id=False):
            origin = ORIGIN % ("live" if corpus.source.live else "history")
            crawl = chain.step("crawl", options={**day, "origin": origin}, flags=[FORCE], fan_out=True)
            gate_raw = chain.gate("raw", **day)
        with TaskGroup("documents", prefix_group_id=False):
            if chain.on_spark:
                clean = chain.step("clean", options=day)
            else:
                clean = chain.mapped("clean", options=day).expand(shard=crawl.output)
            dedup = chain.step("dedup", options=day)
            counted = [chain.step("stats", options=day)] if chain.prose else []
            gate_clean = chain.gate("clean", **day)
        with TaskGroup("publish", prefix_group_id=False):
            split = chain.step("split", options=day)
            gate_splits = chain.gate("splits", **day)
            upload = chain.step("upload", options=day, outlets=[chain.dataset])
        in_order(crawl, gate_raw, clean, dedup, *counted, gate_clean, split, gate_splits, upload)
    return dag


for each in chains("ingest"):
    globals()[f"ingest_{each.name}"] = ingest(each)
