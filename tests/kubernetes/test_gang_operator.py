"""The life of a gang's pods on a real cluster: started, watched, ended, found again, never left behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from kubernetes import client

from plugins.gang.layout import GANG
from plugins.gang.trigger import GangTrigger
from tasks.errors import BadInput, NightshiftError, PeerLost, Preempted
from tests.faults.field import pod_log
from tests.kubernetes.conftest import IMAGE, image, pods, wait
from tests.kubernetes.gangs import SNAPSHOT, ScriptedGang, Task, again, corpus_file, first

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

Gang = Callable[..., Task]


@pytest.fixture
def gang(namespace: str, tmp_path: Path) -> Gang:
    """``gang(script, workers=2)``: a task whose pods run ``script``; keywords are those of ``corpus_file``."""

    def make(script: str, *, workers: int = 2, timeout: timedelta | None = None, **more: Any) -> Task:
        path = corpus_file(tmp_path, namespace, more.pop("image", image(IMAGE)), workers=workers, **more)

        def operator() -> ScriptedGang:
            made = ScriptedGang(
                task_id="train",
                step="train",
                corpus=str(path),
                options={"snapshot": SNAPSHOT},
                workers=workers,
                logging_interval=1,
                execution_timeout=timeout,
            )
            made.script = script
            return made

        return Task(operator)

    return make


@pytest.fixture(autouse=True)
def _nothing_left(cluster: client.CoreV1Api, namespace: str, request: pytest.FixtureRequest) -> Any:
    """However a test ended its gang: no pod and no Service stays."""
    yield
    # The kubelet of an older Kubernetes needs a minute to let a pod go whose container never came to run.
    wait(lambda: not pods(cluster, namespace), f"no pod is left after {request.node.name}", 180)
    assert not cluster.list_namespaced_service(namespace, label_selector=GANG).items


def until(cluster: client.CoreV1Api, namespace: str, state: str, count: int) -> Callable[[], bool]:
    def reached() -> bool:
        return sum(pod.status.phase == state for pod in pods(cluster, namespace).values()) >= count

    return reached


async def sleeping(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait, condition, "the gang is where the test wants it")


class Heard:
    """What the workers' log lines in the task's log say, in order."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def of(self, worker: int) -> list[str]:
        self._text += self._capsys.readouterr().out
        return re.findall(rf"\[worker {worker}\] level=info event='([^']*)'", self._text)


@pytest.fixture
def heard(capsys: pytest.CaptureFixture[str]) -> Heard:
    return Heard(capsys)


def test_all_workers_meet_and_the_manifest_of_worker_0_is_the_result(gang: Gang, heard: Heard) -> None:
    assert gang("say(f'hello from {worker}'); meet(); done()").run() == "s3://bucket/models/docs/run/_manifest.json"
    assert [heard.of(worker) for worker in (0, 1)] == [["hello from 0"], ["hello from 1"]]


def test_logs_are_streamed_while_the_workers_run_each_line_once(
    gang: Gang, cluster: client.CoreV1Api, namespace: str, heard: Heard
) -> None:
    script = "import itertools\nfor i in itertools.count():\n    say(f'line {i} of {worker}'); time.sleep(0.05)"

    async def kill(trigger: GangTrigger) -> None:
        await sleeping(lambda: len(heard.of(1)) > 40)
        assert until(cluster, namespace, "Running", 2)()
        await trigger.on_kill()

    with pytest.raises(NightshiftError):
        gang(script).run(kill)
    for worker in (0, 1):
        said = heard.of(worker)
        assert said == [f"line {i} of {worker}" for i in range(len(said))]


def test_the_worker_that_died_first_is_named_and_the_others_are_ended(
    gang: Gang, cluster: client.CoreV1Api, namespace: str
) -> None:
    script = (
        "meet()\n"
        "if worker == 1: os._exit(137)\n"
        "time.sleep(2); end(75, error='PeerLost', message='worker 1 is lost: no heartbeat')"
    )
    with pytest.raises(
        PeerLost, match=r"worker 1 of 3 .* was killed by signal 9.*worker 0: exit code 75 worker 1 is l"
    ):
        gang(script, workers=3).run()


