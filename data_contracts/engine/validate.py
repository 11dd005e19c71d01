"""Great Expectations over the tables of a contract: what was held, and what was not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_contracts.base import Contract, Table
from data_contracts.engine import wording
from data_contracts.engine.library import ephemeral_context, great_expectations

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.data_context import EphemeralDataContext

_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expectation, held or not, in words."""

    name: str
    where: str
    kind: str
    held: bool
    observed: str
    expected: str
    says: str

    def line(self) -> str:
        """One line for a log: the name, what was observed, what was expected, what it means."""
        what = f"{self.name} [{self.kind} of {self.where}]"
        return f"{what}: observed {self.observed}; expected {self.expected}. {self.says}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a contract: every outcome, and the library's own results for Data Docs."""

    outcomes: tuple[Outcome, ...]
    results: tuple[ExpectationSuiteValidationResult, ...]

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """What did not hold, in the order of the suite."""
        return tuple(each for each in self.outcomes if not each.held)


def validate(stage: str, contract: Contract) -> Verdict:
    """Run one checkpoint a table."""
    context = ephemeral_context()
    outcomes: list[Outcome] = []
    results: list[ExpectationSuiteValidationResult] = []
    for table in contract.tables:
        if not table.expectations:
            continue
        result = _united(_run(context, f"{stage}_{table.name}", table))
        order = {each.meta["name"]: place for place, each in enumerate(table.expectations)}
        result.results.sort(key=lambda each: order[_name(each)])
        outcomes += [_outcome(table, each) for each in result.results]
        results.append(result)
    return Verdict(tuple(outcomes), tuple(results))


def _run(context: EphemeralDataContext, name: str, table: Table) -> Iterable[ExpectationSuiteValidationResult]:
    gx = great_expectations()
    source = context.data_sources.add_pandas(name)
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("frame")
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=table.expectations))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    form: dict[str, Any] = {"result_format": "SUMMARY", "partial_unexpected_count": _EXAMPLES}
    if table.key:
        form["unexpected_index_column_names"] = [table.key]
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(name=name, validation_definitions=[definition], result_format=form)
    )
    for frame in table.frames:
        for result in checkpoint.run(batch_parameters={"dataframe": _indexed(frame)}).run_results.values():
            for each in result.results:
                each.result = _plain(each.result)
            yield result


def _indexed(frame: pd.DataFrame) -> pd.DataFrame:
    # Rows left by a filter keep their old numbers, and the library looks rows up by number.
    return frame.reset_index(drop=True)


def _plain(value: Any) -> Any:
    """Python's own numbers for NumPy's, which the library computes but cannot render."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.item() if hasattr(value, "item") else value


def _united(results: Iterable[ExpectationSuiteValidationResult]) -> ExpectationSuiteValidationResult:
    """The results of a table's frames as one: what fails in any of them fails, and rows are counted together."""
    first, *others = results
    for other in others:
        later = {_name(each): each for each in other.results}
        for each in first.results:
            _add(each, later[_name(each)])
    held = sum(bool(each.success) for each in first.results)
    first.success = held == len(first.results)
    first.statistics = {
        "evaluated_expectations": len(first.results),
        "successful_expectations": held,
        "unsuccessful_expectations": len(first.results) - held,
        "success_percent": 100 * held / len(first.results),
    }
    return first


def _add(total: ExpectationValidationResult, other: ExpectationValidationResult) -> None:
    if total.success and not other.success:
        total.exception_info = other.exception_info
    total.success = total.success and other.success
    for count in ("element_count", "unexpected_count", "missing_count"):
        if count in total.result and count in other.result:
            total.result[count] += other.result[count]
    for examples in ("partial_unexpected_list", "partial_unexpected_index_list", "partial_unexpected_counts"):
        joined = [*(total.result.get(examples) or []), *(other.result.get(examples) or [])]
        if joined:
            total.result[examples] = joined[:_EXAMPLES]
    if total.result.get("element_count"):
        rows, wrong = total.result["element_count"], total.result.get("unexpected_count", 0)
        total.result["unexpected_percent"] = total.result["unexpected_percent_total"] = 100 * wrong / rows


def _outcome(table: Table, result: ExpectationValidationResult) -> Outcome:
    config = result.expectation_config
    assert config is not None  # the library sets it in every result
    column = config.kwargs.get("column")
    return Outcome(
        name=_name(result),
        where=f"{table.name}.{column}" if column else table.name,
        kind=config.type,
        held=bool(result.success),
        observed=wording.observed(result.result, _error(result.exception_info or {})),
        expected=wording.expected(config.type, config.kwargs),
        says=str(config.notes),
    )


def _name(result: ExpectationValidationResult) -> str:
    assert result.expectation_config is not None  # the library sets it in every result
    name = result.expectation_config.meta["name"]
    assert isinstance(name, str)
    return name


def _error(info: Mapping[str, Any]) -> str | None:
    """Why an expectation could not look: the library keeps one exception, or one a metric."""
    each = [info] if "raised_exception" in info else [value for value in info.values() if isinstance(value, dict)]
    messages = {str(one["exception_message"]).strip() for one in each if one["raised_exception"]}
    return "; ".join(sorted(messages)) or None
