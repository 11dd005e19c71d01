"""Processes that go through inputs and may die of one: each death is a finding, and the rest goes on."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import resource
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANG = 20.0
"""Processor seconds of one input after which its process is ended."""
MEMORY = 4 << 30
"""Address space of a process beside what it begins with; one input that wants it all is a finding."""
GROWTH = 128 << 20
"""Bytes by which a process may grow between a tenth of its inputs and their end."""

_STATE = struct.Struct("<qqq")
_LOOK = 256
Attempt = Callable[[int], Iterator[str]]
Told = Callable[[list[range], list[str]], None]


@dataclass(frozen=True, slots=True)
class Span:
    """The inputs of one worker."""

    first: int
    end: int


def run(first: int, count: int, workers: int, attempt: Attempt, told: Told = lambda done, findings: None) -> list[str]:
    """Findings over inputs ``first`` to ``first + count``; ``told`` hears now and then which are done."""
    context = multiprocessing.get_context("fork")
    share = -(-count // workers)
    spans = [Span(start, min(start + share, first + count)) for start in range(first, first + count, share)]
    with tempfile.TemporaryFile() as file:
        file.truncate(_STATE.size * len(spans))
        state = mmap.mmap(file.fileno(), 0)
        queue: Any = context.SimpleQueue()
        findings: list[str] = []
        for place, span in enumerate(spans):
            _STATE.pack_into(state, place * _STATE.size, span.first, 0, 0)
        alive = {place: _start(context, place, span, state, attempt, queue) for place, span in enumerate(spans)}
        while alive:
            for place, process in list(alive.items()):
                process.join(0.2)
                while not queue.empty():
                    findings.append(queue.get())
                if process.exitcode is None:
                    continue
                del alive[place]
                at, _, _ = _STATE.unpack_from(state, place * _STATE.size)
                if process.exitcode and at < spans[place].end:
                    findings.append(f"input {at}: {_death(process.exitcode)}")
                    rest = Span(at + 1, spans[place].end)
                    alive[place] = _start(context, place, rest, state, attempt, queue)
            ends = [_STATE.unpack_from(state, place * _STATE.size)[0] for place in range(len(spans))]
            told([range(span.first, end) for span, end in zip(spans, ends, strict=True)], findings)
        for place, span in enumerate(spans):
            _, early, late = _STATE.unpack_from(state, place * _STATE.size)
            if early and late - early > GROWTH:
                grown = (late - early) >> 20
                findings.append(f"inputs {span.first} to {span.end}: memory grew by {grown} MiB, to {late >> 20} MiB")
    return findings


def _start(context: Any, place: int, span: Span, state: mmap.mmap, attempt: Attempt, queue: Any) -> Any:
    def work() -> None:
        limit()
        early = 0
        for number in range(span.first, span.end):
            _STATE.pack_into(state, place * _STATE.size, number, early, resident() if number % _LOOK == 0 else _late())
            begin()
            for finding in attempt(number):
                queue.put(f"input {number}: {finding}")
            if number == span.first + (span.end - span.first) // 10:
                early = resident()
        _STATE.pack_into(state, place * _STATE.size, span.end, early, resident())

    def _late() -> int:
        late: int = _STATE.unpack_from(state, place * _STATE.size)[2]
        return late

    process = context.Process(target=work)
    process.start()
    return process


def limit() -> None:
    """Of this process: ``MEMORY`` beyond what it began with and no more, and no core file of what it dies of."""
    most = _pages(0) + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def begin() -> None:
    """An input begins: ``HANG`` processor seconds from here the system ends the process, whatever it is in."""
    signal.setitimer(signal.ITIMER_PROF, HANG)


def resident() -> int:
    """Bytes of memory that this process holds."""
    return _pages(1)


def _pages(column: int) -> int:
    return int(Path("/proc/self/statm").read_text().split()[column]) * os.sysconf("SC_PAGE_SIZE")


def _death(code: int) -> str:
    if code == -signal.SIGPROF:
        return f"more than {HANG:g} s of processor time"
    return f"the process ended with {code}"
