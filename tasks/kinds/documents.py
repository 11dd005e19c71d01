"""``documents``: pages and texts with a label; what a corpus is by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.kinds.base import KINDS, Kind, Row
from tasks.section import Section

if TYPE_CHECKING:
    from tasks.config.clean import Clean


class DocumentsParams(Section):
    """Nothing to set: ``clean`` says how texts are found and judged."""


@KINDS.register("documents")
class Documents(Kind):
    """Pages and texts, each with a label: extracted, normalised, filtered."""

    Params: ClassVar[type[Section]] = DocumentsParams
    filtered: ClassVar[bool] = True
    prose: ClassVar[bool] = True

    def row(self, raw: Mapping[str, Any]) -> Row:
        raise NotImplementedError("documents are refined by tasks.cleaning.refine")

    def refiner(self, clean: Clean) -> Any:
        from tasks.cleaning.refine import Refiner

        return Refiner(clean)

    @property
    def pages(self) -> Mapping[str, str]:
        return {".txt": "text/plain", ".md": "text/plain", ".html": "text/html", ".htm": "text/html"}
