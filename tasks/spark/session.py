"""A Spark session for one step, and what of its context an executor needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.step import Context
from tasks.store import open_store

if TYPE_CHECKING:
    import pyarrow as pa

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",  # of pages: a batch that is run anew costs little
    "spark.sql.adaptive.enabled": "false",  # partitions as they are asked for: one a slot, one a shard
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
}


@dataclass(frozen=True)
class Remote:
    """A context as it travels to executors: they open the store with the credentials of their own environment."""

    corpus: Corpus
    store: str

    @classmethod
    def of(cls, context: Context) -> Remote:
        # Whom to tell is nobody's business there, and may hold a secret.
        return cls(context.corpus.model_copy(update={"notifications": ()}), context.store.url)

    def context(self) -> Context:
        """The context, in this process."""
        store = open_store(self.store, os.environ)
        return Context(self.corpus, store, Catalog(store), structlog.get_logger().bind(corpus=self.corpus.corpus))


@contextmanager
def session(context: Context, step: str) -> Iterator[Any]:
    """A session as the corpus's section ``spark`` says; stopped when the step is done.

    Raises:
        BadInput: pyspark is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise BadInput(
            f"corpus {context.corpus.corpus}: engine: spark needs pyspark (nightshift[spark]) and Java 17 or newer"
        ) from error
    # Executors of this machine run what runs here; others have an image of their own.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = context.corpus.spark
    builder = SparkSession.builder.master(spark.master).appName(f"nightshift {step} {context.corpus.corpus}")
    here = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    for name, value in (_SETTINGS | (here if spark.master.startswith("local") else {}) | spark.settings).items():
        builder = builder.config(name, value)
    running = builder.getOrCreate()
    try:
        yield running
    finally:
        running.stop()


def spark_schema(schema: pa.Schema) -> Any:
    """An Arrow schema as Spark's."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)
