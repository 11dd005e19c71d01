"""Subwords: nothing of a text is lost, whatever its script, and words are counted as published numbers count them."""

from __future__ import annotations

from collections import Counter

import pytest

from tasks.models._subwords import END, Subwords, count_words, pieces, train

CHINESE = "我们在北京学习机器学习。机器学习是人工智能的一个分支,我们喜欢北京。"
TEXTS = [
    "the cat sat on the mat, and the cat slept\n\n  indented\ttext  ",
    "x_1 = f(3.14159)  # 100% naïve",
    CHINESE,
    "東京都に住んでいます。 hello 世界",
    "ภาษาไทยไม่มีช่องว่าง",
    "\U0001f600 \x00 \ufffd " + "a" * 200,
]


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    return Subwords(train(Counter(piece for text in TEXTS for piece in pieces(text)), 400, 1))


@pytest.mark.parametrize("text", ["", *TEXTS])
def test_a_text_comes_back_to_the_letter(subwords: Subwords, text: str) -> None:
    assert "".join(pieces(text)) == text
    ids = subwords.ids(text)
    assert 0 not in ids, "that is the end of a document"
    assert max(ids, default=1) < len(subwords.vocabulary.tokens)
    assert subwords.text(ids) == text
    assert subwords.text([*ids, 0, *ids]) == text


def test_chinese_is_cut_into_words_of_a_dictionary_and_learns_them() -> None:
    found = pieces(CHINESE)
    assert {"北京", "机器", "学习"} <= set(found)
    learned = train(Counter(found * 5), 320, 2)
    known = Subwords(learned)
    assert len(known.ids("北京")) == 1 < len("北京".encode())
    assert len(known.ids(CHINESE)) < len(CHINESE.encode()) / 3


def test_equal_counts_give_equal_subwords_in_any_order() -> None:
    counts = Counter(piece for text in TEXTS for piece in pieces(text))
    one, other = train(counts, 300, 1), train(dict(reversed(counts.items())), 300, 1)
    assert one == other
    assert (len(one.tokens), one.tokens[0], len(set(one.tokens))) == (300, END, 300)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b c", 4),
        # Two lines as the Penn Treebank and WikiText have them: each token, and an <eos> each line.
        (" the <unk> cat \n sat @-@ down . ", 3 + 4 + 2),
        ("", 1),
        ("北京", 2),
        ("我们喜欢北京", 4),
        ("see 北京 now", 4),
        ("see北京now", 4),
    ],
)
def test_words_are_counted_as_published_perplexities_count_them(text: str, words: int) -> None:
    assert count_words(text) == words
