"""The tagger: its likelihood is that of all paths, its best path breaks no rule, and what it learned it says again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.combine import combine
from tasks.config import Corpus
from tasks.encode import encode
from tasks.errors import BadInput, Corrupt
from tasks.models._crf import best_path, constraints, log_likelihood
from tasks.models.lstm_tagger import LstmTagger, LstmTaggerModel, LstmTaggerParams
from tasks.prepare import prepare
from tasks.step import Context, Shard
from tasks.training import Training
from tests.gated import DAY, Gated

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


LONG = [*(["in"] * 5), "Ada", "King", *(["lives"] * 6), "Rome", "in", "Ada", "King"]
LONG_TAGS = [*(["O"] * 5), "B-PER", "I-PER", *(["O"] * 6), "B-LOC", "O", "B-PER", "I-PER"]


class Reader:
    """A network that is sure of the tag of every word, in the order of ``TAGS``."""

    def __init__(self, terms: list[str]) -> None:
        said = {"ada": "B-PER", "king": "I-PER", "rome": "B-LOC"}
        self._places = [TAGS.index("O")] * 2 + [TAGS.index(said.get(term, "O")) for term in terms]

    def predict_on_batch(self, arrays: list[np.ndarray]) -> np.ndarray:
        return 9 * np.eye(len(TAGS))[np.array(self._places)[arrays[0]]]


def test_an_entity_wherever_it_stands_in_a_long_sentence_is_said_as_one() -> None:
    tagger = recipe()
    features = tagger.combine([tagger.count(iter([table()]))], 2)
    model = tagger.model(tagger.network(features).get_weights(), features)
    model.built.append(Reader(model.terms))  # type: ignore[arg-type]
    for before in range(8):
        given = ["in"] * before + LONG
        said = tagger.predict(model, ["", "", ""], {"tokens": [given, [], ["Rome"]]})
        assert said == [["O"] * before + LONG_TAGS, [], ["B-LOC"]]


def test_a_long_sentence_is_learned_to_its_end_in_parts_that_cut_no_entity() -> None:
    tagger = recipe()
    features = tagger.combine([tagger.count(iter([table()]))], 2)
    (encoded,) = tagger.encode(iter([table([LONG, ["Rome"]], [LONG_TAGS, ["B-LOC"]])]), features)
    parts = [[TAGS[place] for place in tags] for tags in encoded["tags"]]
    assert parts == [LONG_TAGS[:5], LONG_TAGS[5:11], LONG_TAGS[11:], ["B-LOC"]]
    assert encoded["part"] == [0, 1, 2, 0]
    assert [len(words) for words in encoded["words"]] == [5, 6, 6, 1]
    (whole,) = tagger.encode(iter([table([["Ada"] * 9], [["B-PER", *["I-PER"] * 8]])]), features)
    assert [len(words) for words in whole["words"]] == [6, 3], "an entity longer than a part is cut all the same"


def test_sentences_of_unknown_tags_are_counted_however_many_parts_others_have(
    make_corpus: Callable[..., Corpus], make_context: Callable[..., Context], tmp_path: Path
) -> None:
    corpus = make_corpus(
        kind="sequences", train={"recipe": {"lstm_tagger": {"max_tokens": 6, "min_df": 1}}, "shards": 1}
    )
    context = make_context(corpus)
    given = Gated(context, tmp_path)
    rows = [(LONG, LONG_TAGS), (["Rome"], ["B-LOC"]), (["UN"], ["B-ORG"])]
    files = []
    for role, chosen in (("train", rows[:2]), ("validation", rows)):
        whole = pa.table({"uid": [f"{n:032x}" for n in range(len(chosen))], "text": [""] * len(chosen)})
        whole = whole.append_column("label", pa.nulls(len(chosen), pa.string()))
        for place, name in enumerate(("tokens", "tags")):
            whole = whole.append_column(name, pa.array([row[place] for row in chosen]))
        files.append(given.file("snapshots/docs/x", role, whole))
    given.staging()
    snapshot = given.recommit(
        given.read(f"staging/docs/{DAY}").manifest, f"snapshots/docs/{'a' * 16}", files=tuple(files), step="snapshot"
    )
    training = Training.of(corpus, snapshot)
    prepare(context, training, Shard())
    combine(context, training)
    counts = encode(context, training, Shard()).counts
    assert (counts["rows"], counts["validation"], counts["unseen"]) == (4, 4, 1)


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
    assert [bool((array == 7).all()) for array in warm[-5:]] == [True] * 5, "of the same tags all is taken"


def test_neighbours_that_a_champion_knows_keep_their_score_and_no_others_get_one() -> None:
    tagger = recipe()
    features = tagger.combine([tagger.count(iter([table()]))], 2)
    start = tagger.network(features).get_weights()
    known = ["O", "I-PER", "B-PER", "B-ORG"]
    shapes = tagger.layout(2, 4, len(known)).values()
    theirs = [np.zeros(shape, np.float32) for _, shape in shapes]
    theirs[-3] = np.arange(16, dtype=np.float32).reshape(4, 4) + 1
    champion = LstmTaggerModel(["in", "rome"], ["a", "b", "c", "d"], known, theirs)
    warm = tagger.warm(start, features, champion)[-3]
    for (row, before), (column, after) in product(enumerate(TAGS), repeat=2):
        both = before in known and after in known
        assert warm[row, column] == (theirs[-3][known.index(before), known.index(after)] if both else 0)
