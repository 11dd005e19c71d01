"""The local twin as a process: its arguments are the supervisors' commands (JSON) and its patience in seconds."""

from __future__ import annotations

import json
import os
import sys

from tasks.gang.twin import run_twin
from tests.gang.supervisor import Log, end_with

if __name__ == "__main__":
    commands, patience = json.loads(sys.argv[1]), float(sys.argv[2])
    sys.exit(end_with(lambda: run_twin(commands, os.environ, Log(), patience)))  # type: ignore[arg-type]
