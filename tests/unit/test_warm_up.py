"""The process that cleaning children are forked from has loaded all that is compiled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.text.extract import MODES

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from tasks.cleaning import worker
from tasks.text import language
worker._warm_up(sys.argv[1])
loaded = [name for name in ("article", "html", "ngrams", "plain", "subwords") if f"tasks.kernels.{name}" in sys.modules]
print(*loaded, language._model.cache_info().currsize)
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_cleaning_process_begins_with_all_kernels_and_the_languages(mode: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["article", "html", "ngrams", "plain", "subwords", "1"], done.stderr
