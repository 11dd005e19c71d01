"""How a corpus' cluster is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.config.kubernetes import Kubernetes


def connection_of(settings: Kubernetes) -> dict[str, Any]:
    """Arguments of ``KubernetesHook``, and of its asynchronous sister."""
    return {
        "conn_id": settings.connection,
        "in_cluster": settings.in_cluster,
        "config_file": settings.config_file,
        "cluster_context": settings.context,
    }
