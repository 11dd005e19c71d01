"""What other steps ask the registry."""

from __future__ import annotations

from tasks.catalog import Catalog
from tasks.errors import NotFound
from tasks.model_registry.records import Champion, Version
from tasks.model_registry.registry import Registry

REJECTED = "rejected by gate"
"""How the reason begins for which a training is settled that no gate let through."""


def champion(catalog: Catalog, corpus: str) -> Champion | None:
    """The version in use, or None before the first promotion."""
    return Registry(catalog, corpus).champion()


def versions(catalog: Catalog, corpus: str) -> list[Version]:
    """Every version, oldest first."""
    return Registry(catalog, corpus).versions()


def settled(catalog: Catalog, corpus: str, run: str) -> str | None:
    """Why a training needs no further work, or None: promoted and backed up, or rejected by its gate.

    One that was rolled back stays settled: what a person took out of use does not come back by itself.
    """
    registry = Registry(catalog, corpus)
    version = registry.of_run(run)
    if version is not None:
        backed = registry.backed(version.version)
        if backed is None or not backed.verified or not _intact(catalog, version):
            return None
        return f"promoted as version {version.version} and backed up at {backed.url}"
    for folder in (f"models/{corpus}/{run}", f"features/{corpus}/{run}"):
        manifest = catalog.current(folder)
        record = catalog.quarantine.find(manifest) if manifest else None
        if record is not None and record.released is None:
            return (
                f"{REJECTED} {record.stage}: {'; '.join(record.failures)}. To judge it anew under other "
                f"thresholds, clear gate_{record.stage} of the run that failed; to let it pass, release {run}"
            )
    return None


def _intact(catalog: Catalog, version: Version) -> bool:
    try:
        return not catalog.damaged(catalog.at(version.folder, version.digest))
    except NotFound:
        return False
