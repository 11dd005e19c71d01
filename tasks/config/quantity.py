"""Amounts of processor and memory, as Kubernetes writes them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Z]*)")
_CPU = {"": Decimal(1), "m": Decimal("0.001")}
_MEMORY = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTP", start=1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), start=1)},
}
_LEAST = Decimal(1 << 24)


def _amount(value: str, units: dict[str, Decimal], expected: str) -> Decimal:
    match = _QUANTITY.fullmatch(value)
    if not match or match[2] not in units:
        raise ValueError(f"not a Kubernetes quantity: expected {expected}")
    return Decimal(match[1]) * units[match[2]]


def _cpu(value: object) -> object:
    text = str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    cores = _amount(text, _CPU, "cores as in 2, 0.5 or 500m")
    if not 0 < cores <= 10_000 or cores % Decimal("0.001"):
        raise ValueError("expected cores above 0, in steps of 1m")
    return text


def _memory(value: object) -> object:
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    # "m" is a unit of memory too, a thousandth of a byte: 512m is what people write who mean 512Mi.
    if _amount(text, _MEMORY, "a number and Ki, Mi, Gi or Ti (k, M, G or T), as in 2Gi") < _LEAST:
        raise ValueError("under 16Mi, in which no step can start: expected a unit, as in 2Gi")
    return text


def cores(cpu: str) -> float:
    """How many cores that is: ``cores("1500m") == 1.5``."""
    return float(_amount(cpu, _CPU, "cores"))


def bytes_of(memory: str) -> int:
    """How many bytes that is."""
    return int(_amount(memory, _MEMORY, "memory"))


Cpu = Annotated[str, BeforeValidator(_cpu)]
"""Cores written as ``2``, ``0.5`` or ``500m``."""

Memory = Annotated[str, BeforeValidator(_memory)]
"""Memory written as ``512Mi`` or ``2Gi``."""
