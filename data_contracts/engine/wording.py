"""What an expectation asked and what it saw, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHOWN = 5
_LONGEST = 200


def expected(kind: str, kwargs: Mapping[str, Any]) -> str:
    """What an expectation of type ``kind`` asks."""
    least, most = kwargs.get("min_value"), kwargs.get("max_value")
    if least is not None and least == most:
        return _number(least)
    if least is not None and most is not None:
        return f"{_number(least)} to {_number(most)}"
    if least is not None:
        return f"at least {_number(least)}"
    if most is not None:
        return f"at most {_number(most)}"
    if kind == "expect_column_values_to_be_unique":
        return "every value once"
    if kind == "expect_column_values_to_not_be_null":
        return "a value in every row"
    if kind == "expect_column_pair_values_to_be_equal":
        return f"{kwargs['column_A']} as in {kwargs['column_B']}"
    for key, words in (("value_set", "one of"), ("column_set", "all of"), ("regex", "the form")):
        if kwargs.get(key) is not None:
            value = kwargs[key]
            return f"{words} {value if isinstance(value, str) else ', '.join(map(str, value))}"
    asked = {k: v for k, v in kwargs.items() if k not in ("batch_id", "column") and v is not None}
    return ", ".join(f"{key} {value}" for key, value in asked.items())


def observed(result: Mapping[str, Any], error: str | None) -> str:
    """What an expectation saw; ``error`` is why it could not look, if it could not."""
    if error is not None:
        return f"nothing to look at ({error})"
    if missing := result.get("details", {}).get("mismatched", {}).get("missing"):
        return f"no {', '.join(map(str, missing))}"
    if "unexpected_count" in result:
        if not result["unexpected_count"]:
            return f"{result['element_count']} rows, all as expected"
        return f"{result['unexpected_count']} of {result['element_count']} rows, such as {_examples(result)}"
    value = result.get("observed_value")
    return "no number" if value is None else _number(value)


def _examples(result: Mapping[str, Any]) -> str:
    """The first values that broke it, with the key of their rows where the table has one; a value once."""
    named = result.get("partial_unexpected_index_list") or []
    if named and isinstance(named[0], Mapping):
        shown = [", ".join(f"{key} {_number(value)}" for key, value in row.items()) for row in named]
    else:
        shown = [_number(value) for value in result.get("partial_unexpected_list") or []]
    different = list(dict.fromkeys(shown))
    return "; ".join(different[:_SHOWN]) + ("; …" if len(different) > _SHOWN else "")


def _number(value: object) -> str:
    if isinstance(value, bool | str) or value is None:
        text = str(value)
    elif isinstance(value, int | float):
        # Enough digits to tell an observed value from the bound that it just misses.
        text = f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
    else:
        text = str(value)
    # Values come from the web: one line stays one line, and a terminal is sent no commands.
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
