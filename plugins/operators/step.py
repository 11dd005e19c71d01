"""One step of the chain as an Airflow task: what it is in every runtime, and as a process of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.log import mask_secret

from plugins.errors import error_of
from plugins.runtime import LocalRuntime, Outcome
from plugins.sites import SiteAccess, known
from tasks.errors import BadInput, NightshiftError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

_SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|PRIVATE|API_?KEY", re.IGNORECASE)
_AIRFLOWS_OWN = ("AIRFLOW__", "_AIRFLOW", "AIRFLOW_CONN_", "AIRFLOW_VAR_")
_LEVEL = re.compile(r"\blevel=(\w+)")


class Step(BaseOperator):
    """Runs ``nightshift <step> --corpus … --json`` and hands on the URL of the manifest it committed.

    A subclass says where: ``StepOperator`` here, ``plugins.operators.pod.PodStepOperator`` in a pod.

    The exit code decides what happens next (see ``plugins.errors``); the step's log lines appear in the
    task log as they are written. The XCom is the manifest's URL, or with ``fan_out`` a list of
    ``<url>#<i>/<n>``, one for each shard that the next step is mapped over.

    :param step: name of the command.
    :param corpus: the corpus' YAML file, or its name. (templated)
    :param options: further options of the command, ``{"partition": "2026-11-20"}``; one that renders to
        an empty string is an error that names it. (templated)
    :param flags: further options that take no value; one that renders to an empty string is left out. (templated)
    :param shard: this task's share, ``i/n`` or ``<url>#<i>/<n>``; what a mapped task is expanded over. (templated)
    :param shard_option: the option that ``shard`` is handed to.
    :param fan_out: return a list with one entry for each of the result's ``counts.shards``.
    """

    template_fields: Sequence[str] = ("corpus", "options", "flags", "shard")
    template_fields_renderers = {"options": "json"}  # noqa: RUF012  # Airflow declares it a plain dict
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        step: str,
        corpus: str,
        options: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        shard: str | None = None,
        shard_option: str = "shard",
        fan_out: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.step = step
        self.corpus = corpus
        self.options = options or {}
        self.flags = tuple(flags)
        self.shard = shard
        self.shard_option = shard_option
        self.fan_out = fan_out

    def returned(self, result: Mapping[str, Any], context: Context) -> str | list[str]:
        """What the task hands on, made of the command's result."""
        url = str(result["manifest"])
        if not self.fan_out:
            return url
        shards = int(result["counts"]["shards"])
        return [f"{url}#{index}/{shards}" for index in range(shards)]

    def result_of(self, outcome: Outcome) -> dict[str, Any]:
        """The result of a command that ended.

        Raises:
            NightshiftError: it did not end well; of the type that the exit code says.
        """
        if outcome.exit_code != 0:
            raise error_of(outcome.exit_code, outcome.payload, outcome.last_lines, step=self.step)
        if outcome.payload is None or "manifest" not in outcome.payload:
            raise NightshiftError(f"{self.step} ended well but left no result: expected a JSON object")
        self.log.info("%s", _summary(outcome.payload))
        return outcome.payload

    def command_line(self, corpus: str | None = None) -> list[str]:
        """The command line after ``nightshift``; ``corpus`` stands in for this task's own.

        Raises:
            BadInput: an option rendered to nothing.
        """
        options = {"corpus": corpus or self.corpus, **self.options}
        if self.shard is not None:
            options[self.shard_option] = self.shard.rpartition("#")[2]
        empty = [name for name, value in options.items() if value in ("", "None")]
        if empty:
            raise BadInput(
                f"{self.step}: no {' and no '.join(empty)}: this run was made without it. Trigger the DAG anew with "
                "a partition key (the day, YYYY-MM-DD), or with the parameters that its form asks for"
            )
        return [
            self.step,
            *(f"--{name}={value}" for name, value in options.items()),
            *(f"--{name}" for name in self.flags if name),
            "--json",
        ]


class StepOperator(Step):
    """A step as a process of the Airflow worker's own machine.

    :param sites: of a federated corpus: whose variables its processes must not know. With ``shard_option`` ``site`` the
        shard's own site is spared.
    """

    def __init__(self, *, sites: Sequence[SiteAccess] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sites = tuple(sites)
        self._running: LocalRuntime | None = None

    def execute(self, context: Context) -> str | list[str]:
        _mask_secrets(os.environ)
        self._running = LocalRuntime()
        share = (self.shard or "").rpartition("#")[2].partition("/")[0]
        own = int(share) if share and self.shard_option == "site" else None
        environment = known(_environment(os.environ), self.sites, own)
        outcome = self._running.run(self.command_line(), environment, self._log_line)
        return self.returned(self.result_of(outcome), context)

    def on_kill(self) -> None:
        """End the step's processes; called when the task is marked failed, cleared or times out."""
        if self._running is not None:
            self._running.kill()

    def _log_line(self, line: str) -> None:
        level = _LEVEL.search(line)
        write = getattr(self.log, level[1] if level and level[1] in ("debug", "warning", "error") else "info")
        write("%s", line)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a step may know: the deployment's settings, without Airflow's own (its database and connections)."""
    return {name: value for name, value in environ.items() if not name.startswith(_AIRFLOWS_OWN)}


def _mask_secrets(environ: Mapping[str, str]) -> None:
    for name, value in environ.items():
        if _SECRET.search(name) and value:
            mask_secret(value, name)


def _summary(result: Mapping[str, Any]) -> str:
    state = "unchanged, nothing to do" if result.get("noop") else "done"
    counts = ", ".join(f"{name}={value}" for name, value in (result.get("counts") or {}).items())
    return f"{result.get('step')}: {state}. {counts}. {result.get('message') or ''} {result['manifest']}"
