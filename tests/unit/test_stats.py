"""`nightshift stats`: what a cleaned partition is made of, in numbers, as a page, and over all days."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.catalog import Catalog, Manifest
from tasks.cleaning import schema
from tasks.config.clean import Clean
from tasks.errors import BadInput
from tasks.reports import sheets, statistics
from tasks.reports.statistics import EDGES, Statistics
from tasks.stats import stats
from tasks.step import Context

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def document(number: int, text: str, **also: Any) -> dict[str, Any]:
    uid = hashlib.sha256(str(number).encode()).hexdigest()[:32]
    row = {"uid": uid, "url": f"http://a/{number}", "text": text, "length": len(text), "language": "en", "group": "a"}
    return {**row, "timestamp": NOON, **also}


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=schema.documents(Clean()))


@pytest.fixture
def commit(make_context: Callable[..., Context], tmp_path: Path) -> Callable[..., Context]:
    """``commit(day, rows, rejected)``: a cleaned partition of these documents."""

    def build(day: str, rows: list[dict[str, Any]], rejected: dict[str, int]) -> Context:
        context = make_context()
        path = tmp_path / f"{day}.parquet"
        pq.write_table(pa.Table.from_batches([batch(*rows)]), path)
        folder = f"clean/docs/{day}"
        entry = context.catalog.add_file(
            folder, "documents", path, hashlib.sha256(path.read_bytes()).hexdigest(), rows=len(rows)
        )
        counts = {"documents": len(rows) + sum(rejected.values()), "kept": len(rows), "rejected": rejected}
        manifest = Manifest(
            step="dedup",
            corpus="docs",
            partition=day,
            fingerprint=day,
            code={},
            config="",
            files=(entry,),
            counts=counts,
        )
        context.catalog.commit(folder, manifest)
        return context

    return build


def test_a_partition_is_counted_and_drawn(commit: Callable[..., Context]) -> None:
    rows = [
        document(1, "We use cookies here. The night train left at ten."),
        document(2, "We use cookies here. Nobody waved.", group="<script>b</script>", label="x"),
        document(3, "Der Zug fuhr um zehn ab. Grüße!", language="de"),
    ]
    context = commit("2026-11-20", rows, {"length.words": 2, "empty": 1})
    told = stats(context, "2026-11-20")
    manifest = context.catalog.current("stats/docs/2026-11-20")
    assert manifest
    found = manifest.details
    assert (found["documents"], found["seen"], found["words"]) == (3, 6, 10 + 6 + 7)
    assert found["bytes"] == sum(len(row["text"].encode()) for row in rows) == found["characters"] + 2
    assert found["languages"] == [["en", 2], ["de", 1]]
    assert found["domains"] == [["a", 2], ["<script>b</script>", 1]]
    assert found["ngrams"][0] == ["we use cookies here.", 2]
    assert sum(found["lengths"]) == 3
    assert told.counts["tokens"] == manifest.counts["tokens"] == found["bytes"] // 4
    (page,) = manifest.of_role("statistics")
    html = context.store.read(page.key).decode()
    assert "we use cookies here." in html
    assert "<script>" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert stats(context, "2026-11-20").noop


def test_the_trend_shows_every_day_that_was_counted(commit: Callable[..., Context]) -> None:
    for day, count in (("2026-11-19", 2), ("2026-11-20", 5)):
        context = commit(day, [document(n, f"Page {n} of {day}.") for n in range(count)], {"empty": 1})
        stats(context, day)
    html = context.store.read("stats/docs/trend.html").decode()
    assert html.index("<td>2026-11-20</td>") < html.index("<td>2026-11-19</td>")
    assert html.count("<svg ") == 5
    assert "2026-11-19, kept: 2" in html


def test_a_trend_shows_the_newest_days_and_reads_no_others(
    commit: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "DAYS", 2)
    read: list[str] = []
    current = Catalog.current
    monkeypatch.setattr(Catalog, "current", lambda self, folder: (read.append(folder), current(self, folder))[1])
    for day in ("2026-11-18", "2026-11-19", "2026-11-20"):
        context = commit(day, [document(1, f"Page of {day}.")], {})
        read.clear()
        stats(context, day)
    assert "stats/docs/2026-11-19" in read
    assert "stats/docs/2026-11-18" not in read
    html = context.store.read("stats/docs/trend.html").decode()
    assert "<td>2026-11-18</td>" not in html
    assert "2 partitions, 2026-11-19 to 2026-11-20" in html


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b'"seen"', b'"sen"'),
        lambda text: text.replace(b'"p50": ', b'"p50": "long", "p51": '),
        lambda text: text.replace(b'"rejected": {', b'"rejected": {"short": -1, '),
    ],
    ids=["cut", "a key less", "a word for a number", "less than none"],
)
def test_a_damaged_day_is_left_out_of_the_trend_and_named(
    damage: Callable[[bytes], bytes], commit: Callable[..., Context], capsys: pytest.CaptureFixture[str]
) -> None:
    for day in ("2026-11-18", "2026-11-19"):
        context = commit(day, [document(1, f"Page of {day}.")], {"empty": 1})
        stats(context, day)
    pointer = "stats/docs/2026-11-19/_manifest.json"
    whole = context.store.read(pointer)
    assert damage(whole) != whole
    context.store.write(pointer, damage(whole))
    context = commit("2026-11-20", [document(1, "Page of today.")], {"empty": 1})
    capsys.readouterr()
    assert stats(context, "2026-11-20").counts["documents"] == 1
    html = context.store.read("stats/docs/trend.html").decode()
    assert [day for day in ("18", "19", "20") if f"<td>2026-11-{day}</td>" in html] == ["18", "20"]
    (warned,) = [line for line in capsys.readouterr().out.splitlines() if "left out of the trend" in line]
    assert pointer in warned
    assert "nightshift stats --corpus docs --partition 2026-11-19" in warned


def test_an_unchanged_day_makes_no_page_and_no_trend_anew(commit: Callable[..., Context]) -> None:
    context = commit("2026-11-20", [document(1, "One page.")], {})
    stats(context, "2026-11-20")
    before = [(info.key, info.etag) for info in context.store.list("stats/")]
    context.store.delete("stats/docs/trend.html")
    again = stats(context, "2026-11-20")
    assert again.noop
    after = [(info.key, info.etag) for info in context.store.list("stats/")]
    assert after == [each for each in before if not each[0].endswith("trend.html")]


def test_a_kill_before_the_commit_costs_no_day_of_the_trend(
    commit: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = commit("2026-11-20", [document(1, "One page.")], {})
    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stats(context, "2026-11-20")
    assert "<td>2026-11-20</td>" in context.store.read("stats/docs/trend.html").decode()
    assert not stats(context, "2026-11-20").noop


def test_a_day_that_gate_clean_rejected_is_counted_too(commit: Callable[..., Context]) -> None:
    context = commit("2026-11-20", [document(1, "One page.")], {})
    cleaned = context.catalog.current("clean/docs/2026-11-20")
    assert cleaned is not None
    context.catalog.quarantine.put(cleaned, stage="clean", failures=["rows"], at="2026-11-20T12:00:00+00:00")
    assert stats(context, "2026-11-20").counts["documents"] == 1


def test_an_empty_partition_has_a_page_too(commit: Callable[..., Context]) -> None:
    context = commit("2026-11-20", [], {})
    assert stats(context, "2026-11-20").counts["documents"] == 0


def test_the_pages_are_drawn_without_a_plotting_library() -> None:
    """The pipeline's image has none, and its import takes longer than a night's numbers."""
    code = "import sys; sys.modules['matplotlib'] = None; import tasks.reports.sheets"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_day_that_was_not_united_is_refused(make_context: Callable[..., Context]) -> None:
    with pytest.raises(BadInput, match="dedup --corpus docs"):
        stats(make_context(), "2026-11-20")


def test_what_a_document_lacks_is_not_counted_and_the_rest_is() -> None:
    whole = [document(n, f"Page {n} of the same night.") for n in range(8)]
    lacking = [{**document(10 + n, "One of the same night."), name: None} for n, name in enumerate(Statistics.COLUMNS)]
    found = Statistics()
    found.add(batch(*whole, *lacking, document(20, "No id of the same night.", uid="XYZ")))
    told = found.numbers()
    assert told["documents"] == 8 + 6 + 1
    assert told["characters"] == sum(row["length"] or 0 for row in (*whole, *lacking)) + 24
    assert sum(told["lengths"]) == 14
    assert told["length"]["p50"] == pytest.approx(24, rel=0.34)  # a bin
    assert told["words"] == 6 * 8 + 5 * 5 + 6
    assert (told["languages"], told["domains"]) == ([("en", 14), ("", 1)], [("a", 14), ("", 1)])
    assert told["sampled"] == 8 + 4  # neither without a text nor without an id
    assert told["ngrams"][0] == ("of the same night.", 12)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([document(1, "One page.", length=None)], "no document has a value in column length"),
        ([document(1, "One page.", uid=None)], "no document has a text and an id"),
        ([{**document(1, "One page."), "text": None}, document(2, "Two.", uid="")], "no document has a text and an id"),
    ],
)
def test_a_day_without_a_value_is_not_counted_but_succeeds(
    rows: list[dict[str, Any]], said: str, commit: Callable[..., Context]
) -> None:
    context = commit("2026-11-20", rows, {})
    told = stats(context, "2026-11-20")
    assert told.message.startswith(f"not counted, gate clean will judge: {said}")
    assert not told.noop
    assert list(context.store.list("stats/")) == []


def test_the_order_of_the_rows_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_SAMPLE", 10)
    rows = [document(n, f"This is page {n % 7} of the night, and it is one of many.") for n in range(60)]
    told = []
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        found = Statistics()
        for start in range(0, 60, 13):
            found.add(batch(*rows[start : start + 13]))
        told.append(found.numbers())
    assert told[0] == told[1] == told[2]
    assert told[0]["sampled"] == 10


def test_quantiles_lie_where_so_many_documents_are_shorter() -> None:
    found = Statistics()
    found.add(batch(*(document(n, "x" * n) for n in range(1, 1000))))
    low, middle, high = found.numbers()["length"].values()
    assert (low, middle, high) == pytest.approx((100, 500, 900), rel=0.03)


@pytest.mark.parametrize("length", [10, 42, 777, 2 * EDGES[-1]])
def test_quantiles_of_equal_documents_are_within_a_bin_of_their_length(length: int) -> None:
    found = Statistics()
    row = document(1, "x")
    found.add(batch({**row, "length": length}))
    for told in found.numbers()["length"].values():
        assert min(length, EDGES[-1]) / 1.34 <= told <= length * 1.34


def test_a_million_domains_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_DISTINCT", 20)
    found = Statistics()
    for start in range(0, 500, 50):
        rows = [document(n, "text", group=f"rare{n}") for n in range(start, start + 50)]
        found.add(batch(*rows, *(document(1000 + start + n, "text", group="often") for n in range(5))))
    numbers = found.numbers()
    assert numbers["domains"][0] == ("often", 50)
    assert numbers["domain_count"] <= 40 + 51
