"""The tagger: its likelihood is that of all paths, its best path breaks no rule, and what it learned it says again."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import BadInput, Corrupt
from tasks.models._crf import best_path, constraints, log_likelihood
from tasks.models.lstm_tagger import LstmTagger, LstmTaggerModel, LstmTaggerParams

TAGS = ["B-LOC", "B-PER", "I-PER", "O"]
TOKENS = [["Ada", "King", "lives", "in", "Rome"], ["in", "Paris"]]
GIVEN = [["B-PER", "I-PER", "O", "O", "B-LOC"], ["O", "B-LOC"]]


def table(tokens: list[list[str]] = TOKENS, tags: list[list[str]] = GIVEN) -> pa.Table:
    return pa.table({"tokens": tokens, "tags": tags})


def recipe(**params: int) -> LstmTagger:
    sizes = {"dimension": 4, "units": 4, "character_dimension": 3, "character_filters": 4, "min_df": 1}
    return LstmTagger(LstmTaggerParams.model_validate({**sizes, "max_tokens": 6, "max_characters": 5, **params}), 0)


def test_the_likelihood_sums_over_every_path() -> None:
    draw = np.random.default_rng(1)
    emissions = draw.normal(size=(2, 3, 3)).astype(np.float32)
    transitions, begin, end = (draw.normal(size=shape).astype(np.float32) for shape in ((3, 3), (3,), (3,)))
    tags, lengths = np.array([[0, 2, 1], [1, 1, 0]], np.int32), [3, 2]
    mask = np.array([[1, 1, 1], [1, 1, 0]], np.float32)

    def score(row: int, path: tuple[int, ...]) -> float:
        moved = sum(transitions[a, b] for a, b in pairwise(path))
        return float(begin[path[0]] + end[path[-1]] + moved + sum(emissions[row, i, tag] for i, tag in enumerate(path)))

    found = log_likelihood(emissions, tags, mask, transitions, begin, end).numpy()
    for row, length in enumerate(lengths):
        paths = {path: score(row, path) for path in product(range(3), repeat=length)}
        whole = np.log(sum(np.exp(value) for value in paths.values()))
        assert found[row] == pytest.approx(paths[tuple(tags[row, :length])] - whole, rel=1e-5)
        assert tuple(best_path(emissions[row, :length], transitions, begin, end)) == max(paths, key=paths.__getitem__)


def test_no_path_breaks_the_scheme() -> None:
    emissions = np.zeros((3, 4))
    emissions[:, 2] = 5  # all for I-PER
    between, begin, end = constraints(TAGS, "IOB2")
    assert [TAGS[i] for i in best_path(emissions, between, begin, end)] == ["B-PER", "I-PER", "I-PER"]
    assert [TAGS[i] for i in best_path(emissions, *constraints(TAGS, "none"))] == ["I-PER"] * 3


def test_what_was_learned_is_saved_and_said_again(tmp_path: Path) -> None:
    tagger = recipe()
    features = tagger.combine([tagger.count(iter([table()]))], 2)
    weights = tagger.network(features).get_weights()
    model = tagger.model(weights, features)
    tagger.save(model, tmp_path)
    loaded = tagger.load(tmp_path)
    long = [["Ada"] * 15, ["Rome"]]
    said = tagger.predict(loaded, ["", ""], {"tokens": long})
    assert said == tagger.predict(model, ["", ""], {"tokens": long})
    assert [len(tags) for tags in said] == [15, 1], "a sentence of more than max_tokens is read in parts"
    assert tagger.labels(loaded) == TAGS
    with pytest.raises(Corrupt):
        recipe(units=5).load(tmp_path)


def test_examples_are_the_same_whatever_the_sharding_and_leave_out_unknown_tags() -> None:
    tagger = recipe()
    features = tagger.combine([tagger.count(iter([table()]))], 2)
    apart = tagger.combine([tagger.count(iter([table().slice(i, 1)])) for i in (1, 0)], 2)
    assert apart.equals(features)
    strange = table([*TOKENS, ["UN"]], [*GIVEN, ["B-ORG"]])
    (encoded,) = tagger.encode(iter([strange]), features)
    assert [len(words) for words in encoded["words"]] == [5, 2]
    arrays = tagger.inputs(encoded)
    assert (arrays["words"].shape, arrays["characters"].shape) == ((2, 6), (2, 6, 5))
    with pytest.raises(BadInput, match="no two tags"):
        tagger.combine([tagger.count(iter([table([["a"]], [["O"]])]))], 1)


def test_a_champion_lends_what_has_the_same_name() -> None:
    tagger = recipe()
    features = tagger.combine([tagger.count(iter([table()]))], 2)
    start = tagger.network(features).get_weights()
    names = ["paris", "rome"]
    theirs = [np.full_like(array, 7) for array in start]
    theirs[3] = np.full((len(names) + 2, 4), 7, np.float32)
    champion = LstmTaggerModel(names, sorted(set("parisome") | set("PARISOME")), TAGS, theirs)
    theirs[0] = np.full((len(champion.characters) + 2, 3), 7, np.float32)
    warm = tagger.warm(start, features, champion)
    known = [term in names for term in features["term"].to_pylist()]
    assert [bool((row == 7).all()) for row in warm[3][2:]] == known
    assert [array.shape for array in warm] == [array.shape for array in start]
