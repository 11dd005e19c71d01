"""What is on the store: manifests, pointers, no-ops and quarantine."""

from tasks.catalog.catalog import Catalog
from tasks.catalog.manifest import FileEntry, Input, Manifest, fingerprint
from tasks.catalog.quarantine import Quarantine, Release

__all__ = ["Catalog", "FileEntry", "Input", "Manifest", "Quarantine", "Release", "fingerprint"]
