"""A real disk that is full in the middle of a step: it says so, nothing is lost, and room makes the same bytes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tasks.catalog import Manifest
from tasks.clean import clean
from tasks.config import Corpus
from tasks.step import Context, Shard
from tasks.store import Store, open_store
from tests.conftest import CORPUS
from tests.integration.test_clean_steps import DAY, Warc, commit_raw, current

pytestmark = pytest.mark.integration

PAGES = 60


@pytest.fixture
def own_disk() -> Callable[..., list[str]]:
    """``own_disk(folder, kilobytes)``: what to put before a command for which ``folder`` is a disk of that size."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives nobody but root a mount namespace")

    def before(folder: Path, kilobytes: int, bring: str = "true", take: str = "true") -> list[str]:
        mount = f"mount -t tmpfs -o size={kilobytes}k tmpfs {shlex.quote(str(folder))}"
        return ["unshare", "-rm", "sh", "-c", f'{mount} && {bring} && {{ "$@"; code=$?; {take}; exit $code; }}', "sh"]

    return before


@pytest.fixture
def raw(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path) -> Context:
    warc = Warc(tmp_path / "pages.warc.gz")
    for number in range(PAGES):
        text = "".join(f"<p>{number} {(number * 7919 + i) * 104729 % 1_000_003} is a number.</p>" for i in range(400))
        warc.page(f"http://numbers/{number}", f"<article>{text}</article>")
    context = make_context(make_corpus())
    commit_raw(context, warc.close())
    return context


def command(folder: Path, store: Store) -> list[str]:
    folder.mkdir(exist_ok=True)
    (folder / "docs.yaml").write_text(yaml.safe_dump(CORPUS))
    program = "from tasks.cli import main; main()"
    given = ["--corpus", str(folder / "docs.yaml"), "--partition", DAY, "--shard", "0/1", "--store", store.url]
    return [sys.executable, "-c", program, "clean", *given, "--json"]


def made(context: Context) -> Manifest:
    return current(context, clean(context, DAY, Shard(0, 1)).manifest)


def test_a_full_scratch_disk_is_named_and_room_makes_the_same_bytes(
    raw: Context, own_disk: Callable[..., list[str]], make_context: Callable[..., Context], tmp_path: Path
) -> None:
    scratch, call = tmp_path / "scratch", command(tmp_path / "corpora", raw.store)
    scratch.mkdir()
    before = {info.key for info in raw.store.list("")}
    undisturbed = make_context(raw.corpus, store=open_store(f"file://{tmp_path}/undisturbed", {}))
    commit_raw(undisturbed, tmp_path / "pages.warc.gz")
    expected = made(undisturbed)
    size = sum(entry.size for entry in expected.files) // 1024
    # Full from the start, as pages are written, and as the files are finished.
    for kilobytes in (4, size // 2, size - 8):
        env = os.environ | {"TMPDIR": str(scratch)}
        done = subprocess.run(
            [*own_disk(scratch, kilobytes, take=f"ls -A {scratch} >&2"), *call],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1, (kilobytes, done.stdout, done.stderr)
        said = json.loads(done.stdout.splitlines()[-1])["error"]
        assert said["type"] == "DiskFull"
        assert f"no room is left on the disk of {scratch}" in said["message"]
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("DiskFull: ")  # behind it `ls` found nothing left over
        assert {info.key for info in raw.store.list("")} == before
    assert made(raw).digest() == expected.digest()


def test_a_full_store_is_named_and_keeps_what_it_has(
    raw: Context, own_disk: Callable[..., list[str]], tmp_path: Path
) -> None:
    full, kept = tmp_path / "full", tmp_path / "kept"
    full.mkdir()
    store = open_store(f"file://{full}", {})
    size = sum(info.size for info in raw.store.list("")) // 1024
    root = raw.store.url.removeprefix("file://")
    done = subprocess.run(
        [
            *own_disk(full, size + 60, bring=f"cp -a {root}/. {full}", take=f"cp -a {full} {kept}"),
            *command(tmp_path / "corpora", store),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    said = json.loads(done.stdout.splitlines()[-1])["error"]
    assert said["type"] == "StoreError"
    assert f"cannot write {store.url}/clean/docs/{DAY}" in said["message"]
    assert "No space left on device" in said["message"]
    # All that was there is, and nothing half written can be seen.
    before = {info.key: raw.store.sha256(info.key) for info in raw.store.list("")}
    after = open_store(f"file://{kept}", {})
    assert {info.key: after.sha256(info.key) for info in after.list("")} == before
