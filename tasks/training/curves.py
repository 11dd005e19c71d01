"""The curves of a mirrored training, as its parts keep them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import Corrupt

if TYPE_CHECKING:
    from tasks.step import Context
    from tasks.training.runs import Training

ROLE = "curves"


def read_curves(context: Context, training: Training) -> list[dict[str, Any]]:
    """One entry an epoch: ``epoch``, ``step``, ``loss`` and metrics, the same for ``validation`` and ``workers``.

    Empty for a recipe that is not trained in epochs.

    Raises:
        Corrupt: the file is not what was committed.
    """
    if not training.mirrored:
        return []
    manifest = context.catalog.current(training.model(training.parts[0]))
    entries = manifest.of_role(ROLE) if manifest else []
    if not entries:
        return []
    with tempfile.TemporaryDirectory(prefix="nightshift-curves-") as scratch:
        path = context.catalog.fetch(entries[0], Path(scratch) / "curves.json")
        value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, list):
        raise Corrupt(f"{context.store.url_of(entries[0].key)} holds no curves")
    return value
