"""The language model: it reads on from where it was, says what it learned again, and its likelihood is one."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from tasks.errors import BadInput, Corrupt
from tasks.judging.base import measures_of
from tasks.judging.perplexity import Perplexity
from tasks.models._likelihood import Read
from tasks.models._sampling import Sampling
from tasks.models._tensors import TENSORS
from tasks.models.language_model import LanguageModel, LanguageModelParams, LanguageModelRecipe
from tests.unit.test_subwords import CHINESE

TEXTS = ["the cat sat on the mat and the cat slept. " * 3, CHINESE, "a dog ran over the mat. " * 4]
KINDS = ["lstm", "transformer"]


def recipe(architecture: str = "lstm", **params: Any) -> LanguageModelRecipe:
    sizes = {"vocabulary": 300, "window": 8, "layers": 2, "dimension": 8, "units": 6, "heads": 2, "memory": 8}
    return LanguageModelRecipe(LanguageModelParams.model_validate({**sizes, "architecture": architecture, **params}), 3)


def table(texts: list[str]) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string())})


def made(of: LanguageModelRecipe, texts: list[str] = TEXTS) -> tuple[LanguageModel, pa.Table]:
    """An untrained model whose layers say something: what they carry must matter."""
    features = of.combine([of.count(iter([table(texts)]))], len(texts))
    weights = of.network(features).get_weights()
    weights[0] = weights[0] * 4
    return of.model(weights, features), features


def test_the_stream_is_all_documents_with_an_end_each_cut_where_windows_are_full() -> None:
    model, features = made(recipe())
    windows = [
        w for part in recipe().encode(iter([table(TEXTS[:2]), table(TEXTS[2:])]), features) for w in part["tokens"]
    ]
    assert {len(window) for window in windows[:-1]} == {9} and 1 < len(windows[-1]) <= 9
    assert all(before[-1] == after[0] for before, after in itertools.pairwise(windows))
    stream = [0, *(token for window in windows for token in window[1:])]
    assert stream == [0, *(token for text in TEXTS for token in [*model.subwords.ids(text), 0])]
    assert features["documents"].to_pylist()[0] == 3
    assert sum(features["documents"].to_pylist()) == len(stream) - 1, "each token is counted"
    arrays = recipe().inputs({"tokens": windows[-2:]})
    assert arrays["tokens"].shape == arrays["next"].shape == (2, 8)
    assert (arrays["next"][-1] >= 0).sum() == len(windows[-1]) - 1


def test_features_are_the_same_whatever_the_sharding_and_none_of_nothing() -> None:
    whole = recipe()
    apart = whole.combine([whole.count(iter([table([text])])) for text in reversed(TEXTS)], 3)
    assert apart.equals(made(whole)[1], check_metadata=True)
    assert whole.combine([whole.count(iter([table([])]))], 0).num_rows == 0


@pytest.mark.parametrize("architecture", KINDS)
def test_the_state_carries_what_came_before_the_window(architecture: str) -> None:
    """Read in one window or in several, with the state between them, a text is as likely."""
    model, _ = made(recipe(architecture, memory=64))
    likely = [read.log_likelihood for read in recipe(architecture, memory=64).predict(model, TEXTS)]
    whole = [read.log_likelihood for read in recipe(architecture, window=400, memory=64).predict(model, TEXTS)]
    assert likely == pytest.approx(whole, rel=1e-4)
    alone = recipe(architecture, memory=64).predict(model, [TEXTS[1]])[0].log_likelihood
    assert alone == pytest.approx(likely[1], rel=1e-4), "no text knows of another"
    reader = recipe(architecture, memory=64)._reader(model)
    ids = np.array([model.subwords.ids(TEXTS[0])[:4]], np.int32)
    _begun, state = reader.go(ids, reader.begin(1))
    assert not np.allclose(reader.go(ids[:, :1], state)[0], reader.go(ids[:, :1], reader.begin(1))[0])


@pytest.mark.parametrize("architecture", KINDS)
def test_what_was_not_trained_says_what_frequencies_say(architecture: str) -> None:
    """Of a network whose vectors say nothing, so that all it knows is how often each token comes."""
    model, features = made(recipe(architecture))
    weights = [np.zeros_like(model.weights[0]), *model.weights[1:]]
    (read,) = recipe(architecture).predict(recipe(architecture).model(weights, features), TEXTS[:1])
    assert read.log_likelihood == pytest.approx(read.unigram, rel=1e-5)


@pytest.mark.parametrize("architecture", KINDS)
def test_no_token_knows_what_follows_it(architecture: str) -> None:
    model, _ = made(recipe(architecture))
    reader = recipe(architecture)._reader(model)
    network = reader._network
    ids = np.array([model.subwords.ids(TEXTS[0])[:8]], np.int32)
    other = ids.copy()
    other[0, 5:] = 7
    said = [np.asarray(network([each, reader.begin(1)])[0]) for each in (ids, other)]
    np.testing.assert_allclose(said[0][0, :5], said[1][0, :5], atol=1e-5)
    assert not np.allclose(said[0][0, 5:], said[1][0, 5:])


def test_a_distant_token_is_forgotten_by_a_transformer_beyond_its_memory() -> None:
    model, _ = made(recipe("transformer", layers=1, memory=4))
    reader = recipe("transformer", layers=1, memory=4)._reader(model)
    ids = np.array([model.subwords.ids(TEXTS[0])[:10]], np.int32)
    changed = ids.copy()
    changed[0, 0] = 9

    def read_on(tokens: np.ndarray) -> np.ndarray:
        state = reader.begin(1)
        for place in range(tokens.shape[1]):
            said, state = reader.go(tokens[:, place : place + 1], state)
        return np.asarray(said)

    np.testing.assert_allclose(read_on(ids), read_on(changed), atol=1e-6)
    assert not np.allclose(read_on(ids[:, :4]), read_on(changed[:, :4]))


@pytest.mark.parametrize("architecture", KINDS)
def test_what_was_learned_is_saved_and_said_again(architecture: str, tmp_path: Path) -> None:
    mine = recipe(architecture)
    model, features = made(mine)
    mine.save(model, tmp_path)
    loaded = mine.load(tmp_path)
    assert mine.predict(loaded, TEXTS) == mine.predict(model, TEXTS)
    assert mine.facts(loaded)["vocabulary"] == features.num_rows == len(loaded.counts)
    how = Sampling(tokens=12, seed=5)
    assert mine.sample(loaded, ["the cat", "", "北京"], how) == mine.sample(model, ["the cat", "", "北京"], how)
    (sheet,) = mine.sheets(loaded)
    assert len(sheet.rows) == 3
    with pytest.raises(Corrupt):
        recipe(architecture, dimension=12).load(tmp_path)


def test_a_model_of_before_there_was_a_bias_is_read_with_one_of_0(tmp_path: Path) -> None:
    mine = recipe()
    model, _ = made(mine)
    mine.save(model, tmp_path)
    tensors = load_file(tmp_path / TENSORS)
    del tensors["bias"]
    save_file(tensors, tmp_path / TENSORS)
    *weights, bias = mine.load(tmp_path).weights
    assert not bias.any()
    assert all((one == other).all() for one, other in zip(weights, model.weights[:-1], strict=True))


def test_continuations_are_drawn_by_seed_and_place_and_the_likeliest_at_temperature_0() -> None:
    mine = recipe()
    model, _ = made(mine)

    def write(*prompts: str, **how: Any) -> list[str]:
        return mine.sample(model, list(prompts), Sampling(**{"tokens": 12, **how}))

    assert write("the", "the")[0] != write("the", "the")[1]
    assert write("the", seed=1) != write("the", seed=2)
    assert write("the", "cat", "dog")[1:] == write("cat", "dog", first=1), "what is beside a prompt changes nothing"
    assert write("the", temperature=0) == write("the", temperature=0, seed=9) == write("the", top_p=1e-9, seed=4)
    assert write() == []


def test_a_champion_lends_subwords_of_the_same_name() -> None:
    mine = recipe()
    _, features = made(mine)
    start = mine.network(features).get_weights()
    champion, _ = made(mine, ["another text of other words " * 9])
    sevens = [np.full_like(array, 7) for array in champion.weights]
    warm = mine.warm(start, features, LanguageModel(champion.subwords, champion.counts, sevens))
    known = [term in champion.subwords.vocabulary.tokens for term in features["term"].to_pylist()]
    assert [bool((row == 7).all()) for row in warm[0]] == known
    assert all((array == 7).all() for array in warm[1:-1])
    assert (warm[-1] == 7).tolist() == known
    with pytest.raises(BadInput, match="other sizes"):
        mine.warm(start, features, made(recipe(units=7))[0])


def test_perplexity_is_of_words_over_all_texts_beside_that_of_frequencies() -> None:
    reads = [Read(-20.0, 9, 4, 16, -30.0), Read(-10.0, 3, 2, 10, -12.0)]
    judge = Perplexity(None, None, ("language",))
    judge.add(pa.table({"language": ["en", "de"]}), reads)
    metrics = judge.metrics()
    assert metrics["perplexity"] == pytest.approx(math.exp(30 / 6))
    assert metrics["bits_per_byte"] == pytest.approx(30 / math.log(2) / 26)
    assert (metrics["rows"], metrics["words"], metrics["token_perplexity"]) == (2, 6, pytest.approx(math.exp(30 / 12)))
    assert metrics["baseline"] == pytest.approx(math.exp(42 / 6))
    assert metrics["slices"]["language"]["de"]["perplexity"] == pytest.approx(math.exp(5))
    leading = measures_of(metrics)[0]
    assert leading.gain(100, 110) == pytest.approx(1 / 11), "lower is better, as a share"
    empty = Perplexity(None, None, ()).metrics()
    assert (empty["rows"], empty["perplexity"], empty["baseline"]) == (0, None, None)


@pytest.mark.parametrize("dimension", [10, 6])
def test_heads_must_divide_the_dimension(dimension: int) -> None:
    with pytest.raises(ValueError, match="multiple of twice"):
        LanguageModelParams.model_validate({"architecture": "transformer", "dimension": dimension, "heads": 4})
