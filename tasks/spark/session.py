"""A Spark session for one step, and what of its context an executor needs."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import BadInput, NightshiftError
from tasks.spark.executors import settings_of
from tasks.spark.java import java_home
from tasks.step import Context
from tasks.store import open_store

if TYPE_CHECKING:
    import pyarrow as pa

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "64",  # of pages: a batch that is run anew costs little
    "spark.sql.adaptive.enabled": "false",  # partitions as they are asked for: one a slot, one a shard
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",  # a line that rewrites itself is none in a log
    "spark.log.level": "ERROR",
}
_EVERY = 10.0
"""Seconds between two lines about a wait."""


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
        NightshiftError: Spark does not start, no executor comes to run, or the driver's Java ends before the step.
    """
    try:
        from py4j.protocol import Py4JError, Py4JJavaError
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise BadInput(
            f"corpus {context.corpus.corpus}: engine: spark needs pyspark (nightshift[spark]) and Java 17 or newer"
        ) from error
    spark = context.corpus.spark
    if home := java_home(os.environ):
        os.environ["JAVA_HOME"] = str(home)
    with tempfile.TemporaryDirectory(prefix="nightshift-spark-") as folder:
        settings = dict(_SETTINGS)
        if spark.master.startswith("local"):
            # Executors of this machine run what runs here; others have an image of their own.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        elif spark.in_pods:
            settings |= settings_of(context.corpus, step, os.environ, Path(folder))
        builder = SparkSession.builder.master(spark.master).appName(f"nightshift {step} {context.corpus.corpus}")
        for name, value in (settings | spark.settings).items():
            builder = builder.config(name, value)
        try:
            running = builder.getOrCreate()
        except (Py4JError, ConnectionError, PySparkRuntimeError) as error:
            why = _root_of(error.java_exception) if isinstance(error, Py4JJavaError) else str(error)
            raise NightshiftError(
                f"corpus {context.corpus.corpus}: Spark did not start at {spark.master}: {why}"
            ) from error
        try:
            if spark.in_pods:
                _require_executors(context, running)
            yield running
        except Py4JJavaError:  # of a Java that lives: a job failed, and says itself why
            raise
        except (Py4JError, ConnectionError, EOFError) as error:
            raise NightshiftError(
                f"corpus {context.corpus.corpus}: the driver's Java ended while {step} ran; its last lines above may "
                "say why, and where there are none it was killed, as for memory: what the step may take must hold "
                "spark.driver.memory beside what the step takes without Spark"
            ) from error
        finally:
            _stop(context, running)


def _stop(context: Context, running: Any) -> None:
    """End the session; where its Java ended before, all that is left to do is to say so."""
    from py4j.protocol import Py4JError

    try:
        running.stop()
    except (Py4JError, ConnectionError) as error:
        # An error on its way says more than this one, and without one the work is done.
        context.log.warning("Spark did not stop in order", error=repr(error))


def _root_of(thrown: Any) -> str:
    while cause := thrown.getCause():
        thrown = cause
    return str(thrown.getMessage() or thrown.toString()).strip().splitlines()[0]


def _require_executors(context: Context, running: Any) -> None:
    """Wait for the first executor: without one a job would wait for ever, and say nothing."""
    from py4j.protocol import Py4JError

    pods = context.corpus.kubernetes
    assert pods is not None
    seconds = pods.start_timeout.total_seconds()
    started = said = time.monotonic()
    try:
        # Where blocks are kept: the driver, and every executor that runs.
        while running.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 2:
            now = time.monotonic()
            if now - started > seconds:
                raise NightshiftError(_unstarted(context, f"no executor of Spark ran within {seconds:.0f} s"))
            if now - said >= _EVERY:
                said = now
                context.log.info(
                    "no executor runs yet",
                    namespace=pods.namespace,
                    waited_s=round(now - started),
                    gives_up_after_s=round(seconds),
                )
            time.sleep(0.5)
    except (Py4JError, ConnectionError) as error:  # Spark gives up by itself, and ends its process
        raise NightshiftError(_unstarted(context, "executors of Spark failed as they started")) from error


def _unstarted(context: Context, what: str) -> str:
    assert context.corpus.kubernetes is not None
    return (
        f"corpus {context.corpus.corpus}: {what}; `kubectl get events -n {context.corpus.kubernetes.namespace}` says "
        "what kept their pods; to keep a pod that failed, and its log, set "
        'spark.kubernetes.executor.deleteOnTermination to "false" in spark.settings'
    )


def spark_schema(schema: pa.Schema) -> Any:
    """An Arrow schema as Spark's."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)
