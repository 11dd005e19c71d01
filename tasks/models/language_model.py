"""``language_model``: the next subword of running text, from an LSTM or a small transformer that carries its state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tasks.errors import BadInput
from tasks.models import _subwords
from tasks.models._fit import FitParams
from tasks.models._merging import average, by_name
from tasks.models._subwords import Subwords, Vocabulary
from tasks.models._telling import Sheet
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from tasks.models._tensors import Layout

_MERGES = b"nightshift.merges"
_EXAMPLES = 64
"""Windows that are handed on at a time."""
_PIECE = 1_000_000
"""Characters counted at a time."""
_SAMPLES = 3


class LanguageModelParams(FitParams):
    """Parameters of ``train.recipe.language_model``."""

    epochs: int = Field(10, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(
        32,
        ge=1,
        description="lanes of text that are read side by side, over all workers together: a window of each a step",
    )
    learning_rate: float = Field(3e-3, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    clip_norm: float | None = Field(1.0, gt=0, description="the gradient's global norm is cut to this; null: never")
    architecture: Literal["lstm", "transformer"] = Field("lstm", description="what reads")
    vocabulary: int = Field(8000, ge=300, le=200_000, description="subwords at most; 256 of them are the bytes")
    min_frequency: int = Field(2, ge=1, description="so often a subword occurs in the train split at least")
    window: int = Field(
        64, ge=2, le=4096, description="tokens of a step, through which gradients flow; the state goes on to the next"
    )
    layers: int = Field(2, ge=1, le=48, description="of the network")
    dimension: int = Field(256, ge=2, le=8192, description="of a subword's vector, with which it is read and said")
    units: int = Field(512, ge=1, le=8192, description="of each layer of the LSTM but the last, which has `dimension`")
    heads: int = Field(4, ge=1, le=128, description="of the transformer's attention")
    memory: int = Field(
        64, ge=1, le=4096, description="tokens before the window that the transformer remembers in its state"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the features left out of each step")

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.architecture == "transformer" and self.dimension % (2 * self.heads):
            raise ValueError(
                f"dimension {self.dimension} of {self.heads} heads: it must be a multiple of twice as many"
            )
        return self


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """The subwords, how often the train split has each, and the network's weights."""

    subwords: Subwords
    counts: np.ndarray
    weights: list[np.ndarray]
    built: list[Any] = field(default_factory=list, compare=False, repr=False)
    """The network, once it read something."""


