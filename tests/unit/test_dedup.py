# ruff: noqa: RUF001
"""Which captures and texts of a partition stay."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.cleaning import schema
from tasks.cleaning.keys import Part
from tasks.cleaning.raw import uid_of
from tasks.cleaning.unite import United, unite
from tasks.config.clean import Clean, Dedup, Near
from tasks.text.minhash import bands, signatures
from tasks.text.scripts import apart


@dataclass(frozen=True)
class Event:
    """One capture: a document with a text, a reject (``kind`` reject) or a deletion (``kind`` deletion)."""

    url: str
    time: int
    text: str = ""
    kind: str = "document"


def write(folder: Path, shards: Sequence[Sequence[Event]]) -> list[Part]:
    """The shards' Parquet files, as `nightshift clean` leaves them."""
    parts = []
    for number, events in enumerate(shards):
        paths: dict[str, tuple[Path, ...]] = {}
        for role, kind, columns in (
            ("documents", "document", schema.documents(Clean())),
            ("rejects", "reject", schema.REJECTS),
            ("deletions", "deletion", schema.DELETIONS),
        ):
            rows = [
                {
                    "uid": uid_of(event.url),
                    "url": event.url,
                    "timestamp": event.time,
                    "text": event.text,
                    "digest": hashlib.sha256(event.text.encode()).hexdigest(),
                    "language": "en",
                    "label": event.url[:1] or None,
                    "reason": "length.words",
                }
                for event in events
                if event.kind == kind
            ]
            if rows:
                path = folder / f"{number}-{role}.parquet"
                pq.write_table(pa.Table.from_pylist(rows, schema=columns), path)
                paths[role] = (path,)
        parts.append(Part(**paths))
    return parts


def rows_of(united: United, role: str) -> list[dict[str, object]]:
    return [row for file in united.files if file.role == role for row in pq.read_table(file.path).to_pylist()]


def run(folder: Path, *shards: Sequence[Event], dedup: Dedup | None = None) -> United:
    return unite(write(folder, shards), dedup or Dedup(), folder / "out")


def kept(united: United) -> list[tuple[object, object]]:
    return [(row["url"], row["text"]) for row in rows_of(united, "documents")]


def test_the_latest_capture_of_a_page_wins_across_shards(tmp_path: Path) -> None:
    united = run(tmp_path, [Event("a", 2, "new"), Event("b", 1, "b")], [Event("a", 1, "old")])
    assert kept(united) == [("a", "new"), ("b", "b")]
    (reject,) = rows_of(united, "rejects")
    assert (reject["reason"], reject["text"], reject["value"]) == (
        "superseded",
        "old",
        "1970-01-01T00:00:00.000002+00:00",
    )


def test_a_page_that_was_rejected_later_does_not_leave_its_old_text(tmp_path: Path) -> None:
    united = run(tmp_path, [Event("a", 1, "old"), Event("a", 2, kind="reject")])
    assert kept(united) == []
    assert united.rejected == {"superseded": 1, "length.words": 1}


def test_a_page_that_went_is_a_deletion_and_one_that_came_back_is_not(tmp_path: Path) -> None:
    went = [Event("went", 1, "w"), Event("went", 2, kind="deletion"), Event("went", 3, kind="deletion")]
    back = [Event("back", 1, kind="deletion"), Event("back", 2, "b")]
    spoilt = [Event("spoilt", 1, kind="deletion"), Event("spoilt", 2, kind="reject")]
    united = run(tmp_path, went + back, spoilt)
    assert kept(united) == [("back", "b")]
    assert [row["url"] for row in rows_of(united, "deletions")] == ["went", "spoilt"]
    assert united.counts()["deletions"] == 2


