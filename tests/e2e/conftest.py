"""A small corpus of real WARC files, one a day; the steps of its chain; and a running Airflow."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from containers.embedded.ports import pick_many
from containers.embedded.settings import PORTS
from containers.embedded.stack import Stack
from tests.hook import Hook

WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "peach", "orchard", "harvest", "juice", "basket", "ripe", "branch"],
    "metal": ["iron", "copper", "zinc", "forge", "anvil", "smelt", "alloy", "ingot", "hammer", "rust", "furnace"],
}
COMMON = ["the", "of", "and", "with", "from", "over", "under", "near", "for", "about", "then", "while", "some", "more"]

WriteDay = Callable[..., None]


@pytest.fixture(scope="session")
def write_day() -> WriteDay:
    """``write_day(folder, "2026-11-01", pages=24)``: one WARC file of pages about fruit and metal."""

    def write(folder: Path, day: str, pages: int = 24) -> None:
        (folder / day).mkdir(parents=True)
        with (folder / day / "pages.warc.gz").open("wb") as out:
            writer = WARCWriter(out, gzip=True)
            for number in range(pages):
                writer.write_record(_page(writer, day, number))

    return write


@pytest.fixture(scope="session")
def archive_corpus() -> Callable[..., Path]:
    """``archive_corpus(folder, name, archive, **sections)``: writes ``<folder>/<name>.yaml``."""

    def write(folder: Path, name: str, archive: Path, **sections: Any) -> Path:
        corpus = {
            "corpus": name,
            "source": {"history": {"archive": {"path": f"{archive}/{{partition}}/*.warc.gz"}}},
            "clean": {"labels": [{"pattern": r"site\.test/(?P<label>[a-z]+)/"}], "shards": 2},
            "train": {"recipe": {"tfidf_forest": {"trees": 8}}, "shards": 2},
            "resources": {"retries": 2, "timeout": "5m"},
            **sections,
        }
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(corpus))
        return path

    return write


@pytest.fixture(scope="session")
def ingest_steps() -> Callable[[str], list[Sequence[str]]]:
    """``ingest_steps(day)``: the command lines of ``ingest_<corpus>`` for a day whose raw input is one file."""

    def steps(day: str) -> list[Sequence[str]]:
        chain = (
            "crawl",
            "gate raw",
            "clean --shard=0/1",
            "dedup",
            "stats",
            "gate clean",
            "split",
            "gate splits",
            "upload",
        )
        return [(*step.split(), f"--partition={day}") for step in chain]

    return steps


@pytest.fixture(scope="session")
def retrain_steps() -> Callable[[str], list[Sequence[str]]]:
    """``retrain_steps(url)``: the command lines of ``retrain_<corpus>`` after its snapshot."""

    def steps(snapshot: str) -> list[Sequence[str]]:
        shards = ("0/2", "1/2")
        chain = [
            *(f"prepare --shard={shard}" for shard in shards),
            "combine",
            "gate features",
            *(f"train --shard={shard}" for shard in shards),
            *(f"evaluate --part={shard}" for shard in shards),
            "merge",
            "evaluate",
            "gate model",
            "promote --by=test",
        ]
        return [*((*step.split(), f"--snapshot={snapshot}") for step in chain), ("backup",)]

    return steps


def _page(writer: WARCWriter, day: str, number: int) -> Any:
    label = ("fruit", "metal")[number % 2]
    draw = random.Random(f"{day} {number}")
    sentences = (
        " ".join(draw.choice(WORDS[label] if draw.random() < 0.5 else COMMON) for _ in range(12)) for _ in range(8)
    )
    body = f"<html><head><title>{label} {number}</title></head><body><p>{'. '.join(sentences)}.</p></body></html>"
    payload = body.encode()
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(payload)))]
    return writer.create_warc_record(
        f"http://site.test/{label}/{day}-{number}",
        "response",
        payload=io.BytesIO(payload),
        http_headers=StatusAndHeaders("200 OK", headers, protocol="HTTP/1.1"),
        warc_headers_dict={"WARC-Date": f"{day}T01:00:{number % 60:02d}Z"},
    )


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """Who is told of what happens."""
    with Hook() as made:
        yield made


@pytest.fixture(scope="session")
def airflow_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The embedded stack with a real scheduler, one for the whole session: it takes half a minute to start."""
    home = tmp_path_factory.mktemp("stack")
    (home / "corpora").mkdir()
    # Never the usual ports: a stack that somebody works with, or another test session, may start meanwhile.
    with pytest.MonkeyPatch.context() as patch:
        for (variable, _), port in zip(PORTS.values(), pick_many(len(PORTS)), strict=True):
            patch.setenv(variable, str(port))
        stack = Stack(home, corpora=home / "corpora", extra={"NIGHTSHIFT_RETRY_DELAY": "1"})
    with stack:
        # A promotion comes sooner here than after a real crawl, and is tried again within seconds.
        stack.mlflow.wait()
        yield stack
