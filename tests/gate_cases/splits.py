"""What gate splits refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tests.gate_cases import Case
from tests.gated import DAY, DOCUMENTS, Gated, document, documents


def split_of(rows: list[Any]) -> dict[str, list[Any]]:
    return {"train": rows[:32], "validation": rows[32:36], "test": rows[36:]}


def clean_and_staged(clean: list[Any] | None = None, **splits: list[Any]) -> Callable[[Gated], object]:
    rows = documents()
    return lambda given: (given.clean(clean or rows), given.staging(**{**split_of(rows), **splits}))


def with_deletions(given: Gated) -> None:
    clean = given.clean(documents())
    folder = f"clean/docs/{DAY}"
    given.recommit(clean, folder, files=(*clean.files, given.deletions(folder, 3)))
    given.staging(**split_of(documents()), deletions=2)


def staged_without_digest(given: Gated) -> None:
    given.clean(documents())
    staged = given.staging(train=documents()[:20])
    folder, narrow = f"staging/docs/{DAY}", pa.Table.from_pylist(documents()[20:], schema=DOCUMENTS)
    given.recommit(staged, folder, files=(*staged.files, given.file(folder, "test", narrow.drop_columns(["digest"]))))


def with_rejects(given: Gated) -> None:
    clean, folder = given.clean(documents(), rejected=3), f"clean/docs/{DAY}"
    given.recommit(clean, folder, files=(*clean.files, given.rejects(folder, 3)))
    staged, folder = given.staging(**split_of(documents())), f"staging/docs/{DAY}"
    given.recommit(staged, folder, files=(*staged.files, given.rejects(folder, 1, role="rejected")))


CASES = [
    Case("splits", "split_known", clean_and_staged(holdout=documents()[:1]), shows=r"role holdout"),
    Case(
        "splits",
        "split_known",
        clean_and_staged(),
        shows=r"3 of 3 rows, such as role train.*expected one of unassigned, deletions",
        sections={"split": {"strategy": "time"}},
    ),
    Case(
        "splits",
        "split_known",
        lambda g: (g.clean(documents()), g.staging(unassigned=documents())),
        shows=r"role unassigned.*expected one of train, validation, test, deletions",
    ),
    Case(
        "splits",
        "columns",
        staged_without_digest,
        shows=r"1 of 6 rows, such as type missing, column digest of staging/docs/",
    ),
    Case(
        "splits", "one_split", clean_and_staged(test=documents()[35:]), shows=r"1 of 40 rows, such as splits 2, uid \w"
    ),
    Case("splits", "present_once", clean_and_staged(test=documents()[37:]), shows=r"such as times_split 0, uid \w"),
    Case(
        "splits",
        "present_once",
        clean_and_staged(test=[*documents()[36:], *documents()[36:37]]),
        shows=r"such as times_split 2, uid \w",
    ),
    Case("splits", "clean_before", clean_and_staged(clean=documents()[1:]), shows=r"such as times_clean 0, uid \w"),
    Case(
        "splits",
        "text_in_one_split",
        clean_and_staged(test=[document(i, digest=document(0)["digest"]) for i in range(36, 37)] + documents()[37:]),
        shows=r"such as splits 2, digest \w",
    ),
    Case("splits", "deletions_lost", with_deletions, shows=r"observed 1; expected 0"),
    Case("splits", "rejects_lost", with_rejects, shows=r"observed 2; expected 0"),
    *(
        Case(
            "splits",
            f"{name}_share",
            clean_and_staged(**splits),
            shows=r"observed .*; expected ",
            gates={"splits": {"tolerance_from": 10}},
        )
        for name, splits in {
            "train": {"train": documents()[:20], "test": documents()[20:32] + documents()[36:]},
            "validation": {"train": documents()[:20], "validation": documents()[20:36]},
            "test": {"train": documents()[:20], "test": documents()[20:32] + documents()[36:]},
        }.items()
    ),
]
