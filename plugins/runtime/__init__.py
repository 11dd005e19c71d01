"""Where a step's command runs: ``local`` as a process of this machine, ``pods`` in a cluster."""

from plugins.runtime.base import Outcome
from plugins.runtime.local import LocalRuntime

__all__ = ["LocalRuntime", "Outcome"]
