"""A tiny network trained by real TensorFlow processes, the test playing their supervisors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.catalog import Manifest
from tasks.errors import BadInput, Preempted, error_named
from tests.mirrored.case import Build, Case
from tests.mirrored.play import Gang

pytestmark = pytest.mark.integration

TOLERANCE = 1e-5
"""What weights may differ by after another number of workers: sums are added up in another order."""


@pytest.fixture
def case(build: Callable[..., Build]) -> Build:
    return build()


def trained(given: Case, workers: int) -> Manifest:
    """Train to the end, undisturbed; the first part."""
    with given.gang(workers) as gang:
        assert gang.start() == 0
        gang.finish()
    return given.parts[0]


def alike(one: Manifest, other: Manifest) -> bool:
    """Whether two parts are the same to the bit, curves of every worker included."""
    return one.digest() == other.digest()


def killed_after(gang: Gang, step: int) -> None:
    """Kill every worker after a checkpoint of at least this step, as if by the supervisor of the first one dead."""
    gang[0].until(lambda event: event["event"] == "saved" and event["step"] >= step)
    for worker in reversed(gang.workers):
        worker.kill()


def test_one_worker_trains_to_the_end_and_two_train_the_same(case: Build) -> None:
    given = case(dropout=0.1)
    alone = trained(given, 1)
    assert alone.counts["rows"] == 60
    assert alone.counts["epochs"] == 3
    assert alone.details["epoch"]["accuracy"] > 0.6 > 0.4 > 1 / 3
    assert given.checkpoints == []
    weights = given.weights()

    together = trained(given.afresh(), 2)
    assert together.volatile["workers"] == 2
    curves = json.loads(given.context.store.read(together.of_role("curves")[0].key))
    assert [epoch["step"] for epoch in curves] == [10, 20, 30]
    assert [worker["examples"] for worker in curves[0]["workers"]] == [30, 30]
    assert together.details["epoch"]["loss"] == pytest.approx(alone.details["epoch"]["loss"], abs=1e-6)
    for one, other in zip(weights, given.weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_three_workers_drop_what_one_does_though_they_cannot_share_a_batch_evenly(case: Build) -> None:
    given = case(dropout=0.5, batch_size=7, epochs=1)
    trained(given, 1)
    weights = given.weights()
    trained(given.afresh(), 3)
    for one, other in zip(weights, given.weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_killed_in_mid_epoch_it_goes_on_to_the_same_weights_even_if_the_newest_checkpoint_is_corrupt(
    case: Build,
) -> None:
    given = case(dropout=0.3, pause=0.03)
    undisturbed = trained(given, 2)
    given.afresh()
    with given.gang(2) as gang:
        assert gang.start() == 0
        killed_after(gang, 13)
    store = given.context.store
    newest = [key for key in given.checkpoints if key.endswith(".json")][-1].removesuffix(".json")
    store.write(f"{newest}.safetensors", store.read(f"{newest}.safetensors")[:-1] + b"!")
    foreign = json.loads(store.read(f"{newest}.json"))
    store.write(f"{given.training.checkpoints}/999999999-0.json", json.dumps({**foreign, "fingerprint": "x"}).encode())
    with given.gang(2) as gang:
        resumed = gang.start()
        result = gang.finish()
    assert 0 < resumed < int(Path(newest).name.split("-")[0])
    assert result["counts"]["resumed_from"] == resumed
    log = (given.folder / "worker-0.log").read_text()
    assert f"{newest}.json" in log and "sha256 differs" in log
    assert "999999999-0.json" in log and "another training" in log
    assert alike(given.parts[0], undisturbed)


def test_a_warm_start_is_kept_on_record_though_the_training_was_killed(case: Build) -> None:
    given = case(epochs=6, pause=0.02)
    assert trained(given, 1).details["warm_start"] is None
    champion = given.crown()
    warm = case(epochs=3, pause=0.02, train={"warm_start": True})
    with warm.gang(2) as gang:
        assert gang.start() == 0
        killed_after(gang, 13)
    with warm.gang(2) as gang:
        assert gang.start() > 0
        gang.finish()
    assert warm.part.details["warm_start"] == {"version": champion.version, "run": given.training.run}
    curves = [json.loads(each.context.store.read(each.part.of_role("curves")[0].key)) for each in (warm, given)]
    assert curves[0][0]["loss"] < curves[1][2]["loss"], "it begins where the champion was"


def test_a_frozen_layer_is_the_champions_to_the_bit_though_the_training_was_killed(case: Build) -> None:
    given = case(epochs=2, pause=0.02)
    trained(given, 1)
    champion, before = given.crown(), given.weights()
    frozen = case(epochs=3, pause=0.02, train={"warm_start": True, "freeze": ["words"]})
    with frozen.gang(2) as gang:
        assert gang.start() == 0
        killed_after(gang, 13)
    with frozen.gang(2) as gang:
        assert gang.start() > 0
        gang.finish()
    after = frozen.weights()
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, False]
    begun = {"version": champion.version, "run": given.training.run, "frozen": ["words"]}
    assert frozen.part.details["warm_start"] == begun


def test_layers_are_not_frozen_as_chance_made_them(case: Build) -> None:
    given = case(train={"warm_start": True, "freeze": ["words"]})
    with given.gang(1) as gang:
        gang[0].order(order="restore", checkpoint=gang[0].hears("newest")["checkpoint"])
        said = gang[0].until(lambda event: event["event"] == "error")
    assert said["type"] == "BadInput"
    assert "freeze ['words']: there are no weights of a champion to keep" in said["message"]
    assert "there is no champion yet" in (given.folder / "worker-0.log").read_text()


def test_killed_in_checkpoint_and_in_export_it_goes_on_to_the_same_part(case: Build, tmp_path: Path) -> None:
    given, faults = case(dropout=0.3), tmp_path / "faults"
    faults.mkdir()
    undisturbed = trained(given, 1)
    given.afresh()
    for held, committed in ((".json", False), ("_manifest.json", True)):
        (faults / "holding").unlink(missing_ok=True)
        (faults / "hold").write_text(held)
        with given.gang(1, faults) as gang:
            assert gang.start() == 0
            gang.until_file(faults / "holding")
        assert given.checkpoints != []
        assert any(key.endswith(".json") for key in given.checkpoints) is committed
    (faults / "hold").unlink()
    with given.gang(1, faults) as gang:
        assert gang.start() == 30
        gang.finish()
    assert alike(given.parts[0], undisturbed)
    assert given.checkpoints == []


def test_told_to_leave_all_stop_after_one_step_and_another_number_of_workers_goes_on(case: Build) -> None:
    given = case(pause=0.03)
    trained(given, 2)
    weights = given.weights()
    given.afresh()
    steps = [0]
    for workers in (2, 3):
        with given.gang(workers) as gang:
            assert gang.start() == steps[-1]
            gang[0].until(lambda event: event["event"] == "step" and event["step"] > steps[-1] + 5)
            gang[1].order(order="stop")
            said = [worker.until(lambda event: event["event"] == "error") for worker in gang.workers]
            assert {(event["type"], event["message"]) for event in said} == {("Preempted", said[0]["message"])}
            (step,) = {int(event["message"].split()[6].rstrip(",")) for event in said}
            assert step > steps[-1]
            assert any(key.startswith(f"{given.training.checkpoints}/{step:09d}-") for key in given.checkpoints)
            steps.append(step)
            for worker in gang.workers:
                worker.order(order="end")
                assert worker.process.wait(60) == Preempted.exit_code
    with given.gang(2) as gang:
        assert gang.start() == steps[-1]
        gang.finish()
    for one, other in zip(weights, given.weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_a_store_that_is_down_for_a_while_stops_neither_the_start_nor_the_steps_nor_the_end(
    case: Build, tmp_path: Path
) -> None:
    given, faults = case(pause=0.03), tmp_path / "faults"
    faults.mkdir()
    with given.gang(2, faults, faulty=(1,)) as gang:
        (faults / "down").unlink(missing_ok=True)
        gang.meet()
        (faults / "down").touch()  # worker 1 cannot fetch its first file: both wait, in good order
        gang.go()
        for worker in gang.workers:
            worker.until(lambda event: event.get("doing") == "waiting for examples")
        (faults / "down").unlink()
        gang.finish()
    given.afresh()
    with given.gang(1, faults) as gang:
        gang.start()
        gang[0].hears("saved")
        (faults / "down").touch()
        gang[0].until(lambda event: event["event"] == "step" and event["step"] > 20)
        gang[0].until(lambda event: event.get("doing") == "export")
        gang.until_log("trying again.*committing|committing.*trying again")
        (faults / "down").unlink()
        gang.finish()
    assert given.parts[0].counts["rows"] == 60


def test_everything_at_once_then_evaluated_averaged_and_judged(case: Build) -> None:
    given = case(
        epochs=8,
        average=2,
        early_stopping={"metric": "accuracy", "patience": 2},
        class_weight="balanced",
        precision="mixed_float16",
        optimizer="adamw",
        weight_decay=0.01,
        clip_norm=1.0,
        schedule="cosine",
        warmup_steps=5,
        dropout=0.2,
    )
    trained(given, 1)
    epochs = [part.details["epoch"] for part in given.parts]
    curves = json.loads(given.context.store.read(given.parts[0].of_role("curves")[0].key))
    best = sorted(curves, key=lambda epoch: -epoch["validation"]["accuracy"])[:2]
    assert {epoch["epoch"] for epoch in epochs} == {epoch["epoch"] for epoch in best}
    for part in given.training.parts:
        given.run("evaluate", "--part", str(part))
    merged = given.run("merge")
    assert merged["counts"]["chosen"] in {"average", "part 0/2", "part 1/2"}
    assert merged["counts"]["rows"] == 60
    assert given.run("evaluate")["counts"]["accuracy"] > 0.5
    assert given.run("merge")["noop"]


@pytest.mark.parametrize(
    ("params", "count", "said"),
    [
        ({"layer": "batch_norm"}, 1, "'normal' .* BatchNormalization"),
        ({"layer": "dropout"}, 1, "'own' .* Keras's Dropout with rate=0.1"),
        ({"layer": "drifting"}, 2, "after step 10 the networks of workers .1. differ"),
        ({"optimizer": "sgd", "learning_rate": 1e30}, 1, "not a number any more at step"),
        ({"resources": {"gpus": 1}}, 1, "resources.gpus is 1, but this worker sees 0"),
        ({"early_stopping": {"metric": "beauty"}}, 1, "'beauty' is not measured; .* loss, accuracy"),
    ],
)
def test_what_cannot_be_trained_is_bad_input(case: Build, params: dict[str, object], count: int, said: str) -> None:
    given = case(**params)
    with given.gang(count) as gang:
        error = gang.fails()
        kind = error_named(error["type"])
        assert kind is not None
        assert issubclass(kind, BadInput)
        assert re.search(said, error["message"])
        assert gang[0].process.wait(60) == BadInput.exit_code
