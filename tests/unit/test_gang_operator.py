"""What is made of a gang, what is read off its pods, and which end counts as the cause; without a cluster."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiException
from kubernetes.client import models as k8s

from plugins.gang import ends, layout, room
from plugins.gang.logs import Tail
from plugins.pools import misfits
from plugins.reaper import live_in
from plugins.runtime.pod_state import CONTAINER, Member, member_of
from tasks.errors import BadInput, GateFailed, NightshiftError, PeerLost, Preempted
from tasks.gang.peers import parse

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def pod(**spec: Any) -> k8s.V1Pod:
    container = k8s.V1Container(name=CONTAINER, resources=k8s.V1ResourceRequirements(**spec))
    return k8s.V1Pod(metadata=k8s.V1ObjectMeta(labels={"team": "search"}), spec=k8s.V1PodSpec(containers=[container]))


def status(phase: str = "Running", **fields: Any) -> k8s.V1PodStatus:
    return k8s.V1PodStatus(phase=phase, **fields)


def container(state: k8s.V1ContainerState) -> list[k8s.V1ContainerStatus]:
    made = k8s.V1ContainerStatus(name=CONTAINER, image="i", image_id="i", ready=False, restart_count=0, state=state)
    return [made]


def ended(worker: int, code: int, *, after: int = 0, reason: str = "Error", **said: Any) -> Member:
    """A worker that ended, and what it left as its termination message."""
    end = k8s.V1ContainerStateTerminated(
        exit_code=code,
        reason=reason,
        message=json.dumps({"step": "train", **said}) if said else "Killed",
        finished_at=NOON + timedelta(seconds=after),
    )
    made = pod(limits={"memory": "2Gi"})
    made.status = status("Failed", container_statuses=container(k8s.V1ContainerState(terminated=end)))
    return member_of(worker, f"gang-{worker}", made)


def error(name: str, message: str) -> dict[str, str]:
    return {"type": name, "message": message}


def waiting(worker: int, reason: str, message: str) -> Member:
    made = pod()
    state = k8s.V1ContainerState(waiting=k8s.V1ContainerStateWaiting(reason=reason, message=message))
    made.status = status("Pending", container_statuses=container(state))
    return member_of(worker, f"gang-{worker}", made)


LOST = error("PeerLost", "worker 1 is lost: no heartbeat")


def test_every_worker_has_a_name_before_it_has_an_address() -> None:
    gang = layout.Layout.new("My_Docs", "team-a", 3)
    assert [str(peer) for peer in parse(gang.peers)] == [
        f"worker-{i}.{gang.name}.team-a.svc:{layout.PORT}" for i in range(3)
    ]
    service = layout.service_of(gang, layout.Marks({}))
    assert service.spec.cluster_ip == "None"
    assert service.spec.publish_not_ready_addresses
    made = layout.pod_of_worker(gang, pod(), ["train", "--json"], 2)
    assert (made.spec.hostname, made.spec.subdomain) == ("worker-2", gang.name)
    assert made.metadata.labels.items() >= service.spec.selector.items()
    assert len(gang.name) <= 63


def test_the_service_owns_the_pods_so_that_deleting_it_deletes_them() -> None:
    gang = layout.Layout.named("docs-train-0123456789", "team-a", 2, "uid-1")
    template = pod()
    owners = layout.pod_of_worker(gang, template, ["train"], 0).metadata.owner_references
    assert [(owner.kind, owner.name, owner.uid) for owner in owners] == [("Service", gang.name, "uid-1")]
    assert template.metadata.owner_references is None, "the template is every worker's"


def test_no_two_generations_share_a_name() -> None:
    assert layout.Layout.new("docs", "a", 2).name != layout.Layout.new("docs", "a", 2).name


def test_a_generation_is_read_back_from_its_service() -> None:
    gang = layout.Layout.new("docs", "team-a", 3)
    service = layout.service_of(gang, layout.Marks({}))
    service.metadata.uid = "uid-2"
    found = layout.layout_of(service)
    assert (found.name, found.namespace, found.workers, found.generation, found.owner) == (
        *(gang.name, "team-a", 3, gang.generation),
        "uid-2",
    )


def test_another_configuration_is_another_spec() -> None:
    one = layout.spec_digest(pod(limits={"cpu": "1"}), ["train"], 2)
    assert one == layout.spec_digest(pod(limits={"cpu": "1"}), ["train"], 2)
    assert one != layout.spec_digest(pod(limits={"cpu": "2"}), ["train"], 2)
    assert one != layout.spec_digest(pod(limits={"cpu": "1"}), ["train"], 3)


def test_the_manifest_of_whoever_committed_is_the_result() -> None:
    members = [ended(0, 0, manifest="s3://m", counts={}), ended(1, 0, message="done")]
    assert ends.result_of(members) == {"step": "train", "manifest": "s3://m", "counts": {}}


def test_a_worker_that_died_after_the_commit_spoils_nothing() -> None:
    assert ends.result_of([ended(0, 0, manifest="s3://m"), ended(1, 137)]) is not None


def test_who_ended_well_without_a_manifest_committed_nothing() -> None:
    assert ends.result_of([ended(0, 75, error=LOST), ended(1, 0)]) is None


@pytest.mark.parametrize(
    ("members", "kind", "says"),
    [
        (
            [ended(0, 75, after=0, error=LOST), ended(1, 137, after=9)],
            PeerLost,
            r"worker 1 of 2 .*signal 9.*worker 0: .*75",
        ),
        ([ended(0, 75, after=5, error=LOST), Member(1, "gang-1", "gone")], PeerLost, r"worker 1 of 2 .*is gone"),
        (
            [ended(0, 75, error=LOST), ended(1, 2, after=9, error=error("BadInput", "zero examples"))],
            BadInput,
            r"worker 1 of 2 .*: zero examples",
        ),
        (
            [ended(0, 137), ended(1, 3, after=9, error=error("Quarantined", "features are quarantined"))],
            GateFailed,
            r"quarantined",
        ),
        ([ended(0, 77, error=error("Preempted", "left")), ended(1, 77, after=1)], Preempted, r"worker 0 of 2 .*left"),
        (
            [ended(0, 77, error=error("Preempted", "left")), Member(1, "p", "gone")],
            Preempted,
            r"its pod was deleted",
        ),
        ([ended(0, 75, after=2, error=LOST), ended(1, 75, after=1, error=LOST)], PeerLost, r"worker 1 of 2"),
        (
            [ended(0, 137, reason="OOMKilled"), ended(1, 75)],
            NightshiftError,
            r"worker 0 .*out of memory.*2Gi.*resources.memory",
        ),
        ([ended(0, 1, after=3), ended(1, 143, after=4, reason="DeadlineExceeded")], NightshiftError, r"worker 0 of 2"),
        (
            [waiting(0, "ErrImageNeverPull", "image x:1 is not present"), ended(1, 75, error=LOST)],
            BadInput,
            r"worker 0 of 2 .*cannot start: ErrImageNeverPull: image x:1",
        ),
    ],
)
def test_the_cause_is_the_end_that_is_no_consequence(
    members: list[Member], kind: type[NightshiftError], says: str
) -> None:
    found = ends.cause_of(members)
    assert isinstance(found, kind)
    with pytest.raises(kind, match=says):
        raise found


def test_an_evicted_pod_without_a_container_says_what_kubernetes_says() -> None:
    made = pod()
    made.status = status("Failed", reason="Evicted", message="The node was low on memory")
    member = member_of(0, "gang-0", made)
    assert member.failed
    assert "Evicted: The node was low on memory" in str(ends.cause_of([member, ended(1, 75)]))


@pytest.mark.parametrize(
    ("reason", "message", "hopeless"),
    [
        ("ContainerCreating", "", False),
        ("ErrImagePull", "manifest unknown", True),
        ("ErrImagePull", "dial tcp: i/o timeout", False),
        ("ImagePullBackOff", "429 Too Many Requests", False),
        ("InvalidImageName", "couldn't parse", True),
        ("CreateContainerConfigError", 'secret "nightshift-store" not found', True),
    ],
)
def test_a_pod_is_given_up_when_waiting_cannot_help(reason: str, message: str, hopeless: bool) -> None:
    assert waiting(0, reason, message).failed is hopeless


def test_a_gang_that_did_not_start_names_who_waits_for_what() -> None:
    made = pod()
    condition = k8s.V1PodCondition(
        type="PodScheduled", status="False", reason="Unschedulable", message="0/3 nodes: 3 Insufficient cpu."
    )
    made.status = status("Pending", conditions=[condition])
    running = Member(1, "gang-1", "running")
    said = str(ends.late([member_of(0, "gang-0", made), running], 600))
    assert "1 of 2 workers did not start within 600 s: worker 0 (pod gang-0): Unschedulable: 0/3 nodes" in said


def stamped(*lines: str, second: int = 0) -> bytes:
    return "".join(f"2026-11-21T12:00:{second:02}.{i:09}Z {line}\n" for i, line in enumerate(lines)).encode()


def test_each_line_of_a_log_is_written_once() -> None:
    tail = Tail(0)
    assert tail.since() == {}
    text = stamped("a", "b", "c")
    assert [line for _, line in tail.lines(text, whole=False)] == ["a", "b", "c"]
    assert tail.since()["since_seconds"] > 0
    assert [line for _, line in tail.lines(text + stamped("d", second=1), whole=False)] == ["d"]


def test_lines_of_one_moment_are_all_written_and_each_once() -> None:
    tail, stamp = Tail(0), b"2026-11-21T12:00:00.000000001Z "
    tail.since()
    assert [line for _, line in tail.lines(stamp + b"a\n" + stamp + b"b\n", whole=False)] == ["a", "b"]
    tail.since()
    again = stamp + b"a\n" + stamp + b"b\n" + stamp + b"c\n"
    assert [line for _, line in tail.lines(again, whole=False)] == ["c"]


def test_half_a_line_waits_for_its_end() -> None:
    tail = Tail(0)
    tail.since()
    assert [line for _, line in tail.lines(stamped("whole") + b"2026-11-21T12:00:01Z ha", whole=False)] == ["whole"]
    tail.since()
    rest = b"2026-11-21T12:00:01.000000000Z half a line"
    assert [line for _, line in tail.lines(rest, whole=True)] == ["half a line"]
    assert tail.over


def test_what_the_kubelet_says_of_a_log_that_is_gone_is_no_line_of_the_workers() -> None:
    tail = Tail(0)
    tail.since()
    gone = b"unable to retrieve container logs for containerd://17bb3443"
    assert list(tail.lines(gone, whole=True)) == []


def test_a_line_keeps_its_level() -> None:
    tail = Tail(0)
    tail.since()
    text = stamped("level=warning event=slow", "level=error event=lost", "plain")
    assert [level for level, _ in tail.lines(text, whole=True)] == [logging.WARNING, logging.ERROR, logging.INFO]


class Nodes:
    """A cluster whose nodes have so much."""

    def __init__(self, *allocatable: dict[str, str]) -> None:
        self._nodes = [SimpleNamespace(status=SimpleNamespace(allocatable=each)) for each in allocatable]

    def list_node(self, label_selector: str) -> Any:
        return SimpleNamespace(items=self._nodes)


SMALL = {"cpu": "4", "memory": "8Gi"}


@pytest.mark.parametrize(
    ("asked", "workers", "says"),
    [
        ({"cpu": "5"}, 1, r"resources.cpu: a worker asks for cpu 5, and the largest node has 4"),
        ({"cpu": "1", "memory": "9Gi"}, 1, r"resources.memory"),
        (
            {"cpu": "1", "nvidia.com/gpu": "1"},
            1,
            r"resources.gpus: a worker asks for nvidia.com/gpu 1, and no node has any",
        ),
        ({"cpu": "3"}, 3, r"resources.workers: 3 workers of cpu 3 each, and the cluster's nodes could hold 2 at once"),
    ],
)
def test_what_could_never_be_scheduled_is_refused(asked: dict[str, str], workers: int, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        room.require_room(Nodes(SMALL, SMALL), pod(requests=asked), workers, elastic=False)


def test_a_cluster_that_grows_is_not_measured() -> None:
    room.require_room(Nodes(SMALL), pod(requests={"cpu": "64"}), 2, elastic=True)


def test_where_nodes_may_not_be_listed_the_room_is_said_to_be_unchecked(caplog: pytest.LogCaptureFixture) -> None:
    class Forbidden:
        def list_node(self, label_selector: str) -> Any:
            raise ApiException(status=403, reason="Forbidden")

    room.require_room(Forbidden(), pod(requests={"nvidia.com/gpu": "1"}), 2, elastic=False)
    (said,) = (each for each in caplog.records if each.levelno == logging.WARNING)
    assert "room for nvidia.com/gpu 1" in said.getMessage()
    assert "403 Forbidden" in said.getMessage()
    assert "containers/kubernetes/airflow/nodes.yaml" in said.getMessage()


def test_a_gang_that_fits_is_let_through() -> None:
    room.require_room(Nodes(SMALL, SMALL), pod(requests={"cpu": "1500m", "memory": "2Gi"}), 4, elastic=False)


def test_a_gang_larger_than_its_pool_is_named_and_so_is_a_pool_that_is_not_there() -> None:
    tasks = [
        SimpleNamespace(task_id="snapshot", pool="training", pool_slots=1),
        SimpleNamespace(task_id="train", pool="training", pool_slots=8),
        SimpleNamespace(task_id="merge", pool="trainnig", pool_slots=1),
        SimpleNamespace(task_id="backup", pool="endless", pool_slots=8),
    ]
    found = misfits(tasks, {"training": 4, "endless": -1})
    assert [line.partition(":")[0] for line in found] == ["train", "merge"]
    assert "8 workers" in found[0]
    assert "'training' has 4" in found[0]
    assert "no pool 'trainnig'" in found[1]


@pytest.mark.parametrize(
    ("states", "run", "live"),
    [
        ({"train": "deferred"}, "running", True),
        ({"train": "up_for_retry"}, "running", True),
        ({"train": "failed"}, "running", False),
        ({"train": "success"}, "success", False),
        ({"train": None}, "running", True),
        ({"train": None}, "failed", False),
        ({}, "running", False),
    ],
)
def test_a_gang_lives_as_long_as_airflow_means_to_do_something_with_its_task(
    states: dict[str, str | None], run: str, live: bool
) -> None:
    ti = SimpleNamespace(
        get_task_states=lambda **asked: {asked["run_ids"][0]: states} if states else {},
        get_dagrun_state=lambda **asked: run,
    )
    notes = {
        "nightshift/dag": "retrain_docs",
        "nightshift/task": "train",
        "nightshift/run": "r",
        "nightshift/map-index": "-1",
    }
    assert live_in({"ti": ti})(notes) is live  # type: ignore[typeddict-item,arg-type]
