"""What the tests on a cluster share: the cluster of ``KUBECONFIG``, and a namespace of each test's own."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kubernetes import client, config
from kubernetes.client import ApiException

from tests.faults.run import Row

T = TypeVar("T")
IMAGE = "NIGHTSHIFT_IMAGE"
TRAINER_IMAGE = "NIGHTSHIFT_TRAINER_IMAGE"
SPARK_IMAGE = "NIGHTSHIFT_SPARK_IMAGE"
IMAGES = {IMAGE: "example.local/nightshift-pipeline:dev", TRAINER_IMAGE: "example.local/nightshift-trainer:dev"}


def image(name: str) -> str:
    """The image that the environment names, or the one that ``make images`` makes."""
    return os.environ.get(name) or IMAGES[name]


def wait(condition: Callable[[], T], what: str, seconds: float = 120) -> T:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)
    return value


ROW = pytest.StashKey[Row]()
"""The row of the fault matrix that a test measures."""


def keep(row: Row) -> None:
    """Add the row to what ``make faults`` shows, instead of what was kept of the same fault before."""
    print(row)
    if path := os.environ.get("NIGHTSHIFT_FAULT_ROWS"):
        with Path(path).open("a") as out:
            out.write(json.dumps(row.to_json()) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a row of a fault that did not end as it must, too: the page says so below its table."""
    report = yield
    if report.failed and call.excinfo is not None and item.path.name == "test_faults.py":
        row = item.stash.get(ROW, None) or Row(item.name, "start-up", where="kubernetes")
        row.wrong.append(str(call.excinfo.value).strip()[:400] or call.excinfo.typename)
        keep(row)
    return report


@pytest.fixture(scope="session")
def cluster() -> client.CoreV1Api:
    """The cluster's API; without ``KUBECONFIG`` there is nothing to test on."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: KUBECONFIG names none")
    return client.CoreV1Api(config.new_client_from_config())


@pytest.fixture
def namespace(cluster: client.CoreV1Api) -> Iterator[str]:
    """An empty namespace with the Secret that pods take their settings from; gone afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    make_namespace(cluster, name, {})
    yield name
    cluster.delete_namespace(name)


def make_namespace(cluster: client.CoreV1Api, name: str, settings: dict[str, str]) -> None:
    """A namespace whose pods can start: with the Secret ``nightshift-store`` and a service account."""
    cluster.create_namespace({"metadata": {"name": name}})
    cluster.create_namespaced_secret(name, {"metadata": {"name": "nightshift-store"}, "stringData": settings})
    # Pods are refused until controllers have made the account that they run as, and in older versions its token.
    wait(lambda: _takes_pods(cluster, name), "the namespace takes pods")


def reachable(cluster: client.CoreV1Api) -> str:
    """An address of this machine that pods reach: what the environment says, or the node's where this is the node."""
    if given := os.environ.get("NIGHTSHIFT_TEST_HOST"):
        return given
    addresses = cluster.list_node().items[0].status.addresses
    return next(str(each.address) for each in addresses if each.type == "InternalIP")


def pods(cluster: client.CoreV1Api, namespace: str) -> dict[str, Any]:
    """The pods of a namespace by name, those on their way out too."""
    return {pod.metadata.name: pod for pod in cluster.list_namespaced_pod(namespace).items}


def _takes_pods(cluster: client.CoreV1Api, namespace: str) -> bool:
    spec = {"containers": [{"name": "none", "image": "none"}]}
    try:
        cluster.create_namespaced_pod(namespace, {"metadata": {"name": "none"}, "spec": spec}, dry_run="All")
    except ApiException as error:
        if error.status == 403 or error.status >= 500:
            return False
        raise
    return True
