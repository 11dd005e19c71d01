"""Where a corpus comes from: the section ``source``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.section import Choice, ChoiceOf, Section
from tasks.sources.base import SOURCES


class SourceSection(Section):
    """``live`` brings today; ``history`` brings past days to a backfill."""

    live: Annotated[Choice, ChoiceOf(SOURCES)] | None = Field(None, description="what the nightly run reads")
    history: Annotated[Choice, ChoiceOf(SOURCES)] | None = Field(
        None, description="what a backfill of past days reads; no backfill without it"
    )

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if self.live is None and self.history is None:
            raise ValueError("give source.live, source.history, or both")
        return self
