"""Seconds of the whole chain under the real scheduler, and what each task of it costs beside its work.

    python -m tests.benchmarks.bench_chain

Runs the demo twice in a folder of its own: from nothing, and once more when nothing changed. ``gap`` is the mean
time between the end of a task and the start of the one after it; ``noop`` the mean time of a task that finds
nothing to do: start of a process, imports, and the check of what it would read and write. Prints a table and
writes build/bench/chain.json.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

from containers.embedded.ports import hand_on, pick_many
from containers.embedded.render import ROOT
from containers.embedded.settings import PORTS

TARGET = ROOT / "build" / "bench" / "chain.json"
_TASKS = """
    SELECT run_id, task_id, map_index, start_date, end_date FROM task_instance
    WHERE state = 'success' AND start_date IS NOT NULL AND dag_id IN ('ingest_docs', 'retrain_docs')
    ORDER BY start_date
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = {"from nothing": _demo(Path(folder)), "unchanged": _demo(Path(folder))}
        tasks = _tasks(Path(folder) / "stack" / "airflow" / "airflow.db")
    runs = list(tasks.values())
    if len(runs) != 4:
        raise SystemExit(f"expected two ingests and two retrainings, found {len(runs)} runs")
    report["from nothing"]["tasks"] = _figures(runs[:2])
    report["unchanged"]["tasks"] = _figures(runs[2:])
    report["seconds"] = report["from nothing"]["seconds"]
    report["task_gap"] = report["from nothing"]["tasks"]["gap"]
    report["task_noop"] = report["unchanged"]["tasks"]["mean"]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    for name in ("from nothing", "unchanged"):
        figures = report[name]
        print(
            f"{name:14} {figures['seconds']:7.1f} s in all, {figures['wall']:7.1f} s with the stop of the stack; "
            f"{figures['tasks']['count']} tasks, {figures['tasks']['mean']:.2f} s each, "
            f"{figures['tasks']['gap']:.2f} s between two"
        )
    for name, seconds in sorted(report["from nothing"]["tasks"]["seconds"].items(), key=lambda item: -item[1])[:8]:
        print(f"  {name:20} {seconds:6.1f} s")


def _demo(folder: Path) -> dict[str, Any]:
    ports = zip(PORTS.values(), hand_on(pick_many(len(PORTS))), strict=True)
    out = folder / "summary.json"
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "containers.embedded", "demo", f"--home={folder}/stack", f"--out={out}"],
        env={**os.environ, **{variable: str(port) for (variable, _), port in ports}, "KEEP": ""},
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return {"seconds": json.loads(out.read_text())["seconds"], "wall": round(time.monotonic() - started, 1)}


def _tasks(database: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Name, start and end of the tasks of each run, in the order of the runs."""
    runs: dict[str, list[tuple[str, float, float]]] = {}
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        for run, task, index, start, end in connection.execute(_TASKS):
            name = task if index < 0 else f"{task}[{index}]"
            begun, ended = (datetime.fromisoformat(each).timestamp() for each in (start, end))
            runs.setdefault(run, []).append((name, begun, ended))
    return runs


def _figures(runs: list[list[tuple[str, float, float]]]) -> dict[str, Any]:
    gaps = []
    for tasks in runs:
        reached = tasks[0][1]
        for _, begun, ended in tasks:
            if begun > reached:
                gaps.append(begun - reached)
            reached = max(reached, ended)
    seconds = {name: round(ended - begun, 2) for tasks in runs for name, begun, ended in tasks}
    return {
        "count": len(seconds),
        "mean": round(mean(seconds.values()), 2),
        "gap": round(mean(gaps), 2) if gaps else 0.0,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
