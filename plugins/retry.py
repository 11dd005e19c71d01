"""What is retried, and after how long."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from plugins.settings import RETRY_DELAY, SECONDS, seconds
from tasks.errors import BadInput, GateFailed, PeerLost, Preempted

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.definitions.retry_policy import RetryDecision

FIRST_DELAY = timedelta(seconds=SECONDS[RETRY_DELAY])
LONGEST_DELAY = timedelta(minutes=15)
REGROUP_DELAY = timedelta(seconds=3)
"""Before the first new start of a gang that lost a worker: nothing is overloaded, and a checkpoint waits."""


class BackoffPolicy(ExceptionRetryPolicy):
    """``BadInput``, ``GateFailed`` and ``Quarantined`` fail at once; anything else is retried with backoff.

    A gang that was told to leave is started again at once (where, is for the cluster to say), one that lost a
    worker after ``regroup``. The delay doubles from ``first`` up to ``longest`` and is spread by a factor drawn from
    [0.5, 1.5): Airflow's own jitter is a hash of DAG, task and logical date, which is the same for all
    mapped tasks of a partitioned run, so that all shards of a night would knock on the store at once.
    Tries are counted anew when a person clears the task: Airflow numbers them on, and allows as many more.
    """

    def __init__(
        self,
        first: timedelta = FIRST_DELAY,
        longest: timedelta = LONGEST_DELAY,
        regroup: timedelta = REGROUP_DELAY,
    ) -> None:
        super().__init__(
            rules=[
                RetryRule(BadInput, RetryAction.FAIL, reason="wrong input or configuration: a retry fails again"),
                RetryRule(GateFailed, RetryAction.FAIL, reason="a gate failed: mend the input or release it"),
            ]
        )
        self.first = first
        self.longest = longest
        self.regroup = min(regroup, first)

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        decision = super().evaluate(exception, try_number, max_tries, context)
        if decision.action is not RetryAction.DEFAULT:
            return decision
        retries = context["task"].retries if context else None
        if retries is not None:
            try_number = max(1, try_number - max(0, max_tries - retries))
        delay = self._delay_after(exception, try_number)
        return decision.retry(delay, f"{type(exception).__name__}: again in {delay.total_seconds():.0f} s")

    def delay(self, try_number: int, first: timedelta | None = None) -> timedelta:
        """How long to wait after try ``try_number`` (from 1) failed; ``first`` instead of the policy's own."""
        doubled = (self.first if first is None else first) * 2.0 ** min(try_number - 1, 30)
        return min(doubled, self.longest) * random.uniform(0.5, 1.5)

    def _delay_after(self, exception: BaseException, try_number: int) -> timedelta:
        if isinstance(exception, Preempted):
            return timedelta(0)
        return self.delay(try_number, self.regroup if isinstance(exception, PeerLost) else None)


def retry_arguments() -> dict[str, Any]:
    """How every task is retried, as its keyword arguments; ``NIGHTSHIFT_RETRY_DELAY`` (seconds) replaces the
    first delay.

    The policy runs in the task's own process. A task whose process died (kill -9, a lost node) is
    retried by the scheduler, which knows the plain delays alone.
    """
    first = timedelta(seconds=seconds(RETRY_DELAY, os.environ))
    return {
        "retry_policy": BackoffPolicy(first),
        "retry_delay": first,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": LONGEST_DELAY,
    }
