"""Where faults happen in pods: the real scheduler, a gang on the cluster, and an S3 server that both reach."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
import yaml
from kubernetes import client
from kubernetes.stream import stream

from containers.embedded.stack import Stack
from plugins.gang.layout import GANG, WORKER
from tasks.catalog import Catalog, Manifest
from tasks.config import Corpus
from tasks.step import Context
from tasks.store import open_store
from tasks.training import Training
from tests.faults.ground import DAY, QUICK, documents
from tests.faults.turnstile import Turnstile
from tests.published import Days

CORPUS = "faults"
DAG = f"retrain_{CORPUS}"
POLL = 0.2
RETRIES = 3
"""Of a task, where a test does not say."""
T = TypeVar("T")

KILL = """
import os, signal, sys
for entry in os.listdir("/proc"):
    if entry.isdigit() and int(entry) != os.getpid():
        try:
            line = open(f"/proc/{entry}/cmdline").read()
        except OSError:
            continue
        if "tasks.training.mirrored.worker" in line:
            os.kill(int(entry), getattr(signal, sys.argv[1]))
            print("struck", entry)
"""
"""Run in a worker's pod: its image has no shell, and Python is there anyway."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker's pod at one moment."""

    uid: str
    name: str


class Field:
    """One corpus whose gang runs in pods, after its first, undisturbed retraining."""

    def __init__(
        self, stack: Stack, api: client.CoreV1Api, namespace: str, images: dict[str, str], turnstile: Turnstile
    ) -> None:
        self.stack, self.api, self.namespace = stack, api, namespace
        self.turnstile = turnstile
        self._images = images
        self.run = ""

    @property
    def settings(self) -> dict[str, str]:
        """What the pods know of the store: the way to it leads through the turnstile."""
        names = ("AWS_", "NIGHTSHIFT_STORE", "NIGHTSHIFT_BACKUP")
        told = {name: value for name, value in self.stack.environment.items() if name.startswith(names)}
        server = urlsplit(told["AWS_ENDPOINT_URL"])
        return {**told, "AWS_ENDPOINT_URL": f"http://{server.hostname}:{self.turnstile.port}"}

    # the corpus

    def corpus(self, **sections: Any) -> dict[str, Any]:
        """The corpus YAML, with sections replaced."""
        values = {
            **QUICK.corpus(2),
            "corpus": CORPUS,
            "runtime": "kubernetes",
            "schedule": {"retrain": "manual"},
            "kubernetes": {"namespace": self.namespace, "env": {"NIGHTSHIFT_LOG": "json"}, **self._images},
        }
        values["resources"] = {
            **values["resources"],
            **{"cpu": "600m", "memory": "1300Mi", "timeout": "15m", "retries": RETRIES},
        }
        for key, value in sections.items():
            values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
        return values

    def write(self, **sections: Any) -> None:
        """Put the corpus where Airflow finds it, and wait until it has."""
        values, rest = self.corpus(**sections), self.stack.rest
        file = Path(self.stack.environment["NIGHTSHIFT_CORPORA"]) / f"{CORPUS}.yaml"
        file.write_text(yaml.safe_dump(values))
        rest.wait_for_dag(DAG)
        asked = values["resources"]["retries"], Corpus.model_validate(values).gang

        def read() -> bool:
            train = rest.call("GET", f"dags/{DAG}/tasks/train")
            return (train["retries"], train["pool_slots"]) == asked

        wait(read, "Airflow has read the corpus")
        rest.unpause(DAG)

    def publish(self, scratch: Path) -> None:
        """A published day to train on."""
        Days(self.context, scratch).publish(DAY, *documents(QUICK.documents))

    @property
    def context(self) -> Context:
        """For a look at the store."""
        store = open_store(self.stack.environment["NIGHTSHIFT_STORE"], self.stack.environment)
        corpus = Corpus.model_validate(self.corpus())
        return Context(corpus, store, Catalog(store), structlog.get_logger())

    @property
    def training(self) -> Training:
        """The run's training."""
        context = self.context
        (folder,) = context.catalog.folders(f"snapshots/{CORPUS}")
        return Training.of(context.corpus, context.catalog.load(folder, made_by="snapshot"))

    @property
    def part(self) -> Manifest:
        """What the gang committed."""
        training = self.training
        return self.context.catalog.load(training.model(training.parts[0]), made_by="train")

    # the gang

    def train_again(self) -> None:
        """Forget what the gang left, though not the champion beside it, and let the task ``train`` run once more."""
        context, folder = self.context, self.training.model()
        for left in ("checkpoints", "parts"):
            for info in list(context.store.list(f"{folder}/{left}/")):
                context.store.delete(info.key)
        self.clear()

    def clear(self) -> None:
        """Clear the task ``train``, as a person does in the web UI."""
        body = {"dag_run_id": self.run, "task_ids": ["train"], "only_failed": False, "reset_dag_runs": True}
        self.stack.rest.call("POST", f"dags/{DAG}/clearTaskInstances", {**body, "dry_run": False})

    def state(self, task: str = "train") -> str:
        """Airflow's word for how the task is."""
        return next(str(each["state"]) for each in self.stack.rest.tasks(DAG, self.run) if each["task_id"] == task)

    def tries(self) -> int:
        """How often ``train`` was started."""
        return next(int(t["try_number"]) for t in self.stack.rest.tasks(DAG, self.run) if t["task_id"] == "train")

    def pods(self) -> dict[int, Seen]:
        """The gang's pods that are not on their way out, by worker."""
        found = self.api.list_namespaced_pod(self.namespace, label_selector=GANG).items
        return {
            int(pod.metadata.labels[WORKER]): Seen(pod.metadata.uid, pod.metadata.name)
            for pod in found
            if pod.metadata.deletion_timestamp is None and pod.status.phase in ("Pending", "Running")
        }

    def left(self) -> list[str]:
        """Whatever of any gang is still in the namespace."""
        pods = self.api.list_namespaced_pod(self.namespace, label_selector=GANG).items
        services = self.api.list_namespaced_service(self.namespace, label_selector=GANG).items
        return [each.metadata.name for each in (*pods, *services)]

    def checkpoints(self) -> list[int]:
        """The steps of the checkpoints on the store."""
        folder = f"{self.training.model()}/checkpoints/"
        names = [info.key.rpartition("/")[2] for info in self.context.store.list(folder)]
        return sorted({int(name.partition("-")[0]) for name in names if name.endswith(".json")})

    def mid_epoch(self) -> dict[int, Seen]:
        """Wait until the gang is between two checkpoints; its pods then."""
        wait(lambda: len(self.checkpoints()) >= 2, "two checkpoints", 300)
        return self.pods()

    def reached(self) -> int:
        """The last step that worker 0 reported."""
        with contextlib.suppress(client.ApiException, KeyError):
            return last_step(pod_log(self.api, self.pods()[0].name, self.namespace))
        return 0

    def training_processes(self) -> bool:
        """Whether every worker's training process is there to be struck."""
        return len(self.pods()) > 0 and all(self._signalled(seen.name, "SIGCONT") for seen in self.pods().values())

    def strike(self, worker: int, signal_name: str) -> None:
        """Send a signal to a worker's training process."""
        pod = self.pods()[worker].name
        assert self._signalled(pod, signal_name), f"no training process in {pod}"

    def _signalled(self, pod: str, signal_name: str) -> bool:
        try:
            said = stream(
                self.api.connect_get_namespaced_pod_exec,
                pod,
                self.namespace,
                container="base",
                command=["python", "-c", KILL, signal_name],
                stderr=True,
                stdout=True,
            )
        except (
            client.ApiException,
            AttributeError,
        ):  # its container does not run yet; the client trips over the answer
            return False
        return "struck" in said


