"""From rows to a champion, its backup, its loss and its return: the real steps and commands over S3."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tasks.catalog import Catalog
from tasks.clean import clean_all
from tasks.combine import combine
from tasks.config import load_corpus
from tasks.crawl import crawl
from tasks.dedup import dedup
from tasks.evaluate import evaluate, evaluate_part
from tasks.gate import gate
from tasks.merge import merge
from tasks.prepare import prepare
from tasks.snapshot import snapshot
from tasks.split import split
from tasks.step import Context
from tasks.store import Store, open_store
from tasks.train import train
from tasks.training.work import open_training
from tasks.upload import upload

pytestmark = pytest.mark.integration

NIGHTSHIFT = str(Path(sys.executable).with_name("nightshift"))
DAY = "2026-11-20"
WORDS = {"sea": ["wave", "salt", "harbour", "tide"], "hill": ["slope", "stone", "meadow", "summit"]}


class Shell:
    """``nightshift`` as a person runs it, over one corpus file."""

    def __init__(self, file: Path, env: dict[str, str]) -> None:
        self._file, self._env = file, env

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The result on the last line; fails unless the command exits with ``code``."""
        command = [NIGHTSHIFT, *arguments, "--corpus", str(self._file), "--json"]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A corpus file over rows that it finds beside it."""
    chance = random.Random(0)
    rows = [
        {
            "id": f"{label}-{i}",
            "text": " ".join(chance.choices(words, k=6) + chance.choices(["the", "and", "of", "with"], k=30)),
            "label": label,
        }
        for label, words in WORDS.items()
        for i in range(80)
    ]
    chance.shuffle(rows)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"files": {"path": str(tmp_path / "rows.jsonl"), "columns": {"label": "label"}}}
    path = tmp_path / "docs.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "corpus": "docs",
                "source": {"live": source, "history": source},
                "split": {"strategy": "hash", "ratios": {"train": 0.6, "validation": 0.2, "test": 0.2}},
                "train": {"recipe": {"tfidf_forest": {"trees": 10, "min_df": 1}}, "shards": 2, "near": None},
            }
        )
    )
    return path


@pytest.fixture
def context(make_context: Callable[..., Context], s3_store: Store, file: Path) -> Context:
    return make_context(load_corpus(file, {}), store=s3_store)


@pytest.fixture
def elsewhere(s3_env: dict[str, str]) -> Callable[[], Store]:
    """Each call: another empty bucket."""
    return lambda: open_store(f"s3://test-{uuid.uuid4().hex[:12]}", s3_env)


def trained(context: Context) -> str:
    """The whole way from rows to a judged candidate; the snapshot's id."""
    crawl(context, DAY, today=date.fromisoformat(DAY))
    clean_all(context, DAY)
    for step in (dedup, split, upload):
        step(context, DAY)
    training = open_training(context, snapshot(context).manifest)
    for shard in training.shards:
        prepare(context, training, shard)
    combine(context, training)
    for shard in training.shards:
        train(context, training, shard)
        evaluate_part(context, training, shard)
    merge(context, training)
    evaluate(context, training, datetime.now(UTC))
    gate(context, "model", partition=None, snapshot=training.snapshot_id)
    return training.snapshot_id


def test_a_champion_is_lost_with_its_store_and_comes_back_predicting_the_same(
    context: Context, file: Path, elsewhere: Callable[[], Store], s3_env: dict[str, str], tmp_path: Path
) -> None:
    vault, empty = elsewhere(), elsewhere()
    env = {**s3_env, "NIGHTSHIFT_STORE": context.store.url, "NIGHTSHIFT_BACKUP": vault.url}
    shell = Shell(file, env)
    which = trained(context)

    promoted = shell.run("promote", "--snapshot", which, "--by", "test")
    assert promoted["counts"]["version"] == 1 and promoted["counts"]["accuracy"] > 0.9
    assert snapshot(context).counts["settled"] is None  # not yet backed up

    done = shell.run("backup")
    assert done["counts"]["verified"] is True and done["counts"]["copied"] == done["counts"]["files"] > 10
    assert shell.run("backup")["noop"] is True
    assert shell.run("backup", "--verify")["noop"] is True
    assert str(snapshot(context).counts["settled"]).startswith("promoted as version 1 and backed up at s3://")

    drill = shell.run("restore", "--drill")
    assert drill["message"].endswith("scores as it was recorded")
    assert drill["counts"]["test_rows"] > 10

    scores = shell.run("predict", "--partition", DAY)
    assert scores["counts"]["documents"] == 160
    rows = str(tmp_path / "rows.jsonl")
    shell.run("predict", "--input", rows, "--output", str(tmp_path / "before"), "--workers", "1")

    for info in list(context.store.list("")):
        context.store.delete(info.key)
    assert shell.run("predict", "--partition", DAY, code=2)["error"]["type"] == "BadInput"

    restored = shell.run("restore", "--from", vault.url, "--store", empty.url)
    assert restored["counts"]["version"] == 1 and restored["counts"]["written"] > 10
    after = Shell(file, {**env, "NIGHTSHIFT_STORE": empty.url})
    after.run("predict", "--input", rows, "--output", str(tmp_path / "after"), "--workers", "1")
    before = pq.read_table(tmp_path / "before" / "predictions.parquet")
    assert pq.read_table(tmp_path / "after" / "predictions.parquet").equals(before, check_metadata=True)
    assert before.num_rows == 160

    # The new home goes on: the same data is settled, nothing is trained again.
    home = Context(context.corpus, empty, Catalog(empty), context.log)
    again = snapshot(home)
    assert again.noop and str(again.counts["settled"]).startswith("promoted as version 1")
    assert after.run("restore", "--from", vault.url)["noop"] is True


def test_rot_in_the_vault_is_named_by_drill_and_restore_and_mended_by_a_backup(
    context: Context, file: Path, elsewhere: Callable[[], Store], s3_env: dict[str, str]
) -> None:
    vault, empty = elsewhere(), elsewhere()
    shell = Shell(file, {**s3_env, "NIGHTSHIFT_STORE": context.store.url, "NIGHTSHIFT_BACKUP": vault.url})
    shell.run("promote", "--snapshot", trained(context))
    shell.run("backup")
    largest = max(vault.list("_objects/"), key=lambda info: info.size)
    vault.write(largest.key, b"rot")

    for arguments in (["restore", "--drill"], ["restore", "--store", empty.url]):
        error = shell.run(*arguments, code=1)["error"]
        assert error["type"] == "Corrupt" and largest.key in error["message"]
    assert list(empty.list("")) == []

    mended = shell.run("backup", "--verify")
    assert (mended["noop"], mended["counts"]["copied"]) == (False, 1)
    assert shell.run("restore", "--drill")["noop"] is False


def test_the_store_itself_is_no_backup_of_it(context: Context, file: Path, s3_env: dict[str, str]) -> None:
    inside = f"{context.store.url}/backup"
    error = Shell(file, {**s3_env, "NIGHTSHIFT_STORE": context.store.url}).run("backup", "--backup", inside, code=2)
    assert "a backup must survive the loss of what it backs up" in error["error"]["message"]
