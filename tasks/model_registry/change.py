"""A change of the champion, in the store and in MLflow, that any retry completes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tasks.model_registry.mirror import Mirror
from tasks.model_registry.records import Action, Version
from tasks.model_registry.registry import Head, Registry
from tasks.step import Context


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be recorded of a change: what was done, who did it, when and why."""

    action: Action
    by: str
    at: datetime
    reason: str = ""


def crown(
    context: Context, registry: Registry, version: Version, change: Change, *, after: Head, anew: bool = False
) -> bool:
    """Make a version the champion if the state is still ``after``; whether anything was left to do.

    With ``anew`` the change is recorded also when that version is the champion already. The writes come
    in this order, and a kill between any two is mended by the same call:

    1. MLflow's run, model version and, for a promotion, alias ``candidate``: whatever MLflow may refuse,
       it refuses before the champion has changed;
    2. the audit record, which is the change (see ``registry``), then ``champion.json``;
    3. MLflow's alias ``champion``, which a retry moves if it was not moved.

    Raises:
        Corrupt: a file of the model is missing or altered: it would not predict.
        StoreError: the store or MLflow does not answer, or somebody else was faster.
    """
    model = registry.model(version)
    already = not anew and after.champion is not None and after.champion.version == version.version
    mirror = Mirror.of(context.env)
    changed = False
    if mirror is not None:
        changed = mirror.register(version, model, context.store)
        if change.action == "promote" and not already:
            mirror.alias("candidate", version)
    if not already:
        registry.change(change.action, version, by=change.by, at=change.at, reason=change.reason, after=after)
        changed = True
    elif not after.pointed:
        registry.point(after)
        changed = True
    if mirror is not None:
        changed |= _follow(registry, mirror, version)
    return changed


def _follow(registry: Registry, mirror: Mirror, version: Version) -> bool:
    """Move MLflow's champion; again if the champion changed meanwhile, so that the last to write is right."""
    changed = mirror.alias("champion", version)
    now = registry.champion()
    if now is not None and now.version != version.version:
        mirror.alias("champion", now)
    return changed
