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

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""Kind (as ``float32``) and shape of each named tensor, in order."""


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
        raise Corrupt(f"{TENSORS} or {WORDS} is not readable: {type(error).__name__}: {error}") from error
    if not isinstance(words, dict) or set(words) != set(lists) or not all(_distinct(words[name]) for name in lists):
        raise Corrupt(f"{WORDS} does not hold exactly {', '.join(lists)}, each a list of distinct texts")
    return tensors, words


def checked(tensors: Mapping[str, np.ndarray], layout: Layout) -> list[np.ndarray]:
    """The arrays in the order of ``layout``, each of its kind and shape, and finite.

    Raises:
        Corrupt: one is missing, of another shape or kind, not finite, or not asked for.
    """
    import numpy as np

    if set(tensors) != set(layout):
        raise Corrupt(f"{TENSORS} holds {', '.join(sorted(tensors))}; expected {', '.join(sorted(layout))}")
    for name, (kind, shape) in layout.items():
        found = tensors[name]
        if found.shape != shape or found.dtype != kind or not np.isfinite(found).all():
            raise Corrupt(f"{TENSORS}: {name} is {found.dtype} {found.shape}; expected finite {kind} {shape}")
    return [tensors[name] for name in layout]


def _distinct(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value) and len(set(value)) == len(value)
