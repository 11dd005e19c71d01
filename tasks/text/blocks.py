"""A page as blocks of running text, and the elements that they stand in: one pass over its bytes."""

from __future__ import annotations

import functools
import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.entities import WINDOWS, entity_table
from tasks.kernels.html import BESIDE_WORD, BLOCKS, DEEPEST, ELEMENTS, MAIN_WORD, OUT, PART_WORD, WHOLE_WORD, read_page
from tasks.kernels.runs import KINDS
from tasks.kernels.table import Bytes, Table, bytes_of
from tasks.kernels.tags import tag_table

Rows = NDArray[np.int64]

_BESIDE = (
    "ad ads advert advertisement advertising also author authors bio breadcrumb breadcrumbs byline caption comment "
    "commentlist comments consent cookie cookies copyright credit credits dateline disqus feedback footer gallery gdpr "
    "hidden login menu meta modal nav navbar navigation newsletter outbrain pager pagination popular popup print promo "
    "promos rating ratings recommendations recommended related reply respond share sharedaddy shares sharing sidebar "
    "signup skip slideshow social sponsor sponsored subscribe subscription taboola tag taglist tags timestamp toolbar "
    "tooltip trending widget widgets"
)
"""Words in a class or id of what stands beside the main text."""
_WHOLE = "article blog content entry main news page post story"
_PART = "body content copy inner main text"
_MAIN = "hentry articlebody"
"""Those of the main text: one of the last, or one of the first and one of the second."""


@dataclass(frozen=True, slots=True)
class Page:
    """The blocks of a page, and its elements, both in document order; columns as `tasks.kernels.html` has them."""

    title: str
    text: Bytes
    blocks: Rows
    """Begin and end in ``text``, characters, those in links, element, whether the script is wide."""
    elements: Rows
    """Bits of the tag, first block, the block behind the last, what the element says it is."""

    def block(self, place: int) -> str:
        """The text of one block: without space around it; ``\\n`` where the page breaks the line."""
        return self.text[self.blocks[place, 0] : self.blocks[place, 1]].tobytes().decode("utf-8", "replace")


def read(page: str) -> Page:
    """Blocks and elements of a page; never fails."""
    data = bytes_of(page.encode("utf-8", "replace"))
    room = int(np.count_nonzero(data == 0x3C)) + 4
    # Two references are longer decoded than written: &nGt; and &nLt;, five bytes, are a character and a mark of three.
    text = np.empty(len(data) + len(data) // 5 + 2, np.uint8)
    blocks, elements = np.empty((2 * room, 6), np.int64), np.empty((room, 4), np.int64)
    stack, state, title = np.empty((DEEPEST, 3), np.int64), np.zeros(12, np.int64), np.zeros(2, np.int64)
    room_to_work = (np.empty(16, np.uint8), np.zeros(5, np.int64))
    arguments = (data, *_tables(), WINDOWS, KINDS, text, blocks, elements, stack, state, title, *room_to_work)
    read_page(*arguments)
    named = html.unescape(data[title[0] : title[1]].tobytes().decode("utf-8", "replace"))
    return Page(" ".join(named.split()), text[: state[OUT]], blocks[: state[BLOCKS]], elements[: state[ELEMENTS]])


@functools.cache
def _tables() -> tuple[Any, ...]:
    """What the tags, the words of classes and the character references mean, as the kernel takes it."""
    tag_names, tags = tag_table()
    words: dict[str, int] = {}
    for said, bit in ((_BESIDE, BESIDE_WORD), (_WHOLE, WHOLE_WORD), (_PART, PART_WORD), (_MAIN, MAIN_WORD)):
        for word in said.split():
            words[word] = words.get(word, 0) | bit
    names = Table()
    names.intern_all([*words])
    references, begins, decoded = entity_table()
    meanings = np.array([*words.values()], np.uint8)
    return (*tag_names.arrays, tags, *names.arrays, meanings, *references.arrays, begins, decoded)
