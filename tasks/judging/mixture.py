"""``mixture``: clusters that are densities; the likelihood of rows that they have not seen."""

from __future__ import annotations

from typing import ClassVar

from tasks.judging.base import JUDGES, Measure
from tasks.judging.clusters import SILHOUETTE, Clusters


@JUDGES.register("mixture")
class Mixture(Clusters):
    """Mean log-likelihood (nats a row), and what clusters are judged by."""

    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("log_likelihood", "log-likelihood a row", share=False),
        SILHOUETTE,
    )
    fit: ClassVar[str] = "log_likelihood"
