"""A command's result where a pod's container leaves it: a file that Kubernetes keeps as the termination message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import NightshiftError

LIMIT = 4096
"""Bytes of a termination message; Kubernetes cuts a longer one, and half an object is no object."""
_TEXT = 1500
_SHORT = 200
_CUT = " […] "


def leave_result(values: Mapping[str, Any], file: str | None) -> None:
    """Write a result to ``file`` (``NIGHTSHIFT_RESULT_FILE``), if there is one, shortened to what it may hold.

    Raises:
        NightshiftError: the file cannot be written.
    """
    if not file:
        return
    try:
        Path(file).write_bytes(fitted(values))
    except OSError as error:
        raise NightshiftError(f"the result cannot be left in {file} (NIGHTSHIFT_RESULT_FILE): {error}") from error


def fitted(values: Mapping[str, Any], limit: int = LIMIT) -> bytes:
    """The object as one line of JSON of at most ``limit`` bytes.

    What goes first, as long as it does not fit: the middle of a long error, the end of a long message, counts that are
    no single number or word (labels to rows), then all counts but those that the chain is steered by.
    """
    kept = json.loads(json.dumps(values))
    for shorten in (_texts, _tables, _counts, _bare):
        if len(line := _line(kept)) <= limit:
            return line
        shorten(kept)
    return _line(kept)


def _line(kept: dict[str, Any]) -> bytes:
    return json.dumps(kept, ensure_ascii=False).encode()


def _texts(kept: dict[str, Any]) -> None:
    error = kept.get("error")
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        error["message"] = _middle_out(error["message"], _TEXT)
    if isinstance(kept.get("message"), str):
        kept["message"] = _middle_out(kept["message"], _SHORT)


def _tables(kept: dict[str, Any]) -> None:
    if "counts" in kept:
        kept["counts"] = {name: value for name, value in kept["counts"].items() if not isinstance(value, (dict, list))}


def _counts(kept: dict[str, Any]) -> None:
    if "counts" in kept:
        kept["counts"] = {name: value for name, value in kept["counts"].items() if name in ("shards", "settled")}


def _bare(kept: dict[str, Any]) -> None:
    # Characters outside ASCII and quotes take up to six bytes each.
    error = kept.get("error")
    if isinstance(error, dict):
        error["message"] = _middle_out(str(error.get("message")), _SHORT)
    kept.pop("message", None)


def _middle_out(text: str, length: int) -> str:
    half = length // 2
    return text if len(text) <= length else text[:half] + _CUT + text[-half:]
