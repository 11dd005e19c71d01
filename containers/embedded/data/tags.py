"""Python's standard library as tagged sequences: what each token of a line of code is, as the tokenizer knows it.

The tagger sees a line as words and marks, and no more; whether a word is called, defined, imported, or stands within
a string or a comment, it has to tell from what is around it, as an editor that colours code does.
"""

from __future__ import annotations

import io
import json
import keyword
import re
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

LINES = 16
"""At most so many of one module, from its begin to its end, so that no large one is most of the data."""
SHORTEST, LONGEST = 4, 48
"""Tokens of a line that is taken."""
FORMAT = 1
"""Raised when the same Python gives other rows."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SKIPPED = {"antigravity", "this", "idlelib", "lib2to3", "turtledemo", "test", "site-packages", "pydoc_data"}

Span = tuple[int, int, str]
"""Begin and end in a line, and what stands there."""


def write(folder: Path) -> None:
    """Write ``code.jsonl``: a row a line of code, with ``id``, ``module``, ``tokens`` and ``tags`` (IOB2)."""
    with (folder / "code.jsonl").open("w", encoding="utf-8") as out:
        for name, source in _modules():
            lines = list(_lines(source))
            for number, tokens, tags in lines[:: max(1, len(lines) // LINES)][:LINES]:
                row = {"id": f"{name}:{number}", "module": name, "tokens": tokens, "tags": tags}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def mark() -> str:
    """What the data are made of: another mark, other data."""
    return f"{FORMAT} {sys.version}"


def unseen(folder: Path, made: Path) -> Path:
    """A file that no training saw: lines of code of today's author, as text between spaces."""
    path = folder / "unseen.txt"
    path.write_text(
        "from collections . abc import Iterator\n"
        'def greet ( name , loud = False ) : return f " hello , { name } " # say hello\n'
        "@ functools . cache\n"
        "total = sum ( prices . values ( ) ) * 1 . 2\n"
        "class Basket ( Protocol ) : pass\n"
    )
    return path


def _modules() -> Iterator[tuple[str, str]]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")]):
        if not _SKIPPED & {*path.relative_to(root).parts, path.stem} and not path.stem.startswith("_"):
            try:
                yield path.relative_to(root).with_suffix("").as_posix().replace("/", "."), path.read_text("utf-8")
            except UnicodeDecodeError:
                continue


def _lines(source: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Number, tokens and tags of a module's lines, those within a text of several lines left out."""
    spans: dict[int, list[Span]] = {}
    several: set[int] = set()
    try:
        _mark(list(tokenize.generate_tokens(io.StringIO(source).readline)), spans, several)
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return
    for number, line in enumerate(source.splitlines(), 1):
        found = [(m[0], m.start()) for m in _TOKEN.finditer(line)]
        if number in several or number not in spans or not SHORTEST <= len(found) <= LONGEST:
            continue
        tags = ["O"] * len(found)
        for begin, end, kind in spans[number]:
            within = [place for place, (_, at) in enumerate(found) if begin <= at < end]
            for place in within:
                tags[place] = f"{'B' if place == within[0] else 'I'}-{kind}"
        yield number, [token for token, _ in found], tags


def _mark(tokens: list[tokenize.TokenInfo], spans: dict[int, list[Span]], several: set[int]) -> None:
    depth, parameters, before = 0, -1, ""
    for place, token in enumerate(tokens):
        (line, begin), (last, end) = token.start, token.end
        if last != line:
            several.update(range(line, last + 1))
            continue
        kind = ""
        following = tokens[place + 1].string if place + 1 < len(tokens) else ""
        first = token.line.split(None, 1)[0] if token.line.strip() else ""
        if token.type == tokenize.STRING:
            kind = "STRING"
        elif token.type == tokenize.COMMENT:
            kind = "COMMENT"
        elif token.type == tokenize.NUMBER:
            kind = "NUMBER"
        elif token.type == tokenize.OP and token.string in "([{":
            depth += 1
        elif token.type == tokenize.OP and token.string in ")]}":
            depth -= 1
            parameters = -1 if depth < parameters else parameters
        elif token.type == tokenize.NAME and not keyword.iskeyword(token.string):
            if before == "def":
                kind, parameters = "FUNCTION", depth + 1
            elif before == "class":
                kind = "CLASS"
            elif first in ("import", "from"):
                kind = "IMPORT"
            elif depth == parameters and before in ("(", ",", "*", "**"):
                kind = "PARAMETER"
            elif following == "(":
                kind = "CALL"
            elif before == ".":
                kind = "ATTRIBUTE"
        if kind:
            spans.setdefault(line, []).append((begin, end, kind))
        elif token.string.strip():
            spans.setdefault(line, [])
        before = token.string if token.string.strip() else before
