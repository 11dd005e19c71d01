"""``make demo``: the main job, under the real scheduler, watched to its end."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from containers.embedded.data.make import make, makers
from containers.embedded.follow import Followed, Follower, name_of
from containers.embedded.stack import BACKUP, DATA, STORE, Stack
from containers.embedded.summary import shortfall, show, summarise
from containers.embedded.tasklogs import TaskLogs
from tasks.backups.vault import Vault
from tasks.catalog import Catalog
from tasks.errors import NightshiftError
from tasks.store import open_store

TAIL = 25
PATIENCE = 1800.0


def run_demo(stack: Stack, corpus: str, out: Path, console: Console, *, started: float) -> int:
    """Ingest today, follow the retraining that it starts, and sum up; 0 when a champion is promoted and backed up.

    A run for today that an earlier demo left unfinished is followed instead of started anew. ``started``
    is the ``time.monotonic()`` at which the user asked for it.

    Raises:
        NightshiftError: Airflow or the store does not do its part; says which and where to look.
    """
    with console.status(f"making the data of {corpus}"):
        data = make(DATA, corpus)
    partition = datetime.now(UTC).date().isoformat()
    out.unlink(missing_ok=True)  # what an earlier demo came to must not be read as this one's
    store, backup = (open_store(url, stack.environment) for url in (STORE, BACKUP))
    follower = Follower(stack.rest, store, TaskLogs(stack.home / "airflow" / "logs"), console)
    ingest_dag, retrain_dag = f"ingest_{corpus}", f"retrain_{corpus}"
    for dag in (ingest_dag, retrain_dag):
        stack.rest.wait_for_dag(dag)
        stack.rest.unpause(dag)
    before = {run["dag_run_id"] for run in stack.rest.runs(retrain_dag)}
    ingest = follower.follow(ingest_dag, _today(stack, ingest_dag, partition, console), PATIENCE)
    if ingest.state != "success":
        return _explain(stack, ingest, console)
    stack.require_all()
    run = follower.await_run(retrain_dag, lambda each: each["dag_run_id"] not in before, 120)
    retrain = follower.follow(retrain_dag, run, PATIENCE)
    if retrain.state != "success":
        return _explain(stack, retrain, console)

    settled = None if retrain.trained else _settled(stack, corpus)
    summary = summarise(Catalog(store), Vault(backup, corpus), corpus, partition, settled=settled)
    summary["tasks"] = {"run": ingest.done + retrain.done, "noop": len(ingest.noops) + len(retrain.noops)}
    summary["noop"] = not retrain.trained and ingest.done == len(ingest.noops)
    summary["seconds"] = round(time.monotonic() - started, 1)
    summary["web_ui"] = stack.rest.url
    summary["store"] = {"store": STORE, "backup": BACKUP, "endpoint": stack.environment["AWS_ENDPOINT_URL"]}
    out.parent.mkdir(parents=True, exist_ok=True)
    for url in summary.get("report", []):
        # A copy that a browser can open: the store wants a signature.
        store.download(store.key_of(url), out.parent / "report.html")
        summary["report_copy"] = str(out.parent / "report.html")
    out.write_text(json.dumps(summary, indent=1))
    show(console, summary)
    fault = shortfall(summary)
    if summary["noop"] and fault is None:
        console.print(
            "Nothing changed since the last run: every step was a no-op, and no model was trained.", soft_wrap=True
        )
    if summary["champion"] is not None:
        _try_champion(stack, corpus, data, out.parent / "prediction", console)
    console.print(f"{summary['seconds']:.0f} s in all. The summary as JSON: {near(out)}")
    if fault is not None:
        console.print(fault, style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _today(stack: Stack, dag: str, partition: str, console: Console) -> str:
    """The run to follow: the one under way for that day, or a new one."""
    for run in stack.rest.runs(dag):
        if run["partition_key"] == partition and run["state"] in ("queued", "running"):
            console.print(f"{dag}: the run for {partition} that was interrupted goes on")
            return str(run["dag_run_id"])
    return stack.rest.trigger(dag, partition=partition)


def _settled(stack: Stack, corpus: str) -> str | None:
    """Why there was nothing to train on: promoted and backed up before, or rejected before.

    Raises:
        NightshiftError: the command failed; with what it said.
    """
    done = stack.command("snapshot", "--corpus", corpus, "--json")
    if done.returncode:
        raise NightshiftError(f"nightshift snapshot failed:\n{done.stderr}")
    reason: str | None = json.loads(done.stdout.splitlines()[-1])["counts"]["settled"]
    return reason


def _try_champion(stack: Stack, corpus: str, data: Path | None, out: Path, console: Console) -> None:
    """Show the champion at work on files that it never saw, of a corpus whose data are made here.

    Raises:
        NightshiftError: the command failed; with what it said.
    """
    if data is None:
        return
    page: Path = makers()[corpus].unseen(out.parent, data)
    done = stack.command("predict", "--corpus", corpus, "--input", str(page), "--output", str(out), "--json")
    if done.returncode:
        raise NightshiftError(f"nightshift predict failed:\n{done.stderr}")
    console.print(f"nightshift predict --corpus {corpus} --input {near(page)} --output {near(out)}", soft_wrap=True)
    for row in pq.read_table(out / "predictions.parquet").to_pylist():
        console.print(f"  {_shown(row)}", markup=False, highlight=False)


def _shown(row: dict[str, Any]) -> str:
    """One prediction in a line."""
    if "confidence" in row:
        return f"{row['predicted']}, with confidence {row['confidence']:.2f}"
    if "entities" in row:
        found = ", ".join(f"{each['type']} {each['text']}" for each in row["entities"])
        return f"{' '.join(row['tokens'])}\n    {found or 'nothing'}"
    said = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}
    return ", ".join(f"{name} {value}" for name, value in said.items() if name not in ("uid", "url"))


def _explain(stack: Stack, followed: Followed, console: Console) -> int:
    console.print(f"[red bold]{followed.dag} failed.[/]")
    for task in followed.failures:
        console.rule(f"{name_of(task)}, attempt {task['try_number']}")
        for line in followed.logs.lines(followed.dag, followed.run, task)[-TAIL:]:
            console.print(line, markup=False, highlight=False)
        place = near(followed.logs.path(followed.dag, followed.run, task))
        console.print(f"The whole log: {place}", soft_wrap=True)
    console.print(f"In the web UI, once the stack is up: {stack.rest.url}/dags/{followed.dag}")
    console.print(f"Logs of the servers: {near(stack.logs)}")
    return 1


def near(path: Path) -> str:
    """A path as short as it can be written here."""
    return os.path.relpath(path)
