"""Workers that take each step together beside workers that go at their own pace: speed, staleness, quality.

    make bench-strategies, or python -m tests.benchmarks.bench_strategies [--rounds 3] [--workers 2]

The same documents, network, batches, rates and number of updates by `mirrored` and by `parameter_server`, right
after one another in each round; a figure is the median over the rounds. Once all workers are alike, and once a
process that never rests shares the last worker's core. Every worker computes with one thread and is pinned to a core;
chief and server share worker 0's. Prints a table and writes build/bench/strategies.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from tasks.training.curves import read_curves
from tests.benchmarks.training.gang import Gang
from tests.benchmarks.training.place import Place, Texts, publish

TARGET = Path("build/bench/strategies.json")
TEXTS = Texts(count=1200, words=120, vocabulary=500, held_out=0.2)
PARAMS = {
    "epochs": 3,
    "batch_size": 32,
    "max_tokens": 128,
    "dimension": 64,
    "filters": 128,
    "max_vocabulary": 600,
    "buckets": 16,
    "parts": False,
}
SPINNER = "while True: pass"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if (os.cpu_count() or 1) < arguments.workers:
        print(f"left out: {arguments.workers} workers need as many cores")
        return 0
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        report = measure(Path(folder), arguments.rounds, arguments.workers)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    return 0


def measure(folder: Path, rounds: int, workers: int) -> dict[str, Any]:
    """Median figures by scene and strategy, and each round's."""
    resources = {"workers": workers, "parameter_servers": 1, "checkpoints": {"every": "30s"}}
    data = publish(folder / "data", TEXTS, resources=resources)
    places = {
        strategy: data.copy(folder / strategy).ready(
            {"recipe": {"text_encoder": PARAMS}, "shards": workers, "strategy": strategy}
        )
        for strategy in ("mirrored", "parameter_server")
    }
    report: dict[str, Any] = {"rounds": rounds, "workers": workers, "params": PARAMS}
    for scene, slowed in (("alike", False), ("one worker slowed", True)):
        seen: dict[str, list[dict[str, float]]] = {strategy: [] for strategy in places}
        for number in range(rounds):
            for strategy, place in places.items():
                fresh = place.copy(folder / f"{scene}-{number}-{strategy}")
                with slowing(workers - 1) if slowed else slowing(None):
                    seen[strategy].append(train(fresh, strategy, workers))
        report[scene] = {
            strategy: {name: round(statistics.median(each[name] for each in told), 4) for name in told[0]}
            for strategy, told in seen.items()
        }
        ratios = [
            ps["examples_per_second"] / mirrored["examples_per_second"]
            for ps, mirrored in zip(seen["parameter_server"], seen["mirrored"], strict=True)
        ]
        report[scene]["speed_ratio"] = round(statistics.median(ratios), 3)
        report[scene]["each"] = seen
    return report


def train(place: Place, strategy: str, workers: int) -> dict[str, float]:
    """One training and what it measured of itself."""
    cores = list(range(workers)) if strategy == "mirrored" else [0, 0, *range(workers)]
    measured = Gang(place, cores).finish()
    epochs = read_curves(place.context, place.training)
    last = epochs[-1]["validation"]
    return {
        "examples_per_second": measured.examples_per_second,
        "staleness": statistics.fmean(epoch.get("staleness", 0.0) for epoch in epochs),
        "train_loss": epochs[-1]["loss"],
        "validation_loss": last["loss"],
        "validation_accuracy": last["accuracy"],
        "first_epoch_accuracy": epochs[0]["validation"]["accuracy"],
    }


@contextmanager
def slowing(core: int | None) -> Iterator[None]:
    """Somebody else's work on one core."""
    if core is None:
        yield
        return
    spinner = subprocess.Popen(["taskset", "--cpu-list", str(core), sys.executable, "-S", "-c", SPINNER])
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()


def show(report: dict[str, Any]) -> None:
    names = ("examples_per_second", "staleness", "first_epoch_accuracy", "validation_accuracy", "validation_loss")
    print(f"{report['workers']} workers, median of {report['rounds']} rounds")
    print(f"{'':44}" + "".join(f"{name:>22}" for name in names))
    for scene in ("alike", "one worker slowed"):
        for strategy in ("mirrored", "parameter_server"):
            figures = report[scene][strategy]
            print(f"{scene + ', ' + strategy:44}" + "".join(f"{figures[name]:>22.4g}" for name in names))
        print(f"{scene + ', parameter_server over mirrored':44}{report[scene]['speed_ratio']:>22.3f}")


if __name__ == "__main__":
    sys.exit(main())
