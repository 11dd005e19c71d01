"""What the trend says of each day, from the manifests of step ``stats``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from tasks.errors import Corrupt

if TYPE_CHECKING:
    from tasks.step import Context


class _Lengths(BaseModel):
    model_config = ConfigDict(frozen=True)
    p10: NonNegativeInt | None
    p50: NonNegativeInt | None
    p90: NonNegativeInt | None


class Day(BaseModel):
    """The numbers of one day that the trend shows, of all that its manifest has."""

    model_config = ConfigDict(frozen=True)
    seen: NonNegativeInt
    documents: NonNegativeInt
    tokens: NonNegativeInt
    length: _Lengths
    rejected: dict[str, NonNegativeInt]
    languages: list[tuple[str, NonNegativeInt]]
    domain_count: NonNegativeInt


def counted_days(context: Context, partition: str, details: Mapping[str, Any], *, most: int) -> dict[str, Day]:
    """The newest ``most`` days of the corpus by name, those of ``partition`` as ``details`` say.

    An earlier day whose manifest is damaged is left out with a warning: it is no reason not to publish this one.
    """
    corpus, catalog = context.corpus.corpus, context.catalog
    known = {folder.rpartition("/")[2] for folder in catalog.folders(f"stats/{corpus}")}
    days = {partition: Day.model_validate(details)}
    for day in sorted(known | {partition})[-most:]:
        if day == partition:
            continue
        folder = f"stats/{corpus}/{day}"
        try:
            if (manifest := catalog.current(folder)) is not None:
                days[day] = Day.model_validate(manifest.details)
        except (Corrupt, ValidationError) as error:
            context.log.warning(
                "a day is left out of the trend: its statistics are damaged",
                manifest=catalog.url(folder),
                error=str(error),
                again=f"nightshift stats --corpus {corpus} --partition {day}",
            )
    return days
