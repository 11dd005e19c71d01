"""Bytes to characters, whatever the server said about them."""

from __future__ import annotations

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_LIKE_ASCII = ("utf-16", "iso2022")
"""Encodings, by Python's names, whose bytes can be valid UTF-8 and mean something else."""

_META = re.compile(rb"<meta[^>]{0,512}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_META_WITHIN = 4096
_WRONG_SHARE = 0.1
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd]")


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of a page. Never fails: bytes that fit no encoding become U+FFFD.

    In this order: a byte order mark; UTF-8 if the bytes are valid UTF-8 (other encodings hardly ever
    are, so this beats what a header claims); ``declared`` (the HTTP header); the page's own ``<meta>``;
    what the bytes look like. A declared encoding under which much of the page is unreadable is not
    believed.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    said = _known(declared) or _known(_meta(data))
    if said is None or not said.startswith(_NOT_LIKE_ASCII):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
    if said is not None:
        text = data.decode(said, "replace")
        if _readable(text):
            return text
    guessed = _known(detect_encoding(data)) or "utf-8"
    return data.decode(guessed, "replace")


def unreadable(text: str) -> float:
    """The share (0 to 1) of characters that no text has: U+FFFD and controls, in the first 10,000.

    Pages have hardly any; a picture or an archive served as a page is full of them.
    """
    sample = text[:10_000]
    return len(_NO_TEXT.findall(sample)) / max(len(sample), 1)


def _known(name: str | None) -> str | None:
    """Python's name of an encoding as browsers read the label; None when nobody knows it."""
    if not name:
        return None
    # Browsers read "latin-1" and "ascii" as windows-1252, and so do the people who write them.
    # Python knows more names, some of which (idna, zip) decode no page.
    label = map_encoding_to_html5(name, fallback_utf8=False)
    try:
        return codecs.lookup(label).name if label else None
    except LookupError:
        return None


def _meta(data: bytes) -> str | None:
    found = _META.search(data[:_META_WITHIN])
    return found[1].decode("ascii", "replace") if found else None


def _readable(text: str) -> bool:
    wrong = text.count("�")
    if not wrong:
        return True
    strange = sum(map(len, re.findall(r"[^\x00-\x7f]+", text)))
    return wrong / strange <= _WRONG_SHARE
