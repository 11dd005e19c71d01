"""Scores of a partition and of plain files: the champion's, on every document, in Parquet."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, Quarantined
from tasks.predict import command, predict, predict_files
from tasks.predicting import scorer
from tasks.step import Context, StepResult
from tests.champions import NOW, Killed, Mortal, crowned, documents, keyword_corpus, publish

DAY = "2026-11-20"


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus, clean={"strip": [{"pattern": "secret \\w+"}]}))


def cleaned(context: Context, rows: list[dict[str, Any]] | None = None) -> None:
    publish(context, DAY, documents(9) if rows is None else rows, "clean", "documents")


def scores(context: Context, tmp_path: Path) -> pa.Table:
    manifest = context.catalog.load(f"predictions/docs/{DAY}", made_by="predict")
    (entry,) = manifest.of_role("predictions")
    return pq.read_table(context.catalog.fetch(entry, tmp_path / "scores.parquet"))


def score_files(context: Context, *inputs: Path, output: Path, text: str = "text") -> StepResult:
    return predict_files(context, list(inputs), output, text=text, workers=1)


def test_every_document_of_a_partition_gets_a_label_with_its_probabilities(context: Context, tmp_path: Path) -> None:
    training = crowned(context)
    cleaned(context)
    result = predict(context, DAY)
    assert result.counts == {"documents": 9, "version": 1, "labels": {"a": 5, "b": 4}}
    assert result.manifest == f"{context.store.url}/predictions/docs/{DAY}/_manifest.json"
    table = scores(context, tmp_path)
    rows = table.to_pylist()
    assert [row["predicted"] for row in rows] == [row["label"] for row in documents(9)]
    assert rows[1]["url"] == "http://site/0/1"
    assert rows[1]["confidence"] == rows[1]["probabilities"]["b"] == 0.9
    assert rows[1]["probabilities"]["a"] == pytest.approx(0.1)
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (said["nightshift.version"], said["nightshift.run"]) == ("1", training.run)
    assert json.loads(said["nightshift.labels"]) == ["a", "b"]


def test_the_same_partition_and_champion_are_a_no_op_and_another_champion_is_not(
    context: Context, tmp_path: Path
) -> None:
    crowned(context)
    cleaned(context)
    predict(context, DAY)
    assert predict(context, DAY).noop
    crowned(context, seed=1, words={"a": "b", "b": "a"})
    result = predict(context, DAY)
    assert (result.noop, result.counts["version"], result.counts["labels"]) == (False, 2, {"a": 4, "b": 5})
    assert {row["predicted"] for row in scores(context, tmp_path).to_pylist()[::2]} == {"b"}


def test_more_documents_than_a_batch_are_scored_batch_by_batch(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.champions import Keyword

    sizes = []
    original = Keyword.predict

    def watched(self: Any, model: Any, texts: Any, *columns: Any) -> Any:
        sizes.append(len(texts))
        return original(self, model, texts, *columns)

    crowned(context)
    cleaned(context, documents(2 * scorer.BATCH_ROWS + 7))
    monkeypatch.setattr(Keyword, "predict", watched)
    predict(context, DAY)
    assert sizes == [scorer.BATCH_ROWS, scorer.BATCH_ROWS, 7]
    assert scores(context, tmp_path).num_rows == 2 * scorer.BATCH_ROWS + 7


def test_a_prediction_killed_after_any_write_ends_in_the_same_bytes(context: Context, tmp_path: Path) -> None:
    crowned(context)
    cleaned(context)
    predict(context, DAY)
    expected = {info.key: context.store.read(info.key) for info in context.store.list(f"predictions/docs/{DAY}/pred")}
    for last in (1, 2, 3):
        for info in list(context.store.list("predictions/")):
            context.store.delete(info.key)
        store = Mortal(context.store, last)
        with pytest.raises(Killed):
            predict(replace(context, store=store, catalog=Catalog(store)), DAY)
        predict(context, DAY)
        found = {info.key: context.store.read(info.key) for info in context.store.list(f"predictions/docs/{DAY}/pred")}
        assert found == expected


def test_an_empty_partition_is_scored_to_nothing(context: Context) -> None:
    crowned(context)
    cleaned(context, [])
    assert predict(context, DAY).counts == {"documents": 0, "version": 1, "labels": {}}


def test_without_a_champion_it_says_how_to_get_one(context: Context, tmp_path: Path) -> None:
    cleaned(context)
    with pytest.raises(BadInput, match=r"no champion to predict with: trigger retrain_docs.*nightshift restore"):
        predict(context, DAY)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(BadInput, match="no champion"):
        score_files(context, tmp_path / "a.txt", output=tmp_path / "out")


def test_an_uncleaned_quarantined_or_damaged_partition_is_not_scored(context: Context) -> None:
    crowned(context)
    with pytest.raises(BadInput, match=rf"nightshift dedup --corpus docs --partition {DAY}"):
        predict(context, DAY)
    cleaned(context)
    manifest = context.catalog.load(f"clean/docs/{DAY}", made_by="")
    context.store.delete(manifest.files[0].key)
    with pytest.raises(Corrupt, match=manifest.files[0].key):
        predict(context, DAY)
    context.catalog.quarantine.put(manifest, stage="clean", failures=["bad"], at=NOW.isoformat())
    with pytest.raises(Quarantined):
        predict(context, DAY)


def test_a_pointer_to_a_damaged_model_is_named_with_the_way_out(context: Context) -> None:
    training = crowned(context)
    cleaned(context)
    model = context.catalog.load(training.model(), made_by="")
    context.store.write(model.files[0].key, b"{}")
    with pytest.raises(Corrupt, match=r"nightshift restore --corpus docs --version 1"):
        predict(context, DAY)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "parquet"])
def test_rows_of_a_file_are_scored_in_order(context: Context, tmp_path: Path, kind: str) -> None:
    crowned(context)
    path = tmp_path / f"rows.{kind}"
    write_rows(path, [{"id": str(i), "body": row["text"]} for i, row in enumerate(documents(5))])
    result = score_files(context, path, output=tmp_path / "out", text="body")
    assert (result.counts["scored"], result.counts["rejected"]) == (5, {})
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["predicted"] for row in rows] == ["a", "b", "a", "b", "a"]
    assert len({row["uid"] for row in rows}) == 5
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.parquet"]


def test_rows_without_an_id_are_named_by_their_place(context: Context, tmp_path: Path) -> None:
    crowned(context)
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"text": "a"}, {"text": "a"}])
    score_files(context, path, output=tmp_path / "out")
    uids = pq.read_table(tmp_path / "out" / "predictions.parquet")["uid"].to_pylist()
    assert len(set(uids)) == 2
    score_files(context, path, output=tmp_path / "again")
    assert pq.read_table(tmp_path / "again" / "predictions.parquet")["uid"].to_pylist() == uids


def test_a_folder_of_pages_and_texts_is_read_as_the_corpus_would_be(context: Context, tmp_path: Path) -> None:
    crowned(context, words={"a": "a", "b": "b", "secret": "a"})
    folder = tmp_path / "pages"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.html").write_text("<html><body><main><p>b is what this page is about</p></main></body></html>")
    (folder / "deep" / "two.txt").write_text("secret word and b")  # what the corpus strips says nothing here
    (folder / "empty.txt").write_text(" ")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    result = score_files(context, folder, output=tmp_path / "out")
    assert result.counts["rejected"] == {"empty": 1}
    assert (result.counts["documents"], result.counts["scored"], result.counts["labels"]) == (3, 2, {"b": 2})
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [Path(row["url"]).name for row in rows] == ["two.txt", "one.html"]
    assert pq.read_table(tmp_path / "out" / "rejects.parquet")["reason"].to_pylist() == ["empty"]
    (folder / "empty.txt").unlink()
    score_files(context, folder, output=tmp_path / "out")
    assert not (tmp_path / "out" / "rejects.parquet").exists()


def test_a_page_over_the_limit_costs_itself_alone(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    context = make_context(keyword_corpus(make_corpus, clean={"document_bytes": 100}))
    crowned(context)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "long.txt").write_text("b " * 100)
    (tmp_path / "in" / "short.txt").write_text("b")
    result = score_files(context, tmp_path / "in", output=tmp_path / "out")
    assert (result.counts["scored"], result.counts["rejected"]) == (1, {"too_large": 1})


def test_captures_of_a_warc_file_are_scored(context: Context, tmp_path: Path) -> None:
    import io

    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    crowned(context)
    path = tmp_path / "crawl.warc.gz"
    with path.open("wb") as out:
        writer = WARCWriter(out, gzip=True)
        for url, status, body in (("http://x/1", "200 OK", b"<p>b is here</p>"), ("http://x/2", "404 Gone", b"")):
            headers = StatusAndHeaders(status, [("Content-Type", "text/html")], protocol="HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=headers)
            )
    result = score_files(context, path, output=tmp_path / "out")
    assert (result.counts["scored"], result.counts["gone"], result.counts["labels"]) == (1, 1, {"b": 1})
    assert pq.read_table(tmp_path / "out" / "predictions.parquet")["url"].to_pylist() == ["http://x/1"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.txt", None, "no such file or folder"),
        ("model.bin", b"x", r"unknown kind of file; known: \.txt"),
        ("rows.jsonl", b'{"body": "x"}\n', r"no column 'text' to score; there are: body\. Name it with --text"),
        ("rows.csv", b"id,body\n1,x\n", "no column 'text'"),
        ("rows.parquet", b"PAR1", "not a readable Parquet file"),
        ("rows.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 999, mtime=0)[:40], "cannot be read"),
        ("crawl.warc.gz", b"\x1f\x8b\x08 no warc", "cannot be read"),
    ],
)
def test_an_input_that_cannot_be_read_is_bad_input_and_leaves_no_output(
    context: Context, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    crowned(context)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=said):
        score_files(context, tmp_path / name, output=tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--input x.txt",
        f"--partition {DAY} --output o",
        f"--partition {DAY} --input x --output o",
        "x.txt --output o",
    ],
)
def test_options_that_do_not_go_together_are_bad_input(tmp_path: Path, options: str) -> None:
    corpus = tmp_path / "docs.yaml"
    corpus.write_text("corpus: docs\nsource: {live: {files: {path: /x/*.jsonl}}}\ntrain: {recipe: keyword}\n")
    result = CliRunner().invoke(command, ["--corpus", str(corpus), "--store", f"file://{tmp_path}/s", *options.split()])
    assert result.exit_code == 2
    assert "give --partition alone, or --input together with --output" in result.output


def test_the_command_takes_what_a_shell_makes_of_a_pattern(context: Context, tmp_path: Path) -> None:
    crowned(context)
    corpus = tmp_path / "docs.yaml"
    corpus.write_text("corpus: docs\nsource: {live: {files: {path: /x/*.jsonl}}}\ntrain: {recipe: keyword}\n")
    names = []
    for label in "ab":
        names.append(str(tmp_path / f"{label}.txt"))
        Path(names[-1]).write_text(label)
    arguments = ["--corpus", str(corpus), "--store", context.store.url, "--output", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(command, [*arguments, "--workers", "1", "--input", *names])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output.splitlines()[-1])["counts"]["labels"] == {"a": 1, "b": 1}


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines))
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
