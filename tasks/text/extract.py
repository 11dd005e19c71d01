"""The main content of a page: what a reader came for, without menus, banners and footers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extracted:
    """Title and main text of a page; both may be empty."""

    title: str
    text: str


def fast(html: str) -> Extracted:
    """One DOM, one walk (resiliparse): hundreds of pages a second, keeps more than it must."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(html)
    return Extracted(tree.title or "", extract_plain_text(tree, main_content=True))


def accurate(html: str) -> Extracted:
    """Several passes that weigh each block (trafilatura): a tenth of the speed, cleaner articles."""
    return _trafilatura(html, fast=False)


def blocks(html: str) -> Extracted:
    """Our own block weighing (`tasks.text.article`) and nothing else: the fastest; for articles, not for lists."""
    from tasks.text.article import article

    found = article(html)
    return Extracted(found.title, found.text)


DOUBT = 0.7
"""From here on `auto` asks twice; anything from 0.5 to 0.8 measures the same (docs/extraction.md)."""


def auto(html: str) -> Extracted:
    """Our own block weighing (`tasks.text.article`), and trafilatura only where that leaves out most of a page's
    sentences: as good as ``accurate`` at several times its speed."""
    from tasks.text.article import article  # compiled: loaded where it is used

    found = article(html)
    if found.doubt <= DOUBT:
        return Extracted(found.title, found.text)
    # Without its own second opinion it is no worse, and takes two thirds of the time.
    second = _trafilatura(html, fast=True)
    return second if second.text else Extracted(found.title, found.text)


def _trafilatura(html: str, *, fast: bool) -> Extracted:
    import trafilatura

    # It reports every page without an article as an error; a page without text is a reject here.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    tree = trafilatura.load_html(html)
    if tree is None:
        return Extracted("", "")
    title = " ".join((tree.findtext(".//title") or "").split())
    return Extracted(title, trafilatura.extract(tree, include_comments=False, fast=fast) or "")


MODES: dict[str, Callable[[str], Extracted]] = {"fast": fast, "accurate": accurate, "auto": auto, "article": blocks}
"""``clean.extraction`` to the function that does it."""
