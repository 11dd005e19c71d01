"""A gate of the chain as an Airflow task."""

from __future__ import annotations

from typing import Any

from plugins.operators.step import StepOperator
from tasks.errors import GateFailed


class GateOperator(StepOperator):
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

    def arguments(self) -> list[str]:
        command, *options = super().arguments()
        return [command, self.expectation_suite_name, *options]

    def run_step(self) -> dict[str, Any]:
        try:
            return super().run_step()
        except GateFailed as failure:
            for line in str(failure).splitlines():
                self.log.error("gate %s: %s", self.expectation_suite_name, line)
            raise
