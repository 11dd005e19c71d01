"""``summaries``: a text in sentences, and what somebody said is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from tasks.kinds.base import KINDS, Bound, Kind, Rate, Row
from tasks.section import Section
from tasks.text.sentences import sentences

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT = "text/plain"


class SummariesParams(Section):
    """Which columns have the text and its summary, and what is too short to be summed up."""

    text: str = Field("text", description="the column with the text")
    summary: str = Field("summary", description="the column with what a person, or its author, says is in it")
    min_sentences: int = Field(2, ge=1, description="a text of fewer is rejected: there is nothing to choose from")
    max_faulty: float = Field(
        0.05, ge=0, le=1, description="rows that lack a text or a summary, or cannot be read, of all, at gate clean"
    )

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.text == self.summary:
            raise ValueError(f"text and summary are the same column, {self.text!r}")
        return self


@KINDS.register("summaries")
class Summaries(Kind):
    """Texts cut into sentences, each with its summary; in any language, Chinese and Japanese among them."""

    Params: ClassVar[type[Section]] = SummariesParams
    labelled: ClassVar[bool] = False
    prose: ClassVar[bool] = True
    params: SummariesParams

    @property
    def fields(self) -> pa.Schema:
        import pyarrow as pa

        # As Parquet names what a list is made of, so that what is read back is what was written.
        return pa.schema([("sentences", pa.list_(pa.field("element", pa.string()))), ("summary", pa.string())])

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.params.text, self.params.summary)

    @property
    def asked(self) -> tuple[str, ...]:
        """Of a row to be predicted nobody knows the summary."""
        return (self.params.text,)

    @property
    def pages(self) -> Mapping[str, str]:
        """Plain texts, to be summed up."""
        return {".txt": _TEXT, ".md": _TEXT}

    def row(self, raw: Mapping[str, Any]) -> Row:
        if raw["content_type"] == _TEXT:
            given = {self.params.text: raw["body"].decode("utf-8", "replace")}
        elif raw["content_type"] == "application/json":
            given = json.loads(raw["body"])
        else:
            return Row(reason="content_type", value=raw["content_type"])
        cells: dict[str, str] = {}
        for column in (self.params.text, self.params.summary):
            value = given.get(column)
            cells[column] = value.strip() if isinstance(value, str) else ""
            if not cells[column] and column in given:
                return Row(reason="missing", value=column, detail="every text has a summary, both in letters")
        found = sentences(cells[self.params.text])
        text, summary = "\n".join(found), cells[self.params.summary]
        if len(found) < self.params.min_sentences:
            return Row(text, reason="too_short", value=str(len(found)), detail="sentences")
        # The same text with another summary is another version of it, not another text.
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Row(text, digest=digest, columns={"sentences": found, "summary": summary or None})

    @property
    def measured(self) -> tuple[str, ...]:
        return ("sentences", "summary")

    def measures(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        return pa.table(
            {
                "sentences": pc.list_value_length(rows["sentences"]).cast(pa.float64()),
                "summary_length": pc.utf8_length(rows["summary"]).cast(pa.float64()),
            }
        )

    def bounds(self) -> Sequence[Bound]:
        short = "A text of fewer sentences than kind.summaries.min_sentences: clean again."
        none = "A text without a summary: nothing can be learned from it. Clean again."
        return (
            Bound("sentences", short, least=self.params.min_sentences),
            Bound("summary_length", none, least=1),
        )

    def rates(self) -> Sequence[Rate]:
        return (
            Rate(
                "faulty_share",
                ("missing", "malformed"),
                self.params.max_faulty,
                "More rows than kind.summaries.max_faulty have no text, no summary, or cannot be read. The rejects say "
                "which. Did the export rename a column?",
            ),
        )