def test_of_equal_texts_the_earliest_stays_and_the_others_name_it(tmp_path: Path) -> None:
    united = run(
        tmp_path, [Event("z", 5, "same"), Event("x", 7, "other")], [Event("y", 4, "same"), Event("a", 4, "same")]
    )
    assert sorted(kept(united)) == [("a", "same"), ("x", "other")]
    rejects = rows_of(united, "rejects")
    assert {(r["url"], r["reason"], r["value"]) for r in rejects} == {("z", "duplicate", "1"), ("y", "duplicate", "1")}
    assert all(str(r["detail"]).find(uid_of("a")) > 0 for r in rejects)


def test_a_superseded_text_takes_no_other_with_it(tmp_path: Path) -> None:
    united = run(tmp_path, [Event("a", 1, "same"), Event("a", 3, "new"), Event("b", 2, "same")])
    assert sorted(kept(united)) == [("a", "new"), ("b", "same")]


def test_duplicates_stay_where_the_configuration_says_so(tmp_path: Path) -> None:
    united = run(tmp_path, [Event("a", 1, "same"), Event("b", 2, "same")], dedup=Dedup(exact=False))
    assert len(kept(united)) == 2


def test_counts_are_of_what_is_written(tmp_path: Path) -> None:
    united = run(tmp_path, [Event("a", 1, "x"), Event("b", 1, "y"), Event("", 1, "z"), Event("c", 2, "y")])
    assert united.counts() == {
        "documents": 4,
        "kept": 3,
        "rejected": {"duplicate": 1},
        "deletions": 0,
        "languages": {"en": 3},
        "labels": {"a": 1, "b": 1},
    }


def test_a_partition_without_anything_is_valid(tmp_path: Path) -> None:
    united = run(tmp_path, [], [])
    assert (united.files, united.counts()["documents"]) == ([], 0)


def test_a_shard_that_loses_nothing_keeps_its_file(tmp_path: Path) -> None:
    parts = write(tmp_path, [[Event("a", 1, "x")], [Event("b", 1, "y"), Event("c", 2, "y")]])
    united = unite(parts, Dedup(), tmp_path / "out")
    documents = [file.path for file in united.files if file.role == "documents"]
    assert documents[0] == parts[0].documents[0]
    assert documents[1] != parts[1].documents[0]


events = st.lists(
    st.builds(
        Event,
        url=st.sampled_from("abcde"),
        time=st.integers(0, 5),
        text=st.sampled_from(["one", "two", "three"]),
        kind=st.sampled_from(["document", "document", "document", "reject", "deletion"]),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events, min_size=1, max_size=3))
def test_the_outcome_is_that_of_the_plain_rule(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[Event]]
) -> None:
    everything = [(i, j, event) for i, shard in enumerate(shards) for j, event in enumerate(shard)]
    rank = {"reject": 0, "deletion": 1, "document": 2}
    latest: dict[str, tuple[int, int, Event]] = {}
    for item in sorted(everything, key=lambda item: (item[2].time, rank[item[2].kind], item[0], item[1])):
        latest[item[2].url] = item
    by_text: dict[str, Event] = {}
    for _, _, event in sorted(latest.values(), key=lambda item: (item[2].time, item[2].url)):
        if event.kind == "document":
            by_text.setdefault(event.text, event)
    gone = {event.url for _, _, event in everything if event.kind == "deletion"}
    gone -= {url for url, (_, _, event) in latest.items() if event.kind == "document"}

    folder = tmp_path_factory.mktemp("unite")
    united = run(folder, *shards)
    assert sorted(kept(united)) == sorted((event.url, event.text) for event in by_text.values())
    assert sorted(str(row["url"]) for row in rows_of(united, "deletions")) == sorted(gone)
    assert united.counts()["documents"] == sum(event.kind != "deletion" for _, _, event in everything)


STORY = " ".join(f"word{i}" for i in range(200))


