"""What a crawl survives."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.crawl import crawl, folder_of
from tasks.errors import BadInput
from tasks.step import Context
from tasks.store import Store, open_store
from tests.sites.dying import dies
from tests.sites.nights import contents, slow, source, validators
from tests.sites.site import Handler, Site

pytestmark = pytest.mark.integration

DAY1, DAY2 = "2026-11-20", "2026-11-21"
CORPUS: dict[str, Any] = {"corpus": "docs", "train": {"recipe": "tfidf_forest"}}


def test_a_crawl_on_s3_resumes_commits_and_leaves_no_journal(
    site: Site,
    make_corpus: Callable[..., Corpus],
    make_context: Callable[..., Context],
    s3_store: Store,
    s3_env: dict[str, str],
    tmp_path: Path,
) -> None:
    site.tree(20)
    values = {**CORPUS, "source": source(site, segment={"pages": 5})}
    assert dies(values, s3_store.url, DAY1, 6, after=True, env=s3_env)
    context = make_context(make_corpus(**values), store=s3_store)
    assert crawl(context, DAY1, today=date.fromisoformat(DAY1)).counts["documents"] == 21
    manifest = context.catalog.current(folder_of("docs", DAY1))
    assert manifest and len(contents(s3_store, manifest, tmp_path)) == 21
    assert not list(s3_store.list(f"raw/docs/{DAY1}/journal/"))
    assert crawl(context, DAY1, today=date.fromisoformat(DAY1)).noop


# --- kill -9 ----------------------------------------------------------------------------------------


class Attempts:
    """The command as a process, started as often as it takes."""

    def __init__(self, site: Site, folder: Path, name: str) -> None:
        self.store = f"file://{folder}/store-{name}"
        self.day = datetime.now(UTC).date().isoformat()
        self.yaml = folder / "docs.yaml"
        params = {"segment": {"pages": 15}, "concurrency_per_domain": 4}
        values = {"corpus": "docs", "source": source(site, **params), "train": {"recipe": "tfidf_forest"}}
        self.yaml.write_text(yaml.safe_dump(values))

    def start(self, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from tasks.cli import main; main()", "crawl", "--json"]
        options = ["--corpus", str(self.yaml), "--partition", self.day, "--store", self.store]
        return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=stderr, env=dict(os.environ))

    def finish(self) -> dict[str, Any]:
        process = self.start()
        out, _ = process.communicate(timeout=400)
        assert process.returncode == 0, out
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    @property
    def folder(self) -> Path:
        return Path(self.store.removeprefix("file://")) / "raw" / "docs" / self.day

    def committed(self) -> set[str]:
        """Paths whose visits the journal holds."""
        return journaled(self.folder)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def test_killed_at_random_moments_it_continues_and_ends_the_same(site: Site, tmp_path: Path) -> None:
    chance = random.Random(7)
    site.tree(150)
    slow(site, 0.01)
    undisturbed = Attempts(site, tmp_path, "whole")
    whole = undisturbed.finish()
    site.hits.clear()

    killed = Attempts(site, tmp_path, "killed")
    kills = 0
    while kills < 4:
        process = killed.start()
        target = len(site.hits) + chance.randrange(5, 60)
        wait_for(lambda: len(site.hits) >= target, process)  # noqa: B023
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        committed, before = killed.committed(), len(site.hits)
    assert kills >= 3
    result = killed.finish()

    again = {hit.path for hit in site.hits[before:]} - {"/robots.txt"}
    assert committed and not again & committed, "committed pages are not fetched again"
    assert result["counts"] == whole["counts"]
    both = []
    for attempts in (undisturbed, killed):
        store = open_store(attempts.store, {})
        manifest = Catalog(store).current(folder_of("docs", attempts.day))
        assert manifest is not None
        assert not list(store.list(f"{folder_of('docs', attempts.day)}/journal/"))
        both.append((contents(store, manifest, tmp_path), strip(validators(store, manifest, tmp_path))))
    assert both[0] == both[1]


def test_a_death_at_every_change_of_the_store_is_survived(
    site: Site, make_corpus: Callable[..., Corpus], make_context: Callable[..., Context], tmp_path: Path
) -> None:
    site.tree(12)
    values = {**CORPUS, "source": source(site, segment={"pages": 4})}
    corpus, today = make_corpus(**values), date.fromisoformat(DAY1)
    whole = crawl(make_context(corpus), DAY1, today=today)
    manifest = make_context().catalog.current(folder_of("docs", DAY1))
    assert manifest is not None
    expected = contents(make_context().store, manifest, tmp_path)

    deaths = 0
    for n, after in itertools.product(range(1, 100), (False, True)):
        store = open_store(f"file://{tmp_path}/dying-{n}-{after}", {})
        if not dies(values, store.url, DAY1, n, after=after):
            break
        deaths += 1
        committed = journaled(Path(store.url.removeprefix("file://")) / folder_of("docs", DAY1))
        site.hits.clear()
        result = crawl(make_context(corpus, store=store), DAY1, today=today)
        assert not committed & set(site.fetched())
        assert result.counts == whole.counts
        manifest = Catalog(store).current(folder_of("docs", DAY1))
        assert manifest and contents(store, manifest, tmp_path) == expected
        assert not list(store.list(f"{folder_of('docs', DAY1)}/journal/"))
    assert deaths > 20


def journaled(folder: Path) -> set[str]:
    """Paths whose visits the journal in a local store's folder holds."""
    found = set()
    for path in (folder / "journal").glob("*.jsonl.gz"):
        lines = gzip.decompress(path.read_bytes()).splitlines()[1:]
        found |= {"/" + json.loads(line)["url"].split("/", 3)[3] for line in lines}
    return found


