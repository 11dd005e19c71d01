"""A step as Airflow runs it: by its command, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tasks.step import Context
from tests.gang.gang import ROOT


def counts_of(folder: Path, context: Context, step: str, *options: str, **sections: Any) -> tuple[dict[str, Any], str]:
    """What the step counts on snapshot ``aaaa…`` of the store of ``context``, and its log. ``folder`` is an empty one;
    ``sections`` are those of the corpus YAML."""
    source = {"live": {"files": {"path": "/nowhere/*.jsonl"}}}
    (folder / "docs.yaml").write_text(yaml.safe_dump({"corpus": "docs", "source": source, **sections}))
    (folder / "scratch").mkdir()
    command = [step, f"--corpus={folder / 'docs.yaml'}", f"--snapshot={'a' * 16}", "--json", *options]
    ended = subprocess.run(
        [sys.executable, "-c", "from tasks.cli import main; main()", *command],
        env={
            **os.environ,
            "NIGHTSHIFT_STORE": context.store.url,
            "NIGHTSHIFT_CPUS": "1",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "scratch"),
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    counts: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])["counts"]
    return counts, ended.stderr
