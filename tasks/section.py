"""The base of every part of a corpus YAML, and the units its values may be written in."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from tasks.errors import BadInput
from tasks.registry import Registry


class Section(BaseModel):
    """A frozen part of the configuration; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_known_keys(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(data)
        except ValidationError as error:
            raise _changed(error, cls._explained) from None

    @classmethod
    def _explained(cls, fault: ErrorDetails) -> InitErrorDetails:
        if fault["type"] != "extra_forbidden" or len(fault["loc"]) != 1:  # or it is a section's below this one
            return _again(fault)
        known, key = sorted(cls.model_fields), str(fault["loc"][0])
        alike = get_close_matches(key, known, n=1)
        hint = f"did you mean {alike[0]}? " if alike else ""
        message = f"no such key; {hint}known: {', '.join(known)}" if known else "no such key; there is nothing to set"
        return InitErrorDetails(
            type=PydanticCustomError("unknown_key", message), loc=fault["loc"], input=fault["input"]
        )

    def digest(self) -> str:
        """sha256 (hex) of the values, defaults included: equal for equal meaning."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(value: object) -> str:
    """sha256 (hex) of a JSON-able value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_BYTES = {
    unit: base**power
    for base, names in ((1000, ("B", "KB", "MB", "GB", "TB")), (1024, ("B", "KiB", "MiB", "GiB", "TiB")))
    for power, unit in enumerate(names)
}


def _duration(value: object) -> object:
    if isinstance(value, str):
        if value.startswith("P"):  # ISO 8601, as a section's own JSON has it: pydantic reads that
            return value
        match = _DURATION.fullmatch(value.strip())
        if not match:
            raise ValueError("expected a number and a unit: ms, s, m, h or d, as in 90s or 2h")
        try:
            return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
        except OverflowError:
            raise ValueError("longer than there is time") from None
    if isinstance(value, timedelta):
        return value
    raise ValueError("expected a number and a unit, as in 90s or 2h")


def _size(value: object) -> object:
    if isinstance(value, str) and not value.strip().isdecimal():  # a variable's plain number is a string too
        match = _SIZE.fullmatch(value.strip())
        if not match:
            raise ValueError("expected a number and a unit: B, KB, MB, GB, TB, KiB, MiB, GiB or TiB, as in 10MB")
        if len(match[1]) > 15:
            raise ValueError("larger than anything there is")
        return int(float(match[1]) * _BYTES[match[2]])
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A time span written as ``90s``, ``5m``, ``2h`` or ``1d``."""

Bytes = Annotated[int, BeforeValidator(_size)]
"""A size written as ``10MB`` or ``64MiB``, or a plain number of bytes."""


class Choice(BaseModel):
    """One registered file chosen by name, with its parameters validated.

    In YAML: ``name`` alone, or ``{name: {parameter: value}}``.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    name: str
    params: Any

    def digest_value(self) -> dict[str, Any]:
        """What a digest over the configuration takes in."""
        return {self.name: self.params.model_dump(mode="json")}


class ChoiceOf:
    """Annotation ``Annotated[Choice, ChoiceOf(REGISTRY)]``: a name of that registry with its ``Params``."""

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda choice: choice.digest_value()),
        )

    def validate(self, value: object) -> Choice:
        """The choice that a YAML value means; raises ``ValueError``."""
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            name, params = value, dict[str, Any]()
        elif isinstance(value, dict) and len(value) == 1:
            name, params = next(iter(value.items()))
        else:
            raise ValueError("expected a name, or one name with its parameters: {name: {key: value}}")
        try:
            entry = self.registry.get(name)
        except BadInput as error:
            raise ValueError(str(error)) from error
        try:
            return Choice(name=name, params=entry.Params.model_validate({} if params is None else params))
        except ValidationError as error:
            raise _changed(error, lambda fault: _again(fault, below=name)) from None


def _changed(error: ValidationError, change: Callable[[ErrorDetails], InitErrorDetails]) -> ValidationError:
    return ValidationError.from_exception_data(error.title, [change(fault) for fault in error.errors()])


def _again(fault: ErrorDetails, below: str | None = None) -> InitErrorDetails:
    """The same fault, its key below ``below``."""
    kind = fault["type"]
    loc = fault["loc"] if below is None else (below, *fault["loc"])
    if kind == "unknown_key":
        return InitErrorDetails(type=PydanticCustomError(kind, fault["msg"]), loc=loc, input=fault["input"])
    return InitErrorDetails(type=kind, loc=loc, input=fault["input"], ctx=fault.get("ctx", {}))
