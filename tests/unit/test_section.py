"""Units and choices of the configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from tasks.registry import Registry
from tasks.section import Bytes, Choice, ChoiceOf, Duration, Section, digest_of


class Waits(Section):
    time: Duration = Field("1s")  # type: ignore[assignment]
    size: Bytes = 0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("250ms", 0.25), ("90s", 90), ("1.5h", 5400), ("2d", 172800), (" 5 m ", 300), ("PT90S", 90)],
)
def test_durations(written: str, seconds: float) -> None:
    assert Waits.model_validate({"time": written}).time == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "5", "5 minutes", "-5s", "1h30m", "s", "1e3s", 5, 5.0, None, True, [], "P"])
def test_what_is_no_duration(written: object) -> None:
    with pytest.raises(ValidationError, match="time"):
        Waits.model_validate({"time": written})


@pytest.mark.parametrize(
    ("written", "size"),
    [("10B", 10), ("10MB", 10_000_000), ("1MiB", 1 << 20), ("1.5 KiB", 1536), (4096, 4096), ("4096", 4096)],
)
def test_sizes(written: object, size: int) -> None:
    assert Waits.model_validate({"size": written}).size == size


@pytest.mark.parametrize("written", ["", "10 megabytes", "-1MB", "MB", "9" * 400 + "TB", "1,5MB", None, []])
def test_what_is_no_size(written: object) -> None:
    with pytest.raises(ValidationError, match="size"):
        Waits.model_validate({"size": written})


def test_a_sections_own_json_is_read_back() -> None:
    section = Waits.model_validate({"time": "90s", "size": "1MiB"})
    assert Waits.model_validate_json(section.model_dump_json()) == section


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Waits().size = 1  # type: ignore[misc]


class Circle(Section):
    radius: int = Field(1, ge=1)


SHAPES: Registry[type] = Registry("tasks.splits", kind="shape")
SHAPES.register("circle")(type("Shape", (), {"Params": Circle}))


class Drawing(Section):
    shape: Annotated[Choice, ChoiceOf(SHAPES)]


@pytest.mark.parametrize("written", ["circle", {"circle": {}}, {"circle": None}, {"circle": {"radius": 1}}])
def test_a_choice_is_a_name_or_a_name_with_parameters(written: object) -> None:
    drawing = Drawing.model_validate({"shape": written})
    assert drawing.shape == Choice(name="circle", params=Circle(radius=1))
    assert drawing.model_dump(mode="json") == {"shape": {"circle": {"radius": 1}}}


@pytest.mark.parametrize("written", [None, 1, [], {}, {"circle": {}, "square": {}}, "square", {"circle": 0}])
def test_what_is_no_choice(written: object) -> None:
    with pytest.raises(ValidationError, match="shape"):
        Drawing.model_validate({"shape": written})


def test_a_fault_in_a_choices_parameters_has_the_whole_path() -> None:
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate({"shape": {"circle": {"radius": 0, "colour": "red"}}})
    assert [fault["loc"] for fault in caught.value.errors()] == [
        ("shape", "circle", "radius"),
        ("shape", "circle", "colour"),
    ]


def test_a_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1, "b": [1, 2]}) != digest_of({"a": 1, "b": [2, 1]})
