"""kill -9 in every step of the chain, then a retry: the store ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tasks.catalog import Catalog
from tasks.store import open_store

pytestmark = pytest.mark.e2e

NIGHTSHIFT = Path(sys.executable).with_name("nightshift")
DAY = "2026-11-01"
DEADLINE = 120.0
HEAVY = {
    *("crawl", "clean", "dedup", "split", "upload", "snapshot", "prepare"),
    *("train", "merge", "evaluate", "promote", "backup"),
}
"""Steps that write more than one object: they are always caught between the first and the second."""

STOPS = """
import os, signal, sys

def stop(event, arguments, seen=[]):
    if event in ("os.rename", "os.link") and "/.writing-" in str(arguments[0]):
        seen.append(str(arguments[1]))
        if len(seen) == 2 and seen[1].startswith(ROOT):
            os.kill(os.getpid(), signal.SIGSTOP)

sys.addaudithook(stop)
"""
"""Loaded by Python as it starts: the process stops itself with one object of the store in place, and the next
one written but not yet there."""


class Place:
    """One store, one backup, one corpus: where a chain runs."""

    def __init__(self, root: Path, corpus: Path) -> None:
        self.corpus = corpus
        self.store = root / "store"
        self.backup = root / "backup"
        self.killed: list[str] = []
        self.ended: list[str] = []
        """The steps that were killed, and those that ended before they could be."""
        self.stops = root / "stops"
        self.stops.mkdir()
        (self.stops / "sitecustomize.py").write_text(f"ROOT = {str(root)!r}\n{STOPS}")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTSHIFT_", "MLFLOW_", "AIRFLOW_"))}
        self.environment = {
            **kept,
            "NIGHTSHIFT_STORE": f"file://{self.store}",
            "NIGHTSHIFT_BACKUP": f"file://{self.backup}",
        }

    def start(self, step: Sequence[str], **more: str) -> subprocess.Popen[str]:
        command = [str(NIGHTSHIFT), *step, f"--corpus={self.corpus}", "--json"]
        return subprocess.Popen(
            command, env=self.environment | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, step: Sequence[str]) -> str:
        """Run a step to its end; returns the URL of its manifest."""
        process = self.start(step)
        out, err = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, f"{step}: {err[-2000:]}"
        return str(json.loads(out.splitlines()[-1])["manifest"])

    def run_but_kill_once(self, step: Sequence[str]) -> str:
        """Kill the step between its first object and its second, then run it again."""
        process = self.start(step, PYTHONPATH=str(self.stops))
        try:
            self._await_stop(process.pid)
        finally:
            process.kill()
            process.communicate()
        if process.returncode == -signal.SIGKILL:
            self.killed.append(step[0])
        else:  # it has but one object to write, the manifest, and was done with that
            assert process.returncode == 0, step
            self.ended.append(step[0])
        return self.run(step)

    def _await_stop(self, process: int) -> None:
        """Wait until a process has stopped itself, or ended."""
        deadline = time.monotonic() + DEADLINE
        while os.waitid(os.P_PID, process, os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            assert time.monotonic() < deadline, "the step neither wrote nor ended"
            time.sleep(0.01)

    def outcome(self) -> dict[str, tuple[str, list[tuple[str, str]]]]:
        """Of each committed folder: the manifest's digest, and its files' roles and checksums."""
        catalog = Catalog(open_store(f"file://{self.store}", {}))
        found = {}
        for path in sorted(self.store.rglob("_manifest.json")):
            folder = path.parent.relative_to(self.store).as_posix()
            manifest = catalog.current(folder)
            assert manifest is not None
            assert not catalog.damaged(manifest), folder
            found[folder] = (manifest.digest(), [(entry.role, entry.sha256) for entry in manifest.files])
        return found


def chain(
    run: Callable[[Sequence[str]], str],
    ingest: Callable[[str], list[Sequence[str]]],
    retrain: Callable[[str], list[Sequence[str]]],
) -> None:
    for step in ingest(DAY):
        run(step)
    snapshot = run(("snapshot",))
    for step in retrain(snapshot):
        run(step)


@pytest.mark.timeout(1500)
def test_a_chain_killed_in_each_step_and_retried_gives_the_same_store(
    tmp_path: Path,
    write_day: Callable[..., None],
    archive_corpus: Callable[..., Path],
    ingest_steps: Callable[[str], list[Sequence[str]]],
    retrain_steps: Callable[[str], list[Sequence[str]]],
) -> None:
    write_day(tmp_path / "archive", DAY, pages=48)
    place = Place(tmp_path, archive_corpus(tmp_path, "killed", tmp_path / "archive"))
    chain(place.run, ingest_steps, retrain_steps)
    undisturbed = place.outcome()
    # The same place for both: the pages of the gates name the store that they are about.
    shutil.rmtree(place.store)
    shutil.rmtree(place.backup)
    chain(place.run_but_kill_once, ingest_steps, retrain_steps)
    print("killed:", *place.killed, "\nended by themselves:", *place.ended)
    assert set(place.killed) >= HEAVY
    assert not HEAVY & set(place.ended)
    assert place.outcome() == undisturbed
