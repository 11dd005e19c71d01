"""``summarizer``: the sentences of a text that say what is in it, found by a network that ranks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import BadInput
from tasks.models import _vocabulary
from tasks.models._fit import FitParams
from tasks.models._merging import average, by_name
from tasks.models._ranking import Ranking, chances, listwise
from tasks.models._rouge import Tokenizer, gains
from tasks.models._tokens import PADDING, padded
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf


UNKNOWN = 1
"""The id of a word that training did not see often enough; 0 is padding."""
_BATCH = 64


class SummarizerParams(FitParams):
    """Parameters of ``train.recipe.summarizer``."""

    epochs: int = Field(4, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(32, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(3e-3, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    clip_norm: float | None = Field(5.0, gt=0, description="the gradient's global norm is cut to this; null: never")
    sentences: int = Field(3, ge=1, le=100, description="of a summary; of those that are learned, at most")
    block_trigrams: bool = Field(
        True, description="no sentence is taken that repeats three words in a row of one that is; then fewer may be"
    )
    max_sentences: int = Field(40, ge=2, le=4096, description="so many first sentences of a text are read")
    max_words: int = Field(40, ge=3, le=1024, description="so many first words of a sentence are read")
    max_vocabulary: int = Field(20_000, ge=1, description="words with a vector of their own: those in most texts")
    min_df: int = Field(2, ge=1, description="texts that such a word occurs in at least")
    dimension: int = Field(64, ge=1, le=4096, description="of a word's vector")
    position_dimension: int = Field(16, ge=1, le=1024, description="of the vector of a sentence's place")
    filters: int = Field(64, ge=1, le=4096, description="of the convolution over a sentence's words")
    units: int = Field(64, ge=1, le=4096, description="of the LSTM over sentences, in each direction")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the features left out of each step")


@dataclass(frozen=True, slots=True)
class SummarizerModel:
    """Words in the order of their ids after padding and unknown; weights as the network has them."""

    terms: list[str]
    weights: list[np.ndarray]
    built: list[keras.Model] = field(default_factory=list, compare=False, repr=False)
    """The network, once something was predicted."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Places of the sentences that a model takes, in order, and each read one's share in what sums the text up."""

    places: list[int]
    chances: list[float]


