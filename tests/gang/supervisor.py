"""One real supervisor as a process: ``NIGHTSHIFT_GANG`` (JSON) says which; ends as ``nightshift train`` does."""

from __future__ import annotations

import json
import os
import sys
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


def main() -> int:
    gang = json.loads(os.environ["NIGHTSHIFT_GANG"])
    try:
        payload = supervise(
            gang["worker"],
            parse(gang["peers"]),
            Identity.from_json(gang["identity"]),
            [sys.executable, "-S", "-m", "tests.gang.child"],
            os.environ,
            Timing(**gang["timing"]),
            Log(),  # type: ignore[arg-type]
        )
    except NightshiftError as error:
        print(json.dumps({"error": {"type": type(error).__name__, "message": str(error)}}))
        return error.exit_code
    print(json.dumps(payload))
    return 0


if __name__ == "__main__":
    sys.exit(main())
