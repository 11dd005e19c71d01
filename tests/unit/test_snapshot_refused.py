"""Of what no snapshot is made, and what is none: each is named with what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.catalog import Release
from tasks.cleaning import schema
from tasks.errors import BadInput, Corrupt, Lacking, NotFound
from tasks.models.base import RECIPES
from tasks.snapshot import resolve
from tasks.step import Context
from tasks.store.local import LocalStore
from tasks.upload import upload
from tests.published import Days, document, texts


@pytest.fixture
def days(make_context: Callable[..., Context], tmp_path: Path) -> Days:
    return Days(make_context(), tmp_path)


def test_nothing_published_is_bad_input(days: Days) -> None:
    with pytest.raises(
        BadInput, match=r"corpus docs has no partition to train on \(none with a document is published\)"
    ):
        days.snapshot()


def test_nothing_left_is_bad_input_that_says_where_it_looked(days: Days) -> None:
    days.publish("2026-11-20", document("http://a", "words"))
    days.publish("2026-11-21", gone=["http://a"])
    with pytest.raises(BadInput, match=r"no document is left of 1 in the 2 partition\(s\) 2026-11-20, 2026-11-21"):
        days.snapshot()


@pytest.mark.parametrize("stage", ["dataset", "staging", "clean"])
def test_a_partition_quarantined_after_its_publication_is_left_out_and_named(days: Days, stage: str) -> None:
    for n, day in enumerate(("2026-11-20", "2026-11-21")):
        days.publish(day, *texts(5, start=5 * n))
    bad = days.context.catalog.current(f"{stage}/docs/2026-11-21")
    assert bad is not None
    days.context.catalog.quarantine.put(bad, stage=stage, failures=["bad"], at="now")
    made = days.snapshot()
    assert made.result.counts["quarantined"] == ["2026-11-21"]
    assert "left out, quarantined: 2026-11-21" in made.result.message
    assert {row["partition"] for row in made.rows()} == {"2026-11-20"}
    days.context.catalog.quarantine.release(bad, Release(by="me", reason="looked at it", at="now"))
    assert days.snapshot().result.counts["quarantined"] == []


def test_a_day_left_out_makes_room_for_an_earlier_one(days: Days) -> None:
    for n, day in enumerate(("2026-11-20", "2026-11-21", "2026-11-22")):
        days.publish(day, *texts(2, start=2 * n))
    bad = days.context.catalog.current("dataset/docs/2026-11-21")
    assert bad is not None
    days.context.catalog.quarantine.put(bad, stage="clean", failures=["bad"], at="now")
    made = days.snapshot(train={"recipe": "tfidf_forest", "history": 2})
    assert made.manifest.details["partitions"] == ["2026-11-20", "2026-11-22"]


def test_all_partitions_quarantined_is_bad_input_that_names_them(days: Days) -> None:
    days.publish("2026-11-20", *texts(5))
    bad = days.context.catalog.current("dataset/docs/2026-11-20")
    assert bad is not None
    days.context.catalog.quarantine.put(bad, stage="clean", failures=["bad"], at="now")
    with pytest.raises(BadInput, match="quarantined: 2026-11-20"):
        days.snapshot()


def test_an_altered_published_file_is_named_with_what_to_run(days: Days) -> None:
    days.publish("2026-11-20", *texts(20))
    days.snapshot()
    published = days.context.catalog.current("dataset/docs/2026-11-20")
    assert published is not None
    assert isinstance(days.context.store, LocalStore)
    path = days.context.store.root / published.files[0].key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        Corrupt, match=rf"{published.files[0].key}; run `nightshift upload --corpus docs --partition 2026-"
    ):
        days.snapshot()
    # And that mends it.
    upload(days.context, "2026-11-20")
    assert days.snapshot().result.noop


def test_a_partition_of_another_version_is_named(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_DOCUMENT", [column for column in schema._DOCUMENT if column[0] != "digest"])
    days.publish("2026-11-20", *texts(5))
    with pytest.raises(BadInput, match=r"lacks the column\(s\) digest: .* ingest that partition again"):
        days.snapshot()


def test_a_snapshot_is_found_by_id_and_by_url(days: Days) -> None:
    days.publish("2026-11-20", *texts(5))
    made = days.snapshot()
    assert resolve(days.context, made.result.manifest) == made.manifest


@pytest.mark.parametrize(
    "name", ["0123456789abcdef", "file:///elsewhere/snapshots/docs/x/_manifest.json", "../docs", ""]
)
def test_what_is_no_snapshot_is_bad_input(days: Days, name: str) -> None:
    with pytest.raises(BadInput):
        resolve(days.context, name)


def test_another_steps_manifest_is_no_snapshot(days: Days) -> None:
    days.publish("2026-11-20", *texts(5))
    with pytest.raises(BadInput, match=r"is the upload of docs, not a snapshot of docs"):
        resolve(days.context, days.context.catalog.url("dataset/docs/2026-11-20"))


def test_the_manifest_stays_readable_by_digest(days: Days) -> None:
    days.publish("2026-11-20", *texts(5))
    made = days.snapshot()
    folder = f"snapshots/docs/{made.result.partition}"
    assert days.context.catalog.at(folder, made.manifest.digest()) == made.manifest
    with pytest.raises(NotFound):
        days.context.catalog.at(folder, "0" * 64)


def test_an_image_without_the_recipes_libraries_is_refused_before_anything_is_read(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retraining begins with `snapshot`, in the image of all that follow: no gang is started for nothing."""
    days.publish("2026-11-20", *texts(20))
    recipe = RECIPES.get(days.context.corpus.train.recipe.name)
    monkeypatch.setattr(recipe, "libraries", (*recipe.libraries, "no-such-library"))
    monkeypatch.setattr("tasks.snapshot.published", lambda context: pytest.fail("partitions were read"))
    with pytest.raises(Lacking, match=r"needs no-such-library, not installed here: .*kubernetes\.trainer_image"):
        days.snapshot()
    assert not list(days.context.store.list("snapshots/"))


def test_a_snapshot_needs_no_library_that_the_trainers_image_lacks() -> None:
    lock = (Path(__file__).parents[2] / "containers/trainer/requirements.txt").read_text()
    lacking = [name for name in ("numba", "scrapy", "trafilatura") if f"\n{name}==" not in lock]
    assert "numba" in lacking
    code = f"import sys; sys.modules.update(dict.fromkeys({lacking})); import tasks.snapshot, tasks.resolution.resolver"
    subprocess.run([sys.executable, "-c", code], check=True)
