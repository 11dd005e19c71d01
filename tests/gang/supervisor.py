"""One real supervisor as a process: its argument (JSON) says which; ends as ``nightshift train`` does."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks.errors import NightshiftError
from tasks.gang.identity import Identity
from tasks.gang.peers import parse
from tasks.gang.supervisor import supervise
from tasks.gang.timing import Timing


class Log:
    """As much of structlog as the supervisor uses: importing that takes longer than most of these tests."""

    def info(self, event: str, **values: Any) -> None:
        print(event, values, file=sys.stderr)

    warning = error = info


def names_from(file: Path) -> None:
    """Let names in .gang resolve once ``file`` is there: a headless Service without a cluster."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *rest: Any, **more: Any) -> Any:
        if str(host).endswith(".gang"):
            if not file.exists():
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return resolve(host, *rest, **more)

    socket.getaddrinfo = resolved  # type: ignore[assignment]


def main() -> int:
    gang = json.loads(sys.argv[1])
    names_from(Path(gang["names"]))
    return end_with(
        lambda: supervise(
            gang["worker"],
            parse(gang["peers"]),
            Identity.from_json(gang["identity"]),
            [sys.executable, "-S", "-m", "tests.gang.child"],
            os.environ,
            Timing(**gang["timing"]),
            Log(),  # type: ignore[arg-type]
            gang["replaceable"],
        )
    )


def end_with(work: Callable[[], Mapping[str, Any]]) -> int:
    """Print what ``work`` returns or raises, as ``tasks.command.finish`` does; returns the exit code."""
    try:
        payload = work()
    except NightshiftError as error:
        print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}))
        return error.exit_code
    print(json.dumps(payload))
    return 0


if __name__ == "__main__":
    sys.exit(main())
