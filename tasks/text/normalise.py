"""Equal texts as equal characters, and what must not be learnt taken out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tasks.config.clean import Strip

_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2060\ufeff]+")
"""Control characters, soft hyphens, zero-width marks: two texts that differ in these read the same."""

_NEWLINE = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_ASCII_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n"))


def tidy(text: str, form: Literal["NFC", "NFKC"] | None) -> str:
    """``text`` in one Unicode form, with ``\\n`` as the only line end, without invisible characters,
    trailing spaces, or more than one blank line in a row. Linear in the length of the text."""
    if not text.isascii():
        if form:
            text = unicodedata.normalize(form, text)
        text = text.replace("\u00a0", " ")
    if not _is_plain(text):
        text = _INVISIBLE.sub("", _NEWLINE.sub("\n", text))
    if not text.isascii() or " \n" in text or "\t\n" in text:
        # A regex for trailing spaces would be quadratic in a long run of spaces.
        text = "\n".join(map(str.rstrip, text.split("\n")))
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip()


def _is_plain(text: str) -> bool:
    # Ten times as fast as the regular expressions, and true of most pages.
    return text.isascii() and len(text.encode().translate(None, _ASCII_CONTROLS)) == len(text)


def stripper(rules: Sequence[Strip]) -> Callable[[str], str]:
    """A function that applies ``clean.strip`` in order.

    Python's own ``re`` rather than a linear-time engine: a pattern may then use look-around, and one
    that runs wild on some page meets the page's deadline, in a worker that can be killed at any instruction.
    """
    compiled = [(re.compile(r.pattern, re.IGNORECASE if r.ignore_case else 0), r.replacement) for r in rules]

    def strip(text: str) -> str:
        for pattern, replacement in compiled:
            text = pattern.sub(replacement, text)
        return text

    return strip
