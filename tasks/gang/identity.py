"""Which gang a worker belongs to, and what tells two apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

PROTOCOL = 1
"""Raised when supervisors of two releases would not understand each other."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What all workers of a gang have in common. ``code`` is ``tasks.training.recipe_code``."""

    generation: str
    """One start of the gang; a retry is another."""
    run: str
    workers: int
    snapshot: str
    config: str
    """Digest of the ``train`` section."""
    code: Mapping[str, Any]
    protocol: int = PROTOCOL

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Identity:
        """What ``to_json`` gave.

        Raises:
            ValueError: it is none.
        """
        kinds = {"workers": int, "protocol": int, "code": dict}
        if not isinstance(value, dict) or not all(isinstance(v, kinds.get(k, str)) for k, v in value.items()):
            raise ValueError(f"no identity of a worker: {str(value)[:200]}")
        try:
            return cls(**value)
        except TypeError as error:
            raise ValueError(f"no identity of a worker: {error}") from error

    def difference(self, other: Identity) -> str | None:
        """What ``other`` has differently, in words for the one who started it; the generation is not looked at."""
        if self.protocol != other.protocol:
            return f"the protocol is {other.protocol} there and {self.protocol} here: both must be one release"
        if self.workers != other.workers:
            return f"it was started as one of {other.workers} workers, this gang has {self.workers}"
        if self.snapshot != other.snapshot:
            return f"it trains on snapshot {other.snapshot}, this gang on {self.snapshot}"
        if self.code != other.code:
            return f"its code differs: {_changes(self.code, other.code)}; all workers must run one image"
        if self.config != other.config:
            return "the train section of its corpus YAML is another; all workers must be given the same file"
        if self.run != other.run:
            return f"its run is {other.run}, this gang's {self.run}: the snapshot's manifest differs"
        return None


def _changes(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    ours, theirs = _flat(here), _flat(there)
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name} is {theirs.get(name, 'absent')} there, {ours.get(name, 'absent')} here" for name in names)


def _flat(code: Mapping[str, Any]) -> dict[str, Any]:
    libraries = code.get("libraries")
    rest = {name: value for name, value in code.items() if name != "libraries"}
    return {**rest, **(libraries if isinstance(libraries, Mapping) else {})}
