"""Tags that mark entities in a sequence: which transitions there may be, and which entities they mark."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

OUTSIDE = "O"

_BEFORE = {"IOB2": {"I": "BI"}, "BIOES": {"I": "BI", "E": "BI"}}
"""Prefixes that need one of these before them, in an entity of the same type."""
_OPEN = {"IOB2": "", "BIOES": "BI"}
"""Prefixes after which the entity must go on."""


def split(tag: str) -> tuple[str, str]:
    """Prefix and type: ``B-PER`` is ``B`` and ``PER``, ``O`` is itself without a type."""
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def allowed(before: str | None, tag: str | None, scheme: str) -> bool:
    """Whether ``tag`` may follow ``before``; None stands for the sentence's begin and end."""
    if scheme == "none":
        return True
    was, was_kind = split(before) if before else (OUTSIDE, "")
    now, kind = split(tag) if tag else (OUTSIDE, "")
    if was in _OPEN[scheme] and not (now in ("I", "E") and kind == was_kind):
        return False
    needed = _BEFORE[scheme].get(now)
    return needed is None or (was in needed and kind == was_kind)


def fault_of(tags: Sequence[str], scheme: str) -> str | None:
    """The first thing that ``scheme`` does not allow, as ``O I-PER``; None where all is well."""
    if scheme == "none":
        return None if all(tags) else "an empty tag"
    prefixes = "OBI" if scheme == "IOB2" else "OBIES"
    for tag in tags:
        prefix, kind = split(tag)
        if len(prefix) != 1 or prefix not in prefixes or bool(kind) == (prefix == OUTSIDE):
            return f"{tag!r} is no tag of {scheme}"
    ends: list[str | None] = [None, *tags, None]
    for before, after in pairwise(ends):
        if not allowed(before, after, scheme):
            return f"{before or 'begin'} {after or 'end'}"
    return None


def spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The entities as (type, first token, token behind the last), by the rules of conlleval.

    Those of the CoNLL-2000 and 2003 shared tasks: an entity begins at B or S, and at I or E whose type is not that
    of the tag before; it ends before the next begin, O, or another type, and after E or S. So faulty tags mark
    entities too.
    """
    found: list[tuple[str, int, int]] = []
    begin, current, ended = 0, "", True
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = split(tag)
        if not ended and (prefix in ("B", "S", OUTSIDE) or kind != current):
            found.append((current, begin, place))
            ended = True
        if prefix != OUTSIDE and ended:
            begin, current, ended = place, kind, False
        if prefix in ("E", "S") and not ended:
            found.append((current, begin, place + 1))
            ended = True
    return found


def marks(tags: Sequence[str]) -> bool:
    """Whether a set of tags marks entities, and is no set of classes as parts of speech are."""
    return all(tag == OUTSIDE or (split(tag)[0] in tuple("BIES") and split(tag)[1]) for tag in tags)
