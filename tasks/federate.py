"""``nightshift federate``: train on the sites' own data in rounds, and average their weights."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import click

from tasks.command import ShardType, step_command
from tasks.errors import BadInput
from tasks.federation.folders import federated, made_by, round_folder
from tasks.judging.base import headline, measures_of
from tasks.models.base import MirroredRecipe
from tasks.step import Context, Shard, Step, StepResult
from tasks.training import Training, load_model, store_model
from tasks.training.work import claim, open_training
from tasks.work import read

STEP = Step("federate", 1, ("numpy",))


def average(context: Context, training: Training, number: int) -> StepResult:
    """The mean of the sites' weights of one round by |D_i| / |D|, under ``…/rounds/<number>/``; the last is the part.

    ``counts``: ``rows`` (of all sites) and the measures on the centre's validation split; ``details["sites"]``: rows
    of each.

    Raises:
        BadInput: a site has not sent its weights of this round.
    """
    from tasks.training.scoring import score

    section = federated(training)
    reads = [
        read(context, round_folder(training, number, site), made_by(training, number, site))
        for site in range(len(section.sites))
    ]
    last = number == section.rounds - 1
    work = claim(context, training, STEP, round_folder(training, number), reads)
    part = claim(context, training, STEP, training.model(training.parts[0]), reads)
    done = work.done()
    if done and (not last or part.done()):
        return done
    rows = [int(each.manifest.counts["rows"]) for each in reads]
    models = [load_model(context, each.manifest)[1] for each in reads]
    model = cast(MirroredRecipe, training.recipe).merge(models, [n / sum(rows) for n in rows])
    judges, _ = score(context, training, "validation", {"average": (training.recipe, model)})
    metrics = judges["average"].metrics()
    measured = {measure.name: metrics[measure.name] for measure in measures_of(metrics)}
    sites = {site.name: n for site, n in zip(section.sites, rows, strict=True)}
    told = {"round": number, "sites": sites, "validation": headline(metrics)}
    for each in (part, work) if last else (work,):
        files, details = store_model(context, training, each.folder, model)
        details |= {**told, "warm_start": None}
        result = each.commit(files, counts={"rows": sum(rows), "sites": len(rows), **measured}, details=details)
    return replace(result, message=f"round {number + 1} of {section.rounds}")


def federate(context: Context, training: Training, corpus: str) -> StepResult:
    """Every round that is left, the sites one after another, by this process, which must know all sites' variables."""
    from tasks.federation.site import site_round

    section = federated(training)
    for number in range(section.rounds):
        for site in range(len(section.sites)):
            site_round(context, training, number, site, corpus)
        result = average(context, training, number)
    return result


@step_command("federate", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id of the centre, or its manifest's URL.")
@click.option("--round", "number", type=click.IntRange(0), help="Only this round, counted from 0.  [default: all]")
@click.option(
    "--site", type=ShardType(), help="With --round: this site's training, as in 0/2.  [default: the average of all]"
)
def command(context: Context, snapshot: str, number: int | None, site: Shard | None) -> StepResult:
    """Train on the data of several sites, which stay there: only weights travel, averaged by |D_i| / |D|.

    A site's process needs the variables of its own site and of the centre's store, and must be given no others.
    """
    training = open_training(context, snapshot)
    section = federated(training)
    corpus = str(click.get_current_context().params["corpus"])
    if number is None:
        if site is not None:
            raise BadInput("--site: give --round too, of which round")
        return federate(context, training, corpus)
    if number >= section.rounds:
        raise BadInput(f"--round {number}: train.federated.rounds is {section.rounds}: give 0 to {section.rounds - 1}")
    if site is None:
        return average(context, training, number)
    if site.count != len(section.sites):
        raise BadInput(
            f"--site {site}: train.federated names {len(section.sites)} sites: give "
            f"--site {min(site.index, len(section.sites) - 1)}/{len(section.sites)}"
        )
    from tasks.federation.site import site_round

    return site_round(context, training, number, site.index, corpus)
