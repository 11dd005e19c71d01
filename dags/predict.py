"""``predict_<corpus>``: scores one partition with the champion. An Airflow DAG file."""

from __future__ import annotations

from airflow.sdk import DAG, Param
from factory import Chain, chains

DOC = """
Scores the documents of one cleaned partition with the champion, as Parquet under `predictions/`.

Trigger it with the day to score. The same day with the same champion is a no-op.
"""


def predict(chain: Chain) -> DAG:
    """The DAG of one corpus."""
    with DAG(
        **chain.dag_arguments("predict", DOC),
        schedule=None,
        params={
            "partition": Param(
                type="string", format="date", title="Partition", description="The day to score, YYYY-MM-DD."
            )
        },
    ) as dag:
        chain.step("predict", options={"partition": "{{ params.partition }}"})
    return dag


for each in chains("predict"):
    globals()[f"predict_{each.name}"] = predict(each)
