"""Images of every format, mode and size, and what is left of them."""

from __future__ import annotations

import io
import random
import zlib

from PIL import Image

from tests.benchmarks.fuzzing.damage import damaged, numbered

_MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("L", "P"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
}
_ORIENTATION = 0x0112
_HEAD = 8
_SIDES = (1, 7, 32, 40, 90)


def picture(chance: random.Random) -> bytes:
    """An image, mostly damaged: where its format has checksums, half of the time they are right again."""
    name = chance.choice(list(_MODES))
    size = (chance.choice(_SIDES), chance.choice(_SIDES))
    frames = [_frame(chance, chance.choice(_MODES[name]), size) for _ in range(chance.choice([1, 1, 1, 3]))]
    told: dict[str, object] = {}
    if len(frames) > 1 and name in ("PNG", "GIF", "WEBP", "TIFF"):
        told |= {"save_all": True, "append_images": frames[1:]}
    if name in ("PNG", "JPEG", "WEBP") and chance.random() < 0.3:
        exif = Image.Exif()
        exif[_ORIENTATION] = chance.randrange(12)
        told["exif"] = damaged(exif.tobytes(), chance)
    if name in ("PNG", "GIF") and {each.mode for each in frames} == {"P"}:
        told["transparency"] = chance.randrange(256)
    if name == "TIFF" and chance.random() < 0.5:
        told["compression"] = chance.choice(["tiff_lzw", "packbits", "tiff_deflate"])
    out = io.BytesIO()
    frames[0].save(out, name, **told)
    data = out.getvalue()
    if name == "PNG" and chance.random() < 0.5:
        return _chunks(data, chance)
    return damaged(numbered(data, chance) if chance.random() < 0.5 else data, chance, 0.6)


def _frame(chance: random.Random, mode: str, size: tuple[int, int]) -> Image.Image:
    if mode == "I;16":
        return Image.frombytes(mode, size, chance.randbytes(2 * size[0] * size[1]))
    image = Image.frombytes("RGBA", size, chance.randbytes(4 * size[0] * size[1]))
    return image if mode == "RGBA" else image.convert(mode if mode == "LA" else "RGB").convert(mode)


def _chunks(data: bytes, chance: random.Random) -> bytes:
    """A PNG of which a chunk is damaged, doubled or left out, with checksums that hold."""
    chunks, at = [], _HEAD
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    place = chance.randrange(len(chunks))
    name, body = chunks[place]
    changed = chance.choice(
        [[], [(name, body)] * 2, [(name, damaged(body, chance, 1))], [(name, numbered(body, chance))]]
    )
    chunks[place : place + 1] = changed
    return data[:_HEAD] + b"".join(
        len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4) for name, body in chunks
    )
