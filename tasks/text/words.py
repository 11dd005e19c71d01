# ruff: noqa: RUF001
"""A text's words and marks, split as the thresholds of the common quality filters expect them.

Punctuation stands apart from the word that it is written to, contractions in two (`don't` is `do` and
`n't`), numbers from their units: the scheme of spaCy's tokeniser, which datatrove and FineWeb count with.
What stands between two spaces is split the same wherever it stands, so it is split once and remembered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from itertools import groupby, product

LONGEST = 1000
"""Characters of a run without spaces that is still looked into; a longer one is data, not text."""

_QUOTES = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_MARKS = r"…,:;!?¿؟¡()\[\]{}<>_#*&。？！，、；：～·।،۔؛٪"
_MONEY = r"(?:(?:US|C|A)?\$|[£€¥฿﷼₠-₿])"
_UNITS = (
    "km|km²|km³|m|m²|m³|dm|dm²|dm³|cm|cm²|cm³|mm|mm²|mm³|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|m/s|km/h|kmh|mph|"
    "hPa|Pa|mbar|mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%"
)
_BEFORE = re.compile(rf"[§%=—–{_MARKS}{_QUOTES}]|\+(?![0-9])|\.\.+|{_MONEY}")
_BEHIND = re.compile(
    rf"(?:…|\.\.+|['’][sS]|[—–{_MARKS}{_QUOTES}]|(?<=[0-9])\+|(?<=°[FfCcKk])\.|(?<=[0-9]){_MONEY}"
    rf"|(?<=[0-9])(?:{_UNITS})|(?<=[0-9%²+\-{_MARKS}{_QUOTES}])\.)$"
)
_LETTER = r"[^\W\d_]"
_WITHIN = re.compile(
    rf"\.\.+|…|(?<=[0-9])[+\-*^](?=[0-9-])|(?<={_LETTER}),(?={_LETTER})"
    rf"|(?:(?<={_LETTER})|(?<=[0-9]))(?:---|--|[-–—~]|[:<>=/])(?={_LETTER})"
    rf"|(?:(?<={_LETTER})|(?<=[{_QUOTES}]))\.(?:(?={_LETTER})|(?=[{_QUOTES}]))"
)
_ADDRESS = re.compile(
    r"(?:[\w+\-.]{2,}://)?(?:\S{1,200}@)?(?:(?:\d{1,3}\.){3}\d{1,3}|(?:[^\W_](?:[\w-]{0,62}[^\W_])?\.)+[^\W\dA-Z_]{2,63})"
    r"(?::\d{2,5})?(?:[/?#]\S*)?"
)
_SIGNS = re.compile(r"[.…+\-*^,–—~:<>=/]")
"""Every match of `_WITHIN` begins with one."""
_MARK_BEHIND = frozenset(",;:!?)")
_listed = str.split
_FACES = frozenset(
    _listed(
        ":) :-) ;) ;-) :( :-( :D :-D :P :-P :p :-p :/ :-/ :o :O :-O :'( :| :* <3 </3 =) =( =D xD XD ^_^ -_- O.o o.O "
        "o_o O_o >:( :] :[ (: (-: ): :x :X ;D 8) 8-) :3 >.< (= =] =[ :} :0 (; [:"
    )
)
SHORT = frozenset(
    _listed(
        "Adm. Bros. Co. Corp. D.C. Dr. Gen. Gov. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. Ph.D. Prof. Rep. "
        "Rev. Sen. St. vs. v.s. e.g. E.g. i.e. I.e. a.m. p.m. a.k.a. b.c. B.C. A.D. U.S. U.K. N.Y. N.J. N.C. N.D. N.H. "
        "N.M. S.C. S.D. Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. Ala. Ariz. Ark. Calif. Colo. "
        "Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La. Mass. Mich. Minn. Miss. Neb. Nebr. Nev. Okla. Ore. "
        "Pa. Tenn. Va. Wash. Wis. C++ and/or w/o 'em ol' o'clock ma'am 'Cause 'cause 'Cos 'cos 'Coz 'coz 'Cuz 'cuz"
    )
) | {f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyzäöü"}
"""English abbreviations, whose full stop ends no sentence."""
_JOINED = _FACES | {"''", "'s", "'S", "'d", "'ll", "'re", "'ve"}
"""Two pieces side by side that are one after all."""
_PARTS = {
    "cannot": ("can", "not"), "Cannot": ("Can", "not"), "gonna": ("gon", "na"), "Gonna": ("Gon", "na"),
    "gotta": ("got", "ta"), "Gotta": ("Got", "ta"), "let's": ("let", "'s"), "Let's": ("Let", "'s"),
    "c'mon": ("c'm", "on"), "C'mon": ("C'm", "on"),
}  # fmt: skip


def _contractions() -> dict[str, tuple[str, ...]]:
    """English words that are written as one, with their parts; an apostrophe may be curly, or missing."""
    found: dict[str, tuple[str, ...]] = {}

    def add(*parts: str) -> None:
        for first in (parts[0], parts[0].capitalize()):
            whole = (first, *parts[1:])
            for written in (whole, tuple(p.replace("'", "’") for p in whole), tuple(p.replace("'", "") for p in whole)):
                found["".join(written)] = written

    who = {
        "i": ("'m", "'ll", "'ve", "'d"),
        **dict.fromkeys(("you", "we", "they"), ("'re", "'ll", "'ve", "'d")),
        **dict.fromkeys(("he", "she", "it"), ("'s", "'ll", "'d")),
        **dict.fromkeys(
            ["who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those"],
            ("'s", "'ll", "'d", "'re", "'ve"),
        ),
    }
    for word, endings in who.items():
        for ending in endings:
            add(word, ending)
            if ending in ("'ll", "'d"):
                add(word, ending, "'ve")
    negated = "ca could do does did had may might must need ought sha should wo would is are was were ai have has dare"
    for word in negated.split():
        add(word, "n't")
        if word in ["ca", "could", "had", "may", "might", "must", "need", "ought", "sha", "should", "wo", "would"]:
            add(word, "n't", "'ve")
    for word in ["could", "might", "must", "should", "would"]:
        add(word, "'ve")
    for hour, half in product(range(1, 13), ("a.m.", "am", "p.m.", "pm")):
        found[f"{hour}{half}"] = (str(hour), half)
    # Words of their own without the apostrophe.
    for word in _listed("ill Ill its Its hell Hell shell Shell shed Shed were Were well Well whore Whore"):
        found.pop(word, None)
    return found


_WHOLE = {word: (word,) for word in _FACES | SHORT}
_ENGLISH = {**_WHOLE, **_contractions(), **_PARTS}
_OTHER = {word: (word,) for word in _FACES}


def known(language: str) -> Collection[str]:
    """Runs that are split by a list, not by a rule."""
    return (_ENGLISH if language == "en" else _OTHER).keys()


def split(chunk: str, language: str = "en") -> tuple[str, ...]:
    """The words and marks of a run of characters without space in it.

    >>> split("(don't!)")
    ('(', 'do', "n't", '!', ')')
    """
    if chunk.isalpha() and chunk.isascii() and chunk not in _ENGLISH:  # most of all
        return (chunk,)
    known = _ENGLISH if language == "en" else _OTHER
    if whole := known.get(chunk):
        return whole
    if len(chunk) > LONGEST:
        return (chunk,)
    # Most of the rest: a word at the end of a sentence, or of a part of one. What follows comes to the same.
    word, mark = chunk[:-1], chunk[-1]
    if (
        len(word) > 1
        and word.isalpha()
        and word.isascii()
        and (mark in _MARK_BEHIND or (mark == "." and (word[-1].islower() or word[-2:].isupper())))
    ):
        return (*known.get(word, (word,)), mark)
    before: list[str] = []
    behind: list[str] = []
    rest = chunk
    while rest:
        head = _head(rest)
        if head and rest[head:] in known:
            before.append(rest[:head])
            rest = rest[head:]
            break
        tail = _tail(rest[head:] if head else rest)
        if tail and rest[:-tail] in known:
            behind.append(rest[-tail:])
            rest = rest[:-tail]
            break
        if head:
            before.append(rest[:head])
        if tail:
            behind.append(rest[-tail:])
        elif not head:
            break
        rest = rest[head : len(rest) - tail]
        if rest in known:
            break
    within = known.get(rest) or _inside(rest)
    if not before and not behind and len(within) == 1:
        return within
    return _joined([*before, *within, *reversed(behind)])


def _joined(parts: list[str]) -> tuple[str, ...]:
    at = 0
    while at < len(parts) - 1:
        if len(parts[at]) == 1 and parts[at] + parts[at + 1] in _JOINED:
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        at += 1
    return tuple(parts)


def _head(text: str) -> int:
    first = text[0]
    if first.isascii() and first.isalnum() and first not in "UCA":  # the first letters of US$, C$ and A$
        return 0
    if found := _BEFORE.match(text):
        return found.end()
    return int(_is_icon(first))


def _tail(text: str) -> int:
    if not text:
        return 0
    last = text[-1]
    if last.isascii() and last.isalnum() and (last.isdigit() or text[-5:-1].isalpha()):  # no unit, and no 's
        return 0
    if found := _BEHIND.search(text[-8:]):
        return len(found[0])
    if last == ".":
        # After a small letter, or two capitals: not after an initial.
        return int(_low(text[-2:-1]) or (len(text) > 2 and text[-3:-1].isalpha() and text[-3:-1].isupper()))
    return int(_is_icon(last))


def _inside(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    if text.isalnum() or ("." in text and _ADDRESS.fullmatch(text)):
        return (text,)
    if not text.isascii() and any(map(_is_icon, text)):
        pieces = ("".join(run) for _, run in groupby(text, key=lambda c: c if _is_icon(c) else ""))
        return tuple(part for piece in pieces for part in _between(piece))
    return _between(text)


def _between(text: str) -> tuple[str, ...]:
    if not _SIGNS.search(text):
        return (text,)
    parts: list[str] = []
    start = 0
    for found in _WITHIN.finditer(text):
        at, end = found.span()
        if at == 0 or (found[0] == "." and not (_low(text[at - 1]) and _high(text[end]))):
            continue
        if at > start:
            parts.append(text[start:at])
        parts.append(found[0])
        start = end
    return (*parts, text[start:]) if start < len(text) else tuple(parts)


def _low(character: str) -> bool:
    # A letter of a script without capitals is both.
    return (character.isalpha() and not character.isupper()) or character in _QUOTES


def _high(character: str) -> bool:
    return (character.isalpha() and not character.islower()) or character in _QUOTES


def _is_icon(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character) == "So"
