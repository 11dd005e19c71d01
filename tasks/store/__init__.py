"""Where partitions, models and manifests live: a local folder or any S3-compatible store."""

from tasks.store.base import ObjectInfo, Store, open_store

__all__ = ["ObjectInfo", "Store", "open_store"]
