"""Where a step's command runs: as a process of this machine, or later as a pod."""

from plugins.runtime.base import Outcome, Runtime, runtime_for

__all__ = ["Outcome", "Runtime", "runtime_for"]
