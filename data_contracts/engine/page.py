"""Data Docs of one gate: a page by itself, readable without a network, equal for equal verdicts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from html import escape
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_contracts.base import Contract
from data_contracts.engine.validate import Verdict

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult


def page(title: str, on_trial: str, contract: Contract, verdict: Verdict, history: Mapping[str, float]) -> str:
    """One HTML document: the verdict in plain words first, then the library's own account of each table.

    ``on_trial`` is the URL of the manifest that was judged.
    """
    from great_expectations.render import RenderedDocumentContent
    from great_expectations.render.renderer import ValidationResultsColumnSectionRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    renderer = ValidationResultsColumnSectionRenderer()
    view = DefaultJinjaPageView(custom_views_directory=str(Path(__file__).parent))
    # The library's own page loads styles and scripts of five sites, and numbers elements at random.
    numbers = count(1)
    view.env.filters["generate_html_element_uuid"] = lambda prefix=None: f"{prefix or ''}{next(numbers)}"
    sections = [renderer.render([_escaped(each) for each in result.results]) for result in verdict.results]
    document = RenderedDocumentContent(
        renderer_type="ValidationResultsPageRenderer", page_title=title, sections=sections, utm_medium=None
    )
    html: Any = view.render(
        document,
        template="page.html",
        title=title,
        on_trial=on_trial,
        outcomes=verdict.outcomes,
        failures=verdict.failures,
        skipped=contract.skipped,
        metrics=contract.metrics,
        history=history,
        tables=[table.name for table in contract.tables if table.expectations],
    )
    return str(html)


def _escaped(result: ExpectationValidationResult) -> ExpectationValidationResult:
    """A result whose values, which strangers wrote, are text: the library puts some of them into HTML as they are."""
    safe = copy.deepcopy(result)
    safe.result = _as_text(safe.result)
    return safe


def _as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_as_text(key): _as_text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return escape(value) if isinstance(value, str) else value
