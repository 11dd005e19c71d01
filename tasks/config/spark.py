"""Where steps of `engine: spark` run."""

from __future__ import annotations

from pydantic import Field

from tasks.section import Section


class Spark(Section):
    """The Spark application of each such step: cleaning, signatures of near-duplicates, vocabulary counts."""

    master: str = Field("local[*]", description="as spark-submit takes it, as in k8s://https://host:6443")
    settings: dict[str, str] = Field(
        {}, description="further Spark settings by name, as spark.kubernetes.container.image"
    )
