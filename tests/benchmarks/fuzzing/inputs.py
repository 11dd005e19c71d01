"""Poisoned inputs, each a pure function of its number or of the bytes that a fuzzer came up with."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from PIL import Image

from tasks.text.extract import MODES
from tests.benchmarks.fuzzing.archives import archive
from tests.benchmarks.fuzzing.damage import damaged
from tests.benchmarks.fuzzing.pictures import picture
from tests.benchmarks.fuzzing.rows import FORMATS, rows
from tests.benchmarks.fuzzing.shares import ROUND, Kind

LARGEST = 1 << 16
_DATE = "WARC-Date: 2026-11-20T01:02:03Z\r\n"
_MODES = sorted(MODES)
_WEIGHTS = {"accurate": 1, "article": 3, "auto": 3, "fast": 3}
"""How often a mode comes by: ``accurate`` takes several times as long as the others."""

PIECES = [
    *(
        f"<{tag}>"
        for tag in ("p", "div", "a href='/x'", "table", "tr", "td", "ul", "li", "h1", "br", "span", "b", "svg")
    ),
    *(
        f"</{tag}>"
        for tag in ("p", "div", "a", "table", "td", "ul", "html", "body", "head", "script", "style", "title")
    ),
    "<html>",
    "<head>",
    "<title>",
    "<body class='sidebar'>",
    "<article id=main-content>",
    "<script>",
    "<style>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?xml version='1.0'?>",
    "<!DOCTYPE html>",
    "<template>",
    "<noscript>",
    "<math>",
    "<plaintext>",
    "&amp;",
    "&#0;",
    "&#x110000;",
    "&#xD800;",
    "&nbsp;",
    "&nGt;",
    "&nLt;",
    "&NotEqualTilde;",
    "&#128;",
    "&",
    "<",
    ">",
    '"',
    "'",
    "=",
    "\0",
    "\x0b",
    "\x1b",
    "\x85",
    "\ufeff",
    "\u200b",
    "\u2028",
    "\ufffd",
    "\ufffe",
    "\U0001f600",
    "e\u0301",
    "\u0430",
    "\u591c\u306e\u5217\u8eca\u306f",
    "\u0e01\u0e02",
    "a@b.example",
    "4111 1111 1111 1111",
    "192.0.2.1",
    "http://x/?q=" + "a" * 60,
    "lorem ipsum",
    "{",
    "#",
    "...",
    "\u2022 ",
    "The train left at ten, and nobody waved. ",
    "the the the the ",
    "Der Zug fuhr um zehn ab. ",
    "\n",
    "\n\n",
    "\t",
    " " * 80,
    "A" * 300,
    "1" * 300,
    "-" * 300,
]


@dataclass(frozen=True, slots=True)
class Input:
    """``mode``: how a page's text is found. ``turn``, counted round and round: which filter comes first; of an image or
    archive, what is asked for; of rows, their format and what they are to be."""

    kind: Kind
    mode: str
    turn: int
    data: bytes

    @classmethod
    def numbered(cls, number: int) -> Self:
        """Input ``number``: all kinds, modes and turns come by."""
        chance = random.Random(number)
        kind = ROUND[number % len(ROUND)]
        made = {"warc": _warc, "image": picture, "archive": archive, "rows": partial(_rows, turn=number)}
        data = made.get(kind, _page)(chance)[:LARGEST]
        return cls(kind, chance.choices(_MODES, [_WEIGHTS[mode] for mode in _MODES])[0], number, data)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """What a fuzzer's bytes mean: the first two say kind, mode and turn."""
        head, body = data[:2].ljust(2, b"\0"), data[2 : 2 + LARGEST]
        return cls(ROUND[head[0] % len(ROUND)], _MODES[head[0] // len(ROUND) % len(_MODES)], head[1], body)

    def packed(self) -> bytes:
        """The bytes that mean this input."""
        head = ROUND.index(self.kind) + len(ROUND) * _MODES.index(self.mode)
        return bytes((head, self.turn % 256)) + self.data


def prepare() -> None:
    """Load what inputs are made with. Workers are forked beside a thread that makes inputs too: if that was loading a
    module at this moment, they would wait for it for ever."""
    Image.init()
    for number in range(16 * len(ROUND)):
        Input.numbered(number)


def _rows(chance: random.Random, turn: int) -> bytes:
    return rows(chance, FORMATS[turn // len(ROUND) % len(FORMATS)], PIECES)


def _page(chance: random.Random) -> bytes:
    # Mostly short: most faults need few pieces, and ten short inputs cost no more than one long one.
    length = chance.randrange(1, 60 if chance.random() < 0.1 else 20)
    text = "".join(chance.choice(PIECES) for _ in range(length))
    if chance.random() < 0.1:  # the same thing over and over: what is quadratic shows
        text = text[:40] * chance.randrange(1, LARGEST // 160)
    data = text.encode(chance.choice(["utf-8", "utf-8", "utf-8", "utf-16", "cp1251", "shift_jis"]), "replace")
    return damaged(data, chance)[:LARGEST]


def _warc(chance: random.Random) -> bytes:
    records = []
    for number in range(chance.randrange(1, 6)):
        encoding = chance.choice(
            ["", "", "Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n", "Content-Encoding: br\r\n"]
        )
        body = damaged(_gzip(b"<p>x" * 50) if "gzip" in encoding else b"5\r\n<p>ab\r\n0\r\n\r\n", chance, 0.2)
        block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{encoding}\r\n".encode() + body
        head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://x/{number}\r\n{_DATE}"
        length = len(block) if chance.random() < 0.9 else chance.choice([0, -1, 10, 1 << 40])
        records.append(f"{head}Content-Length: {length}\r\n\r\n".encode() + block + b"\r\n\r\n")
    pack: Callable[[bytes], bytes] = _gzip if chance.random() < 0.7 else bytes
    return damaged(b"".join(map(pack, records)), chance, 0.7)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the time of day would make it another input each second
