"""What follows from a verdict: quarantine, release, no-ops, history, pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_contracts.base import SUITES
from data_contracts.engine import run as run_module
from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, GateFailed, Quarantined
from tasks.gate import gate
from tasks.release import release
from tasks.step import Context, StepResult
from tests.gated import DAY, RUN, Gated, documents, scores

AT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def gated(
    make_corpus: Callable[..., Corpus], make_context: Callable[..., Context], tmp_path: Path
) -> Callable[..., Gated]:
    """``gated(gates={…})``: a builder over a corpus with these thresholds; all share one store."""

    def build(**gates: Any) -> Gated:
        return Gated(make_context(corpus=make_corpus(gates=gates)), tmp_path)

    return build


def judge(given: Gated, stage: str = "raw", day: str = DAY) -> StepResult:
    return gate(given.context, stage, partition=day, snapshot=None)


def verdict(given: Gated, stage: str = "raw", name: str = DAY) -> Manifest:
    manifest = given.context.catalog.current(f"gates/docs/{stage}/{name}")
    assert manifest is not None
    return manifest


def free(given: Gated, stage: str = "raw", name: str = DAY, reason: str = "checked by hand") -> StepResult:
    return release(given.context, stage, name, reason=reason, by="ada", at=AT)


def page(given: Gated) -> str:
    (entry,) = verdict(given).of_role("docs")
    return given.context.store.read(entry.key).decode()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was really judged, in order."""
    names: list[str] = []
    suite = SUITES.get("raw")
    build = suite.build

    def counting(subject: Any) -> Any:
        names.append(subject.name)
        return build(subject)

    monkeypatch.setattr(suite, "build", counting)
    return names


