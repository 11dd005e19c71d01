"""Is it running text, or a list, a menu and a table? The rules that FineWeb found by comparing good data and bad.

Penedo et al. 2024, "The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale", section
3.6. The defaults are the paper's.
"""

from __future__ import annotations

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.c4 import UNTERMINATED
from tasks.filters.languages import ByLanguage, Overrides, overrides
from tasks.text.segment import CLUSTERED


class FinewebParams(ByLanguage):
    """``clean.filters: [{fineweb_quality: {max_short_lines: 0.67}}]``; a rule set to null is off."""

    min_terminal_lines: float | None = Field(0.12, ge=0, le=1, description="share of lines that end a sentence")
    max_short_lines: float | None = Field(0.67, ge=0, le=1, description="share of lines no longer than short_line")
    max_repeated_characters: float | None = Field(0.01, ge=0, le=1, description="in lines that stood there before")
    max_list_ratio: float | None = Field(0.3, ge=0, description="line ends for each word")
    short_line: int = Field(30, ge=1, description="characters")
    languages: Overrides = overrides(
        {
            "zh": {"short_line": 10},
            "ja": {"short_line": 12},
            CLUSTERED: {"max_list_ratio": 0.15},
            UNTERMINATED: {"min_terminal_lines": None},
        }
    )
    """A Chinese or Japanese word is some two characters, where an English one and its space are six."""


@FILTERS.register("fineweb_quality")
class FinewebQuality:
    """Drops by the first rule broken, named as its measure."""

    Params = FinewebParams
    MEASURES = ("terminal_lines", "short_lines", "repeated_characters", "list_ratio")

    def __init__(self, params: FinewebParams) -> None:
        from tasks.text.marks import SENTENCE_ENDS

        self._ends = SENTENCE_ENDS
        self._rules = params.prepared(lambda each: (each.short_line, _bounds(each)))

    def judge(self, document: Document) -> Verdict:
        text, (short, bounds) = document.text, self._rules(document.language)
        lines = [line for line in text.split("\n") if line.strip()]
        count = max(len(lines), 1)
        seen: set[str] = set()
        repeated = 0
        for line in lines:
            if line in seen:
                repeated += len(line)
            seen.add(line)
        ends = text.count("\n")
        measured = {
            "terminal_lines": sum(1 for line in lines if line[-1] in self._ends) / count,
            "short_lines": sum(1 for line in lines if len(line) <= short) / count,
            "repeated_characters": repeated / max(len(text) - ends, 1),
            "list_ratio": ends / max(len(document.tokens), 1),
        }
        for name, (low, high) in bounds.items():
            if (low is not None and measured[name] < low) or (high is not None and measured[name] > high):
                return Verdict(name, measured[name])
        return Verdict(measured=measured)


def _bounds(params: FinewebParams) -> dict[str, tuple[float | None, float | None]]:
    """The least and the most of each measure."""
    return {
        "terminal_lines": (params.min_terminal_lines, None),
        "short_lines": (None, params.max_short_lines),
        "repeated_characters": (None, params.max_repeated_characters),
        "list_ratio": (None, params.max_list_ratio),
    }
