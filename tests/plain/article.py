"""The article of a page: the element that holds most running text and least of anything else.

Every block is worth something: running text its length, anything else a loss. The element whose blocks
are worth most together is the main content; that is the maximum subtree of the page, found in one sweep
over sums. What its classes call a menu, a byline or an advertisement is left out of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from tests.plain.blocks import Block, Element, Page, read

_RUNNING = 40
"""Characters from which a block is a sentence rather than a label."""
_RUNNING_WIDE = 15
"""The same in scripts that write a word in one or two characters."""
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_MOSTLY = 0.4
"""The share of a block in links from which it is a list of links."""
_LINKS_ONLY = 0.6
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_LOSS_LINKS, _LOSS_BESIDE, _LOSS_SHORT = 120.0, 30.0, 20.0
"""What a block of links, one beside the text, and a short one cost, in characters of running text."""
_MAIN, _BODY = 1.3, 0.8
"""What an element that calls itself the article gains, and the whole page loses."""
_BESIDE_AT_MOST = 0.5
"""An element with more of the page's running text is no menu, whatever its class says."""


@dataclass(frozen=True, slots=True)
class Article:
    """Title and main text of a page, and how likely there is a better answer."""

    title: str
    text: str
    doubt: float
    """0 to 1: the share of the page's running text that was left out."""


def article(html: str) -> Article:
    """The main text of a page; empty, with full doubt, when none of it is running text."""
    page = read(html)
    running = [_runs(block) for block in page.blocks]
    known = list(accumulate((len(b.text) if r else 0 for b, r in zip(page.blocks, running, strict=True)), initial=0))
    beside = _beside(page, known)
    found = _best(page, _worth(page.blocks, running, beside))
    if found is None:
        return Article(page.title, "", 1.0)
    chosen = [
        place
        for place in range(found.begin, found.end)
        if not beside[place] and page.blocks[place].linked <= _LINKS_ONLY * len(page.blocks[place].text)
    ]
    # What stands before the first sentence is a headline or a date, behind the last a list of tags.
    while chosen and not running[chosen[0]]:
        del chosen[0]
    while chosen and not running[chosen[-1]]:
        chosen.pop()
    said = sum(len(page.blocks[place].text) for place in chosen if running[place])
    return Article(page.title, "\n".join(page.blocks[place].text for place in chosen), 1 - said / max(known[-1], 1))


def _runs(block: Block) -> bool:
    size = len(block.text)
    if size < _RUNNING and (size < _RUNNING_WIDE or block.text.isascii() or not _WIDE.search(block.text)):
        return False
    return block.linked < _MOSTLY * size and block.element.tag not in _HEADINGS


def _beside(page: Page, known: Sequence[int]) -> bytearray:
    """1 for each block that stands beside the main text."""
    beside = bytearray(len(page.blocks))
    for element in page.elements:
        if element.beside and known[element.end] - known[element.begin] <= _BESIDE_AT_MOST * known[-1]:
            beside[element.begin : element.end] = b"\1" * (element.end - element.begin)
    return beside


def _worth(blocks: Sequence[Block], running: Sequence[bool], beside: bytearray) -> list[float]:
    """The worth of all blocks before each place."""
    worth = [0.0]
    total = 0.0
    for block, runs, aside in zip(blocks, running, beside, strict=True):
        if aside:
            total -= _LOSS_BESIDE
        elif runs:
            total += len(block.text)
        else:
            total -= _LOSS_LINKS if block.linked > _MOSTLY * len(block.text) else _LOSS_SHORT
        worth.append(total)
    return worth


def _best(page: Page, worth: Sequence[float]) -> Element | None:
    best, most = None, 0.0
    for element in page.elements:
        value = worth[element.end] - worth[element.begin]
        if element.main:
            value *= _MAIN
        elif element.tag == "body":
            value *= _BODY
        # Of two that hold the same, the inner one comes later.
        if value > 0 and value >= most:
            best, most = element, value
    return best