def strip(state: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A state of the site without the times of day."""
    return {path: {k: v for k, v in row.items() if k != "captured"} for path, row in state.items()}


def test_a_night_that_began_before_midnight_is_finished_after_it(
    site: Site, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]
) -> None:
    site.tree(20)
    context = make_context(make_corpus(source=source(site, segment={"pages": 5})))
    tomorrow = date.fromisoformat(DAY2)
    with pytest.raises(BadInput, match="as the past"):
        crawl(context, DAY1, today=tomorrow)

    writes = 0
    original = context.store.write

    def write(key: str, data: bytes) -> Any:
        nonlocal writes
        writes += "/journal/0" in key
        if writes > 2:
            raise OSError("the power is gone")
        return original(key, data)

    context.store.write = write  # type: ignore[method-assign]
    with pytest.raises(OSError, match="power"):
        crawl(context, DAY1, today=date.fromisoformat(DAY1))
    context.store.write = original  # type: ignore[method-assign]
    assert crawl(context, DAY1, today=tomorrow).counts["documents"] == 21
    assert crawl(context, DAY1, today=tomorrow).noop


def test_a_terminated_crawl_commits_what_it_visited(site: Site, tmp_path: Path) -> None:
    site.tree(100)
    slow(site, 0.02)
    attempts = Attempts(site, tmp_path, "terminated")
    attempts.yaml.write_text(attempts.yaml.read_text().replace("pages: 15", "pages: 5000"))
    process = attempts.start()
    wait_for(lambda: len(site.hits) > 20, process)
    process.terminate()
    process.communicate(timeout=180)
    assert process.returncode == 1
    assert attempts.committed() == set(site.fetched())
    attempts.finish()
    assert set(site.fetched().values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_crawl_interrupted_in_its_visits_says_so_and_nothing_else(site: Site, tmp_path: Path, number: int) -> None:
    site.tree(20)
    asked = threading.Event()

    def never(handler: Handler) -> None:
        asked.set()
        site.closing.wait(60)

    for path in set(site.pages) - {"/"}:
        site.behave(path, never)
    attempts = Attempts(site, tmp_path, "interrupted")
    process = attempts.start(stderr=subprocess.PIPE)
    wait_for(asked.is_set, process)
    process.send_signal(number)
    _, told = process.communicate(timeout=180)
    *events, last = told.decode().strip().splitlines()
    assert process.returncode == 1
    assert "the crawl was interrupted; what it visited is committed, and a retry continues" in last
    assert [line for line in events if not line.startswith("timestamp=")] == []
    assert attempts.committed() == {"/"}
