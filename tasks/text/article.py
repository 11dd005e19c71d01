"""The article of a page, by what its blocks are worth (`tasks.kernels.article`).

What the page's classes call a menu, a byline or an advertisement is left out of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.kernels.article import choose
from tasks.text.blocks import read


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
    count = len(page.blocks)
    chosen, said = np.empty(count, np.int64), np.zeros(2, np.int64)
    running, beside = np.zeros(count, np.uint8), np.zeros(count, np.uint8)
    worth, known = np.empty(count + 1), np.empty(count + 1, np.int64)
    size = choose(page.blocks, page.elements, running, beside, worth, known, chosen, said)
    if size < 0:
        return Article(page.title, "", 1.0)
    text = "\n".join(map(page.block, chosen[:size].tolist()))
    return Article(page.title, text, 1 - int(said[0]) / max(int(said[1]), 1))
