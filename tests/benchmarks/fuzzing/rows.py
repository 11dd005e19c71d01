"""Files of rows: JSONL, CSV and Parquet, with cells of every kind and none."""

from __future__ import annotations

import csv
import decimal
import gzip
import io
import json
import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.fuzzing.damage import damaged, numbered

FORMATS = ("jsonl", "jsonl.gz", "csv", "parquet")
COLUMNS = (
    "id",
    "text",
    "label",
    "url",
    "timestamp",
    "group",
    "language",
    "user",
    "item",
    "tokens",
    "tags",
    "summary",
    "x",
    "y",
)
_NUMBERS: tuple[Any, ...] = (0, -1, 1.5, 1e308, float("nan"), float("inf"), 10**18, 2**63 - 1, -(2**62), 1e-320)
_ODD: tuple[Any, ...] = (
    None, True, "", " ", [], {}, [None], ["a", "B-x"], [["a"], 1], {"a": {"b": [1]}}, 10**400, "\ud800", "1e999", "NaN",
    "2026-11-20T01:02:03Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "-1e300", "2026-02-30",
)  # fmt: skip
_TYPES: tuple[tuple[pa.DataType, Sequence[Any]], ...] = (
    (pa.string(), ("a", "", None, "The train left at ten.")),
    (pa.binary(), (b"\xff\xfe", b"a", None)),
    (pa.int64(), (0, -1, 2**63 - 1, None)),
    (pa.float64(), (1.5, float("nan"), float("-inf"), None)),
    (pa.timestamp("s"), (0, 2**40, -(2**40), None)),
    (pa.timestamp("ns", "UTC"), (0, 2**62, -(2**62), None)),
    (pa.timestamp("us", "Nowhere/Else"), (0, 1, None)),
    (pa.date32(), (0, 2**24, -(2**24), None)),
    (pa.time64("us"), (0, 86_399_999_999, None)),
    (pa.duration("ms"), (0, 2**62, None)),
    (pa.decimal128(38, 2), (decimal.Decimal("1.25"), None)),
    (pa.list_(pa.string()), (["a", "b"], [], [None], None)),
    (pa.struct([("a", pa.int64())]), ({"a": 1}, None)),
    (pa.dictionary(pa.int8(), pa.string()), ("a", None)),
    (pa.bool_(), (True, None)),
    (pa.null(), (None,)),
)


def rows(chance: random.Random, name: str, pieces: Sequence[str]) -> bytes:
    """A file of one of ``FORMATS``, now and then damaged; texts are made of ``pieces``."""
    if name == "parquet":
        data = _parquet(chance, pieces)
        return damaged(numbered(data, chance) if chance.random() < 0.5 else data, chance, 0.5)
    data = damaged(_csv(chance, pieces) if name == "csv" else _jsonl(chance, pieces), chance)
    return damaged(gzip.compress(data, mtime=0), chance, 0.3) if name.endswith("gz") else data


def _value(chance: random.Random, pieces: Sequence[str]) -> Any:
    kind = chance.random()
    if kind < 0.6:
        return "".join(chance.choices(pieces, k=chance.randrange(1, 6)))
    return chance.choice(_NUMBERS if kind < 0.75 else _ODD)


def _row(chance: random.Random, pieces: Sequence[str]) -> dict[str, Any]:
    names = COLUMNS if chance.random() < 0.8 else chance.sample(COLUMNS, 5)
    row = {name: _value(chance, pieces) for name in names}
    if chance.random() < 0.5:  # one that means something to kinds of cells
        words = [str(_value(chance, pieces)) for _ in range(chance.randrange(1, 5))]
        row |= {"tokens": words, "tags": [chance.choice(["O", "B-x", "I-x", "", "Z"]) for _ in words]}
    return row


def _jsonl(chance: random.Random, pieces: Sequence[str]) -> bytes:
    lines = []
    for _ in range(chance.randrange(1, 8)):
        line = json.dumps(_row(chance, pieces), ensure_ascii=chance.random() < 0.5)
        odd = ("[" * 20_000, '{"a":' * 5_000, "9" * 5_000, "\ufeff{}", "", "\0", "null")
        lines.append(chance.choice(odd) if chance.random() < 0.15 else line)
    return (
        chance.choice(["\n", "\n", "\r\n", "\r"])
        .join(lines)
        .encode(chance.choice(["utf-8", "utf-8", "utf-16"]), "replace")
    )


def _csv(chance: random.Random, pieces: Sequence[str]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer.writerow(COLUMNS)
    for _ in range(chance.randrange(1, 8)):
        row = _row(chance, pieces)
        writer.writerow([row.get(name, "") if name != "tokens" else json.dumps(row.get(name)) for name in COLUMNS])
    text = out.getvalue()
    at = chance.randrange(len(text))
    return (text[:at] + chance.choice(["", "", '"', '"', "\0", ",", "\n"]) + text[at:]).encode("utf-8", "replace")


def _parquet(chance: random.Random, pieces: Sequence[str]) -> bytes:
    count, columns = chance.randrange(0, 9), {}
    for name in COLUMNS:
        if name == "text" or chance.random() < 0.4:
            values = ["".join(chance.choices(pieces, k=3)).encode("utf-8", "replace").decode() for _ in range(count)]
            columns[name] = pa.array(values, pa.string())
        elif chance.random() < 0.9:
            kind, some = chance.choice(_TYPES)
            columns[name] = pa.array([chance.choice(some) for _ in range(count)], kind)
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression=chance.choice(["none", "snappy", "zstd", "gzip"]))
    return out.getvalue()