def pod_log(api: client.CoreV1Api, pod: str, namespace: str) -> str:
    """What a pod said so far. The client itself would give Python's way of writing these bytes, all in one line."""
    return str(api.read_namespaced_pod_log(pod, namespace, _preload_content=False).data.decode())


def last_step(log: str) -> int:
    """The last step that worker 0 says it made, in its own log or in that of the task."""
    steps = [0]
    for line in log.splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            fields = json.loads(line.removeprefix("[worker 0] "))
            if fields.get("event") in ("progress", "epoch", "saved", "checkpoint"):
                steps += [step for step in [fields.get("step")] if isinstance(step, int)]
    return max(steps)


def wait(condition: Callable[[], T], what: str, seconds: float = 120) -> T:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(POLL)
    return value


@contextlib.contextmanager
def field(
    home: Path, api: client.CoreV1Api, namespace: str, images: dict[str, str], kubeconfig: str
) -> Iterator[Field]:
    """A stack whose S3 server pods reach."""
    (home / "corpora").mkdir(parents=True)
    (address,) = (each.address for each in api.list_node().items[0].status.addresses if each.type == "InternalIP")
    extra = {"NIGHTSHIFT_RETRY_DELAY": "1", "KUBECONFIG": kubeconfig}
    stack = Stack(home, corpora=home / "corpora", extra=extra, s3_host=address)
    stack.start(site=False)  # nothing is crawled
    try:
        port = urlsplit(stack.environment["AWS_ENDPOINT_URL"]).port
        assert port
        with Turnstile(port, address) as turnstile:
            yield Field(stack, api, namespace, images, turnstile)
    finally:
        stack.stop()
