"""What a gate rejected stays rejected until it is made anew, passes, or somebody says why it may pass."""

from __future__ import annotations

import pytest

from tasks.catalog import Manifest, Quarantine, Release
from tasks.errors import BadInput, Corrupt, Quarantined
from tasks.store import Store

BY_HAND = Release(by="me", reason="the site was rebuilt", at="2026-11-20T08:00:00Z")


def manifest(**values: str) -> Manifest:
    given = {"step": "clean", "corpus": "docs", "partition": "2026-11-20", "fingerprint": "f", "config": ""}
    return Manifest.model_validate({"code": {}, **given, **values})


@pytest.fixture
def quarantine(local_store: Store) -> Quarantine:
    return Quarantine(local_store)


def put(quarantine: Quarantine, rejected: Manifest) -> None:
    quarantine.put(rejected, stage="clean", failures=["min_rows: 3 < 100", "labels: x"], at="2026-11-20T02:00:00Z")


def test_a_rejection_names_gate_failures_and_the_way_out(quarantine: Quarantine) -> None:
    put(quarantine, manifest())
    with pytest.raises(Quarantined) as caught:
        quarantine.check(manifest(), "s3://bucket/clean/docs/2026-11-20/_manifest.json")
    said = str(caught.value)
    assert said.startswith("s3://bucket/clean/docs/2026-11-20/_manifest.json was quarantined by gate clean")
    assert "min_rows: 3 < 100; labels: x" in said
    assert "nightshift release --corpus docs --partition 2026-11-20 --stage clean --reason" in said


def test_what_is_made_anew_is_free(quarantine: Quarantine) -> None:
    put(quarantine, manifest())
    quarantine.check(manifest(fingerprint="g"), "url")
    quarantine.check(manifest(corpus="news"), "url")


def test_a_release_holds_when_the_gate_rejects_the_same_again(quarantine: Quarantine) -> None:
    put(quarantine, manifest())
    assert quarantine.release(manifest(), BY_HAND).released == BY_HAND
    put(quarantine, manifest())
    quarantine.check(manifest(), "url")
    record = quarantine.find(manifest())
    assert record is not None
    assert record.released == BY_HAND


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_release_needs_a_reason(quarantine: Quarantine, reason: str) -> None:
    put(quarantine, manifest())
    with pytest.raises(BadInput, match="needs a reason"):
        quarantine.release(manifest(), BY_HAND.model_copy(update={"reason": reason}))
    with pytest.raises(Quarantined):
        quarantine.check(manifest(), "url")


def test_only_what_is_quarantined_can_be_released(quarantine: Quarantine) -> None:
    with pytest.raises(BadInput, match=r"docs 2026-11-20 \(clean\) is not quarantined"):
        quarantine.release(manifest(), BY_HAND)


def test_a_gate_that_now_passes_lifts_its_own_rejection_and_no_other(quarantine: Quarantine) -> None:
    put(quarantine, manifest())
    quarantine.lift(manifest(), stage="splits")
    assert quarantine.find(manifest()) is not None
    quarantine.lift(manifest(), stage="clean")
    assert quarantine.find(manifest()) is None
    put(quarantine, manifest())
    quarantine.release(manifest(), BY_HAND)
    quarantine.lift(manifest(), stage="clean")
    assert quarantine.find(manifest()) is not None


def test_the_records_are_those_of_one_corpus(quarantine: Quarantine) -> None:
    put(quarantine, manifest())
    put(quarantine, manifest(partition="2026-11-21"))
    put(quarantine, manifest(corpus="docs2"))
    assert sorted(record.partition for record in quarantine.records("docs")) == ["2026-11-20", "2026-11-21"]


def test_a_damaged_record_lets_nothing_pass_and_is_written_anew_by_the_gate(
    quarantine: Quarantine, local_store: Store
) -> None:
    put(quarantine, manifest())
    local_store.write(f"quarantine/docs/{manifest().digest()}.json", b"{}")
    with pytest.raises(Corrupt, match="run the gate again"):
        quarantine.check(manifest(), "url")
    with pytest.raises(Corrupt, match="run the gate again"):
        list(quarantine.records("docs"))
    put(quarantine, manifest())
    with pytest.raises(Quarantined):
        quarantine.check(manifest(), "url")
