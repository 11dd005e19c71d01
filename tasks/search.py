"""``nightshift search``: try parameters of the recipe on train and validation, and choose the best."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from tasks.command import ShardType, step_command
from tasks.errors import BadInput
from tasks.searching.hunt import Hunt
from tasks.snapshot import resolve
from tasks.step import Context, Shard, StepResult
from tasks.work import Read, Work, read


def search(context: Context, hunt: Hunt, corpus: str) -> StepResult:
    """Every trial that has not ended, one after another, then the end of the search.

    Raises:
        BadInput: no trial came to its end.
    """
    from tasks.searching.trial import trial

    for number in range(hunt.search.trials):
        trial(context, hunt, number, corpus)
    return conclude(context, hunt)


def conclude(context: Context, hunt: Hunt) -> StepResult:
    """The best of all trials, under ``searches/<corpus>/<id>/``; file ``study`` tells of every trial.

    ``details``: ``best`` (``number``, ``value``, ``params``), ``metric``, ``direction``, ``trials``, ``states``,
    ``importances``. Of equal values the earlier trial is the best.

    Raises:
        BadInput: a trial has not ended, or none came to its end.
    """
    from tasks.searching.study import importances
    from tasks.searching.trial import STEP, reads_of, record_of

    trials = hunt.search.trials
    reads = reads_of(context, hunt, range(trials))
    work = Work(context, STEP, hunt.folder, name=hunt.id, config=f"{hunt.id} {trials} trials", reads=reads)
    if done := work.done():
        return done
    records = [record_of(each) for each in reads]
    finished = [record for record in records if record.state == "complete" and record.value is not None]
    if not finished:
        why = next((record.message for record in records if record.state == "failed"), records[0].message)
        raise BadInput(
            f"none of the {trials} trials of search {hunt.id} ({hunt.corpus.corpus}) came to its end; the first that "
            f"failed says: {why}. Change search.parameters, or what the data lacks"
        )
    sign = -1 if hunt.direction == "maximize" else 1
    best = min(finished, key=lambda record: (sign * (record.value or 0), record.number))
    states = {state: sum(r.state == state for r in records) for state in ("complete", "pruned", "failed")}
    details: dict[str, Any] = {
        "best": {"number": best.number, "value": best.value, "params": dict(best.params)},
        "metric": {"name": hunt.measure.name, "title": hunt.measure.title},
        "direction": hunt.direction,
        "trials": trials,
        "states": states,
        "importances": importances(hunt.search, hunt.direction, records),
    }
    with tempfile.TemporaryDirectory(prefix="nightshift-search-") as scratch:
        path = Path(scratch) / "study.json"
        path.write_text(json.dumps([r.to_json() for r in records], indent=1, ensure_ascii=False), encoding="utf-8")
        files = [work.add("study", path, rows=len(records))]
    told = ", ".join(f"{name} {value}" for name, value in best.params.items())
    counts = {"trials": trials, **states, "best": best.number, hunt.measure.name: best.value}
    message = f"trial {best.number} is the best, {hunt.measure.title} {best.value:.4f}: {told}"
    return work.commit(files, counts=counts, details=details, message=message)


def ended(context: Context, folder: str) -> tuple[Read, list[dict[str, Any]]]:
    """The end of a search and every trial, as a report tells them."""
    found = read(context, folder, "search")
    (entry,) = found.manifest.of_role("study")
    with tempfile.TemporaryDirectory(prefix="nightshift-search-") as scratch:
        path = context.catalog.fetch(entry, Path(scratch) / "study.json")
        trials: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found, trials


@step_command("search", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option(
    "--trial",
    type=ShardType(),
    help="Only this of search.trials, as in 0/20.  [default: all that are left, and choose]",
)
def command(context: Context, snapshot: str, trial: Shard | None) -> StepResult:
    """Try parameters of the recipe on the train and validation splits, and choose the best for the run.

    The test split is not read. A trial that has ended is not run again.
    """
    corpus = str(click.get_current_context().params["corpus"])
    hunt = Hunt.of(context.corpus, resolve(context, snapshot))
    if trial is None:
        return search(context, hunt, corpus)
    if trial.count != hunt.search.trials:
        raise BadInput(
            f"--trial {trial}: search.trials of corpus {context.corpus.corpus} is {hunt.search.trials}, so give "
            f"--trial {min(trial.index, hunt.search.trials - 1)}/{hunt.search.trials}"
        )
    from tasks.searching.trial import trial as run

    return run(context, hunt, trial.index, corpus)
