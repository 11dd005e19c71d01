"""A step's pod on a real cluster: what it hands on, and what is said when something befalls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client import models as k8s

from plugins.errors import StepKilled
from plugins.operators.pod import PodGateOperator, PodSnapshotOperator, PodStepOperator
from tasks.errors import BadInput, GateFailed, Lacking, NightshiftError, StoreError
from tests.kubernetes.conftest import IMAGE, image, pods, wait
from tests.kubernetes.steps import Task

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

MANIFEST = "s3://bucket/clean/docs/2026-11-20/_manifest.json"
STEP = """
import json, os, sys, time
def end(code=0, **result):
    if result:
        open(os.environ["NIGHTSHIFT_RESULT_FILE"], "w").write(json.dumps({"step": "clean", **result}))
    sys.exit(code)
"""
"""What every pod of these tests begins with in place of ``nightshift``; the test adds what this one does."""


class Scripted(PodStepOperator):
    """A step whose pod runs a script in place of ``nightshift``."""

    script = ""

    def build_pod_request_obj(self, *arguments: Any, **more: Any) -> k8s.V1Pod:
        pod = super().build_pod_request_obj(*arguments, **more)
        if self.script:
            pod.spec.containers[0].command = ["python", "-c", f"{STEP}\n{self.script}"]
        return pod


class ScriptedGate(PodGateOperator, Scripted):
    """A gate whose pod runs a script."""


@pytest.fixture
def task(namespace: str, tmp_path: Path) -> Callable[..., Task]:
    """``task(script, resources={…}, kubernetes={…}, **arguments)``: a task whose pod runs ``script``."""

    def make(
        script: str,
        *,
        resources: Any = None,
        kubernetes: Any = None,
        train: Any = None,
        kind: Any = Scripted,
        **more: Any,
    ) -> Task:
        path = tmp_path / "docs.yaml"
        values = {
            "corpus": "docs",
            "runtime": "kubernetes",
            "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
            "train": train or {"recipe": "tfidf_forest"},
            "resources": {"cpu": "50m", "memory": "128Mi", "timeout": "5m", **(resources or {})},
            "kubernetes": {"namespace": namespace, "image": image(IMAGE), "grace": "2s", **(kubernetes or {})},
        }
        path.write_text(yaml.safe_dump(values))
        given = {"task_id": "clean", "step": "clean", "options": {"partition": "2026-11-20"}, "shard": "0/2", **more}
        if kind is ScriptedGate:
            del given["step"]

        def operator() -> PodStepOperator:
            made = kind(corpus=str(path), logging_interval=1, **given)
            made.script = script
            return made  # type: ignore[no-any-return]

        return Task(operator)

    return make


@pytest.fixture(autouse=True)
def _nothing_left(cluster: client.CoreV1Api, namespace: str) -> Any:
    """However a test ended: no pod stays."""
    yield
    # The kubelet of an older Kubernetes needs a minute to let a pod go whose container never came to run.
    wait(lambda: not pods(cluster, namespace), "no pod is left", 180)


def running(cluster: client.CoreV1Api, namespace: str) -> k8s.V1Pod:
    def found() -> Any:
        return next((pod for pod in pods(cluster, namespace).values() if pod.status.phase == "Running"), None)

    return wait(found, "the pod runs")


def test_the_manifest_url_of_the_pod_is_all_that_travels_on(
    task: Callable[..., Task], capsys: pytest.CaptureFixture[str]
) -> None:
    script = f"print('level=info event=cleaning', file=sys.stderr); end(manifest={MANIFEST!r}, counts={{'rows': 3}})"
    assert task(script).run() == MANIFEST
    assert "event=cleaning" in capsys.readouterr().out


def test_fanning_out_gives_one_entry_for_each_shard(task: Callable[..., Task]) -> None:
    script = f"end(manifest={MANIFEST!r}, counts={{'shards': 2}})"
    assert task(script, fan_out=True, shard=None).run() == [f"{MANIFEST}#0/2", f"{MANIFEST}#1/2"]


def test_a_pod_has_no_rights_and_no_root_and_one_folder_to_write_to(
    task: Callable[..., Task], cluster: client.CoreV1Api, namespace: str
) -> None:
    script = """
try:
    open("/opt/x", "w")
    wrote = True
except OSError:
    wrote = False
open("/tmp/x", "w").write("scratch")
capabilities = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]
token = os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
seen = dict(root=os.getuid() == 0, wrote=wrote, capabilities=int(capabilities[0], 16), token=token,
            corpus=os.environ["NIGHTSHIFT_CORPUS_YAML"].startswith("corpus: docs"), argv=sys.argv[1:])
