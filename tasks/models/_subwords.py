"""Text as subwords and back, to the letter: byte-pair encoding of bytes, trained on the corpus.

Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016; over bytes as in Radford et al.,
Language Models are Unsupervised Multitask Learners, 2019: no text has an unknown character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from tasks.models._words import spaceless

if TYPE_CHECKING:
    import tokenizers

END = "end of document"
"""The name of token 0; no subword is called so, since those have no spaces."""
ALPHABET = 256
"""Bytes, which are subwords whatever the corpus."""

# A word with the space before it, some digits, a stretch of marks, or white space but for the word's own.
_PIECE = re.compile(r" ?[^\W\d_]+| ?\d{1,3}| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s")
_LONGEST = 48
"""Characters of a piece: what is longer is no word, and would cost its square to encode."""
_MOST = 2_000_000
"""So many pieces, in the proportions of the whole, are enough to choose subwords by."""
_CACHED = 200_000


def pieces(text: str) -> list[str]:
    """Stretches of text that no subword crosses; joined they are the text.

    Words of Chinese and Japanese, which no space divides, are those of a dictionary.
    """
    found: list[str] = []
    for stretch, cut in spaceless(text):
        for piece in [stretch] if cut else _PIECE.findall(stretch):
            found += (
                [piece]
                if len(piece) <= _LONGEST
                else [piece[at : at + _LONGEST] for at in range(0, len(piece), _LONGEST)]
            )
    return found


def count_words(text: str) -> int:
    """Words as published perplexities count them: what stands between spaces, and the end of each line.

    A stretch of Chinese or Japanese counts as many as it has words of a dictionary. Of the Penn Treebank and of
    WikiText, whose tokens stand between spaces, these are the tokens that the literature divides by.
    """
    words = sum(len(line.split()) + 1 for line in text.split("\n"))
    stretches = list(spaceless(text)) if len(text) else []
    # Where two stretches meet without a space, a dictionary or a script divides what spaces do not.
    return words + sum(
        (cut or cut_next) and not (stretch[-1].isspace() or following[0].isspace())
        for (stretch, cut), (following, cut_next) in pairwise(stretches)
    )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The subwords by id, the end of a document first, and how they are merged of smaller ones, in order."""

    tokens: Sequence[str]
    merges: Sequence[str]
    """Two subwords each, a space between."""


def train(counts: Mapping[str, int], size: int, least: int) -> Vocabulary:
    """At most ``size`` subwords of counted pieces, of those that occur ``least`` times; the same whatever the order."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1,
        min_frequency=least,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_repeated(counts), trainer)
    known = tokenizer.get_vocab()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return Vocabulary([END, *sorted(known, key=known.__getitem__)], [" ".join(pair) for pair in merges])


def _repeated(counts: Mapping[str, int]) -> Iterator[Iterable[str]]:
    scale = max(1.0, sum(counts.values()) / _MOST)
    for piece in sorted(counts):
        yield [piece] * max(1, round(counts[piece] / scale))


@dataclass(slots=True)
class Subwords:
    """Ids of texts, and texts of ids; id 0 ends a document and is not made here."""

    vocabulary: Vocabulary
    _ids: dict[str, list[int]] = field(default_factory=dict)
    _tokenizer: tokenizers.Tokenizer | None = None

    def ids(self, text: str) -> list[int]:
        """The subwords of a text."""
        ids: list[int] = []
        for piece in pieces(text):
            known = self._ids.get(piece)
            if known is None:
                known = [number + 1 for number in self.tokenizer.encode(piece).ids]
                if len(self._ids) < _CACHED:
                    self._ids[piece] = known
            ids += known
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """The text up to the first end; bytes that are no character become U+FFFD."""
        until = ids.index(0) if 0 in ids else len(ids)
        text: str = self.tokenizer.decode([number - 1 for number in ids[:until]])
        return text

    @property
    def tokenizer(self) -> tokenizers.Tokenizer:
        """The library's own."""
        if self._tokenizer is None:
            from tokenizers import Tokenizer, decoders, models, pre_tokenizers

            vocab = {token: number for number, token in enumerate(self.vocabulary.tokens[1:])}
            merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in self.vocabulary.merges)]
            tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            tokenizer.decoder = decoders.ByteLevel()
            self._tokenizer = tokenizer
        return self._tokenizer
