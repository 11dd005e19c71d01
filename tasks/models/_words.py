"""The words of a text, in whatever script it is written: what every recipe of texts starts from."""

from __future__ import annotations

import re
from collections.abc import Callable

# Han, with what stands for a repeated or an abbreviated one; kana; the scripts of Thai, Lao, Burmese and Khmer.
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_OTHERS = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ede\u1000-\u109f\u1780-\u17d3"
_RUN = re.compile(f"[{_HAN}{_KANA}]+|[{_OTHERS}]+")
_IS_KANA = re.compile(f"[{_KANA}]")
_WORD = re.compile(r"\b\w\w+\b")
_PAIR = 2


def words(text: str) -> list[str]:
    r"""The words of a text in their order: ``\b\w\w+\b``, as scikit-learn has it, of scripts with spaces.

    Chinese is divided by jieba's dictionary and Japanese, which is what has kana, by Sudachi's; there a word may
    be one character. Of Thai, Lao, Burmese and Khmer, which have no dictionary here, every two characters that
    stand side by side are one: what Lucene does with scripts that it does not know.
    """
    first = _RUN.search(text)
    if first is None:
        return _WORD.findall(text)
    from tasks.text.segment import segmenter

    cut = segmenter("ja" if _IS_KANA.search(text) else "zh")
    assert cut is not None  # both are there
    found: list[str] = []
    at = 0
    for run in _RUN.finditer(text, first.start()):
        found += _WORD.findall(text[at : run.start()])
        found += _inside(run[0], cut)
        at = run.end()
    return found + _WORD.findall(text[at:])


def _inside(run: str, cut: Callable[[str], list[str]]) -> list[str]:
    if not re.match(f"[{_OTHERS}]", run):
        return cut(run)
    return [run[i : i + _PAIR] for i in range(max(len(run) - _PAIR + 1, 1))]
