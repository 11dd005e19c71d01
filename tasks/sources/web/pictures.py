"""Which files the images of a page are: one of each element, as a browser on a wide and very dense screen shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

VERSION = 3
"""Raised when other files of a page count: unchanged pages are then read again."""

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff")
"""Media types that are kept of what a page shows: an error page in an image's place is none."""

Candidates = tuple[str, ...]
"""The same image in several sizes, the largest first; URLs as the page has them."""

_MOST = 16
"""Candidates of one ``srcset`` that are looked at: what a page may cost has an end."""
_SPACE = " \t\n\f\r"
_URL = re.compile(rf"[{_SPACE},]*([^{_SPACE}]+)")
_DESCRIPTORS = re.compile(r"((?:[^,(]++|\([^)]*+\)?)*+),?")
_WORD = re.compile(rf"[^{_SPACE}]+")
_WIDTH = re.compile(r"[0-9]+w", re.ASCII)
_HEIGHT = re.compile(r"[0-9]+h", re.ASCII)
_DENSITY = re.compile(r"((?:[0-9]+|[0-9]*\.[0-9]+)(?:[eE][-+]?[0-9]+)?)x", re.ASCII)

_LAZY_SETS = ("data-srcset", "data-lazy-srcset", "data-original-set")
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-original-src", "data-orig-file")
"""Where scripts that load an image as it comes into view find it; ``src`` then holds what stands there till then."""
_PLAUSIBLE = re.compile(r"""[^\s#\[{}<>"'][^{}<>"]*""")
"""No JSON, and no template: those that such a script fills in."""
_NAMED = re.compile(r"\.(?:png|jpe?g|gif|webp|bmp|tiff?)(?=$|[?#\s])", re.IGNORECASE)
_HOLDS_PLACE = re.compile(r"(?:data|about|blob|javascript):|#", re.IGNORECASE)
_ADDRESS = re.compile(r"https?:|\.{0,2}/|[^\s?]+\?[^\s=]+=", re.IGNORECASE)
"""What is meant as a URL, even if it names no file: scripts keep names, prices and ratios in such attributes too."""
_ELSEWHERE = re.compile(
    r"max-|(?:width|height|ratio|resolution)\s*<|>=?\s*(?:width|height|aspect|resolution)"
    r"|\b(?:not|print|portrait|dark)\b",
    re.IGNORECASE,
)
"""Conditions that a wide screen does not meet."""

_LAZY_CLASS = re.compile(rf"(?:^|[{_SPACE}])lazy", re.IGNORECASE)
"""A class that begins so: ``no-lazy`` and ``skip-lazy`` say the opposite."""
_WITHIN = frozenset(("a", "b", "button", "em", "font", "i", "img", "label", "picture", "source", "span", "strong"))
"""What may end between an image and its ``<noscript>``; where anything else ends, so does what belongs together."""
_DOT = re.compile(rf"[{_SPACE}]*0*[01](?![0-9%])")
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden"
    r"|(?<![\w-])(?:(?:left|top)\s*:\s*-[0-9]{4}|(?:width|height)\s*:\s*[01](?![0-9.%]))",
    re.IGNORECASE,
)
"""Of an image that counts visits and shows nothing."""


class _Sized(NamedTuple):
    width: int
    density: float
    url: str


@dataclass(slots=True)
class Image:
    """One image of a page: in the order in which they are preferred, what it may be."""

    lazy: list[Candidates]
    plain: list[Candidates]
    awaits: bool = False
    """Whether a script is to put another image in its place."""
    fallback: Image | None = None
    """What the ``<noscript>`` beside it has for those without the script; the same image, as a rule."""


class Pictures:
    """Collects the images of a page as its tags go by.

    A ``<picture>`` is one image; one that a script loads and the one in the ``<noscript>`` beside it are one too.
    """

    def __init__(self) -> None:
        self.found: list[Image] = []
        self._sources: list[Mapping[str, str]] | None = None
        """Of the ``<picture>`` that is open, before its ``<img>``."""
        self._noscript = False
        self._beside = ""
        """What the latest image is, if nothing stands between it and here: ``awaiting`` or ``noscript``."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take a start tag."""
        if tag == "img":
            self._image(attributes)
        elif tag == "source":
            if self._sources is not None:
                self._sources.append(attributes)
        elif tag == "picture":
            self._sources = []
        elif tag == "noscript":
            self._noscript = True
        else:
            self._pass()

    def end(self, tag: str) -> None:
        """Take an end tag."""
        if tag == "picture":
            self._sources = None
        elif tag == "noscript":
            self._noscript = False
        elif tag not in _WITHIN:
            self._pass()

    def _pass(self) -> None:
        if not self._noscript:
            self._beside = ""

    def _image(self, attributes: Mapping[str, str]) -> None:
        image = image_of(attributes, self._sources or ())
        if self._sources:
            self._sources = []  # an image of its own is whatever else stands in there
        beside, self._beside = self._beside, ""
        if self._noscript and _unseen(attributes):
            self.found.append(image)  # a tracker's: no image's other half
        elif self._noscript and beside == "awaiting":
            self.found[-1].fallback = image
        elif not self._noscript and image.awaits and beside == "noscript":
            image.fallback, self.found[-1] = self.found[-1], image
        else:
            self.found.append(image)
            self._beside = "noscript" if self._noscript else "awaiting" if image.awaits else ""


