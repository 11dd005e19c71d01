"""Who of a gang does what. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tasks.config.resources import Resources

Name = Literal["chief", "ps", "worker"]


@dataclass(frozen=True, slots=True)
class Roles:
    """Member 0 is the chief, which hands out the steps; then come the servers, then the workers."""

    servers: int
    workers: int

    @classmethod
    def of(cls, resources: Resources) -> Roles:
        """As many of each as the YAML says."""
        return cls(resources.parameter_servers, resources.workers)

    @property
    def size(self) -> int:
        """Members of the gang."""
        return 1 + self.servers + self.workers

    def role(self, member: int) -> tuple[Name, int]:
        """The role of a member, and its number among those who have it."""
        if member == 0:
            return "chief", 0
        return ("ps", member - 1) if member <= self.servers else ("worker", member - 1 - self.servers)

    def replaceable(self, member: int) -> bool:
        """Whether its training process may die and another take its place: it holds nothing that is not elsewhere."""
        return self.role(member)[0] == "worker"

    def cluster(self, addresses: Sequence[str]) -> dict[str, list[str]]:
        """TensorFlow's description of the cluster; one address a member."""
        found: dict[str, list[str]] = {"chief": [], "ps": [], "worker": []}
        for member, address in enumerate(addresses):
            found[self.role(member)[0]].append(address)
        return found
