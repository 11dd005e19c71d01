# ruff: noqa: RUF001
"""The sentences of a text, by the marks that end one."""

from __future__ import annotations

import re

from tasks.text.words import SHORT

_SPACELESS = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_PARAGRAPH = re.compile(r"\n\s*\n")
_WRAPPED = re.compile(r"\s*\n\s*")
_JOINED = re.compile(f"(?<=[{_SPACELESS}])\n(?=[{_SPACELESS}])")
_END = re.compile(
    r"(?P<wide>[。！？｡]+[”’」』）】》]*)"  # needs no space behind it
    r"|(?P<mark>[.!?…]+[\"'”’)\]]*)(?=\s+[\"'“‘(\[]*[^\W_a-z])"  # a space, and no small letter
)


def sentences(text: str) -> list[str]:
    """The sentences of a text in their order; a paragraph ends one, a single line end does not.

    Latin marks end a sentence before a space and a capital, a digit or a script without capitals, unless they belong
    to an abbreviation or an initial; those of Chinese and Japanese end one wherever they stand.
    """
    found: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        line = _WRAPPED.sub(" ", _JOINED.sub("", paragraph.strip()))
        at = 0
        for end in _END.finditer(line):
            if end["mark"] == "." and _abbreviated(line[at : end.end()]):
                continue
            found.append(line[at : end.end()].strip())
            at = end.end()
        found.append(line[at:].strip())
    return [sentence for sentence in found if any(map(str.isalnum, sentence))]


def _abbreviated(text: str) -> bool:
    last = text.rsplit(None, 1)[-1].lstrip("\"'“‘([")
    return last in SHORT or re.fullmatch(r"(?:[^\W\d_]\.)+", last) is not None
