"""The processes that touch pages: they may crash, hang or run out of memory, and cost one page.

One process loads the libraries and forks a child whenever it is asked to, so a child that died is
replaced within milliseconds. A child reads an Arrow stream of raw documents and writes one of
outcomes; the configuration comes as metadata of the incoming schema. ``tasks.cleaning.nursery`` starts
it as ``python -m tasks.cleaning.worker FD MODE``, where FD is the socket that requests come by, and MODE
the ``clean.extraction`` to be ready for.
"""

from __future__ import annotations

import mmap
import os
import resource
import signal
import socket
import struct
import sys
from datetime import UTC, datetime
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import BinaryIO, NoReturn

import pyarrow as pa

from tasks.cleaning.raw import Raw, batches
from tasks.cleaning.refine import Refiner
from tasks.config.clean import Clean
from tasks.kinds.base import kind_of

CONFIG = b"clean"
STATE = struct.Struct("<qq")
"""The row that a child is at, -1 between batches, and the most memory it has held, in bytes."""

NUMBER = struct.Struct("<q")
"""A request for the end of the child with this process id, or -1 for a new one; and the answer: the
child's exit code as ``subprocess`` has it, or the new process id."""

OUT_OF_MEMORY = 77
"""Exit code of a child that met its memory limit and could still say so."""


def main() -> None:
    """Fork children on request until nobody can ask any more."""
    # Ctrl-C, or a SIGTERM, reaches the whole process group; the parent decides what it means and closes the pipes.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.meta_path.insert(0, _NoPandas())
    _warm_up(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            message, pipes, _, _ = socket.recv_fds(requests, NUMBER.size, 4)
            if not message:
                return
            (pid,) = NUMBER.unpack(message)
            if pid >= 0:
                requests.sendall(NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
                continue
            pid = os.fork()
            if pid == 0:
                requests.close()
                _child(*pipes)
            for pipe in pipes:
                os.close(pipe)
            requests.sendall(NUMBER.pack(pid))


class _NoPandas(MetaPathFinder):
    """Arrow imports pandas, where it is installed, for the first list that it makes an array of: a second
    of processor time and 60 MB, for nothing that is needed here."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ImportError("pages are parsed without pandas")


_WARM = """<html><head><title>Warm</title></head><body><article>
<p>The first page that is read in this process is nobody's page, and nobody will ever read it again.</p>
<p>It has enough running text in it that every way of finding an article finds one here.</p>
<p>What it has to say is said in English, so that its language is known and its words are split.</p>
</article></body></html>"""


def _warm_up(extraction: str) -> None:
    """Load what children share, so that no page pays for it with its time or memory."""
    clean = Clean.model_validate({"extraction": extraction, "filters": ["gopher_repetition"]})
    page = Raw("", "", datetime.now(UTC), _WARM.encode(), "text/html")
    for batch in batches([page]):
        (outcome,) = Refiner(clean).batch(batch).to_pylist()
        if not outcome["language"]:
            said = ": ".join(filter(None, (outcome["reason"], outcome["value"], outcome["detail"])))
            raise RuntimeError(f"the page that a cleaning process begins with was not read: {said}")


def _child(incoming: int, outgoing: int, errors: int, state: int) -> NoReturn:
    """Refine batches until the incoming stream ends; never returns to the loop that forked it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What a library prints must not end up in the stream.
    for standard in (1, 2):
        os.dup2(errors, standard)
    try:
        with os.fdopen(incoming, "rb") as source, os.fdopen(outgoing, "wb") as target:
            _serve(source, target, mmap.mmap(state, STATE.size))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the parent is gone
    except BaseException:  # noqa: BLE001  # a fork must not go back into its parent's loop, whatever happens
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _serve(source: BinaryIO, target: BinaryIO, state: mmap.mmap) -> None:
    incoming = pa.ipc.open_stream(source)
    clean = Clean.model_validate_json(incoming.schema.metadata[CONFIG])
    refiner = kind_of(clean).refiner(clean)
    limit = clean.document_timeout.total_seconds()
    memory = 0

    def begin(row: int) -> None:
        STATE.pack_into(state, 0, row, memory)
        # Processor time of this process: a page is never rejected because the machine is busy. The signal's
        # default action ends the process in the kernel, whatever native code it is in.
        signal.setitimer(signal.ITIMER_PROF, limit)

    with pa.ipc.new_stream(target, refiner.schema) as outgoing:
        _bound_memory(clean.document_memory)
        for batch in incoming:
            result = refiner.batch(batch, begin)
            signal.setitimer(signal.ITIMER_PROF, 0)
            memory = peak_memory()
            STATE.pack_into(state, 0, -1, memory)
            outgoing.write_batch(result)
            target.flush()


def _bound_memory(allowance: int) -> None:
    """Let this process map ``allowance`` bytes more than it has."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    except OSError:
        return  # not Linux: the timeout alone protects there
    resource.setrlimit(resource.RLIMIT_AS, (mapped + allowance, mapped + allowance))


def peak_memory() -> int:
    """The most memory that this process has held since it started, in bytes."""
    try:
        # Not getrusage: a child's starts at what its parent held.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
