"""From a YAML file to a ``Corpus``, with errors that name file, key, bad value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.config import yaml12
from tasks.config.corpus import Corpus
from tasks.errors import BadInput

_VARIABLE = re.compile(r"\$(?P<escaped>\$)?\{(?P<inside>[^}]*)\}?")
_INSIDE = re.compile(r"(?P<name>[A-Z_][A-Z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
# A file of aliases to aliases can have more values than memory, one with an alias to itself has no end.
_VALUES = 100_000
_DEPTH = 100


def load_corpus(path: Path, env: Mapping[str, str]) -> Corpus:
    """The corpus in ``path``; ``${NAME}`` and ``${NAME:-default}`` are taken from ``env``.

    Raises:
        BadInput: one line for each fault: file, key, what is wrong, the bad value, what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error
    corpus = parse_corpus(text, path, env)
    if corpus.corpus != path.stem:
        raise BadInput(f"{path}: corpus: {corpus.corpus!r} must be the file's stem, {path.stem!r}")
    return corpus


def parse_corpus(text: str, path: Path, env: Mapping[str, str]) -> Corpus:
    """The corpus of a YAML text; ``path`` is what its faults are named by.

    Raises:
        BadInput: as ``load_corpus``.
    """
    try:
        raw = yaml12.parse(text)
    except ValueError as error:
        raise BadInput(f"{path}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        found = "the file is empty" if raw is None else f"found {type(raw).__name__}"
        raise BadInput(f"{path}: expected a mapping with the keys of a corpus, as in docs.yaml; {found}")
    data = _Substitution(path, env).apply(raw)
    try:
        return Corpus.model_validate(data)
    except ValidationError as error:
        raise BadInput("\n".join(_fault(path, raw, fault) for fault in error.errors())) from error


def load_corpora(folder: Path, env: Mapping[str, str]) -> tuple[dict[str, Corpus], dict[Path, str]]:
    """Every YAML file of a folder: the good corpora by name, and for each bad file its error text."""
    good: dict[str, Corpus] = {}
    bad: dict[Path, str] = {}
    if not folder.is_dir():
        bad[folder] = f"{folder}: no such folder: NIGHTSHIFT_CORPORA names the one with the corpus files"
    for path in sorted(folder.glob("*.y*ml")):
        try:
            if path.suffix != ".yaml":
                raise BadInput(f"{path}: is not read: name it {path.with_suffix('.yaml').name}")
            corpus = load_corpus(path, env)
        except BadInput as error:
            bad[path] = str(error)
        else:
            good[corpus.corpus] = corpus
    return good, bad


class _Substitution:
    """Values with the variables in them replaced; ``$${`` stands for ``${``."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self._path = path
        self._env = env
        self._seen = 0

    def apply(self, value: Any, key: tuple[object, ...] = ()) -> Any:
        self._seen += 1
        if self._seen > _VALUES or len(key) > _DEPTH:
            raise BadInput(f"{self._path}: no end of values below {_dotted(key[:3])}: does an alias contain itself?")
        if isinstance(value, dict):
            return {k: self.apply(v, (*key, k)) for k, v in value.items()}
        if isinstance(value, list):
            return [self.apply(v, (*key, i)) for i, v in enumerate(value)]
        return _VARIABLE.sub(lambda match: self._replace(match, key), value) if isinstance(value, str) else value

    def _replace(self, match: re.Match[str], key: tuple[object, ...]) -> str:
        if match["escaped"]:
            return match[0][1:]
        inside = _INSIDE.fullmatch(match["inside"])
        if not inside or not match[0].endswith("}"):
            raise BadInput(
                f"{self._path}: {_dotted(key)}: {match[0]!r} names no environment variable: expected ${{NAME}} or "
                "${NAME:-default}, NAME in capitals, and $${ where ${ itself is meant"
            )
        # As in a shell, a default also stands in for a variable that is set and empty.
        value = self._env.get(inside["name"])
        if inside["default"] is not None:
            return value or inside["default"]
        if value is None:
            raise BadInput(
                f"{self._path}: {_dotted(key)}: environment variable {inside['name']} is not set and has no default"
            )
        return value


def _dotted(key: tuple[object, ...]) -> str:
    return ".".join(str(part) for part in key) or "the file"


def _fault(path: Path, raw: Any, fault: Any) -> str:
    key = _dotted(fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{path}: {key}: is required"
    if fault["type"] == "unknown_key":
        return f"{path}: {key}: {message}"
    shown = repr(_as_written(raw, fault))
    return f"{path}: {key}: {message}; got {shown if len(shown) < 200 else shown[:200] + '…'}"


def _as_written(raw: Any, fault: Any) -> Any:
    """The bad value as the file has it: what a variable stood for may be a secret."""
    for part in fault["loc"]:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return fault["input"]
    return raw
