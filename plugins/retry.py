"""What is retried, and after how long."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from tasks.errors import BadInput, GateFailed

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.definitions.retry_policy import RetryDecision

FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(minutes=15)


class BackoffPolicy(ExceptionRetryPolicy):
    """``BadInput``, ``GateFailed`` and ``Quarantined`` fail at once; anything else is retried with backoff.

    The delay doubles from ``first`` up to ``longest`` and is spread by a factor drawn from
    [0.5, 1.5): Airflow's own jitter is a hash of DAG, task and logical date, which is the same for all
    mapped tasks of a partitioned run, so that all shards of a night would knock on the store at once.
    """

    def __init__(self, first: timedelta = FIRST_DELAY, longest: timedelta = LONGEST_DELAY) -> None:
        super().__init__(
            rules=[
                RetryRule(BadInput, RetryAction.FAIL, reason="wrong input or configuration: a retry fails again"),
                RetryRule(GateFailed, RetryAction.FAIL, reason="a gate failed: mend the input or release it"),
            ]
        )
        self.first = first
        self.longest = longest

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        decision = super().evaluate(exception, try_number, max_tries, context)
        if decision.action is not RetryAction.DEFAULT:
            return decision
        delay = self.delay(try_number)
        return decision.retry(delay, f"{type(exception).__name__}: again in {delay.total_seconds():.0f} s")

    def delay(self, try_number: int) -> timedelta:
        """How long to wait after try ``try_number`` (from 1) failed."""
        doubled = self.first * 2.0 ** min(try_number - 1, 30)
        return min(doubled, self.longest) * random.uniform(0.5, 1.5)


def retry_arguments() -> dict[str, Any]:
    """How every task is retried, as its keyword arguments; ``NIGHTSHIFT_RETRY_DELAY`` (seconds) replaces the
    first delay.

    The policy runs in the task's own process. A task whose process died (kill -9, a lost node) is
    retried by the scheduler, which knows the plain delays alone.
    """
    seconds = os.environ.get("NIGHTSHIFT_RETRY_DELAY")
    first = timedelta(seconds=float(seconds)) if seconds else FIRST_DELAY
    return {
        "retry_policy": BackoffPolicy(first),
        "retry_delay": first,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": LONGEST_DELAY,
    }
