"""Models of arrays as files: named tensors in safetensors, the rest in JSON; nothing in them runs when loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import Corrupt

if TYPE_CHECKING:
    import numpy as np

TENSORS = "model.safetensors"
WORDS = "model.json"


def write(folder: Path, tensors: Mapping[str, np.ndarray], words: Mapping[str, list[str]]) -> None:
    """Save arrays and lists of text in ``folder``; equal models give equal bytes."""
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / TENSORS)
    text = json.dumps(dict(words), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    (folder / WORDS).write_text(text, encoding="utf-8")


def read(folder: Path, lists: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """What ``write`` saved; each of ``lists`` is there and holds distinct texts.

    Raises:
        Corrupt: a file is missing, unreadable, or holds anything else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(folder / TENSORS)
        words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise Corrupt(f"{folder.name}: not a readable model: {type(error).__name__}: {error}") from error
    if not isinstance(words, dict) or set(words) != set(lists) or not all(_distinct(words[name]) for name in lists):
        raise Corrupt(f"{WORDS} does not hold exactly {', '.join(lists)}, each a list of distinct texts")
    return tensors, words


def checked(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> list[np.ndarray]:
    """The arrays in the order of ``shapes``, float32 and finite, each of its shape.

    Raises:
        Corrupt: one is missing, of another shape or kind, not finite, or not asked for.
    """
    import numpy as np

    if set(tensors) != set(shapes):
        raise Corrupt(f"{TENSORS} holds {', '.join(sorted(tensors))}; expected {', '.join(sorted(shapes))}")
    for name, shape in shapes.items():
        found = tensors[name]
        if found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
            raise Corrupt(f"{TENSORS}: {name} is {found.dtype} {found.shape}; expected finite float32 {shape}")
    return [tensors[name] for name in shapes]


def _distinct(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value) and len(set(value)) == len(value)
