"""A page for the champion of the demo's site: of a module that the site has no page of, since its name is private."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tasks.errors import NightshiftError

MODULE = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting"
FORMAT = 1


def write(folder: Path) -> None:
    """Write ``unseen/<module>.html``, as pydoc has it; the site itself is rendered when the stack starts.

    Raises:
        NightshiftError: pydoc cannot; with what it said.
    """
    place = folder / "unseen"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pydoc", "-w", MODULE], cwd=place, capture_output=True, text=True
    )
    if not (place / f"{MODULE}.html").exists():
        raise NightshiftError(f"pydoc wrote no page of {MODULE}: {(done.stderr or done.stdout)[-1000:]}")


def mark() -> str:
    """What the page is made of."""
    from importlib.metadata import version

    return f"{FORMAT} {version('scikit-learn')}"


def unseen(folder: Path, made: Path) -> Path:
    """The page."""
    return made / "unseen"
