"""What spreading a training over two cores gains, and what surviving costs it.

    make bench-train, or python -m tests.benchmarks.bench_train [--rounds 3] [--only mirrored|forest|checkpoint]
        [--per-worker 128]

Every worker is pinned to a core and computes with one thread. In each round the things that are compared run
right after one another, and a figure is the median over the rounds of a ratio within a round: other work on the
machine touches both sides. Prints a table and writes build/bench/train.json.

``scaling`` is how many examples a second two workers train in step, over what two trainings that know nothing
of each other reach side by side on the same two cores with the same examples a step and core: what memory and
caches take from the second core, they take from both.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from tests.benchmarks.training.forest import grow
from tests.benchmarks.training.gang import Gang, Measured
from tests.benchmarks.training.place import Place, Texts, publish

TARGET = Path("build/bench/train.json")
PER_WORKER = 128
"""Examples of one step on one core: a quarter of a second, so that computing is what a step is about."""
COMPUTE = {
    "epochs": 2,
    "max_tokens": 256,
    "dimension": 96,
    "filters": 256,
    "max_vocabulary": 600,
    "buckets": 16,
    "parts": False,
}
"""A network that computes much and has little to sum."""
LARGE = {"epochs": 12, "batch_size": 32, "max_tokens": 16, "min_df": 1}
"""The default network over a full vocabulary: a large checkpoint."""
TREES = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=sorted(_PARTS), action="append")
    parser.add_argument("--per-worker", type=int, default=PER_WORKER, help="examples of one step on one core")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if (os.cpu_count() or 1) < 2:
        print("left out: this machine has one core, and everything here is about the second")
        return 0
    report: dict[str, Any] = {"rounds": arguments.rounds, "per_worker": arguments.per_worker}
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        for name in arguments.only or _PARTS:
            started = time.monotonic()
            report[name] = _PARTS[name](Path(folder), arguments)
            report[name]["took"] = round(time.monotonic() - started, 1)
            _show(name, report[name])
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    missed = [figure for name in _PARTS for figure in report.get(name, {}).get("missed", ())]
    print("missed: " + "; ".join(missed) if missed else "every figure is met")
    return 1 if missed else 0


def mirrored(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One worker on a core, two trainings that know nothing of each other, and two workers in step."""
    each = arguments.per_worker
    texts = Texts(count=2600, words=260, vocabulary=500)
    data = publish(folder / "mirrored", texts, resources={"checkpoints": {"every": "2s"}})
    alone = data.copy(folder / "alone").ready(_recipe(COMPUTE | {"batch_size": each}))
    both = data.copy(folder / "both").ready(_recipe(COMPUTE | {"batch_size": 2 * each, "epochs": 4}))
    seen: list[dict[str, Any]] = []
    for number in range(arguments.rounds):
        copies = _copies(folder, f"round-{number}")
        one = Gang(copies(alone), [0]).finish()
        pair = [Gang(copies(alone), [core]) for core in (0, 1)]
        independent = [gang.finish() for gang in pair]
        step = Gang(copies(both), [0, 1]).finish()
        seen.append(_round(one, independent, step))
    figures = {name: round(statistics.median(each[name] for each in seen), 4) for name in seen[0]}
    goals = {
        "scaling": figures["scaling"] >= 0.9,
        "input_wait": figures["input_wait"] < 0.05,
        "supervisor": figures["supervisor"] < 0.02,
        "stall_seconds": figures["stall_seconds"] < 0.05,
    }
    return {**figures, "each": seen, "missed": _missed(goals, figures)}


def _round(one: Measured, independent: list[Measured], step: Measured) -> dict[str, float]:
    # By steps, which are alike: the last of an epoch is filled up, with more the larger the batch.
    apart = sum(1 / each.step_seconds for each in independent)
    return {
        "scaling": 2 / step.step_seconds / apart,
        "speedup": 2 * one.step_seconds / step.step_seconds,
        "speedup_independent": apart * one.step_seconds,
        "examples_per_second": step.examples_per_second,
        "step_seconds": step.step_seconds,
        "reduction": step.reduce_seconds / step.step_seconds,
        "agreement": step.agree_seconds / step.step_seconds,
        "input_wait": step.input_wait,
        "supervisor": step.supervisor,
        "stall_seconds": max(step.stalls, default=0.0),
        "checkpoints": len(step.stalls),
    }


def checkpoint(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """How long a large network's checkpoints hold up the training thread: one a second, on one core."""
    texts = Texts(count=1500, words=120, vocabulary=40_000)
    place = publish(folder / "large", texts, resources={"checkpoints": {"every": "1s"}}).ready(_recipe(LARGE))
    copies = _copies(folder, "large-round")
    seen = [Gang(copies(place), [0]).finish() for _ in range(min(arguments.rounds, 2))]
    stalls = [stall for each in seen for stall in each.stalls]
    if not stalls:
        raise SystemExit("no checkpoint was made: the training is too short for this machine")
    figures = {
        "checkpoints": len(stalls),
        "stall_seconds": round(max(stalls), 4),
        "median": round(statistics.median(stalls), 4),
        "step_seconds": round(statistics.median(each.step_seconds for each in seen), 4),
    }
    return {**figures, "missed": _missed({"stall_seconds": figures["stall_seconds"] < 0.05}, figures)}


def forest(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """As many trees in one process and in two; the seeds differ from round to round."""
    texts = Texts(count=12000, words=120, vocabulary=3000, held_out=0.45)
    seen: list[dict[str, float]] = []
    data = publish(folder / "forest", texts)
    for seed in range(arguments.rounds):
        train = {"recipe": {"tfidf_forest": {"trees": TREES}}, "seed": seed}
        one, two = (
            grow(data.copy(folder / f"forest-{seed}-{shards}").ready({**train, "shards": shards}), shards)
            for shards in (1, 2)
        )
        seen.append(
            {
                "speedup": one.seconds / two.seconds,
                "seconds": two.seconds,
                "accuracy": two.accuracy,
                "accuracy_of_one": one.accuracy,
                "points": 100 * (one.accuracy - two.accuracy),
            }
        )
    figures = {name: round(statistics.median(each[name] for each in seen), 4) for name in seen[0]}
    # The mean, not the median: a difference of two forests is mostly chance, which it takes out.
    figures["points"] = round(statistics.fmean(each["points"] for each in seen), 3)
    goals = {"speedup": figures["speedup"] >= 1.8, "points": figures["points"] <= 0.5}
    return {**figures, "each": seen, "missed": _missed(goals, figures)}


_PARTS: Mapping[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "mirrored": mirrored,
    "checkpoint": checkpoint,
    "forest": forest,
}


def _recipe(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"recipe": {"text_encoder": dict(params)}, "shards": 1}


def _copies(folder: Path, name: str) -> Callable[[Place], Place]:
    made: list[Place] = []

    def copy(place: Place) -> Place:
        made.append(place.copy(folder / f"{name}-{len(made)}"))
        return made[-1]

    return copy


def _missed(goals: Mapping[str, bool], figures: Mapping[str, Any]) -> list[str]:
    return [f"{name} {figures[name]}" for name, met in goals.items() if not met]


def _show(name: str, figures: Mapping[str, Any]) -> None:
    print(f"{name} ({figures['took']:.0f} s)", flush=True)
    for key, value in figures.items():
        if key not in ("each", "missed", "took"):
            print(f"  {key:22} {value}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
