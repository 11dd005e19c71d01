"""What is done with an input, and what counts as a finding."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tasks.cleaning.reading import read_warc
from tasks.cleaning.refine import Refiner
from tasks.config.clean import Clean
from tasks.errors import Corrupt
from tasks.filters.base import FILTERS
from tests.benchmarks.fuzzing import files
from tests.benchmarks.fuzzing.inputs import LARGEST, Input

SLOW = 1.0
"""Processor seconds from which one input, of at most 64 KB, counts as a hang."""

_LISTS: dict[str, dict[str, Any]] = {
    "bad_words": {"words": {"*": ["nobody", "a@b.example"], "ja": ["\u591c"]}},
    "decontamination": {"texts": ["the train left at ten and nobody waved the train", "lorem ipsum"], "ngram": 3},
    "url_blocklist": {"domains": ["blocked.example"], "words": ["casino"]},
}
"""Of filters that do nothing without."""


def attempt(number: int) -> Iterator[str]:
    """What is wrong with how input ``number`` is handled."""
    yield from tried(Input.numbered(number))


def tried(given: Input) -> Iterator[str]:
    """What is wrong with how an input is handled."""
    found, spent = _handled(given)
    yield from found
    if spent > SLOW:  # perhaps by what is loaded once in a process, for the first text of a language
        _, spent = _handled(given)
    if spent > SLOW:
        yield f"{given.kind} of {len(given.data)} bytes took {spent:.1f} s"


def _handled(given: Input) -> tuple[list[str], float]:
    """What is wrong, and the seconds of a processor that it took."""
    started = time.process_time()
    try:
        found = list(_through(given))
    except Exception as error:  # noqa: BLE001  # any exception is what is looked for
        found = [f"{given.kind}: {type(error).__name__}: {error}"]
    return found, time.process_time() - started


def _through(given: Input) -> Iterator[str]:
    match given.kind:
        case "warc":
            return through_warc(given.data)
        case "image":
            return files.through_image(given.data, given.turn)
        case "archive":
            return files.through_archive(given.data, given.turn, LARGEST)
        case "rows":
            return files.through_rows(given.data, given.turn, LARGEST)
        case _:
            return through_clean(given)


def through_clean(given: Input) -> Iterator[str]:
    """A page or text through decoding, extraction, language and all filters."""
    outcome = refiner(given.mode, given.turn % len(names())).refine(
        {
            "uid": "0" * 32, "url": "http://x/", "title": None, "label": None, "language": None, "fault": None,
            "value": "", "content_type": "text/html" if given.kind == "page" else "text/plain", "charset": None,
            "body": given.data,
        }
    )  # fmt: skip
    if outcome.reason == "crash":
        yield f"{given.mode}: {outcome.value}: {outcome.detail}"
    outcome.document.text.encode()  # raises if it cannot be stored
    odd = {name: value for name, value in outcome.measured.items() if value != value or abs(value) == float("inf")}
    if odd:
        yield f"{given.mode}: measured {odd}"


def through_warc(data: bytes) -> Iterator[str]:
    """A WARC file: every page that can be had, and nothing raised but that it is none."""
    with tempfile.NamedTemporaryFile(suffix=".warc") as file:
        file.write(data)
        file.flush()
        tally: Counter[str] = Counter()
        try:
            for item in read_warc(Path(file.name), name="x", limit=LARGEST, tally=tally):
                if len(getattr(item, "body", b"")) > LARGEST:
                    yield "a payload over the limit"
        except Corrupt:
            pass


@cache
def names() -> tuple[str, ...]:
    """Every filter there is."""
    return tuple(FILTERS.names())


@cache
def refiner(mode: str, turn: int) -> Refiner:
    """An extraction, with every filter there is at thresholds that let texts pass to the next; ``turn`` says which
    comes first, as a text that one drops no other sees."""
    order = (*names()[turn:], *names()[:turn])
    return Refiner(Clean(extraction=mode, filters=tuple(map(_loose, order))))  # type: ignore[arg-type]


def _loose(name: str) -> Any:
    """A filter with every threshold off that can be."""
    given = dict(_LISTS.get(name, {}))
    chosen = Clean.model_validate({"filters": [{name: given}]}).filters[0]
    for key, value in chosen.params:
        if key.startswith(("min_", "max_")) and value is not None:
            try:
                chosen = Clean.model_validate({"filters": [{name: given | {key: None}}]}).filters[0]
            except ValueError:
                continue
            given[key] = None
    return chosen
