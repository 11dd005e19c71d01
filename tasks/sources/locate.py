"""Sources that are files somewhere: which ones a pattern names, what they hold, and how to copy them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tasks.catalog import FileEntry, Input
from tasks.errors import BadInput
from tasks.section import Section
from tasks.sources.base import Harvest, Target
from tasks.step import Context
from tasks.store import ObjectInfo, Store, open_store

PARTITION = "{partition}"
_WILDCARD = re.compile(r"[*?]")
_SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Found:
    """One file that a pattern names."""

    store: Store
    info: ObjectInfo

    @property
    def url(self) -> str:
        return self.store.url_of(self.info.key)

    @property
    def name(self) -> str:
        return self.info.key.rsplit("/", 1)[-1]


def check_pattern(pattern: str) -> str:
    """A path as the YAML may give it: relative to the store, absolute, ``file://`` or ``s3://``."""
    if "://" in pattern and urlsplit(pattern).scheme not in ("file", "s3"):
        raise ValueError("expected a path in the store, an absolute path, file://… or s3://…")
    if unknown := set(re.findall(r"\{[^}]*\}", pattern)) - {PARTITION}:
        raise ValueError(f"unknown placeholder {', '.join(sorted(unknown))}; the one there is: {PARTITION}")
    return pattern


def find(context: Context, pattern: str, partition: str) -> list[Found]:
    """The files that ``pattern`` names for a partition, in name order, never empty.

    ``*`` and ``?`` stay within a folder, ``**`` crosses folders.

    Raises:
        BadInput: there is none, naming the pattern.
    """
    path = pattern.replace(PARTITION, partition)
    store, key = _root(context, path)
    literal = key[: found.start()] if (found := _WILDCARD.search(key)) else key
    matches = _regex(key)
    files = [Found(store, info) for info in store.list(literal) if matches.fullmatch(info.key)]
    if not files:
        raise BadInput(
            f"corpus {context.corpus.corpus}: no file for {partition}: nothing matches {store.url_of(key)} "
            f"(from the pattern {pattern!r}). Put the file there, or correct the pattern"
        )
    return files


class StoredSource(ABC):
    """A source whose input is files: same files, same partition; a changed byte voids the no-op."""

    Params: ClassVar[type[Section]]

    def __init__(self, params: Any) -> None:
        self.params = params

    replayable = True

    def shape(self) -> dict[str, Any]:
        dump: dict[str, Any] = self.params.model_dump(mode="json")
        return dump

    def inputs(self, context: Context, partition: str, known: Mapping[str, Any]) -> Sequence[Input]:
        seen: Mapping[str, Sequence[str]] = known.get(_SEEN, {})
        inputs = []
        for file in find(context, self.params.path, partition):
            etag, digest = seen.get(file.url, ("", ""))
            # The ETag changes with the bytes, so an equal one saves reading the file again.
            if not etag or etag != file.info.etag:
                digest = file.store.sha256(file.info.key)
            inputs.append(Input(name=file.url, digest=digest))
        return inputs

    def fetch(self, target: Target) -> Harvest:
        entries: list[FileEntry] = []
        inputs: list[Input] = []
        seen: dict[str, list[str]] = {}
        found = find(target.context, self.params.path, target.partition)
        for number, file in enumerate(found):
            target.context.log.info("copying", file=file.url, bytes=file.info.size, number=number + 1, of=len(found))
            local = target.scratch / f"{number:06d}{self.suffix(file)}"
            digest = file.store.download(file.info.key, local)
            inputs.append(Input(name=file.url, digest=digest))
            seen[file.url] = [file.info.etag, digest]
            rows = self.measure(local, file)
            entry = target.keep(local, self.role, rows=rows, sha256=digest)
            if entry.key not in {e.key for e in entries}:  # two equal files are one
                entries.append(entry)
        counts = {
            "documents": sum(e.rows for e in entries),
            "unchanged": 0,
            "gone": 0,
            "visited": sum(e.rows for e in entries),
            "errors": 0,
            "skipped": {},
            "bytes": sum(e.size for e in entries),
        }
        return Harvest(entries, inputs, {**counts, **self.counts()}, self.details(found), {_SEEN: seen})

    def unfinished(self, context: Context, folder: str, config: str) -> bool:
        return False

    def tidy(self, context: Context, folder: str) -> None:
        return None

    def counts(self) -> dict[str, Any]:
        """What the files told while they were measured, over the plain counts of rows and bytes."""
        return {}

    role: ClassVar[str]

    @abstractmethod
    def suffix(self, file: Found) -> str:
        """The suffixes of the copy's name, which tell its readers the format."""

    @abstractmethod
    def measure(self, local: Path, file: Found) -> int:
        """How many documents a file holds; refuses one that cannot be read as the YAML says."""

    @abstractmethod
    def details(self, found: Sequence[Found]) -> dict[str, Any]:
        """What cleaning must know of the files."""


def _root(context: Context, path: str) -> tuple[Store, str]:
    """The store that a path lies in, and its key there."""
    if path.startswith("s3://"):
        parts = urlsplit(path)
        return open_store(f"s3://{parts.netloc}", context.env), parts.path.lstrip("/")
    if path.startswith(("file://", "/")):
        path = "/" + path.removeprefix("file://localhost").removeprefix("file://").lstrip("/")
        # The store begins at the folder that holds every match, so that no other folder is walked.
        literal = path[: found.start()] if (found := _WILDCARD.search(path)) else path
        folder = literal.rpartition("/")[0]
        return open_store(Path(folder or "/").as_uri(), context.env), path[len(folder) + 1 :]
    return context.store, path


def _regex(pattern: str) -> re.Pattern[str]:
    """A glob pattern over whole keys as a regular expression."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(parts.get(token) or re.escape(token) for token in tokens))
