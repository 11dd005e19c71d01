"""Images: told by their bytes, turned upright, refused before they fill the memory, compared by what they show."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.cleaning.raw import Raw, batches
from tasks.config.corpus import Clean, Near
from tasks.kinds.base import kind_of
from tasks.text.minhash import signatures

DAY = datetime(2026, 11, 20, tzinfo=UTC)
ORIENTATION = 0x0112


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def cleaned(*bodies: bytes, **params: Any) -> list[dict[str, Any]]:
    clean = Clean.model_validate({"kind": {"images": {"min_side": 8, **params}}})
    raws = [Raw(f"{n:032x}", f"a/{n}.png", DAY, body, "image/png") for n, body in enumerate(bodies)]
    return [row for batch in batches(raws) for row in kind_of(clean).refiner(clean).batch(batch).to_pylist()]


@pytest.fixture
def noise() -> Image.Image:
    return Image.effect_noise((60, 40), 80).convert("RGB")


def test_a_bad_image_is_rejected_with_its_reason(noise: Image.Image) -> None:
    good = encoded(noise)
    rows = cleaned(
        good,
        b"<html>no such page</html>",
        good[:300],
        encoded(Image.new("1", (9000, 9000))),
        encoded(Image.new("L", (9, 4))),
    )
    assert [row["reason"] for row in rows] == [None, "content_type", "corrupt", "bomb", "too_small"]
    assert rows[0]["image"] == good, "bytes in which nothing had to change stay"
    assert (rows[0]["width"], rows[0]["height"], rows[0]["channels"]) == (60, 40, 3)


def test_an_image_is_stored_upright_in_the_channels_asked_for(noise: Image.Image) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned, clear = cleaned(encoded(noise, "JPEG", exif=exif), encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0))))
    assert (turned["width"], turned["height"], turned["format"]) == (40, 60, "png")
    with Image.open(io.BytesIO(clear["image"])) as image:
        assert (image.mode, image.getpixel((3, 3))) == ("RGB", (255, 255, 255))
    (grey,) = cleaned(encoded(noise), channels=1, resize=30)
    assert (grey["width"], grey["height"], grey["channels"]) == (30, 20, 1)


def test_what_shows_the_same_is_the_same_whatever_its_encoding(noise: Image.Image) -> None:
    png, bmp, darker, other = cleaned(
        encoded(noise),
        encoded(noise, "BMP"),
        encoded(noise.point(lambda value: int(value * 0.95))),
        encoded(Image.effect_noise((60, 40), 80).convert("RGB")),
    )
    assert png["digest"] == bmp["digest"] != darker["digest"]
    like = kind_of(Clean.model_validate({"kind": "images"})).likeness
    signed = signatures(like.words([row["phash"] for row in (png, darker, other)]), like.settings(Near()))
    assert (signed[0] == signed[1]).mean() > 0.9
    assert (signed[0] == signed[2]).mean() < 0.6


def test_the_folder_within_an_archive_is_the_label(noise: Image.Image, tmp_path: Path) -> None:
    body = encoded(noise)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("photos/cat/1.png", "loose.png"):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    kind = kind_of(Clean.model_validate({"kind": "images"}))
    raws = list(kind.read(tmp_path / "x.tar", name="x", moment=DAY, limit=1 << 20))
    assert [(raw.url, raw.label, raw.body == body) for raw in raws] == [
        ("photos/cat/1.png", "cat", True),
        ("loose.png", None, True),
    ]
    assert [raw.fault for raw in kind.read(tmp_path / "x.tar", name="x", moment=DAY, limit=10)] == ["too_large"] * 2
