"""Which Airflow this is: two may share a cluster, and must not clean up after each other.

The id is worked out from the deployment's configuration alone, which all its workers have; a task reaches no database.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from urllib.parse import urlsplit

from airflow.sdk.configuration import conf

from plugins.settings import AIRFLOW_ID, airflow_name

AIRFLOW = "nightshift/airflow"
"""The label with the id: the reaper of another Airflow knows nothing of these tasks."""
_NOWHERE = "default"
"""The namespace in the configuration of an Airflow that is in none."""


def airflow_id() -> str:
    """A short id of the deployment that this process belongs to, equal on all its workers; fit for a label.

    Raises:
        BadInput: ``NIGHTSHIFT_AIRFLOW_ID`` is not.
    """
    return airflow_name(os.environ) or hashlib.sha256(f"{_namespace()} {_address()}".encode()).hexdigest()[:12]


def why_ambiguous() -> str | None:
    """Why another Airflow may well have the same id; None where that is not to be feared."""
    if airflow_name(os.environ):
        return None
    host = urlsplit(_address()).hostname
    if host and not _here(host) and ("." in host or ":" in host or _namespace() != _NOWHERE):
        return None
    where = f"its address {_address()!r} is that of many" if host else "its configuration names no address"
    return (
        f"nothing tells this Airflow from another one ({where}): set {AIRFLOW_ID} to a name of its own, the same "
        "for its scheduler and all its workers"
    )


def _address() -> str:
    return conf.get("core", "execution_api_server_url", fallback="") or conf.get("api", "base_url", fallback="") or ""


def _namespace() -> str:
    # As Airflow's chart configures it: the chart's address is a name that every namespace may have.
    return conf.get("kubernetes_executor", "namespace", fallback=_NOWHERE) or _NOWHERE


def _here(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
