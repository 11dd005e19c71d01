"""ROUGE in words of any script, and the sentences of a text that have the most of it.

Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004; counted by the library rouge-score. Its own tokenizer
drops whatever is not ASCII, so it is given ours.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.models._words import words

NAMES = ("rouge_1", "rouge_2", "rouge_l")
_KEYS = ("rouge1", "rouge2", "rougeLsum")


class Tokenizer:
    """Words in lower case, as rouge-score's own of ASCII; Chinese and Japanese by their dictionaries."""

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return [word.lower() for word in words(text, every=True)]


def scores(reference: str, chosen: Sequence[str]) -> dict[str, float]:
    """F1 of ROUGE-1, ROUGE-2 and ROUGE-L (of the union over sentences) of some sentences against a summary."""
    from tasks.text.sentences import sentences

    found = _scorer().score("\n".join(sentences(reference) or [reference]), "\n".join(chosen))
    return {name: float(found[key].fmeasure) for name, key in zip(NAMES, _KEYS, strict=True)}


def oracle(sentences: Sequence[str], reference: str, most: int) -> list[int]:
    """Places of the sentences, ``most`` at most, that together have the most of a summary; none if nothing is shared.

    Greedily, as long as the sum of ROUGE-1 and ROUGE-2 rises: Nallapati, Zhai, Zhou, SummaRuNNer, 2017, section 3, as
    labels for a network that tags sentences; with this sum, Liu and Lapata, Text Summarization with Pretrained
    Encoders, 2019, section 3.
    """
    return sorted(_greedy(*_cut(sentences, reference), most))


def gains(sentences: Sequence[str], reference: str, most: int) -> list[float]:
    """What a summary with each sentence has of the reference: ROUGE-1 and ROUGE-2 added; none if nothing is shared.

    Beside the sentence are those of the oracle, the last that it took left out for one that it did not take. Of
    summaries of one sentence it is what that sentence has by itself.
    """
    wanted, parts = _cut(sentences, reference)
    chosen = _greedy(wanted, parts, most)
    if not chosen:
        return []
    beside = functools.reduce(_Grams.plus, (parts[place] for place in chosen[: most - 1]), _Grams.none())
    best = functools.reduce(_Grams.plus, (parts[place] for place in chosen), _Grams.none()).overlap(wanted)
    return [best if place in chosen else beside.plus(part).overlap(wanted) for place, part in enumerate(parts)]


def _cut(sentences: Sequence[str], reference: str) -> tuple[_Grams, list[_Grams]]:
    cut = Tokenizer().tokenize
    return _Grams.of(cut(reference)), [_Grams.of(cut(sentence)) for sentence in sentences]


def _greedy(wanted: _Grams, parts: Sequence[_Grams], most: int) -> list[int]:
    """The oracle's places in the order in which it takes them."""
    chosen: list[int] = []
    held, best = _Grams.none(), 0.0
    while len(chosen) < most:
        gains = [(held.plus(part).overlap(wanted), -place) for place, part in enumerate(parts) if place not in chosen]
        if not gains or (found := max(gains))[0] <= best:
            break
        best, place = found[0], -found[1]
        held = held.plus(parts[place])
        chosen.append(place)
    return chosen


@dataclass(frozen=True, slots=True)
class _Grams:
    """Words and pairs of some sentences; no pair reaches over a sentence's end."""

    ones: Counter[str]
    twos: Counter[tuple[str, str]]

    @classmethod
    def none(cls) -> _Grams:
        return cls(Counter(), Counter())

    @classmethod
    def of(cls, tokens: Sequence[str]) -> _Grams:
        return cls(Counter(tokens), Counter(itertools.pairwise(tokens)))

    def plus(self, other: _Grams) -> _Grams:
        return _Grams(self.ones + other.ones, self.twos + other.twos)

    def overlap(self, wanted: _Grams) -> float:
        """ROUGE-1 and ROUGE-2, as F1, added."""
        return _f1(self.ones, wanted.ones) + _f1(self.twos, wanted.twos)


def _f1(mine: Counter[Any], theirs: Counter[Any]) -> float:
    total = mine.total() + theirs.total()
    return 2 * (mine & theirs).total() / total if total else 0.0


@functools.cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(_KEYS), tokenizer=Tokenizer())
