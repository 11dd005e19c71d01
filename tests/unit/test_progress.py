"""What long work says of how far it is."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs

from tasks.log import Progress


def test_progress_says_how_far_work_is_under_its_units_name() -> None:
    with capture_logs() as lines:
        Progress(structlog.get_logger(), "documents", 4, every=0).advance(3)
    assert lines[0]["documents"] == 3
    assert lines[0]["of"] == 4


def test_a_unit_that_the_log_would_refuse_is_refused_before_the_work() -> None:
    with pytest.raises(ValueError, match="'documents signed' of a progress"):
        Progress(structlog.get_logger(), "documents signed")
