"""scikit-learn's bundled digits (1797 handwritten ones, UCI) as a folder tree of PNG files, a folder a class."""

from __future__ import annotations

from pathlib import Path

SIDE = 32
"""The digits have 8 pixels a side; four times as many is the least that VGG16 takes."""
_UNSEEN = 10
"""So many, one a class, are kept back, for the champion to tell afterwards."""
FORMAT = 1


def write(folder: Path) -> None:
    """Write ``tree/<digit>/<number>.png``, and those kept back under ``unseen``."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    kept_back: set[int] = set()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        unseen = len(kept_back) < _UNSEEN and int(label) not in kept_back
        kept_back |= {int(label)} if unseen else set()
        image = Image.fromarray((pixels * 255 / 16).astype("uint8")).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        path = folder / ("unseen" if unseen else "tree") / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


def mark() -> str:
    """What the data are made of: another mark, other data."""
    from importlib.metadata import version

    return f"{FORMAT} {version('scikit-learn')} {version('pillow')}"


def unseen(folder: Path, made: Path) -> Path:
    """The digits that were kept back."""
    return made / "unseen"
