"""``lstm_tagger``: a tag for each token, from a BiLSTM over words and their characters, and a CRF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import BadInput
from tasks.kinds._tags import allowed
from tasks.models import _vocabulary
from tasks.models._fit import FitParams
from tasks.models._merging import average, by_name
from tasks.models._tokens import PADDING, padded
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from tasks.models._tensors import Layout

UNKNOWN = 1
"""The id of a word or character that training did not see often enough; 0 is padding."""
_BATCH = 64


class LstmTaggerParams(FitParams):
    """Parameters of ``train.recipe.lstm_tagger``."""

    epochs: int = Field(8, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(32, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(5e-3, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    clip_norm: float | None = Field(5.0, gt=0, description="the gradient's global norm is cut to this; null: never")
    scheme: Literal["IOB2", "BIOES", "none"] = Field(
        "IOB2", description="what decoding allows; none: any tag may follow any, as of parts of speech"
    )
    max_tokens: int = Field(
        64,
        ge=2,
        le=4096,
        description="so many tokens are read together; a longer sentence is learned in parts, cut where no entity "
        "goes on, and read in overlapping ones, whose tags are decided together",
    )
    max_characters: int = Field(16, ge=3, le=256, description="so many first characters of a token are read")
    max_vocabulary: int = Field(20_000, ge=1, description="words with a vector of their own: those in most sentences")
    min_df: int = Field(2, ge=1, description="sentences that such a word occurs in at least")
    dimension: int = Field(64, ge=1, le=4096, description="of a word's vector")
    character_dimension: int = Field(16, ge=1, le=1024, description="of a character's vector")
    character_filters: int = Field(32, ge=1, le=4096, description="of the convolution over a token's characters")
    units: int = Field(64, ge=1, le=4096, description="of the LSTM, in each direction")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the features left out of each step")


@dataclass(frozen=True, slots=True)
class LstmTaggerModel:
    """Words and characters in the order of their ids after padding and unknown, tags in that of their scores."""

    terms: list[str]
    characters: list[str]
    tags: list[str]
    weights: list[np.ndarray]
    built: list[keras.Model] = field(default_factory=list, compare=False, repr=False)
    """The network, once something was predicted."""


@RECIPES.register("lstm_tagger")
class LstmTagger:
    """A BiLSTM over words and a convolution over their characters, with a CRF on top: for names and parts of speech.

    Ma and Hovy, End-to-end Sequence Labeling via Bi-directional LSTM-CNNs-CRF, 2016. Words are compared without
    case, characters with it. A path that breaks the scheme is never said.
    """

    Params: ClassVar[type[Section]] = LstmTaggerParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 4
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "safetensors")
    merges: ClassVar[tuple[str, ...]] = ("average",)
    kinds: ClassVar[tuple[str, ...]] = ("sequences",)
    judge: ClassVar[str] = "entities"
    labelled: ClassVar[bool] = False
    columns: tuple[str, ...] = ("tokens", "tags")

    def __init__(self, params: LstmTaggerParams, seed: int) -> None:
        self.params = params
        self._seed = seed % 2**32  # what Keras takes

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        import pyarrow as pa

        frequencies: Counter[str] = Counter()
        tags: Counter[str] = Counter()
        for batch in batches:
            for tokens, given in zip(batch["tokens"].to_pylist(), batch["tags"].to_pylist(), strict=True):
                frequencies.update({token.lower() for token in tokens})
                tags.update(given)
        terms = sorted(frequencies)
        table = pa.table(
            {
                "term": pa.array(terms, pa.large_string()),
                "documents": pa.array([frequencies[term] for term in terms], pa.int64()),
            }
        )
        return _vocabulary.with_labels(table, tags)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        features = _vocabulary.combine(counts, least=self.params.min_df, most=rows, size=self.params.max_vocabulary)
        if len(tags := _vocabulary.labels_of(features)) < 2:
            raise BadInput(f"the train split has no two tags to tell apart, only {', '.join(tags) or 'none'}")
        return features

    def fields(self) -> Mapping[str, Column]:
        return {**{name: Column("int64", None) for name in ("words", "characters", "tags")}, "part": Column("int64")}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        terms = features["term"].to_pylist()
        words, characters = _ids(terms), _ids(_characters(terms))
        tags = {tag: place for place, tag in enumerate(_vocabulary.labels_of(features))}
        for batch in batches:
            parts = [
                (tokens[begin:end], given[begin:end], part)
                for tokens, given in zip(batch["tokens"].to_pylist(), batch["tags"].to_pylist(), strict=True)
                if all(tag in tags for tag in given)
                for part, (begin, end) in enumerate(_parts(given, self.params.max_tokens, self.params.scheme))
            ]
            yield {
                **self._read([tokens for tokens, _, _ in parts], words, characters),
                "tags": [[tags[tag] for tag in given] for _, given, _ in parts],
                "part": [part for *_, part in parts],
            }

    def network(self, features: pa.Table) -> keras.Model:
        terms = features["term"].to_pylist()
        return self.built(len(terms), len(_characters(terms)), len(_vocabulary.labels_of(features)))

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        import numpy as np

        tokens, characters = self.params.max_tokens, self.params.max_characters
        arrays = {
            "words": padded(columns["words"], tokens, np.int32),
            "characters": padded(columns["characters"], tokens * characters, np.int32).reshape(-1, tokens, characters),
        }
        if "tags" in columns:
            arrays["tags"] = padded(columns["tags"], tokens, np.int32)
        return arrays

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        from tasks.models._crf import log_likelihood

        emissions = tf.cast(network([batch["words"], batch["characters"]], training=training), tf.float32)
        mask = tf.cast(tf.not_equal(batch["words"], PADDING), tf.float32)
        tags = tf.cast(batch["tags"], tf.int32)
        chain = [tf.cast(weight.value, tf.float32) for weight in network.get_layer("crf").weights]
        said = tf.argmax(emissions, axis=2, output_type=tf.int32)
        hits = tf.reduce_sum(tf.cast(tf.equal(said, tags), tf.float32) * mask, axis=1)
        return {
            "loss": -log_likelihood(emissions, tags, mask, *chain),
            "accuracy": hits / tf.maximum(tf.reduce_sum(mask, axis=1), 1.0),
        }

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> LstmTaggerModel:
        terms = features["term"].to_pylist()
        return LstmTaggerModel(terms, _characters(terms), _vocabulary.labels_of(features), list(weights))

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: LstmTaggerModel) -> Sequence[np.ndarray]:
        terms = features["term"].to_pylist()
        special: list[Any] = [PADDING, UNKNOWN]
        tags, theirs = _vocabulary.labels_of(features), champion.weights
        names = list(self.layout(len(terms), len(_characters(terms)), len(tags)))
        named = dict(zip(names, theirs, strict=True))
        warmed = dict(zip(names, start, strict=True))
        for name, mine, known in (
            ("words", terms, champion.terms),
            ("characters", _characters(terms), champion.characters),
        ):
            warmed[name] = by_name(warmed[name], [*special, *mine], named[name], [*special, *known])
        for name in names:
            if name.startswith(("lstm", "convolution")):
                if warmed[name].shape != named[name].shape:
                    raise BadInput("its layers have other sizes")
                warmed[name] = named[name]
        warmed["tags.kernel"] = by_name(warmed["tags.kernel"], tags, named["tags.kernel"], champion.tags, axis=1)
        for name in ("tags.bias", "crf.begin", "crf.end"):
            warmed[name] = by_name(warmed[name], tags, named[name], champion.tags)
        warmed["crf.transitions"] = _pairs_by_name(warmed["crf.transitions"], tags, named["crf.transitions"], champion)
        return [warmed[name] for name in names]

    def merge(self, models: Sequence[LstmTaggerModel], weights: Sequence[float]) -> LstmTaggerModel:
        first = models[0]
        return LstmTaggerModel(
            first.terms, first.characters, first.tags, average([model.weights for model in models], weights)
        )

    def labels(self, model: LstmTaggerModel) -> list[str]:
        return list(model.tags)

    def predict(self, model: LstmTaggerModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> Any:
        """The tags of each row's tokens; one path is decided on for a sentence of any length."""
        import numpy as np

        from tasks.models._crf import best_path, constraints

        if not model.built:
            network = self.built(len(model.terms), len(model.characters), len(model.tags))
            network.set_weights(model.weights)
            model.built.append(network)
        words, characters, size = _ids(model.terms), _ids(model.characters), self.params.max_tokens
        sentences: Sequence[Any] = columns["tokens"]
        parts = [(row, *window) for row, tokens in enumerate(sentences) for window in _windows(len(tokens), size)]
        chain = [
            np.asarray(weight, np.float64) + never
            for weight, never in zip(model.weights[-3:], constraints(model.tags, self.params.scheme), strict=True)
        ]
        said: list[list[str]] = [[] for _ in sentences]
        emitted: list[np.ndarray] = []
        for start in range(0, len(parts), _BATCH):
            some = parts[start : start + _BATCH]
            read = [sentences[row][begin : begin + size] for row, begin, _, _ in some]
            arrays = self.inputs(self._read(read, words, characters))
            emissions = np.asarray(model.built[0].predict_on_batch([arrays["words"], arrays["characters"]]), np.float64)
            for (row, begin, first, last), seen in zip(some, emissions, strict=True):
                emitted.append(seen[first - begin : last - begin])
                if last == len(sentences[row]):
                    said[row] = [model.tags[place] for place in best_path(np.concatenate(emitted), *chain)]
                    emitted = []
        return said

    def facts(self, model: LstmTaggerModel) -> dict[str, int]:
        """Parameters, words and tags."""
        size = sum(array.size for array in model.weights)
        return {"parameters": size, "vocabulary": len(model.terms), "tags": len(model.tags)}

    def save(self, model: LstmTaggerModel, folder: Path) -> None:
        from tasks.models import _tensors

        layout = self.layout(len(model.terms), len(model.characters), len(model.tags))
        lists = {"terms": model.terms, "characters": model.characters, "tags": model.tags}
        _tensors.write(folder, dict(zip(layout, model.weights, strict=True)), lists)

    def load(self, folder: Path) -> LstmTaggerModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("characters", "tags", "terms"))
        layout = self.layout(*(len(lists[name]) for name in ("terms", "characters", "tags")))
        return LstmTaggerModel(lists["terms"], lists["characters"], lists["tags"], _tensors.checked(tensors, layout))

    def _read(
        self, sentences: Sequence[Sequence[str]], words: Mapping[str, int], characters: Mapping[str, int]
    ) -> dict[str, list[Any]]:
        import numpy as np

        width = self.params.max_characters
        cut = [tokens[: self.params.max_tokens] for tokens in sentences]
        spelled = [
            padded([[characters.get(c, UNKNOWN) for c in token[:width]] for token in tokens], width, np.int32).ravel()
            for tokens in cut
        ]
        return {
            "words": [[words.get(token.lower(), UNKNOWN) for token in tokens] for tokens in cut],
            "characters": spelled,
        }

    def layout(self, terms: int, characters: int, tags: int) -> Layout:
        """What a model's file holds: the weights in the network's order."""
        p = self.params
        wide = p.dimension + p.character_filters
        shapes: dict[str, tuple[int, ...]] = {
            "characters": (characters + 2, p.character_dimension),
            "convolution.kernel": (3, p.character_dimension, p.character_filters),
            "convolution.bias": (p.character_filters,),
            "words": (terms + 2, p.dimension),
        }
        for way in ("forward", "backward"):
            shapes |= {
                f"lstm.{way}.kernel": (wide, 4 * p.units),
                f"lstm.{way}.recurrent": (p.units, 4 * p.units),
                f"lstm.{way}.bias": (4 * p.units,),
            }
        shapes |= {"tags.kernel": (2 * p.units, tags), "tags.bias": (tags,)}
        shapes |= {"crf.transitions": (tags, tags), "crf.begin": (tags,), "crf.end": (tags,)}
        return {name: ("float32", shape) for name, shape in shapes.items()}

    def built(self, terms: int, characters: int, tags: int) -> keras.Model:
        """An untrained network over so many known words and characters."""
        import keras
        from keras import layers, ops

        from tasks.models._dropout import Dropout

        class Chain(layers.Layer):  # type: ignore[misc]
            """Holds the scores of neighbouring tags, which the likelihood and the best path add to the emissions."""

            supports_masking = True

            def build(self, shape: Any) -> None:
                for name, size in (("transitions", (tags, tags)), ("begin", (tags,)), ("end", (tags,))):
                    self.add_weight(shape=size, initializer="zeros", name=name)

            def call(self, emissions: Any) -> Any:
                return emissions

        p = self.params
        words = keras.Input((p.max_tokens,), dtype="int32", name="words")
        spelled = keras.Input((p.max_tokens, p.max_characters), dtype="int32", name="characters")
        letters = layers.Embedding(characters + 2, p.character_dimension, name="letters")(spelled)
        # One convolution over the characters of all tokens of the batch, then the strongest answer within each.
        flat = ops.reshape(letters, (-1, p.max_characters, p.character_dimension))
        convolved = layers.Conv1D(p.character_filters, 3, padding="same", activation="relu", name="convolution")(flat)
        spelling = ops.reshape(ops.max(convolved, axis=1), (-1, p.max_tokens, p.character_filters))
        vectors = layers.Embedding(terms + 2, p.dimension, name="vectors")(words)
        both = Dropout(p.dropout, seed=self._seed)(layers.Concatenate()([vectors, spelling]))
        lstm = layers.Bidirectional(layers.LSTM(p.units, return_sequences=True, seed=self._seed), name="lstm")
        read = lstm(both, mask=ops.not_equal(words, PADDING))
        read = Dropout(p.dropout, seed=self._seed)(read)
        emissions = layers.Dense(tags, dtype="float32", name="tags")(read)
        return keras.Model([words, spelled], Chain(name="crf", dtype="float32")(emissions), name="lstm_tagger")


