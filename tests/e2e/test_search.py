"""A search for parameters under the real scheduler, over a real S3 server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from containers.embedded.stack import Stack
from tasks.catalog import Catalog
from tasks.store import open_store
from tests.runs import ended, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DAY = "2026-11-01"


def test_trials_are_mapped_tasks_and_the_winners_parameters_are_the_runs(
    airflow_stack: Stack, tmp_path: Path, write_day: Callable[..., None], archive_corpus: Callable[..., Path]
) -> None:
    rest = airflow_stack.rest
    write_day(tmp_path / "archive", DAY, pages=60)
    search = {"parameters": {"trees": {"low": 1, "high": 12}}, "trials": 3, "parallel": 2}
    corpora = Path(airflow_stack.environment["NIGHTSHIFT_CORPORA"])
    archive_corpus(corpora, "searched", tmp_path / "archive", search=search, schedule={"retrain": "manual"})
    for dag in ("ingest_searched", "retrain_searched"):
        rest.wait_for_dag(dag)
        rest.unpause(dag)
    assert ended(airflow_stack, "ingest_searched", rest.trigger("ingest_searched", partition=DAY)) == "success"
    run = rest.trigger("retrain_searched")
    assert ended(airflow_stack, "retrain_searched", run, 600) == "success"
    tasks = rest.tasks("retrain_searched", run)
    assert sorted((t["task_id"], t["map_index"]) for t in tasks if t["task_id"].startswith("trials_")) == [
        ("trials_0", 0),
        ("trials_0", 1),
        ("trials_1", 0),
    ]
    catalog = Catalog(open_store(airflow_stack.environment["NIGHTSHIFT_STORE"], airflow_stack.environment))
    found = wait(lambda: catalog.current(catalog.folder(rest.result("retrain_searched", run, "search"))), "its end", 5)
    model = catalog.current(catalog.folder(rest.result("retrain_searched", run, "merge")))
    assert model is not None
    assert model.details["params"]["trees"] == found.details["best"]["params"]["trees"]
    assert model.details["search"]["digest"] == found.digest()
    assert found.details["states"]["complete"] == 3
    # Once more: nothing is left to do, whether the search or the training is asked.
    again = rest.trigger("retrain_searched")
    assert ended(airflow_stack, "retrain_searched", again) == "success"
    states = {t["task_id"]: t["state"] for t in rest.tasks("retrain_searched", again)}
    assert states["snapshot"] == "success"
    assert states["search"] == states["promote"] == "skipped"
