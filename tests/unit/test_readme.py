"""The README's own example is a corpus that works."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from tasks.config import load_corpus

README = Path(__file__).parents[2] / "README.md"


def test_the_five_minute_corpus_is_right(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    text = textwrap.dedent("   " + block.lstrip())
    name = re.search(r"^corpus: (\w+)$", text, re.MULTILINE)
    assert name is not None
    path = tmp_path / f"{name[1]}.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_corpus(path, {}).source.live is not None
