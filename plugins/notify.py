"""Tells people what happened at night, by a JSON POST."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseNotifier

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

TIMEOUT = 10.0
"""Seconds: a webhook that hangs must not hold a worker."""
ERROR_CHARACTERS = 2000
TASK_FAILURE = "task_failure"
"""Airflow's reason for a run that failed because a task did."""


class WebhookNotifier(BaseNotifier):
    """Posts ``{"event", "corpus", "dag", "task", "map_index", "run", "partition", "error", "log", "text"}``.

    A webhook that fails is logged and otherwise ignored: the task's own outcome stands. The URL is a
    secret (whoever knows it can post), so that logs name its host alone.

    :param webhook: where to post to.
    :param event: failure, success or promotion.
    :param corpus: name of the corpus.
    """

    def __init__(self, *, webhook: str, event: str, corpus: str) -> None:
        super().__init__()
        self.webhook = webhook
        self.event = event
        self.corpus = corpus

    def notify(self, context: Context) -> None:
        host = urlsplit(self.webhook).hostname
        body = json.dumps(message(self.event, self.corpus, context)).encode()
        try:
            request = urllib.request.Request(self.webhook, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                self.log.info("told %s of the %s: HTTP %s", host, self.event, response.status)
        except (OSError, ValueError) as error:
            # urllib's errors may repeat the URL: their type and status say enough.
            detail = getattr(error, "code", None) or getattr(getattr(error, "reason", None), "strerror", None)
            self.log.error("could not tell %s of the %s: %s %s", host, self.event, type(error).__name__, detail or "")


class RunNotifier(WebhookNotifier):
    """Tells of a run that failed although no task did; a task that fails is told of by its own notifier."""

    def notify(self, context: Context) -> None:
        if context.get("reason") != TASK_FAILURE:
            super().notify(context)


def message(event: str, corpus: str, context: Context) -> dict[str, Any]:
    """What is posted; ``text`` is one sentence, so that chat webhooks show something without a template."""
    run, ti = context.get("dag_run"), context.get("ti")
    values: dict[str, Any] = {
        "event": event,
        "corpus": corpus,
        "dag": getattr(run, "dag_id", None) or getattr(context.get("dag"), "dag_id", None),
        "task": getattr(ti, "task_id", None),
        "map_index": getattr(ti, "map_index", None),
        "run": getattr(run, "run_id", None) or context.get("run_id"),
        "partition": getattr(run, "partition_key", None),
        "error": _error(context, event),
        "log": getattr(ti, "log_url", None),
    }
    where = " ".join(str(v) for v in (values["dag"], values["task"], values["partition"] or values["run"]) if v)
    values["text"] = f"Nightshift {event}: {where}" + (f": {values['error']}" if values["error"] else "")
    return values


def _error(context: Context, event: str) -> str | None:
    error = context.get("exception") or (context.get("reason") if event == "failure" else None)
    if error is None:
        return None
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    return _redacted(text)[:ERROR_CHARACTERS]


def _redacted(text: str) -> str:
    from airflow.sdk._shared.secrets_masker import redact

    return str(redact(text))