def image_of(img: Mapping[str, str], sources: Iterable[Mapping[str, str]] = ()) -> Image:
    """The image of an ``<img>``, with the ``<source>`` elements before it in its ``<picture>``."""
    waiting: list[str] = []
    plain: list[Candidates] = []
    for source in sources:
        kind = source.get("type", "").partition(";")[0].strip().lower().replace("image/jpg", "image/jpeg")
        if (kind and kind not in IMAGES) or _ELSEWHERE.search(source.get("media", "")):
            continue
        waiting += [source[name] for name in _LAZY_SETS if source.get(name)]
        plain.append(largest_first(_parse(source.get("srcset", ""))))
    waiting += [img[name] for name in _LAZY_SETS if img.get(name)]
    src = img.get("src", "").strip(_SPACE)
    # Without a descriptor an image is taken for one of density 1, which is what `src` stands for beside a `srcset`.
    plain.append(largest_first([*_parse(img.get("srcset", "")), *([_Sized(0, 1.0, src)] if src else [])]))
    holds = any(not _HOLDS_PLACE.match(url) for candidates in plain for url in candidates)
    sets = (largest_first(each for each in _parse(value) if _plausible(each.url, holds)) for value in waiting)
    lazy = [candidates for candidates in sets if candidates]
    lazy += [(img[name],) for name in _LAZY if _plausible(img.get(name, ""), holds)]
    if not holds and not lazy:
        lazy = list(_elsewhere(img))
    return Image(lazy, plain, bool(lazy) or not holds or bool(_LAZY_CLASS.search(img.get("class", ""))))


def srcset(value: str) -> tuple[tuple[str, int, float], ...]:
    """Each (URL, width or 0, density) of a ``srcset``, by the HTML standard's "parse a srcset attribute".

    URLs may hold commas, as those of ``data:`` do, but not end with one. What has a descriptor that the standard
    does not know is left out; one without any has density 1.
    """
    return tuple((url, width, density) for width, density, url in _parse(value))


def largest_first(candidates: Iterable[_Sized]) -> Candidates:
    """URLs by width, and those without one behind by density; the first of those alike comes first."""
    ordered = sorted(candidates, key=lambda each: (-each.width, -each.density))
    return tuple(dict.fromkeys(each.url for each in ordered[:_MOST]))


def _parse(value: str) -> Iterator[_Sized]:
    place = 0
    while found := _URL.match(value, place):
        url, place = found[1], found.end()
        if url.endswith(","):
            url = url.rstrip(",")
            said = _Sized(0, 1.0, url)
        else:
            rest = _DESCRIPTORS.match(value, place)
            assert rest is not None
            place = rest.end()
            said = _described(url, rest[1])
        if url and said.density >= 0:
            yield said


def _described(url: str, text: str) -> _Sized:
    """A candidate with its descriptors; of density -1 if they are faulty."""
    width, height, density = 0, 0, -1.0
    faulty = False
    for word in _WORD.findall(text):
        if _WIDTH.fullmatch(word) and not width and density < 0:
            width = _whole(word)
            faulty |= width == 0
        elif _HEIGHT.fullmatch(word) and not height and density < 0:
            height = _whole(word)
            faulty |= height == 0
        elif (scale := _DENSITY.fullmatch(word)) and density < 0 and not width and not height:
            density = float(scale[1])
        else:
            faulty = True
    if faulty or (height and not width):
        return _Sized(0, -1.0, url)
    return _Sized(width, 1.0 if density < 0 else density, url)


def _whole(word: str) -> int:
    return int(word[:-1]) if len(word) < 20 else 0  # wider than any image


def _plausible(value: str, surely: bool = False) -> bool:
    """Whether a script may find an image there; ``surely`` where there is a file to lose for a name or number."""
    value = value.strip(_SPACE)
    if not _PLAUSIBLE.fullmatch(value) or _HOLDS_PLACE.match(value) or not ("." in value or "/" in value):
        return False
    return not surely or bool(_NAMED.search(value) or _ADDRESS.match(value))


def _unseen(img: Mapping[str, str]) -> bool:
    return (
        any(_DOT.match(img.get(name, "")) for name in ("width", "height"))
        or "hidden" in img
        or bool(_HIDDEN.search(img.get("style", "")))
    )


def _elsewhere(img: Mapping[str, str]) -> Iterator[Candidates]:
    """Of an image without a file of its own, the attributes of whatever script that name one."""
    for name, value in img.items():
        if name.startswith("data-") and _plausible(value) and _NAMED.search(value):
            sized = [each for each in _parse(value) if _NAMED.search(each.url)]
            several = len(sized) > 1 or any(each.width for each in sized)
            yield largest_first(sized) if several else (value,)
