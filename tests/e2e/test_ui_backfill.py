"""A backfill as a person begins it: in Airflow's web UI, in a real browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from containers.embedded.stack import Stack
from tests.e2e.browser import Browser, find_chromium
from tests.runs import catalog, wait

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium on PATH that runs; Debian's package brings one: apt-get install chromium"
    ),
]

CORPUS = "clicked"
DAG = f"ingest_{CORPUS}"
DAYS = ("2026-11-01", "2026-11-02")

FORM = "[role=dialog][data-state=open]"
DAY_FIELD = "[role=dialog] [data-testid=datetime-input]"
TYPED_DAY = f"{FORM} input[placeholder='YYYY/MM/DD']"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM, tmp_path / "browser") as browser:
        yield browser


@pytest.fixture
def ingest(
    airflow_stack: Stack, tmp_path: Path, write_day: Callable[..., None], archive_corpus: Callable[..., Path]
) -> Stack:
    """The stack with a corpus that has an archive of those days and the day after them."""
    for day in (*DAYS, "2026-11-03"):
        write_day(tmp_path / "archive", day)
    corpora = Path(airflow_stack.environment["NIGHTSHIFT_CORPORA"])
    archive_corpus(corpora, CORPUS, tmp_path / "archive")
    retrain = f"retrain_{CORPUS}"
    for dag in (DAG, retrain):
        airflow_stack.rest.wait_for_dag(dag)
    # What a backfill brings about is shown elsewhere.
    airflow_stack.rest.call("PATCH", f"dags/{retrain}?update_mask=is_paused", {"is_paused": True})
    return airflow_stack


def test_a_backfill_begun_in_the_web_ui_makes_each_of_its_days_once(ingest: Stack, browser: Browser) -> None:
    rest = ingest.rest
    browser.open(f"{rest.url}/dags/{DAG}")
    browser.click("button", "Trigger")
    browser.click(f"{FORM} label", "Backfill\nRun this Dag for a range of dates")
    for day in (DAYS[0], DAYS[-1]):
        # The first field that is empty still.
        browser.click(DAY_FIELD, "Select date and time")
        browser.write(TYPED_DAY, day.replace("-", "/"))
        browser.click(f"{FORM} p", "Date Range")  # the calendar closes
    browser.see(f"{FORM} p", f"{len(DAYS)} runs will be triggered.")
    browser.click(f"{FORM} button", "Run Backfill")

    def completed() -> list[dict[str, Any]]:
        listed = rest.call("GET", f"backfills?dag_id={DAG}")["backfills"]
        return [backfill for backfill in listed if backfill["completed_at"]]

    (backfill,) = wait(completed, "the backfill is listed as completed", 900)
    assert (backfill["from_date"][:10], backfill["to_date"][:10]) == (DAYS[0], DAYS[-1])
    runs = rest.runs(DAG)
    assert Counter(run["partition_key"] for run in runs) == Counter(DAYS)
    assert {(run["run_type"], run["state"]) for run in runs} == {("backfill", "success")}
    assert [folder.rpartition("/")[2] for folder in catalog(ingest).folders(f"dataset/{CORPUS}")] == list(DAYS)
