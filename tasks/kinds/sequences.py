"""``sequences``: sentences of tokens, each with a tag, from CoNLL columns or rows with two lists."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.kinds._tags import fault_of, spans
from tasks.kinds.base import KINDS, Bound, Kind, Rate, Row
from tasks.section import Section

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.cleaning.raw import Raw

_COMMENTS = ("-DOCSTART-", "# ")


class SequencesParams(Section):
    """How sentences are read, and what their tags may be."""

    tokens: str = Field("tokens", description="the column of row files that has the list of tokens")
    tags: str = Field("tags", description="the column that has the list of tags")
    token_column: int = Field(0, description="of CoNLL files, counted from 0; from the end if negative")
    tag_column: int = Field(-1, description="of CoNLL files")
    scheme: Literal["IOB2", "BIOES", "none"] = Field(
        "IOB2", description="how tags mark entities; a sentence that breaks it is rejected. none: tags are classes"
    )
    types: tuple[str, ...] | None = Field(
        None, description="the entity types there may be (of scheme none: the tags); any by default"
    )
    max_tokens: int = Field(1000, ge=1, description="a longer sentence is rejected")
    max_faulty: float = Field(
        0.05, ge=0, le=1, description="sentences with lists of unequal length or impossible tags, of all, at gate clean"
    )


@KINDS.register("sequences")
class Sequences(Kind):
    """Sentences of tokens with a tag each: named entities, parts of speech."""

    Params: ClassVar[type[Section]] = SequencesParams
    version: ClassVar[int] = 2
    labelled: ClassVar[bool] = False
    formats: ClassVar[tuple[str, ...]] = ("conll", "iob", "iob2", "bio")
    params: SequencesParams

    @property
    def fields(self) -> pa.Schema:
        import pyarrow as pa

        # Named as Parquet reads it again.
        texts = pa.list_(pa.field("element", pa.string()))
        return pa.schema([("tokens", texts), ("tags", texts)])

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.params.tokens, self.params.tags)

    @property
    def asked(self) -> tuple[str, ...]:
        return (self.params.tokens,)

    @property
    def pages(self) -> Mapping[str, str]:
        return {".txt": "text/plain"}

    def row(self, raw: Mapping[str, Any]) -> Row:
        if raw["content_type"] == "text/plain":
            return self._checked(_tokens(raw["body"].decode("utf-8", "replace")), None)
        if raw["content_type"] != "application/json":
            return Row(reason="content_type", value=raw["content_type"])
        cells = json.loads(raw["body"])
        tokens, tags = cells.get(self.params.tokens), cells.get(self.params.tags)
        if not _texts(tokens) or not (_texts(tags) or (tags is None and self.params.tags not in cells)):
            return Row(reason="malformed", value=str(raw["url"]), detail="tokens and tags must be lists of texts")
        return self._checked(tokens, tags)

    def _checked(self, tokens: list[str], tags: list[str] | None) -> Row:
        text = " ".join(tokens)
        if not tokens or not all(token.strip() for token in tokens):
            return Row(text, reason="empty", value=str(len(tokens)), detail="no token, or an empty one")
        if len(tokens) > self.params.max_tokens:
            return Row(text, reason="too_large", value=str(len(tokens)), detail="tokens")
        if tags is not None:
            if len(tags) != len(tokens):
                return Row(text, reason="unequal", value=f"{len(tokens)} tokens, {len(tags)} tags")
            if fault := fault_of(tags, self.params.scheme):
                return Row(text, reason="invalid_tags", value=fault)
            if self.params.types is not None:
                found = {kind for kind, _, _ in spans(tags)} if self.params.scheme != "none" else set(tags)
                if unknown := sorted(found - set(self.params.types)):
                    return Row(text, reason="unknown_type", value=", ".join(unknown))
        # The same tokens under other tags are another version of the sentence, not another sentence.
        digest = hashlib.sha256("\0".join(tokens).encode()).hexdigest()
        return Row(text, digest=digest, columns={"tokens": tokens, "tags": tags})

    def read(self, path: Path, *, name: str, moment: datetime, limit: int) -> Iterator[Raw]:
        """Sentences of a CoNLL file: a token a line in columns, a blank line between sentences.

        A sentence is named by its tokens, so that one with mended tags is its new version.
        """
        from tasks.cleaning.raw import Raw, uid_of

        for place, lines in _sentences(path):
            rows = [line.split("\t") if "\t" in line else line.split() for line in lines]
            tokens: list[str] = []
            tags: list[str] = []
            for row in rows:
                tokens.append(_cell(row, self.params.token_column))
                # A single column is tokens without tags: what is to be predicted.
                tags += [_cell(row, self.params.tag_column)] if len(row) > 1 else []
            cells = {self.params.tokens: tokens, **({self.params.tags: tags} if tags else {})}
            body = json.dumps(cells, ensure_ascii=False).encode("utf-8", "replace")
            large = len(body) > limit
            yield Raw(
                uid=uid_of("\0".join(tokens)),
                url="",
                timestamp=moment,
                body=b"" if large else body,
                content_type="application/json",
                group=None,
                fault="too_large" if large else None,
                value=f"line {place} of {name}" if large else "",
            )

    def inputs(self, files: Sequence[Path], **how: Any) -> Iterator[Raw]:
        """As every kind's; of a text file each line is a sentence, its tokens between spaces; of Chinese and Japanese
        they are words of a dictionary."""
        from tasks.cleaning.raw import Raw, uid_of
        from tasks.cleaning.reading import begin_of

        for path in files:
            if path.suffix != ".txt":
                yield from super().inputs([path], **how)
                continue
            with path.open("rb") as lines:
                for place, line in enumerate(lines, 1):
                    if line.strip():
                        key = f"{path}#{place}"
                        yield Raw(uid_of(key), key, begin_of("1970-01-01"), line, "text/plain")

    @property
    def measured(self) -> tuple[str, ...]:
        return ("tokens", "tags")

    def measures(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        tags = rows["tags"].to_pylist()
        faults = [None if each is None else fault_of(each, self.params.scheme) or "none" for each in tags]
        lengths = pc.subtract(pc.list_value_length(rows["tokens"]), pc.list_value_length(rows["tags"]))
        return pa.table({"tags_lacking": lengths.cast(pa.float64()), "tags_fault": pa.array(faults, pa.string())})

    def bounds(self) -> Sequence[Bound]:
        return (
            Bound(
                "tags_lacking",
                "A sentence without tags, or with more or fewer than it has tokens: nothing can be learned from it. "
                "Clean again; if it stays, look at the column that `kind` names as tags.",
                least=0,
                most=0,
            ),
            Bound(
                "tags_fault",
                f"Tags that scheme {self.params.scheme} does not allow. Is kind.sequences.scheme the one of the files?",
                values=("none",),
            ),
        )

    def rates(self) -> Sequence[Rate]:
        return (
            Rate(
                "faulty_share",
                ("unequal", "invalid_tags", "unknown_type", "malformed"),
                self.params.max_faulty,
                "More sentences than kind.sequences.max_faulty have lists of unequal length, impossible tags or types "
                "that kind.sequences.types does not name. The rejects say which. Did the tagging tool change?",
            ),
        )


def _tokens(line: str) -> list[str]:
    from tasks.models._words import spaceless

    # What stands between the words of a dictionary has its own spaces.
    return [token for text, is_word in spaceless(line) for token in ([text] if is_word else text.split())]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _cell(row: list[str], column: int) -> str:
    try:
        return row[column]
    except IndexError:
        return ""


def _sentences(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each sentence's lines, and the number of its first."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        begin, lines = 1, list[str]()
        for place, raw in enumerate(stream, 1):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if not line.strip():
                if lines:
                    yield begin, lines
                begin, lines = place + 1, []
            elif not line.startswith(_COMMENTS):
                lines.append(line)
        if lines:
            yield begin, lines
