"""What pods need, imported once: an Airflow file without a DAG.

Airflow's DAG processor imports what a file of its folder imports from ``airflow`` before it forks, so that these
seconds are spent once, and not by every reading of every file for a corpus with ``runtime: kubernetes``.
"""

from __future__ import annotations

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

__all__ = ["KubernetesPodOperator"]
