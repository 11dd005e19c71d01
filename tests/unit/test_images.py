"""Images: told by their bytes, turned upright, refused before they fill the memory, compared by what they show."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tasks.cleaning.raw import Raw, batches
from tasks.config.clean import Clean, Near
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


def test_an_image_that_pillow_chokes_on_is_corrupt_and_no_crash(
    noise: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does, by an error of `struct`, on some TIFF and EXIF data that are cut off."""

    def choking(self: Image.Image) -> None:
        struct.unpack("<I", b"")

    body = encoded(noise)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", choking)
    (row,) = cleaned(body)
    assert (row["reason"], row["value"]) == ("corrupt", "png")


def test_an_image_whose_palette_lacks_a_colour_is_corrupt_and_no_crash(
    noise: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which Pillow says as it converts what it has read without a word."""

    def lacking(self: Image.Image, *_: object) -> Image.Image:
        raise ValueError("palette index out of range")

    body = encoded(noise)
    monkeypatch.setattr(Image.Image, "convert", lacking)
    (row,) = cleaned(body)
    assert (row["reason"], row["value"], row["detail"]) == ("corrupt", "png", "palette index out of range")


@pytest.mark.parametrize("form", ["BMP", "WEBP", "PNG"])
def test_an_image_that_is_spoilt_in_its_first_lines_is_corrupt_and_no_crash(noise: Image.Image, form: str) -> None:
    spoilt = encoded(noise, form)
    at = {"BMP": 14, "WEBP": 16, "PNG": 8}[form]  # the size of what follows
    (row,) = cleaned(spoilt[:at] + {"PNG": b"\x00\x00\x00\x05"}.get(form, b"\x07\xff\xff\x7f") + spoilt[at + 4 :])
    assert (row["reason"], row["value"]) == ("corrupt", "image/png")
    assert row["detail"]


def test_a_page_that_led_to_images_is_no_corrupt_image(noise: Image.Image) -> None:
    clean = Clean.model_validate({"kind": "images", "labels": [{"pattern": "/(?P<label>[a-z]+)s/"}]})
    shown = Raw("1" * 32, "http://x/img/1.png", DAY, encoded(noise), "image/png", via="http://x/cats/tom.html")
    page = Raw("2" * 32, "http://x/cats/tom.html", DAY, b"<html>", "text/html")
    rows = [row for batch in batches([shown, page]) for row in kind_of(clean).refiner(clean).batch(batch).to_pylist()]
    assert [(row["reason"], row["label"]) for row in rows] == [(None, "cat"), ("page", "cat")]
    assert all("page" not in rate.reasons for rate in kind_of(clean).rates())


def test_an_image_is_stored_upright_in_the_channels_asked_for(noise: Image.Image) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned, clear = cleaned(encoded(noise, "JPEG", exif=exif), encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0))))
    assert (turned["width"], turned["height"], turned["format"]) == (40, 60, "png")
    with Image.open(io.BytesIO(clear["image"])) as image:
        assert (image.mode, image.getpixel((3, 3))) == ("RGB", (255, 255, 255))
    (grey,) = cleaned(encoded(noise), channels=1, resize=30)
    assert (grey["width"], grey["height"], grey["channels"]) == (30, 20, 1)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_of_16_bits_keeps_its_shades_and_measurements_are_no_picture(form: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    shades = Image.fromarray(ramp)
    clear = {"transparency": 256} if form == "PNG" else {}
    formats = ["png", "tiff"]
    (row,) = cleaned(encoded(shades, form, **clear), channels=1, formats=formats)
    with Image.open(io.BytesIO(row["image"])) as image:
        assert (np.asarray(image) == ramp >> 8).all()
    measured = [encoded(Image.fromarray(ramp.astype(kind)), "TIFF") for kind in (np.int32, np.float32)]
    assert [(row["reason"], row["value"]) for row in cleaned(*measured, formats=formats)] == [
        ("depth", "I"),
        ("depth", "F"),
    ]


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
