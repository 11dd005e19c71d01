"""Continuations by the champion: of prompts and of files, the same for the same seed, and only of one that writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.models._sampling import Sampling
from tasks.predict import predict_files
from tasks.sample import sample
from tasks.step import Context
from tests.champions import crowned, keyword_corpus
from tests.unit.test_language_model import made, recipe

HOW = Sampling(tokens=6, seed=4)


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    params = recipe().params.model_dump(mode="json")
    train = {"recipe": {"language_model": params}, "seed": 3, "shards": 1}
    return make_context(make_corpus(kind={"text": {"document": "line"}}, train=train))


def writes(context: Context) -> None:
    """A champion that is a language model, though an untrained one."""
    model: Any = made(recipe())[0]
    crowned(context, words=model)


def test_prompts_are_said_and_documents_of_files_written(context: Context, tmp_path: Path) -> None:
    writes(context)
    said = sample(context, ["the cat", ""], [], None, HOW).counts
    assert said["texts"] == 2
    assert said["samples"][0].startswith("the cat")
    (tmp_path / "begun.txt").write_text("the cat\na dog ran\n")
    result = sample(context, ["the cat"], [tmp_path / "begun.txt"], tmp_path / "out", HOW)
    assert result.counts == {"texts": 3, "version": 1, "rejected": {}}
    rows = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    assert [row["prompt"] for row in rows] == ["the cat", "the cat", "a dog ran"]
    assert rows[0]["prompt"] + rows[0]["continuation"] == said["samples"][0], "the same seed and place"
    assert rows[1]["continuation"] != rows[0]["continuation"], "another place draws otherwise"
    assert (rows[0]["uid"], len(rows[1]["uid"])) == (None, 32)


def test_each_line_of_a_file_is_read_for_its_likelihood(context: Context, tmp_path: Path) -> None:
    writes(context)
    (tmp_path / "x.txt").write_text("the cat sat\n北京\n")
    result = predict_files(context, [tmp_path / "x.txt"], tmp_path / "out", text="text", workers=1)
    assert (result.counts["scored"], result.counts["rejected"]) == (2, {})
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["words"] for row in rows] == [4, 2]
    assert all(row["perplexity"] > 1 and row["log_likelihood"] < 0 for row in rows)


def test_what_cannot_be_continued_is_bad_input(
    context: Context, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="no champion to predict with"):
        sample(context, ["x"], [], None, HOW)
    with pytest.raises(BadInput, match="nothing to write on from"):
        sample(context, [], [], None, HOW)
    with pytest.raises(BadInput, match="--output"):
        sample(context, [], [tmp_path], None, HOW)
    classifier = make_context(keyword_corpus(make_corpus))
    crowned(classifier)
    with pytest.raises(BadInput, match="is a keyword, which writes no text"):
        sample(classifier, ["x"], [], None, HOW)