@RECIPES.register("language_model")
class LanguageModelRecipe:
    """A language model of running text: what it says of a document is how likely the document is.

    Trained by truncated backpropagation through time over a stream of documents, each ended by a token of its own
    (Mikolov et al., Recurrent neural network based language model, 2010; the network after Merity et al., Regularizing
    and Optimizing LSTM Language Models, 2018, or a transformer with a memory after Dai et al., Transformer-XL, 2019).
    """

    Params: ClassVar[type[Section]] = LanguageModelParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = (
        "tensorflow",
        "keras",
        "numpy",
        "safetensors",
        "tokenizers",
        "rjieba",
        "sudachipy",
    )
    merges: ClassVar[tuple[str, ...]] = ("average",)
    kinds: ClassVar[tuple[str, ...]] = ("text", "documents")
    judge: ClassVar[str] = "perplexity"
    labelled: ClassVar[bool] = False
    streams: ClassVar[bool] = True
    columns: tuple[str, ...] = ()

    def __init__(self, params: LanguageModelParams, seed: int) -> None:
        self.params = params
        self._seed = seed % 2**32  # what Keras takes

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        import pyarrow as pa

        counts: Counter[str] = Counter()
        for batch in batches:
            for text in batch["text"].to_pylist():
                counts.update(_subwords.pieces(text))
        terms = sorted(counts)
        return pa.table(
            {
                "term": pa.array(terms, pa.large_string()),
                "documents": pa.array([counts[term] for term in terms], pa.int64()),
            }
        )

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        """``term`` and ``documents``: each subword by its id, and how often the train split has it; merges beside."""
        import numpy as np
        import pyarrow as pa

        summed: Counter[str] = Counter()
        for table in counts:
            summed.update(dict(zip(table["term"].to_pylist(), table["documents"].to_pylist(), strict=True)))
        vocabulary = _subwords.train(summed, self.params.vocabulary, self.params.min_frequency) if summed else None
        tokens = list(vocabulary.tokens) if vocabulary else []
        times = np.zeros(len(tokens), np.int64)
        if vocabulary:
            times[0] = rows
            subwords = Subwords(vocabulary)
            for piece, n in summed.items():
                for token in subwords.ids(piece):
                    times[token] += n
        table = pa.table({"term": pa.array(tokens, pa.large_string()), "documents": pa.array(times, pa.int64())})
        merges = list(vocabulary.merges) if vocabulary else []
        return table.replace_schema_metadata({_MERGES: json.dumps(merges, ensure_ascii=False)})

    def fields(self) -> Mapping[str, Column]:
        return {"tokens": Column("int64", None)}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        """Windows of the shard's documents one after the other, the end of each between them; the last is short.

        A window has ``window`` tokens and the one to say after them, with which the next window begins.
        """
        subwords, size = Subwords(_vocabulary(features)), self.params.window
        waiting, ready = [0], list[list[int]]()
        for batch in batches:
            for text in batch["text"].to_pylist():
                waiting += [*subwords.ids(text), 0]
                at = 0
                while len(waiting) - at > size:
                    ready.append(waiting[at : at + size + 1])
                    at += size
                waiting = waiting[at:]
                for start in range(0, len(ready) - _EXAMPLES + 1, _EXAMPLES):
                    yield {"tokens": ready[start : start + _EXAMPLES]}
                ready = ready[len(ready) - len(ready) % _EXAMPLES :]
        if ready := [*ready, *([waiting] if len(waiting) > 1 else [])]:
            yield {"tokens": ready}

    def network(self, features: pa.Table) -> keras.Model:
        return self._network(features["documents"].to_numpy())

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        """``tokens`` and ``next``, int32 of shape (windows, window); where there is none, ``next`` is -1."""
        import numpy as np

        rows, size = columns["tokens"], self.params.window
        tokens, following = np.zeros((len(rows), size), np.int32), np.full((len(rows), size), -1, np.int32)
        for place, row in enumerate(rows):
            tokens[place, : len(row) - 1], following[place, : len(row) - 1] = row[:-1], row[1:]
        return {"tokens": tokens, "next": following}

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        scores, state = network([batch["tokens"], batch["state"]], training=training)
        mask = tf.cast(batch["next"] >= 0, tf.float32)
        target = tf.maximum(batch["next"], 0)
        cost = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=scores) * mask
        hits = tf.cast(tf.equal(tf.argmax(scores, axis=2, output_type=tf.int32), target), tf.float32) * mask
        # Over the window's length, not over its tokens: every token weighs the same, that of a short window too.
        return {
            "loss": tf.reduce_sum(cost, axis=1) / self.params.window,
            "accuracy": tf.reduce_sum(hits, axis=1) / self.params.window,
            "state": state,
        }

    @property
    def state_size(self) -> int:
        p = self.params
        if p.architecture == "transformer":
            return p.layers * p.memory * p.dimension + p.memory
        return 2 * sum(self._units)

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> LanguageModel:
        return LanguageModel(Subwords(_vocabulary(features)), features["documents"].to_numpy(), list(weights))

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: LanguageModel) -> Sequence[np.ndarray]:
        import numpy as np

        mine, theirs = features["term"].to_pylist(), list(champion.subwords.vocabulary.tokens)
        subwords, *layers, bias = champion.weights
        if [array.shape for array in start[1:-1]] != [array.shape for array in layers]:
            raise BadInput("its layers have other sizes")
        # A champion of before there was a bias says with its subwords alone what is frequent, of new ones too.
        biases = by_name(start[-1], mine, bias, theirs) if bias.any() else np.zeros_like(start[-1])
        return [by_name(start[0], mine, subwords, theirs), *layers, biases]

    def merge(self, models: Sequence[LanguageModel], weights: Sequence[float]) -> LanguageModel:
        first = models[0]
        return LanguageModel(first.subwords, first.counts, average([model.weights for model in models], weights))

    def labels(self, model: LanguageModel) -> list[str]:
        """None: it says text."""
        return []

    def predict(self, model: LanguageModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> Any:
        """How likely each text is, read on its own from its begin to its end: a ``_likelihood.Read`` each."""
        from tasks.models._likelihood import read

        return read(self._reader(model), model.subwords, model.counts, texts, self.params.window)

    def sample(self, model: LanguageModel, prompts: Sequence[str], how: Any) -> list[str]:
        """What the model writes after each prompt, as ``how`` (``_sampling.Sampling``) says."""
        from tasks.models._sampling import write

        return write(self._reader(model), model.subwords, prompts, how, self.params.window)

    def sheets(self, model: LanguageModel) -> Sequence[Sheet]:
        """A few texts of its own, for the report."""
        from tasks.models._sampling import Sampling

        written = self.sample(model, [""] * _SAMPLES, Sampling(tokens=60, seed=self._seed))
        note = "From nothing, drawn at temperature 0.8. `nightshift sample` writes on from any text."
        return [Sheet("What it writes", ("text",), [(text,) for text in written], note)]

    def facts(self, model: LanguageModel) -> dict[str, int]:
        """Parameters and subwords."""
        return {"parameters": sum(array.size for array in model.weights), "vocabulary": len(model.counts)}

    def save(self, model: LanguageModel, folder: Path) -> None:
        from tasks.models import _tensors

        vocabulary = model.subwords.vocabulary
        tensors = dict(zip(self._layout(len(vocabulary.tokens)), [*model.weights, model.counts], strict=True))
        _tensors.write(folder, tensors, {"tokens": list(vocabulary.tokens), "merges": list(vocabulary.merges)})

    def load(self, folder: Path) -> LanguageModel:
        import numpy as np

        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("merges", "tokens"))
        # A model of before there was a bias says the same with one of 0.
        tensors.setdefault("bias", np.zeros(len(lists["tokens"]), np.float32))
        *weights, counts = _tensors.checked(tensors, self._layout(len(lists["tokens"])))
        return LanguageModel(Subwords(Vocabulary(lists["tokens"], lists["merges"])), counts, weights)

    @property
    def _units(self) -> list[int]:
        return [self.params.units] * (self.params.layers - 1) + [self.params.dimension]

    def _layout(self, vocabulary: int) -> Layout:
        """What a model's file holds: the weights in the network's order, then the counts."""
        p, size = self.params, self.params.dimension
        shapes: dict[str, tuple[int, ...]] = {"subwords": (vocabulary, size)}
        if p.architecture == "transformer":
            for n in range(p.layers):
                shapes |= {
                    f"block_{n}.attend": (size, 3 * size),
                    f"block_{n}.attended": (size, size),
                    f"block_{n}.widen": (size, 4 * size),
                    f"block_{n}.narrow": (4 * size, size),
                    f"block_{n}.before_attention": (size,),
                    f"block_{n}.before_widening": (size,),
                }
            shapes["normal"] = (size,)
        else:
            wide = size
            for n, units in enumerate(self._units):
                shapes |= {
                    f"lstm_{n}.kernel": (wide, 4 * units),
                    f"lstm_{n}.recurrent": (units, 4 * units),
                    f"lstm_{n}.bias": (4 * units,),
                }
                wide = units
        shapes["bias"] = (vocabulary,)
        return {**{name: ("float32", shape) for name, shape in shapes.items()}, "counts": ("int64", (vocabulary,))}

    def _reader(self, model: LanguageModel) -> Any:
        from tasks.models._likelihood import Reader

        if not model.built:
            network = self._network(model.counts)
            network.set_weights(model.weights)
            model.built.append(Reader(network, self.state_size))
        return model.built[0]

    def _network(self, counts: np.ndarray) -> keras.Model:
        from tasks.models import _reading
        from tasks.models._likelihood import frequencies

        p, unigram = self.params, frequencies(counts)
        if p.architecture == "transformer":
            return _reading.transformer(unigram, p.dimension, p.layers, p.heads, p.memory, p.dropout, self._seed)
        return _reading.lstm(unigram, p.dimension, self._units, p.dropout, self._seed)


def _vocabulary(features: pa.Table) -> Vocabulary:
    return Vocabulary(features["term"].to_pylist(), json.loads(features.schema.metadata[_MERGES]))
