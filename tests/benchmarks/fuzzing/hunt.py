"""Lets a coverage-guided fuzzer hunt, and starts it again when an input ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.fuzzing.guided import STATE
from tests.benchmarks.fuzzing.inputs import PIECES, Input
from tests.benchmarks.fuzzing.shares import KINDS
from tests.benchmarks.fuzzing.workers import GROWTH, MEMORY

ROOT = Path(__file__).parents[3]
ATHERIS = ROOT / "build" / "fuzz" / "atheris"
_SEEDS = 400
_LONGEST = 4096
_SECONDS = 60
"""By the clock: libFuzzer's measure of a hang. What takes a second of the processor is a finding before."""
_DEATHS = 100
Told = Callable[[Counter[str], list[str]], None]


def hunt(count: int, folder: Path, told: Told, *, atheris: Path = ATHERIS) -> list[str]:
    """Findings over ``count`` inputs; ``folder`` keeps what is worth trying next time, and the inputs found.

    Raises:
        RuntimeError: the fuzzer does not start, or ends again and again.
    """
    corpus, found = folder / "corpus", folder / "findings"
    for each in (corpus, found):
        each.mkdir(parents=True, exist_ok=True)
    for number in range(_SEEDS):
        (corpus / f"seed-{number:04}").write_bytes(Input.numbered(number).packed()[:_LONGEST])
    (folder / "words.dict").write_text("".join(f"{_escaped(piece)}\n" for piece in PIECES if len(piece) < 60))
    state = folder / "state"
    state.write_bytes(bytes(STATE.size))
    findings: list[str] = []
    for _ in range(_DEATHS):
        done = _done(state).total()
        if done >= count:
            return findings
        before = set(found.iterdir())
        code = _child(count - done, folder, told, findings, atheris)
        told(_done(state), findings)
        early, late, *_ = STATE.unpack(state.read_bytes())
        if early and late - early > GROWTH:
            findings.append(f"guided: memory grew by {(late - early) >> 20} MiB, to {late >> 20} MiB")
        new = sorted(set(found.iterdir()) - before)
        findings += [f"guided: {_said(folder)}: {path.relative_to(ROOT)}" for path in new]
        if code and not new and _done(state).total() == done:
            raise RuntimeError(f"the fuzzer ended with {code}; see {folder / 'log'}: {_said(folder)}")
        if code == 0:
            return findings
    raise RuntimeError(f"{_DEATHS} inputs ended the fuzzer; see {found}")


def _child(runs: int, folder: Path, told: Told, findings: list[str], atheris: Path) -> int:
    options = [
        *(
            f"-runs={runs}",
            f"-max_len={_LONGEST}",
            f"-timeout={_SECONDS}",
            f"-report_slow_units={_SECONDS}",
            f"-rss_limit_mb={MEMORY >> 20}",
        ),
        *(f"-dict={folder / 'words.dict'}", f"-artifact_prefix={folder / 'findings'}/", "-print_final_stats=1"),
    ]
    path = os.pathsep.join(filter(None, (str(atheris), str(ROOT), os.environ.get("PYTHONPATH"))))
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.fuzzing.guided", folder / "state", *options, folder / "corpus"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=log,
        )
        try:
            while True:
                try:
                    return child.wait(1)
                except subprocess.TimeoutExpired:
                    told(_done(folder / "state"), findings)
        finally:
            child.kill()
            child.wait()


def _done(state: Path) -> Counter[str]:
    """How many inputs of each kind."""
    _, _, *counts = STATE.unpack(state.read_bytes())
    return Counter(dict(zip(KINDS, counts, strict=True)))


def _said(folder: Path) -> str:
    """The error of the last child, as its log has it."""
    lines = (folder / "log").read_text(errors="replace").splitlines()[-200:]
    named = [line.strip() for line in lines if "Error" in line or "ERROR" in line]
    return named[-1][:300] if named else "\n".join(lines[-3:])[:300]


def _escaped(word: str) -> str:
    r"""A line of a libFuzzer dictionary: ASCII, all else as ``\xNN``."""
    plain = {*range(0x20, 0x7F)} - {*b'"\\'}
    return '"' + "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in word.encode()) + '"'
