"""Errors that cross process and pod boundaries as exit codes.

A step that raises one of these ends its process with ``exit_code``; an operator turns the code back
into the same exception, so that a retry policy decides alike in every runtime.
"""

from __future__ import annotations


class NightshiftError(Exception):
    """Anything that went wrong in a step; worth a retry unless a subclass says otherwise."""

    exit_code = 1


class BadInput(NightshiftError):
    """Configuration or input is wrong: the same call fails again. The message says what to change."""

    exit_code = 2


class Lacking(BadInput):
    """This machine or image has not what the configuration asks for: a GPU, a library, a file of weights."""


class Outdated(BadInput):
    """A version of its recipe made a model that this one does not read any more: a new training replaces it."""


class GateFailed(NightshiftError):
    """A gate found data or a model that must not go on."""

    exit_code = 3


class Quarantined(GateFailed):
    """What a step was to read is quarantined by a failed gate."""


class StoreError(NightshiftError):
    """The object store did not answer, or answered with an error: worth a retry."""


class NotFound(StoreError):
    """No object under that key."""


class Corrupt(NightshiftError):
    """Stored bytes do not have the size or checksum that their manifest gives."""


class DiskFull(NightshiftError):
    """A disk of this machine has no room: worth a retry, on another machine or once there is room."""


class PeerLost(NightshiftError):
    """A worker of a gang died, hung or never came: every worker ends, and the whole gang is started again."""

    exit_code = 75


class Outpaced(NightshiftError):
    """A trial of a search fell behind the ones before it: it ends here, and that is its result."""


class Preempted(NightshiftError):
    """A gang was told to leave (SIGTERM: an eviction, a drained node) and did so after a checkpoint."""

    exit_code = 77


def error_named(name: str) -> type[NightshiftError] | None:
    """The exception of this module that is called so."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, NightshiftError) else None
