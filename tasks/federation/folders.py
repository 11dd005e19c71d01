"""Where a federated training's rounds lie on the centre's store, and what makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.config.federated import Federated
from tasks.errors import BadInput

if TYPE_CHECKING:
    from tasks.training.runs import Training


def federated(training: Training) -> Federated:
    """The section of a training.

    Raises:
        BadInput: it has none.
    """
    found = training.corpus.train.federated
    if found is None:
        raise BadInput(
            f"corpus {training.corpus.corpus} has no sites: its YAML has no section train.federated; see "
            "docs/federated.md"
        )
    return found


def round_folder(training: Training, number: int, site: int | None = None) -> str:
    """Of the average of a round, or of what one site made in it."""
    folder = f"{training.model()}/rounds/{number:04d}"
    return folder if site is None else f"{folder}/{federated(training).sites[site].name}"


def made_by(training: Training, number: int, site: int | None = None) -> str:
    """The command that makes it."""
    given = "" if site is None else f" --site {site}/{len(federated(training).sites)}"
    return f"federate --corpus {training.corpus.corpus} --snapshot {training.snapshot_id} --round {number}{given}"