def test_a_gang_whose_others_hang_is_ended_all_the_same(gang: Gang) -> None:
    with pytest.raises(PeerLost, match=r"worker 0 of 2 .* killed by signal 9"):
        gang("meet()\nif worker == 0: os._exit(137)\nforever()").run()


def test_wrong_input_of_one_worker_is_the_cause_whoever_ended_first(gang: Gang) -> None:
    script = (
        "if worker == 0: end(75, error='PeerLost', message='worker 1 is lost')\n"
        "time.sleep(2); end(2, error='BadInput', message='no examples in features/docs')"
    )
    with pytest.raises(BadInput, match=r"worker 1 of 2 .*no examples in features/docs"):
        gang(script).run()


@pytest.mark.slow
def test_a_retry_is_a_new_generation_with_names_of_its_own(
    gang: Gang, cluster: client.CoreV1Api, namespace: str
) -> None:
    seen: list[set[str]] = []

    async def note(trigger: GangTrigger) -> None:
        await sleeping(until(cluster, namespace, "Running", 2))
        seen.append({pod.metadata.uid for pod in pods(cluster, namespace).values()})
        (service,) = cluster.list_namespaced_service(namespace, label_selector=GANG).items
        seen.append({service.metadata.name})
        await asyncio.to_thread(
            cluster.delete_namespaced_pod, f"{service.metadata.name}-1", namespace, grace_period_seconds=0
        )

    task = gang("meet(); forever()")
    for _ in range(2):
        with pytest.raises(PeerLost, match=r"worker 1 of 2 .* is gone: its pod was deleted"):
            task.run(note)
        wait(lambda: not pods(cluster, namespace), "the first generation is gone")
    first_pods, first_name, second_pods, second_name = seen
    assert not first_pods & second_pods
    assert not first_name & second_name


def test_an_evicted_gang_left_in_order(gang: Gang, cluster: client.CoreV1Api, namespace: str) -> None:
    async def evict(trigger: GangTrigger) -> None:
        await sleeping(until(cluster, namespace, "Running", 2))
        await sleeping(lambda: all("training" in _log(cluster, namespace, name) for name in pods(cluster, namespace)))
        for name in list(pods(cluster, namespace)):
            body = {"metadata": {"name": name, "namespace": namespace}}
            await asyncio.to_thread(
                cluster.create_namespaced_pod_eviction, name, namespace, {"apiVersion": "policy/v1beta1", **body}
            )

    with pytest.raises(Preempted):
        gang("forever()").run(evict)


def test_whoever_restarts_the_pods_are_taken_up_again(gang: Gang, cluster: client.CoreV1Api, namespace: str) -> None:
    task = gang("meet()\nwhile not os.path.exists('/tmp/go'): time.sleep(0.1)\ndone()")
    task.start()  # and the process that did so is never heard of again
    wait(until(cluster, namespace, "Running", 2), "the gang runs")
    before = {pod.metadata.uid for pod in pods(cluster, namespace).values()}
    second = task.start()
    assert {pod.metadata.uid for pod in pods(cluster, namespace).values()} == before
    # Their last word, if it is heard at all, is that they were told to leave.
    with pytest.raises((PeerLost, Preempted)):
        task.finish(second, lambda trigger: trigger.on_kill())


def test_a_gang_that_ended_well_while_nobody_looked_is_not_run_again(
    gang: Gang, cluster: client.CoreV1Api, namespace: str
) -> None:
    task = gang("meet(); done()")
    task.start()
    wait(until(cluster, namespace, "Succeeded", 2), "the gang is done")
    assert task.run() == "s3://bucket/models/docs/run/_manifest.json"


def test_a_gang_that_failed_while_nobody_looked_is_started_again(
    gang: Gang, cluster: client.CoreV1Api, namespace: str
) -> None:
    task = gang("end(1)")
    task.start()
    wait(until(cluster, namespace, "Failed", 2), "the gang failed")
    before = {pod.metadata.uid for pod in pods(cluster, namespace).values()}
    deferred = task.start()
    assert not before & {
        pod.metadata.uid for pod in pods(cluster, namespace).values() if pod.metadata.deletion_timestamp is None
    }
    with pytest.raises(NightshiftError):
        task.finish(deferred)


