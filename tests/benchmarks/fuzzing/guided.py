"""Inputs that a coverage-guided fuzzer (atheris) chooses, in a process of its own.

    python -m tests.benchmarks.fuzzing.guided STATE -runs=N [libFuzzer's options] CORPUS

Counts its inputs and its memory into the file STATE, and ends at the first finding: libFuzzer then keeps the input.
"""

from __future__ import annotations

import mmap
import struct
import sys
from pathlib import Path

from tests.benchmarks.fuzzing.shares import KINDS

STATE = struct.Struct(f"<{2 + len(KINDS)}q")
"""Bytes of memory after a tenth of the inputs asked for, and now; inputs of each kind."""
_LOOK = 64
_PAGE = (
    "<title>t</title><article>"
    + "<p>The train left at ten, and nobody on the platform waved to it, as it was dark.</p>" * 9
).encode()


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["tasks", "trafilatura", "justext", "htmldate", "courlan", "PIL"]):
        from tests.benchmarks.fuzzing import inputs, subject, workers

        for mode in sorted(inputs.MODES):  # what is imported late is instrumented too
            for turn in range(len(subject.names())):
                list(subject.tried(inputs.Input("page", mode, turn, _PAGE)))
        for number in range(0, 1024):
            if (given := inputs.Input.numbered(number)).kind in ("image", "archive", "rows"):
                list(subject.tried(given))
    with Path(sys.argv[1]).open("r+b") as file:
        state = mmap.mmap(file.fileno(), 0)
    _, _, *counts = STATE.unpack_from(state)
    runs = next(int(word.partition("=")[2]) for word in sys.argv if word.startswith("-runs="))
    count = early = 0

    def one(data: bytes) -> None:
        nonlocal count, early
        given = inputs.Input.of(data)
        for finding in subject.tried(given):
            raise AssertionError(finding)
        count += 1
        counts[KINDS.index(given.kind)] += 1
        if count % _LOOK == 0 or count == runs:
            late = workers.resident()
            early = early or (late if count > runs // 10 else 0)
            STATE.pack_into(state, 0, early, late, *counts)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
