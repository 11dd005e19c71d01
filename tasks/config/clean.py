"""The section ``clean``: from raw bytes to documents, and which of them are one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from tasks.filters.base import FILTERS
from tasks.kinds.base import KINDS
from tasks.section import Bytes, Choice, ChoiceOf, Duration, Section


class Strip(Section):
    """Text removed from every document before filters and training, e.g. what gives a label away."""

    pattern: str = Field(description="a regular expression")
    replacement: str = Field("", description="what stands in its place; \\1 is the pattern's first group")
    ignore_case: bool = Field(False, description="whether A is a")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class LabelRule(Section):
    """A label read off the URL: the first rule whose pattern is found in it wins.

    The label is ``label``, or what the pattern's group named ``label`` matched.
    """

    pattern: str = Field(description="a regular expression that is searched for in the URL")
    label: str | None = Field(None, description="the label, unless the pattern has a group (?P<label>…)")

    @model_validator(mode="after")
    def _names_a_label(self) -> Self:
        try:
            groups = re.compile(self.pattern).groupindex
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is not a regular expression: {error}") from error
        if (self.label is None) == ("label" not in groups):
            raise ValueError("give either `label`, or a group (?P<label>...) in the pattern")
        return self


class Near(Section):
    """Near-duplicates by MinHash over word n-grams."""

    threshold: float = Field(0.8, gt=0, le=1, description="Jaccard similarity from which two are one")
    permutations: int = Field(128, ge=16, le=1024, description="more estimate the similarity better, and cost more")
    ngram: int = Field(
        5,
        ge=1,
        le=20,
        description="so many words in a row are compared; of scripts without spaces, characters",
    )


class Dedup(Section):
    """Duplicates within a partition; the first in (timestamp, url) order stays."""

    exact: bool = Field(True, description="equal texts, letter for letter")
    near: Near | None = Field(None, description="near-equal texts; kept by default")


class Clean(Section):
    """From raw bytes to documents."""

    kind: Annotated[Choice, ChoiceOf(KINDS)] = Field(
        "documents",
        validate_default=True,
        description="the corpus's own `kind`, which is where it is set",
        json_schema_extra={"internal": True},
    )
    extraction: Literal["fast", "accurate", "auto", "article"] = Field(
        "fast",
        description="how the main text of a page is found: fast is resiliparse, accurate is trafilatura, "
        "auto weighs blocks of text and asks trafilatura about the pages it is unsure of, article asks nobody",
    )
    normalise: Literal["NFC", "NFKC"] | None = Field("NFC", description="Unicode normalisation form")
    labels: tuple[LabelRule, ...] = Field((), description="how a crawled page's URL gives its label")
    strip: tuple[Strip, ...] = Field((), description="what is cut out of every text")
    filters: tuple[Annotated[Choice, ChoiceOf(FILTERS)], ...] = Field(
        (), description="in this order; the first that drops a document gives the reason"
    )
    dedup: Dedup = Dedup()
    shards: int = Field(4, ge=1, le=1000, description="at most so many parallel tasks")
    document_timeout: Duration = Field("10s", description="a page that takes more processor time is rejected")  # type: ignore[assignment]
    document_bytes: Bytes = Field("10MB", gt=0, le=1 << 30, description="a page larger than this is rejected")  # type: ignore[assignment]
    document_memory: Bytes = Field("1GiB", ge=1 << 26, description="a page that takes more to parse is rejected")  # type: ignore[assignment]

    @model_validator(mode="after")
    def _judges_texts_where_there_are(self) -> Self:
        if not KINDS.get(self.kind.name).filtered and (given := [n for n in ("filters", "strip") if getattr(self, n)]):
            raise ValueError(
                f"{given[0]}: judges and changes texts, and a corpus of {self.kind.name} has none: leave it out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_the_default_kind(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A corpus of documents is what it was before there were other kinds: so is its digest."""
        values: dict[str, Any] = dump(self)
        if self.kind.name == "documents":
            values.pop("kind", None)
        return values
