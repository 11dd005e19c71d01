"""What a kind of data says of itself, and the registry of the kinds there are.

A row of every kind has the columns of a document (``tasks.cleaning.schema``), so the steps between cleaning and
training are the same for all; a kind adds columns of its own.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.registry import Registry
from tasks.section import Section

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.cleaning.raw import Raw
    from tasks.config.clean import Clean, Near

UNDETERMINED = "und"
"""The language (ISO 639-2) of what is in none, or in one that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one raw document became: a row, or a reject if ``reason`` is set."""

    text: str = ""
    """Empty for an image; the tokens of a sequence, for whoever reads rejects."""
    length: int | None = None
    """How large it is, at least 1; None: the text's characters."""
    digest: str | None = None
    """sha256 (hex) of what makes two rows one; None: the text's."""
    language: str = UNDETERMINED
    label: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Values of the kind's own columns."""
    reason: str | None = None
    value: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """What gate clean expects of every row: a column of ``Kind.measures`` within bounds, or in a set of values.

    ``says`` tells a person what its failure means and what to do.
    """

    column: str
    says: str
    least: float | None = None
    most: float | None = None
    values: Sequence[Any] | None = None
    optional: bool = False
    """Whether a row may have no such value."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What it expects of the rejects: no more than a share of all documents went for these reasons."""

    name: str
    reasons: Sequence[str]
    most: float
    says: str


@dataclass(frozen=True, slots=True)
class Drift:
    """What it expects of a number over partitions: the mean of a column of ``Kind.measures`` moves no further than
    ``most`` deviations of the column, and so does the share of rows without it, from the last good partitions'."""

    column: str
    most: float
    says: str


def _themselves(values: Sequence[Any]) -> Sequence[str]:
    return values


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near-duplicates are told: by a column, its values as words, and so many of them in a row at a time."""

    column: str = "text"
    words: Callable[[Sequence[Any]], Sequence[str]] = _themselves
    ngram: int | None = None

    def settings(self, near: Near) -> Near:
        """``near`` as it is meant for this kind."""
        return near if self.ngram is None else near.model_copy(update={"ngram": self.ngram})


TEXTS = Likeness()
"""Of whatever has a text."""


def _whole(values: Sequence[Any]) -> Sequence[str]:
    """Each text as one word."""
    return [hashlib.sha256(str(value).encode()).hexdigest() for value in values]


EQUAL = Likeness(words=_whole, ngram=1)
"""Of rows that are alike when they are equal: a measurement near another one is no copy of it."""


class Kind(ABC):
    """One kind of data, built from ``Params``, its part of the YAML's ``kind``.

    Heavy libraries are imported inside the methods: the configuration imports the kind that a YAML names.
    """

    Params: ClassVar[type[Section]]
    version: ClassVar[int] = 1
    """Raised when the same raw input becomes other rows."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version shapes the rows, beside those of ``clean``."""
    labelled: ClassVar[bool] = True
    """Whether every row is to have a label, so that gates ask for it."""
    filtered: ClassVar[bool] = False
    """Whether ``clean.filters`` and ``clean.strip`` apply: they judge and change texts."""
    worded: ClassVar[bool] = True
    """Whether what is learned from are words, so that gate features asks for some."""
    prose: ClassVar[bool] = False
    """Whether rows are running text: an ingest then counts what a night is made of (``stats``), and gate clean holds
    that against usual nights."""
    formats: ClassVar[tuple[str, ...]] = ()
    """What source ``files`` takes beside jsonl, csv and parquet, by the suffix of a file's name: as ``conll``."""

    def __init__(self, params: Any) -> None:
        self.params = params

    # rows

    @property
    def fields(self) -> pa.Schema:
        """The columns that a row has beside those of a document."""
        import pyarrow as pa

        return pa.schema([])

    @property
    def cells(self) -> tuple[str, ...]:
        """Columns of a row file that make a row, in place of ``columns.text`` of source ``files``.

        They come to ``row`` as a JSON object in ``body``.
        """
        return ()

    @property
    def asked(self) -> tuple[str, ...]:
        """Those of ``cells`` that a row to be predicted must have: not what a model is to say."""
        return self.cells

    @abstractmethod
    def row(self, raw: Mapping[str, Any]) -> Row:
        """What becomes of one raw document (columns of ``tasks.cleaning.schema.RAW``); whatever it raises costs
        that document alone."""

    def refiner(self, clean: Clean) -> Any:
        """What a cleaning process runs: it has the ``schema`` and ``batch`` of ``tasks.cleaning.refine.Refiner``."""
        from tasks.kinds._refine import RowRefiner

        return RowRefiner(self, clean)

    def read(self, path: Path, *, name: str, moment: datetime, limit: int) -> Iterator[Raw]:
        """Raw documents of a file of one of ``formats``; ``moment`` is their time, ``name`` what errors call it."""
        raise NotImplementedError(f"{type(self).__name__} has no formats of its own")

    @property
    def exported(self) -> tuple[str, ...]:
        """Columns that a snapshot has as TFRecord files, too: bytes, texts and integers; by default none."""
        return ()

    # gates and duplicates

    @property
    def likeness(self) -> Likeness:
        """How ``dedup.near`` and ``train.near`` tell near-duplicates."""
        return TEXTS

    @property
    def measured(self) -> tuple[str, ...]:
        """Columns of a clean row that ``measures`` reads."""
        return ()

    def measures(self, rows: pa.Table) -> pa.Table:
        """Of each row what ``bounds`` speaks of, from its ``measured`` columns."""
        return rows

    def bounds(self) -> Sequence[Bound]:
        """What gate clean expects of each row."""
        return ()

    def rates(self) -> Sequence[Rate]:
        """What gate clean expects of the rejects."""
        return ()

    def drifts(self) -> Sequence[Drift]:
        """What gate clean expects to be as in the last good partitions."""
        return ()

    @property
    def apart(self) -> str | None:
        """A column whose values each lie in one split only, or gate splits says so; None: ``digest`` is enough."""
        return None

    def within(self, near: Near) -> int:
        """Bits by which two values of ``apart`` may differ and are one all the same, so that ``dedup.near`` with these
        settings would have found them."""
        return 0

    # files given to `nightshift predict`

    def inputs(self, files: Sequence[Path], *, text: str, limit: int, tally: Counter[str]) -> Iterator[Raw]:
        """Plain files as raw documents, in order; ``text`` is the column of row files that holds a text.

        Raises:
            BadInput: a file cannot be read.
        """
        from tasks.predicting.inputs import documents

        yield from documents(files, kind=self, text=text, limit=limit, tally=tally)

    @property
    def pages(self) -> Mapping[str, str]:
        """Files that are one raw document each, by the suffix of their name: their media type."""
        return {}

    # what is the same for all

    def code(self) -> dict[str, Any]:
        """What must be equal for rows to be equal, beside ``clean``'s own code."""
        return {"version": self.version, "libraries": {name: version(name) for name in self.libraries}}


KINDS: Registry[type[Kind]] = Registry("tasks.kinds", kind="kind")


def kind_of(clean: Clean) -> Kind:
    """The kind of a corpus, as its ``clean`` section carries it."""
    return KINDS.get(clean.kind.name)(clean.kind.params)
