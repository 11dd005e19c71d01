"""A gate of the chain as an Airflow task."""

from __future__ import annotations

from typing import Any

from plugins.operators.step import Step, StepOperator
from plugins.runtime import Outcome
from tasks.errors import GateFailed


class Gate(Step):
    """Runs ``nightshift gate <stage>``: a Great Expectations suite over what the step before committed.

    A failed gate quarantines that output and fails the task, which is never retried; every failed
    expectation is one line of the task log. The XCom is the URL of the gate's own manifest, whose
    files hold the Data Docs. The argument name is that of airflow-provider-great-expectations, which
    cannot be installed beside this Airflow.

    :param expectation_suite_name: the stage, which names its suite: raw, clean, splits, features or model.
    """

    ui_color = "#fff3e0"

    def __init__(self, *, expectation_suite_name: str, **kwargs: Any) -> None:
        super().__init__(step="gate", **kwargs)
        self.expectation_suite_name = expectation_suite_name

    def command_line(self, corpus: str | None = None) -> list[str]:
        command, *options = super().command_line(corpus)
        return [command, self.expectation_suite_name, *options]

    def result_of(self, outcome: Outcome) -> dict[str, Any]:
        try:
            return super().result_of(outcome)
        except GateFailed as failure:
            for line in str(failure).splitlines():
                self.log.error("gate %s: %s", self.expectation_suite_name, line)
            raise


class GateOperator(Gate, StepOperator):
    """A gate as a process of the Airflow worker's own machine."""
