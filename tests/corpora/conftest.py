"""The small corpus of the end-to-end tests, for the ways of training that take too long there."""

from __future__ import annotations

from tests.e2e.conftest import archive_corpus, write_day  # noqa: F401  # fixtures
