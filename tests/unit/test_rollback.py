"""Back to an earlier champion, by the audit history or by number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt
from tasks.model_registry import Registry, champion
from tasks.models.base import RECIPES
from tasks.rollback import history, rollback
from tasks.step import Context, StepResult
from tests.champions import LATER, Killed, Mortal, crowned, judge, keyword_corpus, promoted


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus))


def back(context: Context, to: int | None = None, reason: str = "it is slow") -> StepResult:
    return rollback(context, to=to, reason=reason, by="me", at=LATER)


def in_use(context: Context) -> int | None:
    found = champion(context.catalog, "docs")
    return found.version if found else None


def test_the_champion_before_comes_back_with_a_record_of_why(context: Context) -> None:
    for seed in (0, 1):
        crowned(context, seed)
    result = back(context)
    assert (result.counts, result.message) == ({"version": 1}, "version 1 is the champion in place of version 2")
    assert in_use(context) == 1
    record = Registry(context.catalog, "docs").audits()[-1]
    assert (record.action, record.by, record.reason, record.version, record.previous) == (
        "rollback", "me", "it is slow", 1, 2,
    )  # fmt: skip


def test_a_second_rollback_goes_further_back_and_then_there_is_no_more(context: Context) -> None:
    for seed in (0, 1, 2):
        crowned(context, seed)
    back(context)
    assert in_use(context) == 2
    back(context)
    assert in_use(context) == 1
    with pytest.raises(BadInput, match=r"no champion before version 1; versions: 1, 2, 3\. Name one with --to"):
        back(context)


def test_a_version_that_nothing_reads_any_more_is_not_gone_back_to(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES.get(context.corpus.train.recipe.name)
    for seed in (0, 1, 2):
        monkeypatch.setattr(recipe, "version", 1 if seed == 1 else 2)
        crowned(context, seed)
    monkeypatch.setattr(recipe, "oldest", 2, raising=False)
    with pytest.raises(BadInput, match=r"version 2 of corpus docs would not predict: .*read here: 1, 3; name one"):
        back(context)
    assert in_use(context) == 3
    assert back(context, to=1).counts == {"version": 1}


def test_what_was_rolled_back_from_is_not_gone_back_to(context: Context) -> None:
    crowned(context, 0)
    crowned(context, 1)
    back(context)
    crowned(context, 2)
    back(context)
    assert in_use(context) == 1


def test_an_earlier_version_promoted_again_has_its_predecessor_in_time(context: Context) -> None:
    first = crowned(context, 0)
    crowned(context, 1)
    judge(context, first)
    promoted(context, first)
    assert in_use(context) == 1
    back(context)
    assert in_use(context) == 2


def test_any_version_can_be_named(context: Context) -> None:
    for seed in (0, 1, 2):
        crowned(context, seed)
    back(context, to=1)
    assert in_use(context) == 1
    back(context, to=3)
    assert in_use(context) == 3
    assert back(context, to=3).noop


def test_the_history_says_what_happened_and_changes_nothing(context: Context) -> None:
    assert history(context).message == "no champion yet"
    for seed in (0, 1):
        crowned(context, seed)
    back(context)
    before = [(info.key, info.etag) for info in context.store.list("")]
    result = history(context)
    lines = [line.strip() for line in result.message.splitlines() if line]
    assert lines[2] == f"{LATER.isoformat()}  rollback to version 1 by me: it is slow"
    assert lines[3].startswith("version 1: run ") and "accuracy 1.0000" in lines[3] and "not backed up" in lines[3]
    assert (len(lines), result.noop, result.counts) == (5, True, {"version": 1})
    assert [(info.key, info.etag) for info in context.store.list("")] == before


def test_there_is_nothing_to_roll_back_without_a_champion(context: Context) -> None:
    with pytest.raises(BadInput, match="has no champion yet"):
        back(context)


def test_an_unknown_version_is_refused(context: Context) -> None:
    crowned(context)
    with pytest.raises(BadInput, match="no version 9; known: 1"):
        back(context, to=9)


@pytest.mark.parametrize("damage", ["file lost", "file altered", "manifest lost"])
def test_a_damaged_version_does_not_come_back(context: Context, damage: str) -> None:
    first = crowned(context, 0)
    crowned(context, 1)
    model = context.catalog.load(first.model(), made_by="merge")
    if damage == "file lost":
        context.store.delete(model.files[0].key)
    elif damage == "file altered":
        context.store.write(model.files[0].key, b"x" * model.files[0].size)
    else:
        context.store.delete(f"{first.model()}/manifests/{model.digest()}.json")
    with pytest.raises(Corrupt, match="restore --corpus docs --version 1"):
        back(context)
    assert in_use(context) == 2


def test_a_rollback_killed_after_any_write_goes_back_once_when_it_is_tried_again(context: Context) -> None:
    for last in (1, 2):
        for seed in (0, 1, 2):
            crowned(context, 10 * last + seed)
        goal = (in_use(context) or 0) - 1
        store = Mortal(context.store, last)
        with pytest.raises(Killed):
            back(replace(context, store=store, catalog=Catalog(store)))
        if last == 1:  # the change is made, the pointer is not moved
            assert back(context).message == f"completed the interrupted rollback to version {goal}"
        assert in_use(context) == goal
        assert Registry(context.catalog, "docs").head().pointed
