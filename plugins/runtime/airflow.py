"""Which Airflow this is: two may share a cluster, and must not clean up after each other."""

from __future__ import annotations

import hashlib

from airflow.sdk.configuration import conf

AIRFLOW = "nightshift/airflow"
"""The label with the id: the reaper of another Airflow knows nothing of these tasks."""


def airflow_id() -> str:
    """A short id of the deployment that this process belongs to, equal on all its workers; fit for a label."""
    address = conf.get("core", "execution_api_server_url", fallback="") or conf.get("api", "base_url", fallback="")
    return hashlib.sha256(address.encode()).hexdigest()[:12]
