"""Hold a stage's output against its Great Expectations suite."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from tasks.command import PartitionType, step_command
from tasks.errors import BadInput
from tasks.step import Context, StepResult

BY_PARTITION = ("raw", "clean", "splits")
BY_SNAPSHOT = ("features", "model")


def gate(context: Context, stage: str, *, partition: str | None, snapshot: str | None) -> StepResult:
    """Judge a partition (stages raw, clean, splits) or a training (features, model).

    Raises:
        BadInput: the option that the stage needs is missing, or there is nothing to judge.
        GateFailed: names every failed expectation; the output is quarantined.
    """
    # The contracts import this room; only here is it the other way round, when one is to be run.
    from data_contracts.engine.run import run_gate

    return run_gate(context, stage, _name(context, stage, partition, snapshot), datetime.now(UTC))


def _name(context: Context, stage: str, partition: str | None, snapshot: str | None) -> str:
    if stage in BY_PARTITION:
        if partition is None:
            raise BadInput(f"gate {stage} judges a partition: give --partition YYYY-MM-DD")
        return partition
    if snapshot is None:
        raise BadInput(f"gate {stage} judges a training: give --snapshot ID")
    from tasks.training.work import open_training

    return open_training(context, snapshot).run


@step_command("gate", partition=False)
@click.argument("stage", type=click.Choice([*BY_PARTITION, *BY_SNAPSHOT]))
@click.option("--partition", type=PartitionType(), help="The day (stages raw, clean, splits).")
@click.option("--snapshot", help="Snapshot id, or its manifest's URL (stages features, model).")
def command(context: Context, stage: str, partition: str | None, snapshot: str | None) -> StepResult:
    """Validate what STAGE wrote. A failure names every failed expectation, quarantines the output, and exits 3."""
    return gate(context, stage, partition=partition, snapshot=snapshot)
