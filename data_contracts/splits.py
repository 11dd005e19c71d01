"""After the split: each clean document in exactly one split, no text in two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_contracts.base import SUITES, Contract, Subject, current
from data_contracts.engine.alike import Alike
from tasks.config.clean import Near
from tasks.kinds.base import kind_of
from tasks.split import REJECTED, UIDS, UNASSIGNED, staging_folder
from tasks.splits.base import SPLITS, STRATEGIES
from tasks.step import Context
from tasks.work import Read

if TYPE_CHECKING:
    import pandas as pd

    from data_contracts.engine.rows import Rows

AGAIN = "Run split again; if it stays, it is a fault of split."


class Splits:
    """The staged rows against the clean ones."""

    version = 4
    compared = None

    def reads(self, context: Context, name: str) -> list[Read]:
        corpus = context.corpus.corpus
        return [
            current(context, staging_folder(corpus, name), f"split --corpus {corpus} --partition {name}"),
            current(context, f"clean/{corpus}/{name}", f"dedup --corpus {corpus} --partition {name}"),
        ]

    def config(self, context: Context) -> Any:
        split = context.corpus.split
        return {
            **context.corpus.gates.splits.model_dump(mode="json"),
            "ratios": split.ratios.model_dump(),
            "strategy": split.strategy.name,
            "dedup": context.corpus.clean.dedup.model_dump(mode="json"),
        }

    def build(self, subject: Subject) -> Contract:
        import pandas as pd
        import pyarrow as pa
        from great_expectations import expectations as gxe

        from data_contracts.engine.rows import Rows, buckets_for, differing, fill

        corpus = subject.context.corpus
        staged, clean = (read.manifest for read in subject.reads)
        buckets = buckets_for(staged, clean)
        uid, digest, role = (pa.field(name, pa.string()) for name in ("uid", "digest", "role"))

        def rows(name: str, by: str, *kept: pa.Field) -> Rows:
            return Rows(subject.scratch / name, pa.schema(kept), by=by, buckets=buckets)

        before, after, texts = (
            rows("clean", "uid", uid),
            rows("uid", "uid", uid, role),
            rows("digest", "digest", digest, role),
        )
        entries = staged.of_role(*SPLITS, UNASSIGNED)
        apart = kind_of(corpus.clean).apart
        alike = rows(apart, apart, pa.field(apart, pa.string()), role) if apart else None
        types = fill(subject.context, clean.of_role("documents"), [before], subject.scratch, expected=pa.schema([uid]))
        wanted = [after, texts, *([alike] if alike else [])]
        types += fill(subject.context, entries, wanted, subject.scratch, expected=pa.schema([uid, digest]))

        counts = {name: sum(entry.rows for entry in staged.of_role(name)) for name in (*SPLITS, UNASSIGNED)}
        contract = Contract(metrics={name: float(count) for name, count in counts.items()})
        for name, (theirs, ours) in {"deletions": ("deletions", "deletions"), "rejects": ("rejects", REJECTED)}.items():
            lost = sum(entry.rows for entry in clean.of_role(theirs)) - sum(
                entry.rows for entry in staged.of_role(ours)
            )
            contract.metrics[f"{name}_lost"] = float(lost)
        contract.metrics |= _shares(corpus.gates.splits.tolerance_from, counts)

        frozen = STRATEGIES.get(corpus.split.strategy.name).frozen
        files = contract.table(
            "files",
            [
                pd.DataFrame(
                    [{"file": entry.key, "role": entry.role} for entry in staged.files], columns=["file", "role"]
                )
            ],
            key="file",
        )
        files.expect(
            "split_known",
            gxe.ExpectColumnValuesToBeInSet(column="role", value_set=[*(SPLITS if frozen else [UNASSIGNED]), *UIDS]),
            f"Strategy {corpus.split.strategy.name} "
            + ("gives every document its split at ingest" if frozen else "leaves every document to the snapshot")
            + f"; these files are something else. {AGAIN}",
        )
        contract.table("columns", [pd.DataFrame(types, columns=["column", "type", "expected"])], key="column").expect(
            "columns",
            gxe.ExpectColumnPairValuesToBeEqual(column_A="type", column_B="expected"),
            f"A column is missing or of another type. {AGAIN}",
        )
        if differing(types):
            contract.skip("rows", "not read, since columns are missing or of another type")
        else:
            self._expect_of_rows(corpus.clean.dedup.exact, contract, _Documents(before, after), _Texts(texts))
            if alike and apart:
                near = corpus.clean.dedup.near or Near()
                bits = kind_of(corpus.clean).within(near)
                contract.table("alike", Alike(alike, apart, bits), key=apart).expect(
                    f"{apart}_in_one_split",
                    gxe.ExpectColumnValuesToBeBetween(column="splits", max_value=1),
                    f"What is as good as identical ({bits} bits of {apart} apart, or fewer) is in several splits: what "
                    "is learned would be what is tested. Set clean.dedup.near, run dedup again, then split.",
                )
        self._expect_shares(subject, contract, sum(counts.values()), frozen=frozen)
        return contract

    def _expect_of_rows(self, exact: bool, contract: Contract, documents: _Documents, texts: _Texts) -> None:
        from great_expectations import expectations as gxe

        table = contract.table("documents", documents, key="uid")
        table.expect(
            "one_split",
            gxe.ExpectColumnValuesToBeBetween(column="splits", max_value=1),
            f"A document is in several splits: what is learned would be what is tested. {AGAIN}",
        )
        table.expect(
            "present_once",
            gxe.ExpectColumnValuesToBeInSet(column="times_split", value_set=[1]),
            f"A clean document is in no split (0), or several times in the same one. {AGAIN}",
        )
        table.expect(
            "clean_before",
            gxe.ExpectColumnValuesToBeInSet(column="times_clean", value_set=[1]),
            f"A split document is not among the clean ones (0). Was the day cleaned anew since? {AGAIN}",
        )
        if not exact:
            contract.skip("text_in_one_split", "clean.dedup.exact is off: equal texts may stay")
            return
        contract.table("texts", texts, key="digest").expect(
            "text_in_one_split",
            gxe.ExpectColumnValuesToBeBetween(column="splits", max_value=1),
            "The same text is in several splits: what is learned would be what is tested. Run dedup again, then split.",
        )

    def _expect_shares(self, subject: Subject, contract: Contract, total: int, *, frozen: bool) -> None:
        corpus = subject.context.corpus
        gate = corpus.gates.splits
        numbers = contract.measured()
        for name, pages in (("deletions", "gone"), ("rejects", "rejected today")):
            numbers.bound(
                f"{name}_lost",
                least=0,
                most=0,
                says=f"Pages that are {pages} would stay in the data as they were: not every one was carried along "
                f"(deletions, rejects). {AGAIN}",
            )
        if not frozen:
            contract.skip("shares", f"strategy {corpus.split.strategy.name} divides at the snapshot")
            return
        if total < gate.tolerance_from:
            contract.skip("shares", f"{total} documents are too few to judge (gates.splits.tolerance_from)")
            return
        for name in SPLITS:
            wished = getattr(corpus.split.ratios, name)
            numbers.bound(
                f"{name}_share",
                least=max(0.0, round(wished - gate.tolerance, 9)),
                most=min(1.0, round(wished + gate.tolerance, 9)),
                says=f"Far from split.ratios.{name} ({wished:g}). Strategy group: does one group hold too many "
                "documents? Then split by hash, or widen gates.splits.tolerance.",
            )


@dataclass(frozen=True, slots=True)
class _Documents:
    """One row a uid: ``times_clean``, ``times_split`` (rows of it), ``splits`` (different ones)."""

    clean: Rows
    staged: Rows

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for clean, staged in zip(self.clean, self.staged, strict=True):
            before = clean.groupby("uid").agg(times_clean=("uid", "size"))
            after = staged.groupby("uid").agg(times_split=("role", "size"), splits=("role", "nunique"))
            yield before.join(after, how="outer").fillna(0).astype("int64").reset_index()


@dataclass(frozen=True, slots=True)
class _Texts:
    """One row a text: ``digest``, ``splits`` (different ones)."""

    staged: Rows

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for frame in self.staged:
            yield frame.groupby("digest").agg(splits=("role", "nunique")).reset_index()


def _shares(judged_from: int, counts: dict[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {f"{name}_share": counts[name] / total for name in SPLITS} if total >= judged_from else {}


SUITES.register("splits")(Splits())
