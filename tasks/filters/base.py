"""The interface of a filter: it says only what it decides; counting and keeping rejects is clean's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from tasks.registry import Registry
from tasks.section import Section

if TYPE_CHECKING:
    from tasks.text.tokens import Tokens


@dataclass(slots=True)
class Document:
    """One document on its way through the filters; a filter reads it, and says in its verdict what to change."""

    uid: str
    url: str
    text: str
    language: str = ""
    language_score: float = 0.0
    title: str = ""
    label: str | None = None
    cache: dict[str, object] = field(default_factory=dict)
    """What several filters share, such as the words of the text: computed once."""

    @property
    def words(self) -> list[str]:
        """The text's words (runs of non-space), split once."""
        if "words" not in self.cache:
            self.cache["words"] = self.text.split()
        return self.cache["words"]  # type: ignore[return-value]

    @property
    def tokens(self) -> Tokens:
        """The text's words and marks as its language has them, split once."""
        if "tokens" not in self.cache:
            from tasks.text.tokens import vocabulary

            self.cache["tokens"] = vocabulary(self.language).read(self.text)
        return self.cache["tokens"]  # type: ignore[return-value]

    @property
    def lines(self) -> list[str]:
        """The text's lines that are not blank, without the space around them."""
        if "lines" not in self.cache:
            self.cache["lines"] = [line for line in map(str.strip, self.text.split("\n")) if line]
        return self.cache["lines"]  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep (``reason`` is None), or drop by a named rule with the value that broke it.

    ``measured`` goes into the ``m_<filter>_<name>`` columns of kept documents; ``text``, if not None, is
    what the next filters see and what is kept (of a filter that says ``CHANGES_TEXT``).
    """

    reason: str | None = None
    value: float | str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    text: str | None = None


class Filter(Protocol):
    """Built once a shard from its ``Params``; called once a document."""

    Params: ClassVar[type[Section]]
    MEASURES: ClassVar[tuple[str, ...]]
    """Names of the values it measures on every document that it keeps, in the order in which it judges by them.

    A filter may also have ``CHANGES_TEXT``; ``REASONS``, where the reason is called otherwise than the measure; and
    ``asks(params, measure, language)``, where a rule holds for some languages only.
    """

    def __init__(self, params: Section) -> None: ...

    def judge(self, document: Document) -> Verdict: ...


FILTERS: Registry[type[Filter]] = Registry("tasks.filters", kind="filter", parts=("languages", "lists", "stopwords"))
