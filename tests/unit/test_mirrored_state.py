"""Where a mirrored training stands: its curves, when it stops, what it keeps; and its checkpoints on the store."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from tasks.errors import BadInput, Corrupt, NotFound, StoreError
from tasks.models._fit import FitParams
from tasks.store import Store
from tasks.training.mirrored import devices, patience
from tasks.training.mirrored.checkpoint import Checkpoint, Checkpoints, require_checkpoint_key
from tasks.training.mirrored.feed import Batch, Feed, balanced
from tasks.training.mirrored.patience import patiently
from tasks.training.mirrored.saver import Saver
from tasks.training.mirrored.schedule import LossScale
from tasks.training.mirrored.state import State, kept, means, stops

LOG = structlog.get_logger()
FOLDER = "models/docs/run/checkpoints"


def params(**values: Any) -> FitParams:
    return FitParams.model_validate(values)


def epochs(*values: float, metric: str = "loss") -> list[dict[str, Any]]:
    return [{"validation": {metric: value}} for value in values]


def checkpoint(step: int, value: float = 0.5) -> Checkpoint:
    state = State(step, epochs(1.0), [[3.0, 2.5]], LossScale(4.0, 7, True), ("accuracy",), {"version": 3, "run": "r"})
    tensors = {"network/0": np.full((2, 3), value, np.float32), "optimizer/0": np.array(step)}
    return Checkpoint(state, tensors, {4: [np.arange(3.0), np.array(1)], 12: [np.ones(3), np.array(2)]})


@pytest.fixture
def checkpoints(local_store: Store) -> Checkpoints:
    return Checkpoints(local_store, FOLDER, "fingerprint", LOG)


@pytest.mark.parametrize(
    ("early", "values", "stop"),
    [
        ({"patience": 2}, (3, 2, 2.5, 2.1), True),
        ({"patience": 2}, (3, 2, 2.5, 1.9), False),
        ({"patience": 2, "min_delta": 0.2}, (3, 2, 1.9, 1.85), True),
        ({"patience": 1, "metric": "accuracy"}, (0.5, 0.6), False),
        ({"patience": 1, "metric": "accuracy"}, (0.5, 0.4), True),
        ({"patience": 1}, (float("nan"), 3), False),
        ({"patience": 1}, (3, float("nan")), True),
        ({"patience": 9}, (1,) * 10, True),
        (None, (1, 2, 3), False),
    ],
)
def test_training_stops_when_validation_no_longer_gets_better(
    early: dict[str, Any] | None, values: tuple[float, ...], stop: bool
) -> None:
    given = params(early_stopping=early)
    metric = given.early_stopping.metric if given.early_stopping else "loss"
    assert stops(epochs(*values, metric=metric), given) is stop


def test_the_last_epochs_are_kept_or_the_best_where_validation_decides() -> None:
    curves = epochs(5, 1, 3, 1, 2)
    assert kept(curves, params(epochs=5, average=2)) == [3, 4]
    assert kept(curves[:3], params(epochs=5, average=2)) == []
    assert kept(curves, params(average=1, early_stopping={})) == [1]
    assert kept(curves, params(average=3, early_stopping={})) == [1, 3, 4]
    assert kept(curves[:1], params(average=3, early_stopping={})) == [0]


def test_sums_of_an_epoch_outlive_another_number_of_workers() -> None:
    state = State()
    state.add([[4, 2.0, 1.0], [4, 6.0, 2.0]])
    state.add([[2, 1.0, 1.0], [2, 1.0, 0.0], [2, 1.0, 0.0]])
    assert np.sum(state.sums, axis=0).tolist() == [14, 11, 4]
    assert means([14, 7, 3.5], ["accuracy"]) == {"loss": 0.5, "accuracy": 0.25}


def test_a_checkpoint_comes_back_as_it_was(checkpoints: Checkpoints, local_store: Store) -> None:
    key = checkpoints.write(checkpoint(12))
    assert key.startswith(f"{FOLDER}/000000012-")
    assert key.endswith(".safetensors")
    found = checkpoints.read(key)
    assert found.state == checkpoint(12).state
    assert found.tensors["network/0"].tolist() == [[0.5] * 3] * 2
    assert found.tensors["optimizer/0"].shape == ()
    assert list(found.kept) == [4, 12]
    assert [array.tolist() for array in found.kept[4]] == [[0.0, 1.0, 2.0], 1]


def test_the_newest_valid_checkpoint_wins_and_every_other_is_named(
    checkpoints: Checkpoints, local_store: Store
) -> None:
    keys = [checkpoints.write(checkpoint(step)) for step in (1, 2, 3, 4, 5, 6)]
    commits = [key.replace(".safetensors", ".json") for key in keys]
    local_store.write(keys[1], local_store.read(keys[1])[:-1] + b"!")
    local_store.write(keys[2], b"short")
    local_store.delete(keys[3])
    local_store.write(commits[4], b"{}")
    foreign = json.loads(local_store.read(commits[5]))
    local_store.write(commits[5], json.dumps({**foreign, "fingerprint": "another"}).encode())
    with capture_logs() as logs:
        assert checkpoints.newest() == keys[0]
    assert [line["key"] for line in logs] == commits[:0:-1]
    said = " ".join(str(line["error"]) for line in logs)
    for each in ("another training", "commits no checkpoint", "is missing", "5 bytes", "sha256 differs"):
        assert each in said
    with pytest.raises(Corrupt, match="not the checkpoint that was committed"):
        checkpoints.read(keys[1])


def test_only_the_newest_stay_and_none_when_the_training_has_ended(
    checkpoints: Checkpoints, local_store: Store
) -> None:
    keys = [checkpoints.write(checkpoint(step)) for step in (1, 2, 3)]
    checkpoints.prune(2)
    assert [info.key for info in local_store.list(FOLDER) if info.key.endswith("tensors")] == keys[1:]
    local_store.upload(Path(__file__), f"{FOLDER}/000000009-half.safetensors")
    assert checkpoints.newest() == keys[2]
    checkpoints.clear()
    assert list(local_store.list(FOLDER)) == []
    assert checkpoints.newest() is None


def test_a_key_from_elsewhere_is_no_checkpoint() -> None:
    assert require_checkpoint_key(f"{FOLDER}/1-a.safetensors", FOLDER)
    for key in ("models/docs/other/checkpoints/1-a.safetensors", f"{FOLDER}/1-a.json"):
        with pytest.raises(BadInput, match="is no checkpoint below"):
            require_checkpoint_key(key, FOLDER)


class Slow(Checkpoints):
    """Writes only when it may."""

    def __init__(self) -> None:
        self.may, self.began, self.stored = threading.Semaphore(0), threading.Event(), list[int]()
        self.errors: list[Exception] = []

    def write(self, checkpoint: Checkpoint) -> str:
        self.began.set()
        assert self.may.acquire(timeout=30)
        if self.errors:
            raise self.errors.pop()
        self.stored.append(checkpoint.state.step)
        return f"key-{checkpoint.state.step}"

    def prune(self, keep: int) -> None:
        pass


def test_a_checkpoint_that_waits_is_replaced_by_a_newer_one() -> None:
    slow, said = Slow(), list[tuple[int, str]]()
    saver = Saver(slow, 3, lambda step, key: said.append((step, key)), LOG)
    saver.submit(checkpoint(1))
    assert slow.began.wait(30)
    for step in (2, 3, 4):
        saver.submit(checkpoint(step))
    assert not saver.flush(0)
    slow.may.release(2)
    assert saver.flush(30)
    assert said == [(1, "key-1"), (4, "key-4")]
    assert saver.newest == 4


def test_a_checkpoint_that_cannot_be_stored_is_dropped_with_a_warning_when_a_newer_one_waits() -> None:
    slow = Slow()
    saver = Saver(slow, 3, lambda step, key: None, LOG)
    slow.errors = [StoreError("down")]
    with capture_logs() as logs:
        saver.submit(checkpoint(1))
        assert slow.began.wait(30)
        saver.submit(checkpoint(2))
        slow.may.release(2)
        assert saver.flush(30)
    assert slow.stored == [2]
    assert any("dropped" in line["event"] and line["step"] == 1 for line in logs)


def test_a_store_that_fails_is_tried_again_but_a_missing_object_is_missing() -> None:
    failures: list[Exception] = [StoreError("down"), StoreError("down")]

    def action() -> str:
        if failures:
            raise failures.pop()
        return "done"

    with capture_logs() as logs:
        assert patiently(action, LOG, "reading x", seconds=30) == "done"
    assert [line["event"] for line in logs] == ["the store failed at reading x: trying again"] * 2
    failures[:] = [StoreError("down")]
    with pytest.raises(StoreError):
        patiently(action, LOG, "reading x", seconds=0)
    failures[:] = [NotFound("gone")]
    with pytest.raises(NotFound):
        patiently(action, LOG, "reading x")
    assert patience.SECONDS > 60


def test_batches_come_in_order_and_an_error_comes_where_its_batch_is_asked_for() -> None:
    def make(step: int) -> Batch:
        if step == 7:
            raise Corrupt("no such example")
        return Batch(step, 1, ())

    feed = Feed(make, range(5, 9))
    got = [feed.get(30), feed.get(30)]
    assert [batch.step for batch in got if batch] == [5, 6]
    with pytest.raises(Corrupt, match="no such example"):
        feed.get(30)
    feed.close()


def test_a_batch_that_is_late_is_none() -> None:
    may = threading.Event()

    def make(step: int) -> Batch:
        may.wait(30)
        return Batch(step, 1, ())

    feed = Feed(make, range(1))
    assert feed.get(0.01) is None
    may.set()
    batch = feed.get(30)
    assert batch is not None
    assert batch.step == 0


def test_curves_are_drawn_for_workers_that_came_and_went_and_without_validation(tmp_path: Path) -> None:
    from tasks.reports import plots

    def entry(epoch: int, workers: int) -> dict[str, Any]:
        own = [{"examples": 3, "loss": 1.0}] * workers
        return {"epoch": epoch, "step": epoch, "loss": 1.0, "validation": {"loss": 2.0}, "workers": own}

    curves = [entry(1, 3), entry(2, 1), {**entry(3, 2), "validation": {}}]
    assert plots.curves(curves, tmp_path / "curves.png").stat().st_size > 1000
    assert plots.curves([{**entry(1, 1), "accuracy": 0.5}], tmp_path / "one.png").stat().st_size > 1000


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = [0] * 5 + [1] * 2 + [3] * 9
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    assert balanced({0: 5, 1: 2, 3: 9})[[0, 1, 3]] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ("", (0, 1)),
        ('{"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 2}}', (2, 3)),
    ],
)
def test_a_worker_knows_its_place(config: str, place: tuple[int, int]) -> None:
    assert devices.place({"TF_CONFIG": config}) == place


def test_processors_are_what_environment_or_quota_leave(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    assert devices.processors({"NIGHTSHIFT_CPUS": "3"}) == 3
    whole = devices.processors({}, quota)
    quota.write_text("max 100000\n")
    assert devices.processors({}, quota) == whole >= 1
    quota.write_text("50000 100000\n")
    assert devices.processors({}, quota) == 1
    with pytest.raises(BadInput, match="NIGHTSHIFT_CPUS is '0'"):
        devices.processors({"NIGHTSHIFT_CPUS": "0"})


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(patience, "_FIRST_PAUSE", 0.01)
