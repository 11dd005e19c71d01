"""The end of a training: its kept networks as part models, committed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.models.base import streams
from tasks.step import Shard, StepResult
from tasks.training.mirrored.job import Job
from tasks.training.models import store_model
from tasks.training.work import read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.training.mirrored.loop import Timings
    from tasks.training.mirrored.state import State


def export(
    job: Job, state: State, kept: Mapping[int, list[NDArray[Any]]], timings: Timings, workers: int
) -> StepResult:
    """Commit one part for each kept epoch, the earliest first; a part without an epoch is empty.

    Files of role ``model``, and ``curves``: loss, metrics and validation of every epoch, and of each worker.
    """
    (entry,) = job.features.manifest.of_role("features")
    features = read_table(job.context, entry)
    epochs = sorted(kept)
    results = [
        _part(job, part, state, epochs[part.index], kept[epochs[part.index]], features, timings, workers)
        if part.index < len(epochs)
        else job.work(part).commit([], counts={"rows": 0, "labels": {}}, message="no epoch is left for this part")
        for part in job.training.parts
    ]
    best = results[-1] if len(epochs) == len(results) else results[len(epochs) - 1]
    counts = {"parts": len(results), "workers": workers, "resumed_from": timings.resumed_from, "steps": state.step}
    return replace(best, counts={**best.counts, **counts}, message=_said(state, timings, workers))


def _part(
    job: Job,
    part: Shard,
    state: State,
    epoch: int,
    weights: list[NDArray[Any]],
    features: Any,
    timings: Timings,
    workers: int,
) -> StepResult:
    context, training, work = job.context, job.training, job.work(part)
    model = job.recipe.model(weights, features)
    job.require_files()  # which the model may just have taken something from
    files, details = store_model(context, training, training.model(part), model)
    with tempfile.TemporaryDirectory(prefix="nightshift-curves-") as scratch:
        path = Path(scratch) / "curves.json"
        path.write_text(json.dumps(state.epochs, indent=1), encoding="utf-8")
        files.append(work.add("curves", path))
    curve = {key: value for key, value in state.epochs[epoch].items() if key != "workers"}
    counts = {
        "rows": _rows(job),
        "labels": job.features.manifest.counts["labels"],
        "epochs": len(state.epochs),
        **job.recipe.facts(model),
    }
    details |= {"epoch": curve, "warm_start": state.begun}
    return work.commit(files, counts=counts, details=details, volatile=_measured(timings, workers))


def _rows(job: Job) -> int:
    if streams(job.recipe):  # whose examples are windows, not rows
        return int(job.features.manifest.counts["rows"])
    return sum(entry.rows for entry in job.files("train"))


def _measured(timings: Timings, workers: int) -> dict[str, Any]:
    """Times of the process that ended the training, for the report and for whoever wonders where they went."""
    steps = max(timings.steps - 1, 1)
    seconds = max(timings.step_seconds, 1e-9)
    return {
        "workers": workers,
        "resumed_from": timings.resumed_from,
        "steps": timings.steps,
        "examples_per_second": round(timings.examples / seconds, 1),
        "step_seconds": round(seconds / steps, 6),
        "first_step_seconds": round(timings.first_step_seconds, 3),
        "reduce_seconds": round(timings.reduce_seconds, 6),
        "agree_seconds": round(timings.agree_seconds, 6),
        "input_wait": [round(waited / seconds, 5) for waited in timings.waited],
        "checkpoint_stalls": [round(stall, 5) for stall in timings.stalls],
    }


def _said(state: State, timings: Timings, workers: int) -> str:
    began = f", from step {timings.resumed_from} on" if timings.resumed_from else ""
    return f"{len(state.epochs)} epochs, {state.step} steps on {workers} worker(s){began}"
