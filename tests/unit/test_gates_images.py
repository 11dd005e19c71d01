"""Gate splits of images: what looks the same lies in one split, however it is encoded."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from tasks.errors import GateFailed
from tests.gate_cases.splits import split_of
from tests.gated import DAY, DOCUMENTS, Gated, documents, judge
from tests.unit.test_gates import gated

__all__ = ["gated"]  # the fixture

FOLDER = f"staging/docs/{DAY}"


def staged(given: Gated, hashes: list[int]) -> None:
    """Forty images of these perceptual hashes: 32 in train, 4 each in validation and test."""
    given.clean(documents())
    files = []
    told = {row["uid"]: f"{value:064x}" for row, value in zip(documents(), hashes, strict=True)}
    for role, rows in split_of(documents()).items():
        column = pa.array([told[row["uid"]] for row in rows])
        files.append(
            given.file(FOLDER, role, pa.Table.from_pylist(rows, schema=DOCUMENTS).append_column("phash", column))
        )
    given.recommit(given.staging(), FOLDER, files=tuple(files))


def flipped(value: int, bits: int, first: int = 0) -> int:
    """The hash with so many bits changed, every fifth from ``first`` on."""
    for place in range(bits):
        value ^= 1 << (first + 5 * place) % 256
    return value


@pytest.mark.parametrize(
    ("near", "bits", "passes"),
    [
        (None, 0, False),
        (None, 12, False),
        (None, 13, True),
        ({"threshold": 0.9}, 4, False),
        ({"threshold": 0.9}, 5, True),
    ],
)
@pytest.mark.parametrize(("one", "other"), [(3, 35), (7, 39), (33, 38)], ids=["validation", "test", "both"])
def test_what_looks_the_same_is_in_one_split(
    gated: Callable[..., Gated], near: Any, bits: int, passes: bool, one: int, other: int
) -> None:
    given = gated(kind="images", clean={"dedup": {"near": near}}, train={"recipe": "image_vgg16"})
    chance = random.Random(0)
    hashes = [chance.getrandbits(256) for _ in range(40)]
    hashes[4] = flipped(hashes[3], 1)  # of one split: nobody's concern
    hashes[other] = flipped(hashes[one], bits, first=other)
    staged(given, hashes)
    if passes:
        assert judge(given, "splits")["passed"]
        return
    with pytest.raises(GateFailed, match="phash_in_one_split"):
        judge(given, "splits")


def test_a_day_without_images_passes(gated: Callable[..., Gated]) -> None:
    given = gated(kind="images", train={"recipe": "image_vgg16"})
    given.clean([])
    given.staging()
    assert judge(given, "splits")["passed"]
