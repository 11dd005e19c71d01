"""``perplexity``: how surprised a language model is by texts that it never saw."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from tasks.judging.base import JUDGES, Measure, described
from tasks.training.metrics import MAX_SLICES
from tasks.training.scoring import slice_of

if TYPE_CHECKING:
    from tasks.models._likelihood import Read
    from tasks.models.base import Scoring
    from tasks.training.metrics import Pairs


class _Sums:
    """Of some texts: log-likelihoods and sizes."""

    def __init__(self) -> None:
        self.rows = self.tokens = self.words = self.bytes = 0
        self.likelihood = self.unigram = 0.0

    def add(self, read: Read) -> None:
        self.rows += 1
        self.tokens += read.tokens
        self.words += read.words
        self.bytes += read.bytes
        self.likelihood += read.log_likelihood
        self.unigram += read.unigram

    def metrics(self) -> dict[str, Any]:
        """``perplexity`` and ``bits_per_byte``; None without rows."""
        return {
            "rows": self.rows,
            "perplexity": perplexity(self.likelihood, self.words),
            "bits_per_byte": -self.likelihood / math.log(2) / self.bytes if self.bytes else None,
        }


@JUDGES.register("perplexity")
class Perplexity:
    """exp(-log-likelihood / words): perplexity a word, whatever the subwords (Mielke et al., What Kind of Language Is
    Hard to Language-Model?, 2019, section 2.1).

    The likelihood is of all of a text, to its last byte and the end of the document; words are counted as published
    numbers count them (``tasks.models._subwords.count_words``). Each text is read on its own.
    """

    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("perplexity", "perplexity a word", rising=False, share=False),
        Measure("bits_per_byte", "bits a byte", rising=False, share=False),
    )

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        self.labels: tuple[str, ...] = ()
        self.pairs: Pairs = Counter()
        self.mistakes: list[Any] = []
        self._names = tuple(slices)
        self._all = _Sums()
        self._slices: dict[str, dict[str, _Sums]] = {name: defaultdict(_Sums) for name in self._names}

    def add(self, batch: pa.Table, said: Sequence[Read]) -> None:
        values = {name: batch[name].to_pylist() for name in self._names}
        for row, read in enumerate(said):
            self._all.add(read)
            for name in self._names:
                self._slices[name][slice_of(name, values[name][row])].add(read)

    @property
    def unseen(self) -> Mapping[str, int]:
        return {}

    def metrics(self) -> dict[str, Any]:
        """Beside the measures ``token_perplexity`` (of the model's own tokens), ``words``, ``tokens`` and ``baseline``:
        the perplexity a word of the train split's token frequencies, which a model that read nothing would have."""
        sums = self._all
        slices = {
            name: {
                value: values[value].metrics()
                for value in sorted(values, key=lambda value: (-values[value].rows, value))[:MAX_SLICES]
            }
            for name, values in self._slices.items()
        }
        return {
            **sums.metrics(),
            "measures": described(self.measures),
            "token_perplexity": perplexity(sums.likelihood, sums.tokens),
            "baseline": perplexity(sums.unigram, sums.words),
            "words": sums.words,
            "tokens": sums.tokens,
            "per_class": {},
            "slices": slices,
            "unseen": {},
        }

    @staticmethod
    def columns(recipe: Scoring, model: Any) -> pa.Schema:
        """``perplexity`` a word, ``bits_per_byte``, ``log_likelihood`` (nats), ``words`` and ``tokens``."""
        numbers = [(name, pa.float64()) for name in ("perplexity", "bits_per_byte", "log_likelihood")]
        return pa.schema([*numbers, ("words", pa.int64()), ("tokens", pa.int64())])

    @staticmethod
    def write(recipe: Scoring, model: Any, rows: pa.RecordBatch, said: Sequence[Read]) -> Sequence[pa.Array]:
        sums = []
        for read in said:
            alone = _Sums()
            alone.add(read)
            sums.append({**alone.metrics(), "log_likelihood": read.log_likelihood})
        schema = Perplexity.columns(recipe, model)
        numbers = [pa.array([each[name] for each in sums], pa.float64()) for name in schema.names[:3]]
        sizes = [pa.array([getattr(read, name) for read in said], pa.int64()) for name in schema.names[3:]]
        return [*numbers, *sizes]

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        """Nothing: numbers are not counted by name."""
        return ()

    def note(self) -> Mapping[str, str]:
        """Nothing to add to the report."""
        return {}


def perplexity(log_likelihood: float, units: int) -> float | None:
    """exp(-log_likelihood / units); infinite where that is no number a float holds, None without units."""
    if not units:
        return None
    try:
        return math.exp(-log_likelihood / units)
    except OverflowError:
        return math.inf