end(1, error=dict(type="NightshiftError", message=json.dumps(seen)))
"""
    with pytest.raises(NightshiftError) as failure:
        task(script).run()
    seen = json.loads(str(failure.value))
    assert seen.pop("argv") == [
        "clean",
        "--corpus=env:NIGHTSHIFT_CORPUS_YAML",
        "--partition=2026-11-20",
        "--shard=0/2",
        "--json",
    ]
    assert seen == {"root": False, "wrote": False, "capabilities": 0, "token": False, "corpus": True}


@pytest.mark.parametrize(("code", "kind"), [(2, BadInput), (1, StoreError)])
def test_the_exit_code_becomes_the_exception(task: Callable[..., Task], code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="what went wrong") as failure:
        task(f"end({code}, error=dict(type={kind.__name__!r}, message='what went wrong'))").run()
    assert type(failure.value) is kind


def test_a_failed_gate_names_each_expectation_in_the_task_log(
    task: Callable[..., Task], capsys: pytest.CaptureFixture[str]
) -> None:
    script = "end(3, error=dict(type='GateFailed', message='one of nine failed\\nrows: expected 10, saw 3'))"
    with pytest.raises(GateFailed):
        task(script, kind=ScriptedGate, expectation_suite_name="clean", shard=None).run()
    errors = [line for line in capsys.readouterr().out.splitlines() if "[error" in line]
    assert any("gate clean: rows: expected 10, saw 3" in line for line in errors)


def test_a_crash_without_a_result_is_told_in_its_last_words(task: Callable[..., Task]) -> None:
    with pytest.raises(NightshiftError, match=r"exit code 1.*ZeroDivisionError"):
        task("1 / 0").run()


def test_a_pod_that_takes_too_much_memory_is_told_what_to_do(task: Callable[..., Task]) -> None:
    with pytest.raises(StepKilled, match=r"out of memory, it may use 64Mi\. Raise resources\.memory"):
        task("x = [b'x' * (8 << 20) for _ in range(64)]", resources={"memory": "64Mi"}).run()


@pytest.mark.slow
def test_a_pod_that_fills_its_scratch_is_evicted_and_says_so(task: Callable[..., Task]) -> None:
    script = "open('/tmp/x', 'wb').write(bytes(32 << 20)); time.sleep(240)"
    with pytest.raises(StepKilled, match=r"Evicted.*scratch"):
        task(script, kubernetes={"scratch": "1MiB"}).run()


def test_a_deleted_pod_is_worth_another_try(
    task: Callable[..., Task], cluster: client.CoreV1Api, namespace: str
) -> None:
    async def delete() -> None:
        pod = await asyncio.to_thread(running, cluster, namespace)
        cluster.delete_namespaced_pod(pod.metadata.name, namespace, grace_period_seconds=0)

    with pytest.raises(StepKilled, match="gone"):
        task("time.sleep(240)").run(delete)


@pytest.mark.slow
def test_an_image_that_is_not_there_is_named_and_not_tried_again(task: Callable[..., Task]) -> None:
    settings = {"image": "example.local/missing:1", "image_pull_policy": "Never"}
    with pytest.raises(BadInput, match=r"cannot start: ErrImageNeverPull.*example\.local/missing:1.*kubernetes\.image"):
        task("", kubernetes=settings).run()


def test_an_image_without_the_recipes_libraries_is_refused_by_the_first_pod_of_a_retraining(
    task: Callable[..., Task],
) -> None:
    """The pipeline's image has no TensorFlow, and here nothing is published: that is not what it says."""
    corpus = {"train": {"recipe": "text_encoder"}, "resources": {"memory": "512Mi"}}
    settings = {"env": {"NIGHTSHIFT_STORE": "file:///tmp/store"}, "grace": "60s"}
    snapshot = {"task_id": "snapshot", "step": "snapshot", "options": {}, "shard": None, "kind": PodSnapshotOperator}
    said = f"(?s)recipe text_encoder needs .*tensorflow.*kubernetes.trainer_image.*The pod's image is {image(IMAGE)}"
    with pytest.raises(Lacking, match=said):
        task("", kubernetes=settings, **corpus, **snapshot).run()


@pytest.mark.parametrize("asked", [{"cpu": "500"}, {"memory": "900Ti"}])
def test_what_no_node_has_is_refused_before_any_pod(task: Callable[..., Task], asked: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=rf"resources\.{next(iter(asked))}: .* could never be scheduled"):
        task("", resources=asked).start()


def test_a_pod_that_no_node_takes_in_time_says_what_it_lacks(task: Callable[..., Task]) -> None:
    with pytest.raises(NightshiftError, match=r"did not start in time .*Unschedulable.*Insufficient cpu.*ask for less"):
        task("", resources={"cpu": "500"}, kubernetes={"start_timeout": "4s", "elastic": True}).run()


@pytest.mark.slow
def test_a_secret_that_is_not_there_is_named(task: Callable[..., Task]) -> None:
    settings = {"env_secret": "elsewhere", "start_timeout": "8s"}
    with pytest.raises(
        BadInput, match=r"cannot start: CreateContainerConfigError.*\"elsewhere\" not found.*env_secret"
    ):
        task("", kubernetes=settings).run()


def test_a_namespace_that_is_not_there_fails_before_any_pod(task: Callable[..., Task]) -> None:
    with pytest.raises(BadInput, match=r"namespace nowhere.*not found"):
        task("", kubernetes={"namespace": "nowhere"}).start()


def test_a_worker_that_died_finds_its_pod_again(
    task: Callable[..., Task], cluster: client.CoreV1Api, namespace: str
) -> None:
    started = task(f"time.sleep(3); end(manifest={MANIFEST!r})")
    started.start()
    assert started.run() == MANIFEST  # the same task, in a process that knows of no pod
    assert len(pods(cluster, namespace)) <= 1