@RECIPES.register("summarizer")
class Summarizer:
    """Extractive summaries by an LSTM over sentences, after SummaRuNNer (Nallapati, Zhai, Zhou, 2017).

    A sentence is told by its place, its length, a convolution over its words and their mean. Sentences are ranked by
    how much ROUGE of the summary each has (``tasks.models._rouge.gains``), not labelled as in or out: of two that say
    nearly the same, a label says that one is wrong. A text whose summary shares no word with it teaches nothing and is
    left out.
    """

    Params: ClassVar[type[Section]] = SummarizerParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 4
    oldest: ClassVar[int] = 4
    libraries: ClassVar[tuple[str, ...]] = (
        "tensorflow",
        "keras",
        "numpy",
        "safetensors",
        "rjieba",
        "sudachipy",
        "rouge-score",
    )
    merges: ClassVar[tuple[str, ...]] = ("average",)
    kinds: ClassVar[tuple[str, ...]] = ("summaries",)
    judge: ClassVar[str] = "summaries"
    labelled: ClassVar[bool] = False
    columns: tuple[str, ...] = ("sentences", "summary")

    def __init__(self, params: SummarizerParams, seed: int) -> None:
        self.params = params
        self._words = Tokenizer()
        self._ranking = Ranking(
            sentences=params.max_sentences,
            words=params.max_words,
            dimension=params.dimension,
            place_dimension=params.position_dimension,
            filters=params.filters,
            units=params.units,
            dropout=params.dropout,
            seed=seed % 2**32,  # what Keras takes
        )

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        import pyarrow as pa

        frequencies: Counter[str] = Counter()
        for batch in batches:
            for text in batch["text"].to_pylist():
                frequencies.update(set(self._words.tokenize(text)))
        terms = sorted(frequencies)
        counts = pa.array([frequencies[term] for term in terms], pa.int64())
        return _vocabulary.with_labels(pa.table({"term": pa.array(terms, pa.large_string()), "documents": counts}), {})

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        return _vocabulary.combine(counts, least=self.params.min_df, most=rows, size=self.params.max_vocabulary)

    def fields(self) -> Mapping[str, Column]:
        ids = {name: Column("int64", None) for name in ("places", "words")}
        return {**ids, "gains": Column("float32", None)}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        ids = _ids(features["term"].to_pylist())
        for batch in batches:
            rows = zip(batch["sentences"].to_pylist(), batch["summary"].to_pylist(), strict=True)
            read = [(s[: self.params.max_sentences], summary) for s, summary in rows if summary]
            told = [(s, gained) for s, summary in read if (gained := gains(s, summary, self.params.sentences))]
            yield {**self._read([s for s, _ in told], ids), "gains": [gained for _, gained in told]}

    def network(self, features: pa.Table) -> keras.Model:
        return self._ranking.network(features.num_rows)

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        import numpy as np

        sentences, words = self.params.max_sentences, self.params.max_words
        arrays = {
            "places": padded(columns["places"], sentences, np.int32),
            "words": padded(columns["words"], sentences * words, np.int32).reshape(-1, sentences, words),
        }
        if "gains" in columns:
            arrays["gains"] = padded(columns["gains"], sentences, np.float32)
        return arrays

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        scores = network([batch["places"], batch["words"]], training=training)
        return listwise(scores, batch["gains"], batch["places"] != PADDING)

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> SummarizerModel:
        return SummarizerModel(features["term"].to_pylist(), list(weights))

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: SummarizerModel) -> Sequence[np.ndarray]:
        terms = features["term"].to_pylist()
        named = dict(zip(self._ranking.layout(len(champion.terms)), champion.weights, strict=True))
        warmed = dict(zip(self._ranking.layout(len(terms)), start, strict=True))
        special: list[Any] = [PADDING, UNKNOWN]
        for name in warmed:
            if name == "vectors":
                warmed[name] = by_name(warmed[name], [*special, *terms], named[name], [*special, *champion.terms])
            elif warmed[name].shape != named[name].shape:
                raise BadInput("its layers have other sizes")
            else:
                warmed[name] = named[name]
        return list(warmed.values())

    def merge(self, models: Sequence[SummarizerModel], weights: Sequence[float]) -> SummarizerModel:
        return SummarizerModel(models[0].terms, average([model.weights for model in models], weights))

    def labels(self, model: SummarizerModel) -> list[str]:
        return []

    def predict(self, model: SummarizerModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> list[Summary]:
        """What sums up each text, of its first ``max_sentences`` ``sentences``."""
        import numpy as np

        if not model.built:
            network = self._ranking.network(len(model.terms))
            network.set_weights(model.weights)
            model.built.append(network)
        ids = _ids(model.terms)
        every: Sequence[Any] = columns["sentences"]
        given = [each[: self.params.max_sentences] for each in every]
        said: list[Summary] = []
        for start in range(0, len(given), _BATCH):
            some = given[start : start + _BATCH]
            arrays = self.inputs(self._read(some, ids))
            scores = np.asarray(model.built[0].predict_on_batch([arrays["places"], arrays["words"]]), np.float64)
            for text, scored in zip(some, scores, strict=True):
                shares = chances(scored, len(text))
                said.append(Summary(self._chosen(text, shares), shares))
        return said

    def facts(self, model: SummarizerModel) -> dict[str, int]:
        """Parameters and words."""
        return {"parameters": sum(array.size for array in model.weights), "vocabulary": len(model.terms)}

    def save(self, model: SummarizerModel, folder: Path) -> None:
        from tasks.models import _tensors

        tensors = dict(zip(self._ranking.layout(len(model.terms)), model.weights, strict=True))
        _tensors.write(folder, tensors, {"terms": model.terms})

    def load(self, folder: Path) -> SummarizerModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("terms",))
        return SummarizerModel(lists["terms"], _tensors.checked(tensors, self._ranking.layout(len(lists["terms"]))))

    def _chosen(self, sentences: Sequence[str], chances: Sequence[float]) -> list[int]:
        """The likeliest sentences, none of which repeats another: Paulus, Xiong, Socher, 2018, section 2.5."""
        chosen: list[int] = []
        held: set[tuple[str, ...]] = set()
        for place in sorted(range(len(sentences)), key=lambda place: (-chances[place], place)):
            tokens = self._words.tokenize(sentences[place]) if self.params.block_trigrams else []
            found = set(zip(tokens, tokens[1:], tokens[2:], strict=False))
            if not found & held:
                chosen.append(place)
                held |= found
            if len(chosen) == self.params.sentences:
                break
        return sorted(chosen)

    def _read(self, texts: Sequence[Sequence[str]], ids: Mapping[str, int]) -> dict[str, list[Any]]:
        import numpy as np

        width = self.params.max_words
        cut = [[self._words.tokenize(sentence)[:width] for sentence in text] for text in texts]
        return {
            "places": [[place + 1 for place in range(len(text))] for text in texts],
            "words": [
                padded([[ids.get(word, UNKNOWN) for word in words] for words in text], width, np.int32).ravel()
                for text in cut
            ],
        }


def _ids(terms: Sequence[str]) -> dict[str, int]:
    return {term: number for number, term in enumerate(terms, start=UNKNOWN + 1)}
