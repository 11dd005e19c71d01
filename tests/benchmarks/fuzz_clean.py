"""Poison by the million: mutated pages, row files and WARC files through everything that cleaning does with them.

    python -m tests.benchmarks.fuzz_clean [--inputs 1000000] [--first 0] [--workers 2]

Input number n is a pure function of n, so a finding is repeated by `--first n --inputs 1`. A finding is an exception
(of a page: the reject `crash`), a process that died, an input that took more than a second of processor time, or text
that cannot be stored; a worker that grew by more than 128 MiB between its first tenth and its end is one too. Writes
build/bench/fuzz.json, and exits 1 if there is any finding. With atheris installed, --atheris lets it choose the inputs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import mmap
import multiprocessing
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tasks.cleaning.reading import read_warc
from tasks.cleaning.refine import Refiner
from tasks.cleaning.worker import peak_memory
from tasks.config.corpus import Clean
from tasks.errors import Corrupt
from tasks.filters.base import FILTERS
from tasks.text.extract import MODES

SLOW = 1.0
"""Processor seconds from which one input, of at most 64 KB, counts as a hang."""
GROWTH = 128 << 20
_LARGEST = 1 << 16
_STATE = struct.Struct("<qq")
_DATE = "WARC-Date: 2026-11-20T01:02:03Z\r\n"

_PIECES = [
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--atheris", action="store_true")
    arguments = parser.parse_args()
    if arguments.atheris:
        return _atheris()
    started = time.monotonic()
    findings = run(arguments.first, arguments.inputs, arguments.workers)
    seconds = time.monotonic() - started
    report = {"inputs": arguments.inputs, "first": arguments.first, "seconds": round(seconds, 1), "findings": findings}
    target = Path("build/bench/fuzz.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    print(
        f"{arguments.inputs:,} inputs in {seconds:,.0f} s ({arguments.inputs / seconds:,.0f}/s): {len(findings)} found"
    )
    for finding in findings[:20]:
        print(f"  {finding}")
    return int(bool(findings))


def run(first: int, count: int, workers: int) -> list[str]:
    """Findings over inputs ``first`` to ``first + count``, in processes that may die of one."""
    context = multiprocessing.get_context("fork")
    share = -(-count // workers)
    spans = [(start, min(start + share, first + count)) for start in range(first, first + count, share)]
    with tempfile.TemporaryFile() as file:
        file.truncate(_STATE.size * len(spans))
        state = mmap.mmap(file.fileno(), 0)
        told: Any = context.SimpleQueue()
        findings: list[str] = []
        for place, (start, _) in enumerate(spans):
            _STATE.pack_into(state, place * _STATE.size, start, 0)
        alive = {place: _start(context, place, *span, state, told) for place, span in enumerate(spans)}
        while alive:
            for place, process in list(alive.items()):
                process.join(0.2)
                while not told.empty():
                    findings.append(told.get())
                if process.exitcode is None:
                    continue
                del alive[place]
                at, _ = _STATE.unpack_from(state, place * _STATE.size)
                if process.exitcode and at < spans[place][1]:
                    findings.append(f"input {at}: the process ended with {process.exitcode}")
                    alive[place] = _start(context, place, at + 1, spans[place][1], state, told)
    return findings


def _start(context: Any, place: int, start: int, end: int, state: mmap.mmap, told: Any) -> Any:
    def work() -> None:
        early = 0
        for number in range(start, end):
            _STATE.pack_into(state, place * _STATE.size, number, 0)
            for finding in attempt(number):
                told.put(f"input {number}: {finding}")
            if number == start + (end - start) // 10:
                early = peak_memory()
        _STATE.pack_into(state, place * _STATE.size, end, 0)
        if early and (grown := peak_memory() - early) > GROWTH:
            told.put(f"inputs {start} to {end}: memory grew by {grown >> 20} MiB")

    process = context.Process(target=work)
    process.start()
    return process


def attempt(number: int) -> Iterator[str]:
    """What is wrong with how input ``number`` is handled."""
    chance = random.Random(number)
    kind = "warc" if number % 8 == 0 else "page"
    data = _warc(chance) if kind == "warc" else _page(chance)
    started = time.process_time()
    try:
        yield from (through_warc if kind == "warc" else through_clean)(data)
    except Exception as error:  # noqa: BLE001  # any exception is what is looked for
        yield f"{kind}: {type(error).__name__}: {error}"
    if (spent := time.process_time() - started) > SLOW:
        yield f"{kind} of {len(data)} bytes took {spent:.1f} s"


def through_clean(data: bytes) -> Iterator[str]:
    """A page through decoding, every extraction, language and all filters."""
    for mode, refiner in _refiners().items():
        outcome = refiner.refine(
            {
                "uid": "0" * 32, "url": "http://x/", "title": None, "label": None, "language": None, "fault": None,
                "value": "", "content_type": "text/html", "charset": None, "body": data,
            }
        )  # fmt: skip
        if outcome.reason == "crash":
            yield f"{mode}: {outcome.value}: {outcome.detail}"
        outcome.document.text.encode()


def through_warc(data: bytes) -> Iterator[str]:
    """A WARC file: every page that can be had, and nothing raised but that it is none."""
    with tempfile.NamedTemporaryFile(suffix=".warc") as file:
        file.write(data)
        file.flush()
        tally: Counter[str] = Counter()
        try:
            for item in read_warc(Path(file.name), name="x", limit=_LARGEST, tally=tally):
                if len(getattr(item, "body", b"")) > _LARGEST:
                    yield "a payload over the limit"
        except Corrupt:
            pass


@cache
def _refiners() -> dict[str, Refiner]:
    """Every mode, with every filter there is at thresholds that let texts pass to the next."""
    filters: list[Any] = []
    for name in FILTERS.names():
        try:
            filters.append(Clean.model_validate({"filters": [name]}).filters[0])
        except ValueError:
            continue  # one that needs files of its own, such as a list of words
    loose = []
    for each in filters:
        fields = {key: None for key, value in each.params if key.startswith(("min_", "max_")) and value is not None}
        for drop in (fields, {}):
            try:
                loose.append(Clean.model_validate({"filters": [{each.name: drop}]}).filters[0])
                break
            except ValueError:
                continue
    return {mode: Refiner(Clean(extraction=mode, filters=tuple(loose))) for mode in MODES}  # type: ignore[arg-type]


def _page(chance: random.Random) -> bytes:
    text = "".join(chance.choice(_PIECES) for _ in range(chance.randrange(1, 60)))
    if chance.random() < 0.1:  # the same thing over and over: what is quadratic shows
        text = text[:40] * chance.randrange(1, _LARGEST // 160)
    data = text.encode(chance.choice(["utf-8", "utf-8", "utf-8", "utf-16", "cp1251", "shift_jis"]), "replace")
    return _damaged(data, chance)[:_LARGEST]


def _warc(chance: random.Random) -> bytes:
    records = []
    for number in range(chance.randrange(1, 6)):
        encoding = chance.choice(
            ["", "", "Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n", "Content-Encoding: br\r\n"]
        )
        body = _damaged(gzip.compress(b"<p>x" * 50) if "gzip" in encoding else b"5\r\n<p>ab\r\n0\r\n\r\n", chance, 0.2)
        block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{encoding}\r\n".encode() + body
        head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://x/{number}\r\n{_DATE}"
        length = len(block) if chance.random() < 0.9 else chance.choice([0, -1, 10, 1 << 40])
        records.append(f"{head}Content-Length: {length}\r\n\r\n".encode() + block + b"\r\n\r\n")
    pack: Callable[[bytes], bytes] = gzip.compress if chance.random() < 0.7 else bytes
    return _damaged(b"".join(map(pack, records)), chance, 0.7)


def _damaged(data: bytes, chance: random.Random, share: float = 0.4) -> bytes:
    """Now and then: cut, doubled, or with bytes changed."""
    if not data or chance.random() > share:
        return data
    at, to = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return chance.choice(
        [
            data[:at],
            data[at:],
            data[:at] + data[to:],
            data[:to] + data[at:],
            data[:at] + chance.randbytes(3) + data[at + 3 :],
        ]
    )


def _atheris() -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is not installed here: there is no wheel of it for every Python", file=sys.stderr)
        return 2

    def one(data: bytes) -> None:
        for finding in (*through_clean(data[:_LARGEST]), *through_warc(data)):
            raise AssertionError(finding)

    atheris.Setup([sys.argv[0]], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
