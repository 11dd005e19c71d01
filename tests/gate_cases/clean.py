"""What gate clean refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tests.gate_cases import BEFORE, Case
from tests.gated import DOCUMENTS, Gated, document, documents


def mixed(count: int, **changed: Any) -> list[Any]:
    """Forty documents, the first so many of them changed."""
    return [document(i, **changed) if i < count else document(i) for i in range(40)]


def without(column: str) -> Callable[[Gated], object]:
    table = pa.Table.from_pylist(documents(), schema=DOCUMENTS).drop_columns([column])
    return lambda given: given.clean([], table=table)


def of_type(column: str, kind: pa.DataType) -> Callable[[Gated], object]:
    table = pa.Table.from_pylist(documents(), schema=DOCUMENTS)
    place = table.schema.get_field_index(column)
    return lambda given: given.clean([], table=table.set_column(place, column, pa.nulls(40, kind)))


def counted(**counts: Any) -> Callable[[Gated], object]:
    return lambda given: given.clean(documents(), **counts)


def far_from_usual(fails: str, shows: str, rows: list[Any], usually: list[Any] | None = None, **gate: Any) -> Case:
    """What a night's statistics say beside the one night before it."""
    return Case(
        "clean",
        fails,
        lambda given: given.counted(rows),
        shows=shows,
        gates={"clean": {"usual_documents": 10, "usual_nights": 1, **gate}},
        before=lambda given: given.counted(usually or documents(), BEFORE),
    )


def told(count: int, text: str) -> list[Any]:
    """Forty documents of three lines each, so many of which begin with ``text``."""
    own = [f"line {i} line {i + 1} line {i + 2} line {i}-{i}" for i in range(40)]
    return [document(i, text=f"{text} {own[i]}" if i < count else own[i]) for i in range(40)]


CASES = [
    *(
        Case("clean", "columns", without(name), shows=rf"\b({name})\b")
        for name in ("uid", "url", "text", "label", "language", "length", "digest", "group")
    ),
    Case(
        "clean",
        "columns",
        of_type("length", pa.string()),
        shows=r"1 of 10 rows, such as type string, column length of clean/docs/.*parquet, expected int64",
    ),
    Case("clean", "unaccounted", counted(documents=43), shows=r"observed 3; expected 0"),
    Case("clean", "unaccounted", counted(documents=38), shows=r"observed -2; expected 0"),
    Case("clean", "kept_or_unchanged", lambda g: g.clean([]), shows=r"observed 0; expected at least 1"),
    Case(
        "clean",
        "kept_or_unchanged",
        lambda g: g.clean(documents(), unchanged=9),
        shows=r"observed 49; expected at least 50",
        gates={"clean": {"min_rows": 50}},
    ),
    Case(
        "clean", "reject_rate", lambda g: g.clean(documents(), rejected=161), shows=r"observed 0.80\d+; .* at most 0.8"
    ),
    Case(
        "clean",
        "reject_rise",
        lambda g: g.clean(documents(), rejected=40),
        shows=r"observed 0.5; expected at most 0.3.*the 0\.0% of the last good nights",
        before=lambda g: g.clean(documents(), BEFORE),
    ),
    Case(
        "clean",
        "kept_of_usual",
        lambda g: g.clean(documents(11)),
        shows=r"observed 0.275; expected at least 0.3.*the 40 of the last good nights",
        before=lambda g: g.clean(documents(), BEFORE),
    ),
    far_from_usual(
        "length_of_usual",
        r"observed 0\.18\d*; expected 0\.333333 to 3",
        mixed(40, length=40),
        mixed(40, length=200),
    ),
    far_from_usual(
        "length_of_usual",
        r"observed [45]\.\d+; expected 0\.333333 to 3",
        mixed(40, length=200),
        mixed(40, length=40),
    ),
    far_from_usual(
        "language_shift",
        r"observed 0\.5; expected at most 0\.3",
        mixed(20, language="de"),
    ),
    far_from_usual(
        "largest_domain_rise",
        r"observed 0\.375; expected at most 0\.3",
        mixed(5, group="other"),
        mixed(20, group="other"),
    ),
    far_from_usual(
        "common_words_rise",
        r"observed 0\.5\d*; expected at most 0\.5",
        told(25, "Please accept all cookies first."),
        told(2, "Please accept all cookies first."),
    ),
    Case("clean", "rows", counted(kept=41, documents=41), shows=r"observed 40; expected 41"),
    Case(
        "clean", "unlabelled_share", lambda g: g.clean(mixed(4, label=None)), shows=r"observed 0.1; expected at most 0"
    ),
    Case(
        "clean",
        "largest_label_share",
        lambda g: g.clean(mixed(40, label="csv")),
        shows=r"observed 1; expected at most 0.9",
        gates={"clean": {"max_label_share": 0.9}},
    ),
    Case(
        "clean",
        "share_en",
        lambda g: g.clean(mixed(20, language="de")),
        shows=r"observed 0.5; expected at least 0.6",
        gates={"clean": {"min_language_share": {"en": 0.6}}},
    ),
    Case(
        "clean",
        "share_fr",
        lambda g: g.clean(documents()),
        shows=r"observed 0; expected at least 0.1",
        gates={"clean": {"min_language_share": {"fr": 0.1}}},
    ),
    Case("clean", "uid_there", lambda g: g.clean(mixed(1, uid=None)), shows="observed 1 of 40 rows"),
    Case("clean", "language_there", lambda g: g.clean(mixed(2, language=None)), shows="observed 2 of 40 rows"),
    Case("clean", "length_there", lambda g: g.clean(mixed(3, length=None)), shows="observed 3 of 40 rows"),
    Case("clean", "url_there", lambda g: g.clean(mixed(1, url=None)), shows="observed 1 of 40 rows"),
    Case("clean", "digest_there", lambda g: g.clean(mixed(1, digest=None)), shows="observed 1 of 40 rows"),
    Case("clean", "uid_form", lambda g: g.clean(mixed(1, uid="XYZ")), shows=r"1 of 40 rows, such as uid XYZ;"),
    Case("clean", "uid_once", lambda g: g.clean(mixed(2, uid="ab" * 16)), shows=r"2 of 40 rows, such as uid (ab){16};"),
    Case(
        "clean", "url_once", lambda g: g.clean(mixed(2, url="http://site/")), shows=r"such as url http://site/, uid \w"
    ),
    Case("clean", "digest_once", lambda g: g.clean(mixed(2, digest="d")), shows=r"such as digest d, uid \w"),
    Case(
        "clean", "length", lambda g: g.clean(mixed(1, length=0)), shows=r"such as length 0, uid .*; expected at least 1"
    ),
    Case(
        "clean",
        "label_known",
        lambda g: g.clean(mixed(1, label="perl")),
        shows=r"such as label perl, uid .*; expected one of csv, json",
        gates={"clean": {"labels": ["csv", "json"]}},
    ),
    Case(
        "clean",
        "language_known",
        lambda g: g.clean(mixed(1, language="la")),
        shows=r"such as language la, uid .*; expected one of en",
        gates={"clean": {"languages": ["en"]}},
    ),
]
