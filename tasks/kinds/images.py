"""``images``: encoded images with a label, from archives, folder trees (class = folder) or WARC captures."""

from __future__ import annotations

import hashlib
import io
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from tasks.kinds.base import KINDS, Bound, Kind, Likeness, Rate, Row
from tasks.section import Section

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from tasks.cleaning.raw import Raw
    from tasks.config.clean import Near

_HASH = 16
"""Side of the perceptual hash: 256 bits."""
_LOSSLESS = "PNG"
_BOUNDLESS = frozenset({"I", "F"})
"""Pillow's modes of measurements rather than shades: integers of 32 bits, and fractions."""
_PAGES = frozenset({"text/html", "application/xhtml+xml", "text/plain"})
"""Media types that only a crawl hands in: what it was led to images by, and does not ask for in their place."""

_SPOILT = (OSError, SyntaxError, ValueError, EOFError, struct.error)
"""What Pillow raises of bytes that begin as an image and go on as none."""


class ImagesParams(Section):
    """Which images are taken, and what is stored of them."""

    formats: tuple[Literal["png", "jpeg", "gif", "webp", "bmp", "tiff"], ...] = Field(
        ("png", "jpeg", "gif", "webp", "bmp"), description="told by an image's first bytes, whatever its name says"
    )
    channels: Literal[1, 3] = Field(3, description="3: colour, transparency over white; 1: grey")
    min_side: int = Field(32, ge=1, description="pixels of the shorter side; a smaller image is rejected")
    max_pixels: int = Field(
        50_000_000, ge=1, description="an image that would have more is rejected before it is unpacked"
    )
    resize: int | None = Field(None, ge=8, description="a longer side is made this long on ingest; null: as it is")
    max_corrupt: float = Field(
        0.05, ge=0, le=1, description="images that cannot be read, or would be too large, of all, at gate clean"
    )
    tfrecord: bool = Field(
        False, description="a snapshot has the encoded images as TFRecord files of `tf.train.Example`, too"
    )

    @model_serializer(mode="wrap")
    def _as_rows_are_made(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What else is made of the rows changes none: nothing is cleaned anew for it."""
        values: dict[str, Any] = dump(self)
        values.pop("tfrecord")
        return values


def _bits(hashes: Sequence[str]) -> list[str]:
    """Perceptual hashes as words, one a bit: images are as alike as the sets of these."""
    spread = (f"{int(each, 16):0{_HASH * _HASH}b}" for each in hashes)
    return [" ".join(f"{place}:{bit}" for place, bit in enumerate(bits)) for bits in spread]


@KINDS.register("images")
class Images(Kind):
    """Images with a label each: decoded once, turned upright, stored encoded."""

    Params: ClassVar[type[Section]] = ImagesParams
    version: ClassVar[int] = 4
    libraries: ClassVar[tuple[str, ...]] = ("pillow", "imagehash")
    formats: ClassVar[tuple[str, ...]] = ("tar", "zip")
    worded: ClassVar[bool] = False
    params: ImagesParams

    @property
    def fields(self) -> pa.Schema:
        import pyarrow as pa

        numbers = [(name, pa.int64()) for name in ("width", "height", "channels")]
        return pa.schema([("image", pa.binary()), *numbers, ("format", pa.string()), ("phash", pa.string())])

    @property
    def exported(self) -> tuple[str, ...]:
        return ("uid", "label", *self.fields.names) if self.params.tfrecord else ()

    @property
    def pages(self) -> Mapping[str, str]:
        return {
            ".png": "image/png",
            ".jpg": "image/jpeg",
            ".jpeg": "image/jpeg",
            ".gif": "image/gif",
            ".webp": "image/webp",
            ".bmp": "image/bmp",
        }

    def row(self, raw: Mapping[str, Any]) -> Row:
        import imagehash
        from PIL import Image, ImageOps, UnidentifiedImageError

        body: bytes = raw["body"]
        if raw["content_type"] in _PAGES:
            return Row(reason="page", value=raw["content_type"], detail="where a crawl found images, and none itself")
        Image.MAX_IMAGE_PIXELS = None  # judged here, before a pixel is unpacked
        try:
            found = Image.open(io.BytesIO(body), formats=[name.upper() for name in self.params.formats])
        except UnidentifiedImageError:
            return Row(reason="content_type", value=raw["content_type"], detail="no image of kind.images.formats")
        except _SPOILT as error:
            return Row(reason="corrupt", value=raw["content_type"], detail=str(error)[:500])
        kind = (found.format or "").lower()
        pixels = found.width * found.height
        if pixels > self.params.max_pixels:
            return Row(reason="bomb", value=f"{found.width}x{found.height}", detail="pixels, before unpacking")
        try:
            found.load()
            image = ImageOps.exif_transpose(found)
        except _SPOILT as error:
            return Row(reason="corrupt", value=kind, detail=str(error)[:500])
        if min(image.size) < self.params.min_side:
            return Row(reason="too_small", value=f"{image.width}x{image.height}")
        if image.mode in _BOUNDLESS:
            return Row(reason="depth", value=image.mode, detail="32 bits a pixel, of which none is known to be white")
        try:
            image = self._plain(image)
        except _SPOILT as error:  # a pixel names a colour that the palette lacks
            return Row(reason="corrupt", value=kind, detail=str(error)[:500])
        # The bytes as they came, unless something about the picture had to change.
        same = image.size == found.size and image.mode == found.mode and kind in ("png", "jpeg")
        if not (same and _upright(found) and getattr(found, "n_frames", 1) == 1):
            body, kind = _encoded(image), _LOSSLESS.lower()
        pixels_of = hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()
        return Row(
            length=len(body),
            digest=pixels_of,
            columns={
                "image": body,
                "width": image.width,
                "height": image.height,
                "channels": len(image.getbands()),
                "format": kind,
                "phash": str(imagehash.phash(image, hash_size=_HASH)),
            },
        )

    def _plain(self, image: Image.Image) -> Image.Image:
        """In the channels asked for, over white where it was transparent, and no larger than asked for."""
        from PIL import Image as images

        if image.mode.startswith("I;16"):
            image = _eight_bits(image)
        if "transparency" in image.info or "A" in image.getbands():
            shaped = image.convert("RGBA")
            image = images.alpha_composite(images.new("RGBA", shaped.size, "white"), shaped)
        image = image.convert("RGB" if self.params.channels == 3 else "L")
        if self.params.resize and max(image.size) > self.params.resize:
            image.thumbnail((self.params.resize, self.params.resize), images.Resampling.LANCZOS)
        return image

    def read(self, path: Path, *, name: str, moment: datetime, limit: int) -> Iterator[Raw]:
        """The files of an archive, each labelled with the folder that it lies in."""
        from tasks.cleaning.raw import Raw, uid_of
        from tasks.kinds._archives import members

        for member in members(path, name, limit):
            yield Raw(
                uid=uid_of(member.name),
                url=member.name,
                timestamp=moment,
                body=member.body,
                label=Path(member.name).parent.name or None,
                group="",
                fault=member.fault,
                value=member.detail,
            )

    @property
    def likeness(self) -> Likeness:
        return Likeness("phash", _bits, 1)

    @property
    def apart(self) -> str | None:
        return "phash"

    def within(self, near: Near) -> int:
        """Of d bits of n the Jaccard similarity is (n - d) / (n + d). It is estimated with a deviation of
        sqrt(j (1 - j) / permutations): what lies four of these above the threshold is not missed."""
        size = _HASH * _HASH

        def sure(bits: int) -> bool:
            alike = (size - bits) / (size + bits)
            return alike - 4 * math.sqrt(alike * (1 - alike) / near.permutations) >= near.threshold

        return max((bits for bits in range(size) if sure(bits)), default=0)

    @property
    def measured(self) -> tuple[str, ...]:
        return ("width", "height", "channels", "format")

    def bounds(self) -> Sequence[Bound]:
        side = self.params.min_side
        small = "An image smaller than kind.images.min_side, or of no size: clean again."
        return (
            Bound("width", small, least=min(side, self.params.resize or side) if not self.params.resize else 1),
            Bound("height", small, least=min(side, self.params.resize or side) if not self.params.resize else 1),
            Bound("channels", "Not the channels of kind.images.channels: clean again.", values=(self.params.channels,)),
            Bound("format", "No format that training decodes: clean again.", values=("png", "jpeg")),
        )

    def rates(self) -> Sequence[Rate]:
        return (
            Rate(
                "corrupt_share",
                ("corrupt", "content_type", "bomb", "depth", "truncated", "damaged", "crash"),
                self.params.max_corrupt,
                "More images than kind.images.max_corrupt cannot be read, or would be too large. Did the source hand "
                "out error pages, or was a copy cut off? The rejects name them.",
            ),
        )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits by its high ones, as Pillow reads colours of 16 bits: converted as it is, it would be white."""
    grey = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    grey.info.pop("transparency", None)  # one shade of 65,536, which would be 256 of them
    return grey


def _upright(image: Image.Image) -> bool:
    return bool(image.getexif().get(0x0112, 1) == 1)


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, _LOSSLESS)
    return out.getvalue()
