"""``nightshift``: one command a step; importing this module imports none of them."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "check": "Check corpus YAML files.",
    "crawl": "Bring one partition's raw input from its source.",
    "clean": "Raw input to documents, one shard.",
    "extract": "The main text of HTML files, a .txt each.",
    "dedup": "Unite a partition's shards without duplicates.",
    "filter": "Apply other filters to a cleaned partition, without cleaning it anew.",
    "stats": "Count what a cleaned partition is made of, and draw it.",
    "gate": "Validate a stage's output; a failure quarantines it.",
    "release": "Let a quarantined manifest pass, with a reason.",
    "split": "Divide a partition into train, validation and test.",
    "upload": "Publish a split partition.",
    "snapshot": "Resolve the partitions into the exact data of one training.",
    "search": "Try parameters of the recipe, and choose the best.",
    "prepare": "Count one shard's features.",
    "combine": "Unite the shards' features.",
    "encode": "Encode one shard's examples for a mirrored recipe.",
    "train": "Fit one shard, or run one worker of a gang.",
    "federate": "Train on sites' own data in rounds, and average their weights.",
    "evaluate": "Score a model and write its report.",
    "merge": "Unite the part models into a candidate.",
    "crossvalidate": "Train without one fold of the train split, and judge the model on it.",
    "promote": "Make the candidate the champion.",
    "rollback": "Make an earlier version the champion again.",
    "backup": "Copy the champion and its data to the backup store.",
    "restore": "Bring a champion back from a backup.",
    "predict": "Score a partition or files with the champion.",
    "executor": "Run as an executor of `engine: spark`; Spark calls it, in a pod.",
    "sample": "Let a champion that is a language model write on from texts.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"tasks.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nightshift")
def main() -> None:
    """Retrain models from crawled corpora, every night. Each command is one step of the chain.

    Exit codes: 0 done, 2 bad input or configuration, 3 gate failed, 75 a worker of a gang was lost, 77 a gang was told
    to leave and made a checkpoint (after both: start all workers again), 1 anything else.
    """