def test_a_failed_gate_keeps_downstream_from_reading_and_says_how_to_go_on(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.raw(errors=50)
    with pytest.raises(GateFailed) as failure:
        judge(given)
    said = str(failure.value)
    assert "gate raw of docs 2026-11-20: 1 of 9 expectations failed; quarantined" in said
    assert "error_share" in said and "Data Docs: file://" in said
    assert f"nightshift release --corpus docs --partition {DAY} --stage raw" in said
    with pytest.raises(Quarantined, match="error_share"):
        given.read(f"raw/docs/{DAY}")


def test_a_verdict_is_a_manifest_with_counts_metrics_and_a_page(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.raw(errors=50)
    with pytest.raises(GateFailed):
        judge(given)
    kept = verdict(given)
    assert kept.step == "gate_raw"
    assert kept.counts["failed"] == 1 and kept.counts["skipped"] == 1 and kept.counts["expectations"] > 5
    assert kept.details["passed"] is False
    assert kept.details["metrics"]["visited"] == 102
    assert kept.details["skipped"] == ["visited_of_usual: there is no good partition before this one"]
    assert given.context.catalog.damaged(kept) == []


def test_a_failed_verdict_stands_without_judging_again(gated: Callable[..., Gated], judged: list[str]) -> None:
    given = gated()
    given.raw(errors=50)
    messages = []
    for _ in range(2):
        with pytest.raises(GateFailed) as failure:
            judge(given)
        messages.append(str(failure.value))
    assert messages[0] == messages[1]
    assert judged == [DAY]


def test_a_passed_verdict_stands_without_judging_again(gated: Callable[..., Gated], judged: list[str]) -> None:
    given = gated()
    given.raw()
    first, second = judge(given), judge(given)
    assert (first.noop, second.noop) == (False, True)
    assert second.manifest == first.manifest and second.counts == first.counts
    assert judged == [DAY]


@pytest.mark.parametrize("change", ["input", "threshold", "history", "page"])
def test_what_voids_a_verdict(change: str, gated: Callable[..., Gated], judged: list[str]) -> None:
    given = gated()
    given.raw()
    judge(given)
    match change:
        case "input":
            given.raw(documents=41)
        case "threshold":
            given = gated(raw={"max_error_share": 0.1})
        case "history":
            given = gated(history=3)
        case "page":
            given.context.store.delete(verdict(given).of_role("docs")[0].key)
    assert judge(given).noop is False
    assert judged == [DAY, DAY]


def test_an_altered_input_is_found_before_a_verdict_is_repeated(gated: Callable[..., Gated]) -> None:
    given = gated()
    manifest = given.clean(documents())
    judge(given, "clean")
    key = manifest.files[0].key
    data = bytearray(given.context.store.read(key))
    data[100] ^= 1
    given.context.store.write(key, bytes(data))
    with pytest.raises(Corrupt, match=r"run `nightshift dedup --corpus docs --partition 2026-11-20` again"):
        judge(given, "clean")


def test_a_gate_killed_before_its_verdict_is_kept_has_quarantined_and_judges_again(
    gated: Callable[..., Gated], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = gated()
    given.raw(errors=50)
    with monkeypatch.context() as patched:
        patched.setattr(run_module.Work, "commit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            judge(given)
    with pytest.raises(Quarantined):
        given.read(f"raw/docs/{DAY}")
    with pytest.raises(GateFailed):
        judge(given)
    assert verdict(given).details["passed"] is False


def test_equal_input_gives_an_equal_verdict_to_the_byte_of_its_page(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.raw(errors=50)
    digests = []
    for _ in range(2):
        with pytest.raises(GateFailed):
            judge(given)
        digests.append((verdict(given).digest(), page(given)))
        given.context.store.delete(f"gates/docs/raw/{DAY}/_manifest.json")
    assert digests[0] == digests[1]


def test_a_release_frees_readers_and_the_gate_passes_by_it(gated: Callable[..., Gated], judged: list[str]) -> None:
    given = gated()
    given.raw(errors=50)
    with pytest.raises(GateFailed):
        judge(given)
    assert free(given).message == "gate raw of 2026-11-20 is released by ada: checked by hand"
    assert given.read(f"raw/docs/{DAY}").manifest.counts["errors"] == 50
    result = judge(given)
    assert result.message.startswith("passed by release of ada at 2026-11-21T00:00:00+00:00: checked by hand")
    assert judged == [DAY]
    kept = verdict(given).details
    assert kept["passed"] is True and len(kept["failures"]) == 1
    assert kept["released"] == {"by": "ada", "reason": "checked by hand", "at": "2026-11-21T00:00:00+00:00"}
    assert judge(given).message == result.message


def test_a_release_holds_under_other_thresholds_too(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.raw(errors=50)
    with pytest.raises(GateFailed):
        judge(given)
    free(given)
    stricter = gated(raw={"max_error_share": 0.1})
    assert judge(stricter).message.startswith("passed by release of ada")
    assert given.read(f"raw/docs/{DAY}")


def test_better_input_is_free_of_the_quarantine_of_the_old(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.raw(errors=50)
    with pytest.raises(GateFailed):
        judge(given)
    given.raw(errors=1)
    judge(given)
    assert given.read(f"raw/docs/{DAY}")


def test_passing_under_other_thresholds_ends_the_quarantine(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.raw(errors=50)
    with pytest.raises(GateFailed):
        judge(given)
    lenient = gated(raw={"max_error_share": 0.5})
    assert verdict(given).details["passed"] is False
    judge(lenient)
    assert given.read(f"raw/docs/{DAY}")
    with pytest.raises(GateFailed):
        judge(given)
    with pytest.raises(Quarantined):
        given.read(f"raw/docs/{DAY}")


def test_a_quarantine_that_was_lost_is_put_back_by_the_verdict(gated: Callable[..., Gated]) -> None:
    given = gated()
    manifest = given.raw(errors=50)
    with pytest.raises(GateFailed):
        judge(given)
    given.context.store.delete(f"quarantine/docs/{manifest.digest()}.json")
    with pytest.raises(GateFailed):
        judge(given)
    with pytest.raises(Quarantined):
        given.read(f"raw/docs/{DAY}")


def test_a_rejected_candidate_is_quarantined_and_released_by_its_run(gated: Callable[..., Gated]) -> None:
    given = gated(model={"floors": {"accuracy": 0.99}})
    given.model(scores({"csv": 0.9, "json": 0.9}))
    with pytest.raises(GateFailed, match=f"--partition {RUN} --stage model"):
        run_module.run_gate(given.context, "model", RUN, AT)
    with pytest.raises(Quarantined):
        given.read(f"models/docs/{RUN}")
    free(given, "model", RUN)
    assert given.read(f"models/docs/{RUN}")


def test_a_release_needs_a_reason_and_something_to_release(gated: Callable[..., Gated]) -> None:
    given = gated()
    with pytest.raises(BadInput, match="nothing at"):
        free(given)
    given.raw(errors=50)
    with pytest.raises(BadInput, match="is not quarantined"):
        free(given)
    with pytest.raises(GateFailed):
        judge(given)
    with pytest.raises(BadInput, match="needs a reason"):
        free(given, reason="  ")


@pytest.mark.parametrize(("stage", "option"), [("raw", "--partition YYYY-MM-DD"), ("model", "--snapshot ID")])
def test_a_stage_without_its_option_is_told_which(stage: str, option: str, gated: Callable[..., Gated]) -> None:
    with pytest.raises(BadInput, match=option):
        gate(gated().context, stage, partition=None, snapshot=None)


def test_a_stage_that_has_not_run_is_named(gated: Callable[..., Gated]) -> None:
    with pytest.raises(BadInput, match=r"run `nightshift split --corpus docs --partition 2026-11-20` first"):
        judge(gated(), "splits")


def nights(given: Gated, **visited: int) -> None:
    """A good night each; ``d05=100`` is the fifth of November."""
    for day, count in visited.items():
        partition = f"2026-11-{day.removeprefix('d')}"
        given.raw(partition, visited=count)
        judge(given, day=partition)


def compared(given: Gated) -> dict[str, float]:
    value: dict[str, float] = verdict(given).details["compared_with"]
    return value


def test_a_night_is_compared_with_the_newest_good_ones_before_it(gated: Callable[..., Gated]) -> None:
    given = gated(history=2)
    nights(given, d05=120, d06=100, d07=110, d25=90)
    given.raw()
    judge(given)
    assert compared(given) == {"2026-11-07": 110, "2026-11-06": 100}
    assert list(compared(given)) == ["2026-11-07", "2026-11-06"]


def test_a_rejected_night_is_not_what_others_are_compared_with(gated: Callable[..., Gated]) -> None:
    given = gated()
    nights(given, d05=100)
    given.raw("2026-11-06", visited=20)
    with pytest.raises(GateFailed, match="visited_of_usual"):
        judge(given, day="2026-11-06")
    given.raw(visited=30, errors=0)
    with pytest.raises(GateFailed, match=r"observed 0\.3; expected at least 0\.5"):
        judge(given)
    assert compared(given) == {"2026-11-05": 100}


@pytest.mark.parametrize("judged_again", [True, False])
def test_history_starts_anew_with_a_released_night(judged_again: bool, gated: Callable[..., Gated]) -> None:
    given = gated()
    nights(given, d05=100, d06=100)
    given.raw("2026-11-07", visited=20)
    with pytest.raises(GateFailed):
        judge(given, day="2026-11-07")
    free(given, name="2026-11-07", reason="the site was divided in two")
    if judged_again:
        judge(given, day="2026-11-07")
    nights(given, d08=21)
    given.raw(visited=19, errors=0)
    judge(given)
    assert compared(given) == {"2026-11-08": 21, "2026-11-07": 20}


def test_one_odd_night_does_not_move_what_is_usual(gated: Callable[..., Gated]) -> None:
    given = gated()
    nights(given, d05=100, d06=100, d07=10_000, d08=100)
    given.raw(visited=60)
    judge(given)
    assert verdict(given).details["metrics"]["visited_of_usual"] == 0.6


def test_nights_without_the_metric_are_passed_over(gated: Callable[..., Gated]) -> None:
    given = gated(history=1)
    given.clean(documents(), "2026-11-05", rejected=10)
    given.clean([], "2026-11-06", unchanged=50)
    for day in ("2026-11-05", "2026-11-06"):
        judge(given, "clean", day)
    given.clean(documents())
    judge(given, "clean")
    assert verdict(given, "clean").details["compared_with"] == {"2026-11-05": 0.2}


def test_the_page_tells_what_failed_without_any_network(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.raw(errors=50)
    with pytest.raises(GateFailed):
        judge(given)
    html = page(given)
    assert "failed" in html and "error_share" in html and "0.490196" in html and "at most 0.2" in html
    assert "visited_of_usual: there is no good partition before this one" in html
    assert re.findall(r'(?:src|href)\s*=\s*"(?:https?:)?//', html) == []


def test_the_page_shows_markup_from_the_data_as_text(gated: Callable[..., Gated]) -> None:
    given = gated(clean={"labels": ["csv", "json"]})
    given.clean([{**row, "label": "<script>alert(1)</script>"} for row in documents()])
    with pytest.raises(GateFailed, match="label_known"):
        judge(given, "clean")
    (entry,) = verdict(given, "clean").of_role("docs")
    html = given.context.store.read(entry.key).decode()
    assert "<script" not in html and "&lt;script&gt;alert" in html
    assert "default-src 'none'" in html


def test_a_failure_is_one_printable_line_whatever_the_data_holds(gated: Callable[..., Gated]) -> None:
    given = gated(clean={"labels": ["csv", "json"]})
    given.clean([{**row, "label": "a\n  uid_once [forged]\x1b[2J"} for row in documents()])
    with pytest.raises(GateFailed):
        judge(given, "clean")
    (line,) = [line for line in verdict(given, "clean").details["failures"] if "label_known" in line]
    assert line.isprintable() and "a   uid_once [forged] [2J" in line


def test_the_page_is_rendered_whole(gated: Callable[..., Gated], caplog: pytest.LogCaptureFixture) -> None:
    """The library logs what it cannot render, and leaves it out."""
    given = gated()
    given.clean(documents())
    given.staging(train=documents()[:30], validation=documents()[30:], test=documents()[:2])
    judge(given, "clean")
    with pytest.raises(GateFailed):
        judge(given, "splits")
    assert [record.message for record in caplog.records if "render" in record.name] == []
