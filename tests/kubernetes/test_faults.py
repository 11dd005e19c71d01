"""The fault matrix in pods: the real scheduler, the real operator, a gang that is struck down on a real cluster.

One retraining runs undisturbed to a promoted model; then its task `train` is run again for each fault, from nothing.
Every row is added to the file that ``NIGHTSHIFT_FAULT_ROWS`` names, for ``make faults``.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import pytest
from kubernetes import client

from tests.faults.fault import Moment
from tests.faults.field import DAG, Field, Seen, field, last_step, wait
from tests.faults.ground import QUICK as TRAINING
from tests.faults.outcome import Outcome, corrupt_newest
from tests.faults.run import CLOSE, Row
from tests.faults.said import error_in, exit_code_of
from tests.kubernetes.conftest import IMAGE, ROW, TRAINER_IMAGE, image, keep, make_namespace

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1800)]

ENDS = ("success", "failed")
WRITES: dict[Moment, tuple[str, int]] = {
    "in checkpoint": (r"^PUT \S+/checkpoints/\S+\.safetensors", 3),
    "in export": (r"^PUT \S+/parts/", 0),
}
LONG = 900.0
QUICK = 60.0


@pytest.fixture(scope="module")
def retrained(cluster: client.CoreV1Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """A corpus after its first retraining, whose champion is the undisturbed model."""
    namespace = f"faults-{os.urandom(3).hex()}"
    home = tmp_path_factory.mktemp("faults")
    images = {"image": image(IMAGE), "trainer_image": image(TRAINER_IMAGE)}
    with field(home, cluster, namespace, images, os.environ["KUBECONFIG"]) as made:
        make_namespace(cluster, namespace, made.settings)
        try:
            made.write()
            made.publish(tmp_path_factory.mktemp("days"))
            made.run = made.stack.rest.trigger(DAG)
            assert ended(made) == "success", [t for t in made.stack.rest.tasks(DAG, made.run) if t["state"] == "failed"]
            assert not made.left()
            yield made
        finally:
            cluster.delete_namespace(namespace)


def ended(made: Field, dag: str = DAG, run: str | None = None) -> str:
    """How the run ends."""
    run = run or made.run

    def state() -> str | None:
        now = str(made.stack.rest.run(dag, run)["state"])
        return now if now in ENDS else None

    return str(wait(state, f"{run} ends", LONG))


def trained(made: Field) -> str:
    """How ``train`` ends, where only that was cleared: the run itself is what the tasks behind it were before."""

    def state() -> str | None:
        now = made.state()
        return now if now in ENDS else None

    return str(wait(state, "train ends", LONG))


@pytest.fixture(scope="module")
def undisturbed(retrained: Field) -> Outcome:
    """What the undisturbed training left."""
    return Outcome.of(retrained)


@dataclass
class Struck:
    """A training that is struck down while it runs, and what is found out about it."""

    made: Field
    before: dict[int, Seen]
    row: Row
    step: int
    tries: int
    at: float = dataclass_field(default_factory=time.monotonic)

    def gone(self) -> None:
        """Wait until no pod of the struck generation is there, and note how long that took."""
        uids = {seen.uid for seen in self.before.values()}
        every = self.made.api.list_namespaced_pod
        wait(
            lambda: not uids & {pod.metadata.uid for pod in every(self.made.namespace).items},
            "the struck generation is gone",
            QUICK + 60,
        )
        self.row.detected = round(time.monotonic() - self.at, 1)

    def recovers(self) -> None:
        """Wait until a next generation has trained, and note from where."""
        known = set(self.made.checkpoints())
        wait(lambda: set(self.made.checkpoints()) - known or self.made.state() == "success", "it trains again", LONG)
        self.row.recovered = round(time.monotonic() - self.at, 1)


Strike = Callable[[str, Moment], Struck]


@pytest.fixture
def struck(retrained: Field, request: pytest.FixtureRequest) -> Strike:
    """``struck(name, moment)``: train once more, up to that moment."""

    def begin(name: str, moment: Moment) -> Struck:
        row = request.node.stash[ROW] = Row(name, moment, where="kubernetes")
        retrained.train_again()
        if moment == "start-up":
            wait(retrained.training_processes, "the training processes start", 300)
            seen = retrained.pods()
        else:
            seen = retrained.mid_epoch()
        return Struck(retrained, seen, row, retrained.reached(), retrained.tries())

    return begin


def finish(
    it: Struck, undisturbed: Outcome, *, went_on: bool = False, close: bool = False, by_hand: bool = False
) -> None:
    """See the training end as the undisturbed one did, from a checkpoint, and nothing left of any generation.

    ``by_hand``: a person ended the struck generation, so that no error of ours did.
    """
    made, row = it.made, it.row
    assert ended(made) == "success", made.stack.rest.log(DAG, made.run, "train", made.tries())
    wait(lambda: not made.left(), "nothing of the gang is left", QUICK)
    outcome = Outcome.of(made)
    row.same, row.distance = outcome.checksums == undisturbed.checksums, outcome.distance(undisturbed)
    row.accuracy, row.accuracy_undisturbed = outcome.accuracy, undisturbed.accuracy
    if not went_on:
        log = made.stack.rest.log(DAG, made.run, "train", it.tries)
        if not by_hand:
            row.said = error_in(log)
            row.exits.append(exit_code_of(row.said))
        row.resumed_from = int(made.part.volatile["resumed_from"])
        # The gang trains on between the look at its log and the strike: what it said later counts.
        row.lost_steps = max(it.step - row.resumed_from, last_step(log) - row.resumed_from, 0)
    row.exits.append(0)
    keep(row)
    assert row.distance <= CLOSE if close else row.same
    assert went_on or row.resumed_from or row.moment == "start-up"


def in_order(it: Struck, undisturbed: Outcome, *, close: bool = False, by_hand: bool = False) -> None:
    """The gang ends whole, a new one resumes, with pods of its own."""
    it.gone()
    it.recovers()
    assert not {seen.uid for seen in it.made.pods().values()} & {seen.uid for seen in it.before.values()}
    finish(it, undisturbed, close=close, by_hand=by_hand)


@pytest.mark.parametrize("worker", [0, 1])
def test_kill_9_of_a_worker_in_mid_epoch(worker: int, struck: Strike, undisturbed: Outcome) -> None:
    it = struck(f"kill -9 of worker {worker}'s training process", "mid-epoch")
    it.made.strike(worker, "SIGKILL")
    in_order(it, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("worker", [0, 1])
def test_kill_9_of_a_worker_in_start_up(worker: int, struck: Strike, undisturbed: Outcome) -> None:
    it = struck(f"kill -9 of worker {worker}'s training process", "start-up")
    it.made.strike(worker, "SIGKILL")
    in_order(it, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("moment", WRITES)
def test_kill_9_of_a_worker_while_worker_0_writes(
    worker: int, moment: Moment, retrained: Field, struck: Strike, undisturbed: Outcome
) -> None:
    pattern, skip = WRITES[moment]
    with retrained.turnstile.holding(pattern, skip) as hold:
        it = struck(f"kill -9 of worker {worker}'s training process", moment)
        assert hold.reached.wait(LONG), f"no write {moment}"
        it.step, it.at = it.made.reached(), time.monotonic()
        it.made.strike(worker, "SIGKILL")
        went_on = (moment, worker) == ("in export", 1)  # which has nothing left to do, and is not missed
        if not went_on:
            it.gone()
    if went_on:
        finish(it, undisturbed, went_on=True)
    else:
        in_order(it, undisturbed)


@pytest.mark.slow
def test_sigstop_of_a_worker(struck: Strike, undisturbed: Outcome) -> None:
    it = struck("SIGSTOP of worker 1's training process", "mid-epoch")
    it.made.strike(1, "SIGSTOP")
    in_order(it, undisturbed)


@pytest.mark.slow
def test_a_pod_deleted_without_grace(struck: Strike, undisturbed: Outcome) -> None:
    it = struck("pod of worker 1 deleted", "mid-epoch")
    it.made.api.delete_namespaced_pod(it.before[1].name, it.made.namespace, grace_period_seconds=0)
    in_order(it, undisturbed)


@pytest.mark.slow
def test_an_eviction_checkpoints_first(struck: Strike, undisturbed: Outcome) -> None:
    it = struck("pod of worker 1 evicted", "mid-epoch")
    evict(it)
    in_order(it, undisturbed)
    assert it.row.lost_steps == 0


def evict(it: Struck) -> None:
    """As a node that is drained does."""
    name = it.before[1].name
    body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}}
    it.made.api.create_namespaced_pod_eviction(name, it.made.namespace, body)


@pytest.mark.slow
def test_the_store_down_for_a_minute(struck: Strike, undisturbed: Outcome) -> None:
    it = struck("store down for 60 s", "mid-epoch")
    store = it.made.stack.s3
    store.kill()
    wait(lambda: time.monotonic() - it.at >= 60, "a minute passes", 90)
    store.start()
    store.wait()
    finish(it, undisturbed, went_on=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scheduler", "triggerer"])
def test_a_part_of_airflow_killed_in_mid_training(name: str, struck: Strike, undisturbed: Outcome) -> None:
    it = struck(f"kill -9 of the {name}", "mid-epoch")
    (service,) = (each for each in it.made.stack.airflow.services if each.name.endswith(name))
    service.kill()
    service.start()
    finish(it, undisturbed, went_on=True)


@pytest.mark.slow
def test_an_eviction_in_start_up(struck: Strike, undisturbed: Outcome) -> None:
    it = struck("pod of worker 1 evicted", "start-up")
    evict(it)
    in_order(it, undisturbed)


@pytest.mark.slow
def test_a_corrupt_newest_checkpoint_is_passed_over(struck: Strike, undisturbed: Outcome, retrained: Field) -> None:
    with configured(retrained, retries=0):
        it = struck("newest checkpoint corrupt", "mid-epoch")
        it.made.strike(1, "SIGKILL")
        it.gone()
        assert trained(retrained) == "failed"
        corrupted = corrupt_newest(retrained).rpartition("/")[2]
    retrained.clear()
    in_order(it, undisturbed)
    assert it.row.resumed_from is not None and it.row.resumed_from < int(corrupted.partition("-")[0])


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "then"), [(3, 2), (2, 3)])
def test_another_number_of_workers_goes_on(
    workers: int, then: int, struck: Strike, undisturbed: Outcome, retrained: Field
) -> None:
    with configured(retrained, workers=workers, retries=0):
        it = struck(f"{workers} workers, then {then}", "mid-epoch")
        assert len(it.before) == workers
        it.made.strike(workers - 1, "SIGKILL")
        it.gone()
        assert trained(retrained) == "failed"
    with configured(retrained, workers=then):
        retrained.clear()
        in_order(it, undisturbed, close=True)


@contextlib.contextmanager
def configured(made: Field, **resources: Any) -> Iterator[None]:
    """Other ``resources`` in the corpus YAML for a while."""
    made.write(resources=resources)
    try:
        yield
    finally:
        made.write()


@pytest.mark.slow
def test_the_task_cleared(struck: Strike, undisturbed: Outcome) -> None:
    it = struck("task cleared", "mid-epoch")
    it.made.clear()
    in_order(it, undisturbed, by_hand=True)


@pytest.mark.slow
def test_the_run_marked_failed_leaves_no_pod(struck: Strike, undisturbed: Outcome) -> None:
    it = struck("run marked failed", "mid-epoch")
    rest = it.made.stack.rest
    rest.call("PATCH", f"dags/{DAG}/dagRuns/{it.made.run}?update_mask=state", {"state": "failed"})
    it.gone()
    assert wait(lambda: not it.made.left(), "nothing of the gang is left", QUICK + 60)
    it.row.exits, it.row.said = [1], "the run was marked failed: nothing is started again"
    keep(it.row)
    it.made.clear()
    finish(it, undisturbed, by_hand=True)


def test_a_linear_model_on_two_workers_in_pods_is_promoted(retrained: Field, undisturbed: Outcome) -> None:
    recipe = {"logistic": {"epochs": 3, "batch_size": 30}}
    retrained.write(train={"recipe": recipe})
    try:
        run = retrained.stack.rest.trigger(DAG)
        assert ended(retrained, DAG, run) == "success"
        champion = retrained.context.store.read(f"models/{retrained.corpus()['corpus']}/registry/champion.json")
        assert json.loads(champion)["version"] == 2
        assert not retrained.left()
    finally:
        retrained.write()


@pytest.mark.slow
def test_parameter_servers_in_pods_outlive_a_killed_worker(retrained: Field, undisturbed: Outcome) -> None:
    recipe = {"text_encoder": {**TRAINING.corpus(2)["train"]["recipe"]["text_encoder"], "epochs": 80}}
    members = {"workers": 2, "parameter_servers": 1, "cpu": "300m", "memory": "900Mi"}
    # One row of the few that judge it may go the other way than with the champion that another test left.
    gates = {"model": {"tolerance": 0.1}}
    retrained.write(train={"strategy": "parameter_server", "recipe": recipe}, resources=members, gates=gates)
    rest = retrained.stack.rest
    try:
        run = rest.trigger(DAG)

        def train() -> dict[str, Any]:
            found = next(task for task in rest.tasks(DAG, run) if task["task_id"] == "train")
            assert found["state"] not in ("failed", "up_for_retry"), rest.log(DAG, run, "train", found["try_number"])
            return found

        wait(lambda: train() and len(retrained.pods()) == 4, "a chief, a server, two workers", LONG)
        wait(lambda: train() and retrained.reached() > 0, "the first steps", LONG)
        retrained.strike(3, "SIGKILL")
        assert ended(retrained, DAG, run) == "success"
        assert train()["try_number"] == 1, "pods stay, and what the server holds"
        assert "another training process takes its place" in rest.log(DAG, run, "train", 1)
        assert not retrained.left()
    finally:
        retrained.write()


WRONG: dict[str, tuple[dict[str, Any], str, tuple[int, ...]]] = {
    "image missing": ({"kubernetes": {"trainer_image": "example.local/no-such-image:1"}}, "cannot start", (2,)),
    "unschedulable: too much CPU": ({"resources": {"cpu": "640"}}, "resources.cpu", (2,)),
    # 75 where the kernel killed the training process alone: its supervisor lives to tell the others.
    "out of memory": ({"resources": {"memory": "260Mi"}}, "out of memory", (1, 75)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_what_fails_for_good_is_said_and_leaves_no_pod(
    name: str, retrained: Field, undisturbed: Outcome, request: pytest.FixtureRequest
) -> None:
    sections, says, codes = WRONG[name]
    row, began = Row(name, "start-up", where="kubernetes"), time.monotonic()
    request.node.stash[ROW] = row
    retrained.write(**{**sections, "resources": {"retries": 1, **sections.get("resources", {})}})
    try:
        retrained.train_again()
        assert trained(retrained) == "failed"
        row.said = error_in(retrained.stack.rest.log(DAG, retrained.run, "train", retrained.tries()))
        row.detected = round(time.monotonic() - began, 1)
        assert says in row.said
        row.exits = [exit_code_of(row.said)]
        assert row.exits[0] in codes
        wait(lambda: not retrained.left(), "nothing of the gang is left", QUICK)
        keep(row)
    finally:
        retrained.write()
        retrained.train_again()
        assert ended(retrained) == "success"
