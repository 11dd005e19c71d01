"""split, upload and snapshot as commands over a real S3 server: results, no-ops, kills, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from containers.embedded.ports import pick
from tasks.catalog import Catalog
from tasks.config import Corpus, load_corpus
from tasks.errors import BadInput
from tasks.step import Context
from tasks.store import Store, open_store
from tests.published import Days, texts

pytestmark = pytest.mark.integration

NIGHTSHIFT = str(Path(sys.executable).with_name("nightshift"))
DAY = "2026-11-20"
STEPS = (("split", "--partition", DAY), ("upload", "--partition", DAY), ("snapshot",))


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    path = tmp_path / "docs.yaml"
    path.write_text("corpus: docs\nsource: {live: {files: {path: /a/*.jsonl}}}\ntrain: {recipe: tfidf_forest}\n")
    return path


@pytest.fixture
def make_days(s3_env: dict[str, str], corpus_file: Path, tmp_path: Path) -> Callable[[], Days]:
    """``make_days()``: a fresh bucket."""

    def build() -> Days:
        store = open_store(f"s3://test-{uuid.uuid4().hex[:12]}/nightshift", s3_env)
        corpus: Corpus = load_corpus(corpus_file, {})
        return Days(Context(corpus, store, Catalog(store), structlog.get_logger()), tmp_path)

    return build


@pytest.fixture
def start(s3_env: dict[str, str], corpus_file: Path) -> Callable[..., subprocess.Popen[str]]:
    """``start(store, "split", …)``: the command as a process of its own."""

    def build(store: Store, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [NIGHTSHIFT, *arguments, "--corpus", str(corpus_file), "--store", store.url, "--json"],
            env={**s3_env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return build


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and last line."""
    out, said = process.communicate(timeout=120)
    assert out, said
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return process.returncode, result


def test_the_chain_from_clean_to_snapshot_and_again_as_noops(
    make_days: Callable[[], Days], start: Callable[..., subprocess.Popen[str]]
) -> None:
    days = make_days()
    days.clean(DAY, texts(60), gone=["http://gone"], rejected=["http://bad"])
    for noop in (False, True):
        for step in STEPS:
            code, result = ended(start(days.context.store, *step))
            assert (code, result["step"], result["noop"]) == (0, step[0], noop)
            counts = result["counts"]
            assert counts["train"] + counts["validation"] + counts["test"] == 60
            manifest = days.context.catalog.current(days.context.catalog.folder(result["manifest"]))
            assert manifest is not None
            assert not days.context.catalog.damaged(manifest)


def test_killed_at_its_first_file_and_retried_every_step_gives_the_same_bytes(
    make_days: Callable[[], Days], start: Callable[..., subprocess.Popen[str]]
) -> None:
    undisturbed, killed = make_days(), make_days()
    for step, folder in zip(STEPS, (f"staging/docs/{DAY}/", f"dataset/docs/{DAY}/", "snapshots/docs/"), strict=True):
        manifests = []
        for days in (undisturbed, killed):
            if step[0] == "split":
                days.clean(DAY, texts(3000), rejected=["http://bad"])
            store = days.context.store
            if days is killed:
                process = start(store, *step)
                deadline = time.monotonic() + 60
                while not any(store.list(folder)) and process.poll() is None:
                    assert time.monotonic() < deadline
                process.send_signal(signal.SIGKILL)
                process.communicate()
            code, result = ended(start(store, *step))
            assert code == 0
            manifest = days.context.catalog.current(days.context.catalog.folder(result["manifest"]))
            assert manifest is not None
            manifests.append(manifest)
        assert manifests[0].digest() == manifests[1].digest(), step


def test_a_published_object_altered_on_the_server_is_found_by_the_next_step(
    make_days: Callable[[], Days], start: Callable[..., subprocess.Popen[str]]
) -> None:
    days = make_days()
    days.publish(DAY, *texts(20))
    published = days.context.catalog.current(f"dataset/docs/{DAY}")
    assert published is not None
    entry = published.files[0]
    data = bytearray(days.context.store.read(entry.key))
    data[10] ^= 1
    days.context.store.write(entry.key, bytes(data))
    code, result = ended(start(days.context.store, "snapshot"))
    assert code == 1
    assert result["error"]["type"] == "Corrupt"
    assert f"run `nightshift upload --corpus docs --partition {DAY}` again" in result["error"]["message"]
    code, result = ended(start(days.context.store, "upload", "--partition", DAY))
    assert (code, result["noop"]) == (0, False)
    assert ended(start(days.context.store, "snapshot"))[0] == 0


@pytest.mark.parametrize(
    ("env", "code", "error"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, 2, "BadInput"),
        ({"AWS_ENDPOINT_URL": "down"}, 1, "StoreError"),
        ({"AWS_ACCESS_KEY_ID": ""}, 2, "BadInput"),
    ],
    ids=["wrong secret", "server down", "no credentials"],
)
def test_a_store_that_cannot_be_used_ends_the_step_with_the_code_that_decides_on_a_retry(
    make_days: Callable[[], Days],
    start: Callable[..., subprocess.Popen[str]],
    env: dict[str, str],
    code: int,
    error: str,
) -> None:
    store = make_days().context.store
    store.write("something", b"")
    if env.get("AWS_ENDPOINT_URL"):
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{pick()}"}
    started = time.monotonic()
    ending, result = ended(start(store, "split", "--partition", DAY, **env))
    assert (ending, result["error"]["type"]) == (code, error)
    assert time.monotonic() - started < 60


def test_nothing_there_is_bad_input_that_names_what_to_run(
    make_days: Callable[[], Days], start: Callable[..., subprocess.Popen[str]]
) -> None:
    store = make_days().context.store
    for step, first in zip(STEPS, ("nightshift dedup", "nightshift split", "run its ingest first"), strict=True):
        code, result = ended(start(store, *step))
        assert (code, result["error"]["type"]) == (BadInput.exit_code, "BadInput")
        assert first in result["error"]["message"]