def _pairs_by_name(start: np.ndarray, tags: Sequence[str], theirs: np.ndarray, champion: LstmTaggerModel) -> np.ndarray:
    """The scores of neighbouring tags, from the champion where it knows both."""
    mine = [place for place, tag in enumerate(tags) if tag in champion.tags]
    rows = by_name(start[:, mine], tags, theirs[:, [champion.tags.index(tags[place]) for place in mine]], champion.tags)
    warmed = start.copy()
    warmed[:, mine] = rows
    return warmed


def _parts(tags: Sequence[str], size: int, scheme: str) -> Iterator[tuple[int, int]]:
    """Where to cut a sentence into parts of at most ``size`` tokens: as late as no entity goes on, if there is such a
    place."""
    begin = 0
    while begin < len(tags):
        end = min(begin + size, len(tags))
        if end < len(tags):
            apart = (at for at in range(end, begin, -1) if _may_part(tags[at - 1], tags[at], scheme))
            end = next(apart, end)
        yield begin, end
        begin = end


def _may_part(before: str, tag: str, scheme: str) -> bool:
    return allowed(before, None, scheme) and allowed(None, tag, scheme)


def _windows(length: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Where overlapping windows over a sentence begin, and of which tokens each is asked: those far from its edges."""
    margin = size // 4
    begin = first = 0
    while first < length:
        last = length if begin + size >= length else begin + size - margin
        yield begin, first, last
        first, begin = last, last - margin


def _ids(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start=UNKNOWN + 1)}


def _characters(terms: Sequence[str]) -> list[str]:
    """The characters of the known words, in either case."""
    return sorted({character for term in terms for character in term + term.upper()})