def test_near_duplicates_go_and_chains_are_one_set(tmp_path: Path) -> None:
    def changed(text: str, *places: int) -> str:
        words = text.split()
        for place in places:
            words[place] = "changed"
        return " ".join(words)

    second = changed(STORY, 20)
    third = changed(second, 120)
    different = " ".join(f"other{i}" for i in range(200))
    united = run(
        tmp_path,
        [Event("c", 3, third), Event("a", 1, STORY)],
        [Event("b", 2, second), Event("d", 4, different)],
        dedup=Dedup(near=Near(threshold=0.9)),
    )
    assert sorted(url for url, _ in kept(united)) == ["a", "d"]
    rejects = {row["url"]: row for row in rows_of(united, "rejects")}
    assert {row["reason"] for row in rejects.values()} == {"near_duplicate"}
    assert all(str(row["detail"]).find(uid_of("a")) > 0 for row in rejects.values())
    assert 0.85 < float(str(rejects["b"]["value"])) < 1


def test_unlike_texts_are_no_near_duplicates(tmp_path: Path) -> None:
    half = " ".join(STORY.split()[:100] + [f"other{i}" for i in range(100)])
    united = run(tmp_path, [Event("a", 1, STORY), Event("b", 2, half)], dedup=Dedup(near=Near(threshold=0.8)))
    assert len(kept(united)) == 2


def test_signatures_estimate_jaccard_and_are_the_same_every_time() -> None:
    half = " ".join(STORY.split()[:100] + [f"other{i}" for i in range(100)])
    one, two = signatures([STORY, half], Near(permutations=1024))
    assert float((one == two).mean()) == pytest.approx(96 / 296, abs=0.06)
    assert (
        signatures(["night shift"], Near(permutations=16))[0].tolist()
        == signatures(["Night  SHIFT"], Near(permutations=16))[0].tolist()
    )


@pytest.mark.parametrize(
    ("text", "word", "other"),
    [
        (
            "长城修筑的历史可上溯到西周时期，发生在首都镐京的著名典故烽火戏诸侯就源于此。春秋战国时期列国争霸，互相防守，"
            "长城修筑进入第一个高潮，但此时修筑的长度都比较短。秦灭六国统一天下后，秦始皇连接和修缮战国长城，始有万里长城之称。",
            "著名",
            "有名",
        ),
        (
            "夜行列車は十時に駅を出た。どこへ行くのか誰も知らなかったが、それでよかった。小さな茶色の鞄を持った男が窓際に座った。"
            "雨が町の外の畑に降り始め、最後の家々の明かりが濡れた窓に揺れていた。車掌は何も聞かずにゆっくりと歩いて行った。",
            "小さな",
            "大きな",
        ),
        (
            "ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอนหรือวรรณยุกต์เช่นเดียวกับภาษาจีน และออกเสียงแยกคำต่อคำ "
            "ภาษาไทยเป็นภาษาประจำชาติและภาษาราชการของประเทศไทยซึ่งประชากรส่วนใหญ่ของประเทศใช้กันทุกวัน",
            "ส่วนใหญ่",
            "จำนวนมาก",
        ),
    ],
)  # fmt: skip
def test_texts_without_spaces_are_nearly_equal_too(text: str, word: str, other: str) -> None:
    assert text.count(word) == 1
    one, two, unlike = signatures([text, text.replace(word, other), text[::-1]], Near(permutations=1024))
    assert 0.8 < float((one == two).mean()) < 1
    assert float((one == unlike).mean()) < 0.1


def test_nothing_changes_for_texts_with_spaces() -> None:
    texts = ["Größe ÉTÉ, “naïve” — İstanbul ΣΊΣΥΦΟΣ", "한국어 문장 그리고 또 하나", "भारत की राजभाषा"]
    assert all(apart(text) is text for text in texts)
    assert apart("Python语言 3") == "Python 语  言  3"


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95])
def test_bands_find_nearly_every_pair_at_the_threshold(threshold: float) -> None:
    count, rows = bands(Near(threshold=threshold))
    assert count * rows <= 128
    assert 1 - (1 - threshold**rows) ** count >= 0.99
