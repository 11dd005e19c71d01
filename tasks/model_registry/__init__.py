"""Versions, champion and audit of a corpus's models, kept on the store and mirrored to MLflow."""

from tasks.model_registry.records import Audit, Backed, Champion, Version
from tasks.model_registry.registry import Head, Registry
from tasks.model_registry.state import champion, settled, versions

__all__ = ["Audit", "Backed", "Champion", "Head", "Registry", "Version", "champion", "settled", "versions"]
