"""``make demo`` as a user runs it: on its own, interrupted, killed, the same day again, and beside ``make up``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from containers.embedded.ports import hand_on, pick_many
from containers.embedded.settings import PORTS
from containers.embedded.stack import BACKUP, STORE, Stack
from tasks.backups.vault import Vault
from tasks.catalog import Catalog
from tasks.model_registry import Registry
from tasks.store import open_store

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


class Demo:
    """The commands of the stack in a folder of its own, their output in one file a call."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.home = folder / "stack"
        self.summary_file = folder / "summary.json"
        self._folder = folder
        self._calls = 0
        ports = zip(PORTS.values(), hand_on(pick_many(len(PORTS))), strict=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "NIGHTSHIFT_"))}
        self._env = {**kept, **{variable: str(port) for (variable, _), port in ports}, **environment}

    def start(self, command: str, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command as a shell would, in a process group of its own."""
        self._calls += 1
        said = self._folder / f"{self._calls}-{command}.txt"
        with said.open("wb") as out:
            arguments = [sys.executable, "-m", "containers.embedded", command, f"--home={self.home}", *options]
            process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env=self._env,
                stdout=out,
                stderr=out,
                start_new_session=True,
                # A shell that runs the tests in the background has them ignore Ctrl-C; a user's demo does not.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        return process, said

    def demo(self) -> tuple[subprocess.Popen[bytes], Path]:
        return self.start("demo", f"--out={self.summary_file}")

    def call(self, command: str, *options: str, seconds: float = 600) -> str:
        """Run a command to its good end; what it said."""
        process, said = self.start(command, *options)
        code = process.wait(seconds)
        assert code == 0, f"{command} ended with {code}:\n{said.read_text()}"
        return said.read_text()

    def summary(self) -> Any:
        return json.loads(self.summary_file.read_text())

    def processes(self) -> list[str]:
        """Command lines of all processes that have to do with this stack."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes()
                    about = words + (entry / "environ").read_bytes()
                except OSError:
                    continue
                if str(self.home).encode() in about and words:
                    found.append(f"{entry.name} {words.replace(bytes(1), b' ').decode(errors='replace')}")
        return found


def wait(condition: Callable[[], object], what: Callable[[], str], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


def said_soon(said: Path, words: str, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    """Wait until a command has said something."""

    def is_said() -> bool:
        if words in said.read_text():
            return True
        assert process.poll() is None, f"ended before {words!r}:\n{said.read_text()}"
        return False

    wait(is_said, lambda: f"not within {seconds:.0f} s: {words!r} in:\n{said.read_text()}", seconds)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    subprocess.run([sys.executable, "-m", "containers.embedded", "down", f"--home={demo.home}"], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def killed(place: Demo) -> Demo:
    """After a demo that was killed while the chain was at work, and all that it left has ended."""
    process, said = place.demo()
    said_soon(said, "crawl ", process)
    process.kill()
    process.wait()
    wait(lambda: not place.processes(), lambda: f"left behind: {place.processes()}", 30)
    return place


@pytest.fixture(scope="module")
def done(killed: Demo) -> tuple[Demo, str]:
    """The demo after it, to its end, and what it said."""
    return killed, killed.call("demo", f"--out={killed.summary_file}")


def test_kill_9_of_the_demo_leaves_no_process(killed: Demo) -> None:
    assert killed.processes() == []


def test_the_demo_after_a_kill_goes_on_to_a_champion(done: tuple[Demo, str]) -> None:
    place, said = done
    assert "that was interrupted goes on" in said
    summary = place.summary()
    assert summary["champion"]["version"] == 1
    assert summary["champion"]["metrics"]["validation"]["accuracy"] > 0.6
    assert summary["backup"]["verified"] is True
    assert [stage for stage, verdict in summary["gates"].items() if not verdict["passed"]] == []
    assert list(summary["gates"]) == ["raw", "clean", "splits", "features", "model"]
    documents = summary["documents"]
    assert documents["in"] == documents["kept"] + sum(documents["rejected"].values()) > 400
    assert summary["partition"] == datetime.now(UTC).date().isoformat()
    assert 0 < summary["seconds"] < 600
    assert "sklearn, with confidence" in said, "the champion names the library of a page"
    rate = r"\d+ documents \(\d+/s\)"
    # The kill may have come after the crawl's manifest and before the end of its task, which then has nothing to do.
    for step, told in (("crawl", rf"({rate}|unchanged; \d+ documents)"), (r"clean\[0\]", rate), ("dedup", rate)):
        assert re.search(rf"✓ {step} +\d+\.\d s  {told}", said), f"no rate of {step}:\n{said}"
    unfolded = "".join(said.split())  # where the terminal is narrow, an address takes several lines
    for address in (*summary["report"], summary["champion"]["model"], summary["backup"]["url"], summary["web_ui"]):
        assert address in unfolded, said
    assert place.processes() == []


def test_a_second_demo_changes_nothing_and_says_so_also_beside_a_running_stack(done: tuple[Demo, str]) -> None:
    place, _ = done
    before = place.summary()
    try:
        assert "Airflow" in place.call("up")
        said = place.call("demo", f"--out={place.summary_file}")
        assert "every step was a no-op" in said
        assert "The stack stays up" in said
        after = place.summary()
        assert after["noop"] is True
        assert after["champion"] == before["champion"]
        assert after["documents"] == before["documents"]
        assert "the stack is run by" not in place.call("up"), "up twice is up"
        _agrees_with_the_store(place, after)
    finally:
        assert "is stopped" in place.call("down")
    assert place.processes() == []
    assert "is not running" in place.call("down")


def test_ctrl_c_ends_the_demo_and_all_its_processes(done: tuple[Demo, str]) -> None:
    place, _ = done
    process, said = place.demo()
    said_soon(said, "ingest_docs", process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130, said.read_text()
    assert "Interrupted" in said.read_text()
    assert place.processes() == []


def test_a_demo_that_fails_says_why_and_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    corpus = (ROOT / "dags" / "corpora" / "docs.yaml").read_text()
    assert "min_documents: 100," in corpus
    (tmp_path / "corpora" / "docs.yaml").write_text(corpus.replace("min_documents: 100,", "min_documents: 100000,"))
    place = Demo(tmp_path, NIGHTSHIFT_CORPORA=str(tmp_path / "corpora"))
    process, said = place.demo()
    assert process.wait(600) == 1, said.read_text()
    assert "ingest_docs failed" in said.read_text()
    assert "gate_raw, attempt 1" in said.read_text()
    assert "100000" in said.read_text(), "the expectation that failed, with its threshold"
    (log,) = [Path(line.split("The whole log: ")[1]) for line in said.read_text().splitlines() if "whole log" in line]
    assert (ROOT / log).exists()
    assert not place.summary_file.exists()
    assert place.processes() == []


def _agrees_with_the_store(place: Demo, summary: Any) -> None:
    stack = Stack(place.home)
    store, backup = (open_store(url, stack.environment) for url in (STORE, BACKUP))
    champion = Registry(Catalog(store), "docs").champion()
    assert champion is not None
    assert champion.version == summary["champion"]["version"]
    assert champion.metrics["test"]["macro_f1"] == summary["champion"]["metrics"]["test"]["macro_f1"]
    (copy,), bad = Vault(backup, "docs").backups()
    assert bad == []
    assert backup.url_of(f"{copy.folder}/_manifest.json") == summary["backup"]["url"]
