"""A Spark whose Java dies, or never lives: fakes in place of pyspark, which need not be installed, bring the faults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tasks.config import Corpus
from tasks.errors import NightshiftError
from tasks.spark.session import session
from tasks.step import Context


class Py4JError(Exception):
    pass


class Py4JJavaError(Py4JError):
    pass


class PySparkRuntimeError(RuntimeError):
    pass


class Spark:
    """Builder, session and context in one."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        """What starting raises."""
        self.sizes: Iterator[int | Exception] = iter(())
        """How many keep blocks, by call."""
        self.at_stop: Exception | None = None
        self.builder = self.sparkContext = self._jsc = self

    def master(self, name: str) -> Spark:
        return self

    appName = master

    def config(self, name: str, value: str) -> Spark:
        return self

    def getOrCreate(self) -> Spark:
        if self.refusal:
            raise self.refusal
        return self

    def sc(self) -> Spark:
        return self

    def getExecutorMemoryStatus(self) -> Any:
        found = next(self.sizes)
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(size=lambda: found)

    def stop(self) -> None:
        if self.at_stop:
            raise self.at_stop


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Spark:
    made = Spark()
    for name, values in {
        "py4j": {},
        "py4j.protocol": {"Py4JError": Py4JError, "Py4JJavaError": Py4JJavaError},
        "pyspark": {},
        "pyspark.errors": {"PySparkRuntimeError": PySparkRuntimeError},
        "pyspark.sql": {"SparkSession": made},
    }.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("JAVA_HOME", "/java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setattr("tasks.spark.session.time.sleep", lambda _: None)
    return made


@pytest.fixture
def in_pods(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    settings = {"spark.driver.host": "10.1.2.3"}
    section = {"master": "k8s://https://10.96.0.1:443", "image": "example.org/spark:1", "settings": settings}
    return make_context(
        corpus=make_corpus(engine="spark", spark=section, kubernetes={"image": "x", "start_timeout": "25s"})
    )


@pytest.fixture
def here(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(corpus=make_corpus(engine="spark"))


@pytest.mark.parametrize(
    "refusal",
    [
        PySparkRuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited"),
        ConnectionRefusedError("Java gateway process exited"),
        Py4JError("Java gateway process exited"),
    ],
)
def test_a_java_that_does_not_start_is_told(spark: Spark, here: Context, refusal: Exception) -> None:
    spark.refusal = refusal
    with (
        pytest.raises(NightshiftError, match=r"Spark did not start at local.*Java gateway process exited"),
        session(here, "clean"),
    ):
        pass


@pytest.mark.parametrize("fault", [Py4JError("empty"), ConnectionRefusedError(111, "refused"), EOFError()])
def test_a_java_that_dies_at_work_is_told(spark: Spark, here: Context, fault: Exception) -> None:
    spark.at_stop = ConnectionRefusedError(111, "refused")
    with (
        capture_logs() as logs,
        pytest.raises(NightshiftError, match=r"Java ended while clean ran") as told,
        session(here, "clean"),
    ):
        raise fault
    assert told.value.__cause__ is fault
    assert [each["event"] for each in logs] == ["Spark did not stop in order"]


def test_an_error_of_the_work_is_not_replaced(spark: Spark, here: Context) -> None:
    spark.at_stop = Py4JError("gone")
    for fault in (KeyError("a bug"), Py4JJavaError("a job failed"), NightshiftError("no")):
        with pytest.raises(type(fault)) as raised, session(here, "clean"):
            raise fault
        assert raised.value is fault


@pytest.mark.parametrize("fault", [Py4JError("empty"), ConnectionRefusedError(111, "refused")])
def test_executors_that_fail_as_they_start_are_told(spark: Spark, in_pods: Context, fault: Exception) -> None:
    spark.sizes, spark.at_stop = iter([1, fault]), fault
    with pytest.raises(NightshiftError, match="executors of Spark failed as they started"), session(in_pods, "clean"):
        pass


def test_who_waits_for_executors_says_so(spark: Spark, in_pods: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    spark.sizes = iter([1] * 100)
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr("tasks.spark.session.time.monotonic", lambda: float(next(clock)))
    with (
        capture_logs() as logs,
        pytest.raises(NightshiftError, match="no executor of Spark ran within 25 s"),
        session(in_pods, "clean"),
    ):
        pass
    assert [each["waited_s"] for each in logs if each["event"] == "no executor runs yet"] == [10, 20]


def test_work_begins_with_the_first_executor(spark: Spark, in_pods: Context) -> None:
    spark.sizes = iter([1, 1, 2])
    with session(in_pods, "clean") as running:
        assert running is spark