@pytest.mark.slow
def test_a_task_that_is_killed_before_it_is_deferred_leaves_nothing(
    gang: Gang, cluster: client.CoreV1Api, namespace: str
) -> None:
    operator = gang("forever()").operator()
    with pytest.raises(TaskDeferred):
        operator.execute(Task(lambda: operator, 1).context())
    operator.on_kill()


def test_a_trigger_that_airflow_gave_up_on_leaves_nothing(gang: Gang) -> None:
    task = gang("forever()")
    task.start()
    with pytest.raises(Exception, match="timeout"):
        task.operator().resume_execution("__fail__", {"error": "Trigger timeout"}, task.context())


def test_what_the_triggerer_cancels_again_and_again_deletes_the_gang_all_the_same(
    gang: Gang, cluster: client.CoreV1Api, namespace: str
) -> None:
    deferred = gang("forever()").start()

    async def cancelled() -> None:
        killing = asyncio.create_task(again(deferred.trigger).on_kill())
        await asyncio.sleep(0)  # until it waits for the cluster
        killing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await killing
        await sleeping(lambda: not pods(cluster, namespace))

    asyncio.run(cancelled())


def test_a_triggerer_that_goes_down_leaves_the_gang_to_the_next_one(
    gang: Gang, cluster: client.CoreV1Api, namespace: str
) -> None:
    task = gang("meet(); say('training'); time.sleep(5); done()")
    deferred = task.start()

    async def cut_short() -> None:
        watching = asyncio.create_task(first(again(deferred.trigger).run()))
        await sleeping(until(cluster, namespace, "Running", 2))
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    asyncio.run(cut_short())
    assert task.finish(deferred) == "s3://bucket/models/docs/run/_manifest.json"


@pytest.mark.slow
def test_a_gang_that_takes_too_long_is_ended(gang: Gang) -> None:
    with pytest.raises(NightshiftError, match=r"not done after resources.timeout"):
        gang("forever()", timeout=timedelta(seconds=8)).run()


@pytest.mark.slow
def test_an_image_that_is_not_there_is_named_soon(gang: Gang) -> None:
    with pytest.raises(BadInput, match=r"worker 0 of 2 .* cannot start: ErrImageNeverPull.*example.invalid/none"):
        gang("done()", image="example.invalid/none:1", settings={"image_pull_policy": "Never"}).run()


@pytest.mark.slow
def test_a_secret_that_is_not_there_is_named_soon(gang: Gang) -> None:
    with pytest.raises(BadInput, match=r"CreateContainerConfigError.*\"no-such-secret\" not found"):
        gang("done()", settings={"env_secret": "no-such-secret"}).run()


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"cpu": "1000"}, r"resources.cpu: a worker asks for cpu 1000, and the largest node has"),
        ({"memory": "90Ti"}, r"resources.memory: a worker asks for memory"),
        ({"gpus": 1}, r"resources.gpus: a worker asks for nvidia.com/gpu 1, and no node has any"),
    ],
)
def test_what_no_node_could_ever_hold_is_refused_before_any_pod_is_made(
    gang: Gang, resources: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        gang("done()", **resources).run()


def test_a_gang_that_finds_no_room_says_what_kubernetes_says(gang: Gang) -> None:
    with pytest.raises(
        NightshiftError, match=r"2 of 2 workers did not start within 3 s: .*Unschedulable.*Insufficient"
    ):
        gang("done()", cpu="1000", settings={"elastic": True, "start_timeout": "3s"}).run()


def test_out_of_memory_is_named_with_the_limit(gang: Gang) -> None:
    with pytest.raises(NightshiftError, match=r"worker 1 of 2 .*out of memory, it may use 64Mi.*resources.memory"):
        gang("meet()\nif worker == 1: waste = bytearray(1 << 30)\nforever()").run()


def test_a_namespace_that_is_not_there_is_named(gang: Gang) -> None:
    with pytest.raises(BadInput, match=r"namespace no-such-place: namespaces \"no-such-place\" not found"):
        gang("done()", settings={"namespace": "no-such-place"}).run()


def _log(cluster: client.CoreV1Api, namespace: str, pod: str) -> str:
    return pod_log(cluster, pod, namespace)
