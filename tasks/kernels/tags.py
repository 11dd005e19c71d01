"""What the tags of HTML are to a reader of text: a row of bits each."""

from __future__ import annotations

import numpy as np

from tasks.kernels.table import Integers, Table

(
    VOID, INLINE, SKIPPED, RAW, ASIDE, FRAME, BODY, HEAD, HTML, HEADISH, ANCHOR, BREAK, ARTICLE, TITLE, HEADING,
    PARAGRAPH,
) = (1 << bit for bit in range(16))  # fmt: skip
"""Has no end; part of a line; holds no text of the page; holds no tags; stands beside the text by what it is; says by
its class what kind of page it is; and single tags."""
IS, CLOSES, GROUPS = 16, 32, 0x3FF
"""Bits from ``IS`` on say which group a tag is of, from ``CLOSES`` on of which groups it closes what is innermost."""
RANK = 48
"""From here on a number: an end tag closes nothing of a higher rank than its own."""

_P, _ITEM, _TERM, _CELL, _ROW, _ROWS, _OPTION, _A, _H, _HEAD = (1 << bit for bit in range(10))


def _tags() -> dict[str, int]:
    found: dict[str, int] = {}

    def add(names: str, bits: int) -> None:
        for name in names.split():
            found[name] = found.get(name, 0) | bits

    headings = "h1 h2 h3 h4 h5 h6"
    inline = (
        "a abbr acronym b bdi bdo big br cite code data del dfn em font i ins kbd mark nobr q rp rt ruby s samp small "
        "span strike strong sub sup time tt u var wbr"
    )
    blocks = (
        "address article aside blockquote center dd details dir div dl dt fieldset figcaption figure footer form "
        f"header hgroup hr li main menu nav ol p pre section table tbody td tfoot th thead tr ul {headings}"
    )
    add("area base br col embed frame hr img input keygen link meta param source track wbr", VOID)
    add(inline, INLINE)
    add(
        "audio button canvas datalist embed head iframe img input link map math meta noscript object optgroup option "
        "picture script select style svg template textarea title video",
        SKIPPED,
    )
    add("iframe noembed noframes script style textarea title xmp", RAW)
    add("aside dialog figcaption figure footer form header label menu nav", ASIDE)
    add("html body main article", FRAME)
    add("base link meta noscript script style template title", HEADISH)
    for name, bit in zip(
        ("body", "head", "html", "a", "br", "article", "title", "p"),
        (BODY, HEAD, HTML, ANCHOR, BREAK, ARTICLE, TITLE, PARAGRAPH),
        strict=True,
    ):
        add(name, bit)
    add(headings, HEADING)
    for names, group, closed in (
        (blocks, 0, _P),
        ("p", _P, _H),
        ("li", _ITEM, _ITEM | _H),
        ("dd dt", _TERM, _TERM),
        ("td th", _CELL, _CELL),
        ("tr", _ROW, _ROW | _CELL),
        ("tbody thead tfoot", _ROWS, _ROWS | _ROW | _CELL),
        ("option optgroup", _OPTION, _OPTION),
        ("a", _A, _A),
        (headings, _H, _H),
        ("head", _HEAD, 0),
    ):
        add(names, group << IS | closed << CLOSES)
    for name in [*found, "legend", "summary"]:
        rank = {
            "div": 2,
            "td": 3,
            "th": 3,
            "tr": 4,
            "tbody": 5,
            "thead": 5,
            "tfoot": 5,
            "table": 6,
            "body": 7,
            "head": 7,
            "html": 8,
        }
        add(name, rank.get(name, 1) << RANK)
    return found


def tag_table() -> tuple[Table, Integers]:
    """The names in lower case, and what each is; a tag that is not among them is ``1 << RANK``."""
    tags = _tags()
    table = Table()
    table.intern_all([*tags])
    return table, np.array([*tags.values()], np.int64)
