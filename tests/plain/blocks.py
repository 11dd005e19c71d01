"""A page as blocks of running text, and the elements that they stand in: one parse, one walk."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from lxml import etree

_PARSER = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False)


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


_SKIPPED = _words(
    "audio button canvas datalist embed head iframe img input link map math meta noscript object optgroup option "
    "picture script select style svg template textarea title video"
)
"""Elements that hold no text of the page."""

_INLINE = _words(
    "a abbr acronym b bdi bdo big br cite code data del dfn em font i ins kbd mark nobr q rp rt ruby s samp small span "
    "strike strong sub sup time tt u var wbr"
)
_ASIDE = _words("aside dialog figcaption figure footer form header label menu nav")
"""Elements that stand beside the main text by what they are."""

_FRAME = frozenset(("html", "body", "main", "article"))
"""Elements whose class says what kind of page it is, rather than what is in them."""

_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_BETWEEN = str.maketrans("-_:./0123456789", " " * 15)
_BESIDE = _words(
    "ad ads advert advertisement advertising also author authors bio breadcrumb breadcrumbs byline caption comment "
    "commentlist comments consent cookie cookies copyright credit credits dateline disqus feedback footer gallery gdpr "
    "hidden login menu meta modal nav navbar navigation newsletter outbrain pager pagination popular popup print promo "
    "promos rating ratings recommendations recommended related reply respond share sharedaddy shares sharing sidebar "
    "signup skip slideshow social sponsor sponsored subscribe subscription taboola tag taglist tags timestamp toolbar "
    "tooltip trending widget widgets"
)
_WHOLE = frozenset(("article", "blog", "content", "entry", "main", "news", "page", "post", "story"))
_PART = frozenset(("body", "content", "copy", "inner", "main", "text"))


@dataclass(slots=True)
class Element:
    """An element that is no part of a line: the blocks ``begin`` to ``end`` lie in it."""

    tag: str
    begin: int
    beside: bool
    """Its tag, class or id say that it stands beside the main text, as a menu does."""
    main: bool
    """They say that it is the main text."""
    parent: Element | None
    end: int = 0


@dataclass(slots=True)
class Block:
    """Running text between two block boundaries."""

    text: str
    """Without space around it; ``\n`` where the page breaks the line."""
    linked: int
    """Characters, at most, that are part of links."""
    element: Element


@dataclass(slots=True)
class Page:
    """The blocks of a page, and its elements, both in document order."""

    title: str
    blocks: list[Block]
    elements: list[Element]


def read(html: str) -> Page:
    """Blocks and elements of a page; none when there is nothing to parse."""
    try:
        root = etree.fromstring(html.encode("utf-8", "replace"), _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None:
        return Page("", [], [])
    title = root.findtext("head/title") or root.findtext(".//title") or ""
    etree.strip_elements(root, *_SKIPPED, with_tail=False)
    return Page(" ".join(title.split()), *_walk(root))


def _walk(root: Any) -> tuple[list[Block], list[Element]]:
    # The one loop that sees every element: it is written for speed.
    outermost = Element("html", 0, False, False, None)
    blocks: list[Block] = []
    elements: list[Element] = []
    parts: list[str] = []
    linked = links = 0
    element = outermost
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, node in walk:
        tag = node.tag
        if event == "start":
            if tag in _INLINE:
                if tag == "a":
                    links += 1
                elif tag == "br":
                    parts.append("\0")
            else:
                if parts:
                    _close(blocks, parts, linked, element)
                    parts, linked = [], 0
                beside, main = tag in _ASIDE, tag == "article"
                kind, name = node.get("class"), node.get("id")
                if kind or name:
                    said_beside, said_main = _said(kind, name)
                    beside = beside or (said_beside and tag not in _FRAME)
                    main = main or (said_main and tag != "body")
                element = Element(tag, len(blocks), beside, main, element)
                elements.append(element)
            said = node.text
        else:
            if tag in _INLINE:
                if tag == "a":
                    links -= 1
            else:
                if parts:
                    _close(blocks, parts, linked, element)
                    parts, linked = [], 0
                element.end = len(blocks)
                element = element.parent or outermost
            said = node.tail
        # Most texts are the line breaks between two tags of a block, and no block begins with one.
        if said and (parts or not said.isspace()):
            parts.append(said)
            if links:
                linked += len(said)
    return blocks, elements


def _close(blocks: list[Block], parts: list[str], linked: int, element: Element) -> None:
    text = "".join(parts)
    if "\0" in text:
        text = "\n".join(line for part in text.split("\0") if (line := " ".join(part.split())))
    else:
        text = " ".join(text.split())
    if text:
        blocks.append(Block(text, linked, element))


@functools.lru_cache(1 << 14)
def _said(kind: str | None, name: str | None) -> tuple[bool, bool]:
    """Whether class and id name something beside the main text, and whether they name the main text itself."""
    names = f"{kind or ''} {name or ''}"
    words = set((names if names.islower() else " ".join(_NAME.findall(names)).lower()).translate(_BETWEEN).split())
    main = "hentry" in words or "articlebody" in words or not (_WHOLE.isdisjoint(words) or _PART.isdisjoint(words))
    return not _BESIDE.isdisjoint(words), main
