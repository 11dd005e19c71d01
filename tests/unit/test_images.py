"""The images have what runs in them: each step's libraries are in the lock of the image that its pods start from."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.runtime.pods import INGEST_STEPS
from tasks.models.base import RECIPES
from tasks.step import Step

ROOT = Path(__file__).parents[2]


def steps() -> Iterator[Step]:
    for file in sorted((ROOT / "tasks").glob("*.py")):
        step = getattr(importlib.import_module(f"tasks.{file.stem}"), "STEP", None)
        if isinstance(step, Step):
            yield step


def locked(image: str) -> set[str]:
    """The distributions in an image's lock."""
    text = (ROOT / "containers" / image / "requirements.txt").read_text()
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", text, re.MULTILINE))


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.name)
def test_a_steps_libraries_are_in_its_image(step: Step) -> None:
    image = "pipeline" if step.name in INGEST_STEPS else "trainer"
    assert not set(step.libraries) - locked(image)


@pytest.mark.parametrize("name", RECIPES.names())
@pytest.mark.parametrize("image", ["trainer", "trainer-gpu"])
def test_a_recipes_libraries_are_in_the_images_that_train(name: str, image: str) -> None:
    there = locked(image)
    if "tensorflow-cpu" in there:
        there |= {"tensorflow"}
    assert not set(RECIPES.get(name).libraries) - there
