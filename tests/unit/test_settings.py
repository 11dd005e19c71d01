"""Settings of the deployment that make no sense: named, and no reason for a lost night."""

from __future__ import annotations

import runpy
from datetime import timedelta
from pathlib import Path

import pytest

from plugins import settings
from plugins.retry import retry_arguments
from plugins.runtime import guard
from tasks.errors import BadInput

DAGS = Path(__file__).parents[2] / "dags"


@pytest.mark.parametrize("given", ["abc", "-1", "nan", "inf"])
def test_a_first_delay_that_is_no_number_of_seconds_is_named_and_the_default_holds(
    given: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_RETRY_DELAY", given)
    assert retry_arguments()["retry_delay"] == timedelta(seconds=30)
    assert f"NIGHTSHIFT_RETRY_DELAY={given!r}: expected seconds" in caplog.text


@pytest.mark.parametrize("name", settings.SECONDS)
def test_the_web_ui_shows_which_variable_makes_no_sense(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_CORPORA", str(tmp_path))
    monkeypatch.syspath_prepend(str(DAGS))
    monkeypatch.setenv(name, "2")
    runpy.run_path(str(DAGS / "faults.py"))
    monkeypatch.setenv(name, "soon")
    with pytest.raises(BadInput, match=f"{name}='soon': expected seconds"):
        runpy.run_path(str(DAGS / "faults.py"))


def test_the_guard_and_the_settings_agree_on_the_default() -> None:
    assert settings.SECONDS[settings.KILL_GRACE] == guard.GRACE
