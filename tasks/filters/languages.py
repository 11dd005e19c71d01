"""Parameters of a filter that are others for some languages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from tasks.section import Section

_T = TypeVar("_T")


def _plain(value: object) -> object:
    """As JSON gives it back, so that equal values are equal whichever way they came."""
    return json.loads(json.dumps(value))


Overrides = Annotated[dict[str, dict[str, Any]], BeforeValidator(_plain)]
"""Parameters by language; what is among them is checked by ``ByLanguage``."""


def overrides(usual: Mapping[str | tuple[str, ...], Mapping[str, Any]] | None = None) -> Any:
    """The field ``languages``, with the parameters that some languages have unless the YAML says another.

    A key is a language or several; of a language that stands twice, what comes later is added.
    """
    found: dict[str, dict[str, Any]] = {}
    for languages, params in (usual or {}).items():
        for language in (languages,) if isinstance(languages, str) else languages:
            found[language] = found.get(language, {}) | dict(params)
    return Field(
        default_factory=lambda: {language: dict(params) for language, params in found.items()},
        description="by ISO 639 code, parameters that are others for its texts; what is given replaces all of these",
    )


class ByLanguage(Section):
    """Base of the parameters of a filter whose thresholds depend on the language."""

    languages: Overrides = overrides()

    @model_validator(mode="after")
    def _are_parameters(self) -> Self:
        for language, other in self.languages.items():
            if "languages" in other:
                raise ValueError(f"languages.{language}: a language has no languages of its own")
            try:
                self.of(language)
            except ValidationError as error:
                fault = error.errors()[0]
                key = ".".join(map(str, fault["loc"]))
                raise ValueError(f"languages.{language}.{key}: {fault['msg']}; got {fault['input']!r}") from None
        return self

    def of(self, language: str) -> Self:
        """The parameters for texts of a language."""
        if language not in self.languages:
            return self
        changed = self.model_dump() | self.languages[language] | {"languages": {}}
        return type(self).model_validate(changed)

    def prepared(self, make: Callable[[Self], _T]) -> Callable[[str], _T]:
        """A function from a language to what ``make`` makes of its parameters, made once."""
        usual, others = make(self), {language: make(self.of(language)) for language in self.languages}
        return lambda language: others.get(language, usual)
