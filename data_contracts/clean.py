"""After cleaning: are these the documents that we usually keep, labelled and each once?"""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from data_contracts.base import SUITES, Contract, Subject, Table, current
from data_contracts.engine.contents import contents_of, expect_usual_contents, measured
from tasks.config.gates import CleanGate
from tasks.kinds.base import kind_of
from tasks.section import digest_of
from tasks.step import Context
from tasks.work import Read


class Clean:
    """Documents row by row, and the rates of the partition."""

    version = 4
    compared = "reject_rate"

    def reads(self, context: Context, name: str) -> list[Read]:
        corpus, counted = context.corpus.corpus, f"stats/{context.corpus.corpus}/{name}"
        cleaned = current(context, f"clean/{corpus}/{name}", f"dedup --corpus {corpus} --partition {name}")
        statistics = context.catalog.current(counted) if kind_of(context.corpus.clean).prose else None
        # Those of an earlier clean partition tell nothing of this one.
        if statistics is None or statistics.inputs[0].digest != cleaned.manifest.digest():
            return [cleaned]
        part = digest_of(measured(statistics.details))
        return [cleaned, Read(counted, statistics, f"stats --corpus {corpus} --partition {name}", part)]

    def config(self, context: Context) -> Any:
        corpus = context.corpus
        own = {} if corpus.kind.name == "documents" else {"kind": corpus.kind.digest_value()}
        return {**corpus.gates.clean.model_dump(mode="json"), "exact": corpus.clean.dedup.exact, **own}

    def build(self, subject: Subject) -> Contract:
        import pandas as pd
        import pyarrow as pa
        from great_expectations import expectations as gxe

        from data_contracts.engine.kinds import Measured, drift_of, expect_no_drift, expect_of_kind, rates_of
        from data_contracts.engine.rows import Rows, buckets_for, differing, fill
        from tasks.cleaning import schema
        from tasks.config.clean import Clean as CleanSection

        context, manifest = subject.context, subject.reads[0].manifest
        # Columns that filters add are those of the configuration when it was cleaned: nothing relies on them.
        kind = kind_of(context.corpus.clean)
        expected = schema.documents(CleanSection(kind=context.corpus.kind))

        def rows(by: str, *columns: str) -> Rows:
            kept = pa.schema([expected.field(name) for name in (by, *columns)])
            return Rows(subject.scratch / by, kept, by=by, buckets=buckets_for(manifest))

        documents = rows("uid", "label", "language", "length")
        urls, texts = rows("url", "uid"), rows("digest", "uid")
        own = Measured(subject.scratch / "kind", kind, buckets=buckets_for(manifest))
        wanted = [documents, urls, texts, *([own] if kind.bounds() or kind.drifts() else [])]
        types = fill(context, manifest.of_role("documents"), wanted, subject.scratch, expected=expected)
        contract = Contract(metrics=_rates(subject))
        contract.table("columns", [pd.DataFrame(types, columns=["column", "type", "expected"])], key="column").expect(
            "columns",
            gxe.ExpectColumnPairValuesToBeEqual(column_A="type", column_B="expected"),
            "A column is missing or of another type: these files are not of this version of clean. Clean again.",
        )
        if differing(types):
            contract.skip("rows", "not read, since columns are missing or of another type")
            _expect_rates(subject, contract.measured(), contract)
            return contract
        labels, languages = _tally(documents)
        contract.metrics |= _shares(context.corpus.gates.clean, labels, languages)
        contract.metrics |= rates_of(kind, subject) | drift_of(kind, subject, own)
        contract.metrics |= contents_of(subject, there=contract.metrics["kept_there"])
        numbers = contract.measured()
        _expect_rates(subject, numbers, contract)
        _expect_shares(context.corpus.gates.clean, numbers, contract, labelled=kind.labelled)
        expect_of_kind(kind, subject, contract, numbers, own)
        expect_no_drift(kind, contract, numbers)
        if kind.prose:
            expect_usual_contents(subject, numbers, contract)
        _expect_of_documents(context.corpus.gates.clean, contract.table("documents", documents, key="uid"))
        _expect_once(contract, "url", _Without(urls, "url"), "One URL stands twice: run dedup again.")
        if context.corpus.clean.dedup.exact:
            _expect_once(contract, "digest", texts, "One text stands twice: run dedup again.")
        else:
            contract.skip("digest_once", "clean.dedup.exact is off: equal texts may stay")
        return contract


class _Without:
    """Frames in which an empty string is no value: a row source may have no URLs, and then there are none to repeat."""

    def __init__(self, frames: Any, column: str) -> None:
        self._frames, self._column = frames, column

    def __iter__(self) -> Any:
        for frame in self._frames:
            yield frame[frame[self._column] != ""]


def _rates(subject: Subject) -> dict[str, float]:
    from data_contracts.engine.history import last_good

    counts = subject.counts
    seen, kept, rejected = int(counts["documents"]), int(counts["kept"]), sum(counts["rejected"].values())
    rates: dict[str, float] = {
        "documents": float(seen),
        "kept": float(kept),
        "rejected": float(rejected),
        "kept_or_unchanged": float(kept + counts.get("unchanged", 0)),
        "unaccounted": float(seen - kept - rejected),
    }
    # What is there now: of the unchanged pages those that are usually kept, or a night on which all of a site is new
    # would seem to have lost what is rejected of it every night.
    rates["kept_there"] = kept + counts.get("unchanged", 0) * (1 - (subject.usual or 0.0))
    earlier = last_good(subject.context, "clean", "kept_there", before=subject.name)
    if earlier:
        rates["kept_usually"] = median(earlier.values())
        if rates["kept_usually"] >= subject.context.corpus.gates.clean.rates_from:
            rates["kept_of_usual"] = rates["kept_there"] / rates["kept_usually"]
    # A share of few says little, and would be held against nights of many.
    if seen >= subject.context.corpus.gates.clean.rates_from:
        rates["reject_rate"] = rejected / seen
        if subject.usual is not None:
            rates["reject_rise"] = rates["reject_rate"] - subject.usual
    return rates


def _tally(documents: Any) -> tuple[Counter[str | None], Counter[str | None]]:
    labels: Counter[str | None] = Counter()
    languages: Counter[str | None] = Counter()
    for frame in documents:
        for column, counter in (("label", labels), ("language", languages)):
            for value, count in frame[column].value_counts(dropna=False).items():
                counter[value if isinstance(value, str) else None] += int(count)
    return labels, languages


def _shares(gate: CleanGate, labels: Counter[str | None], languages: Counter[str | None]) -> dict[str, float]:
    rows = labels.total()
    shares = {"rows": float(rows)}
    if rows:
        shares["unlabelled_share"] = labels[None] / rows
    if rows >= gate.rates_from:
        shares["largest_label_share"] = max((n for label, n in labels.items() if label is not None), default=0) / rows
        shares |= {f"share_{name}": languages[name] / rows for name in gate.min_language_share}
    return shares


def _expect_rates(subject: Subject, numbers: Table, contract: Contract) -> None:
    gate, metrics = subject.context.corpus.gates.clean, contract.metrics
    seen = int(metrics["documents"])
    numbers.bound(
        "unaccounted",
        least=0,
        most=0,
        says="Documents are neither kept nor rejected (or counted twice): a fault of clean. Clean again; if it "
        "stays, somebody must look at the shards' counts.",
    )
    if not seen and subject.counts.get("unchanged", 0) + subject.counts.get("deletions", 0) > 0:
        contract.skip("kept_or_unchanged", "an empty delta: no page is new or changed")
        contract.skip("kept_of_usual", "an empty delta: no page is new or changed")
    else:
        numbers.bound(
            "kept_or_unchanged",
            least=gate.min_rows,
            says="Fewer documents, kept and unchanged, than gates.clean.min_rows. `rejected` in the clean manifest "
            "says why they went.",
        )
        _expect_the_usual_rows(gate, numbers, contract)
    if "reject_rate" not in metrics:
        contract.skip("reject_rate", f"{seen} documents are too few to judge (gates.clean.rates_from)")
        return
    numbers.bound(
        "reject_rate",
        most=gate.max_reject_rate,
        says="More rejected than gates.clean.max_reject_rate allows. Has the site's layout changed, or is a filter too "
        "strict? `rejected` in the clean manifest counts the reasons, its `rejects` files show the documents.",
    )
    if subject.usual is None:
        contract.skip("reject_rise", "there is no good partition before this one")
    else:
        numbers.bound(
            "reject_rise",
            most=gate.max_reject_rise,
            says=f"Far more rejected than the {subject.usual:.1%} of the last good nights (gates.clean.max_reject_rise)"
            ". Has the site's layout changed? If this is how it is now, release it: later nights are compared with it.",
        )


def _expect_the_usual_rows(gate: CleanGate, numbers: Table, contract: Contract) -> None:
    usual = contract.metrics.get("kept_usually")
    if usual is None:
        contract.skip("kept_of_usual", "there is no good partition before this one")
    elif "kept_of_usual" not in contract.metrics:
        contract.skip("kept_of_usual", f"{usual:g} documents a night are too few to judge (gates.clean.rates_from)")
    else:
        numbers.bound(
            "kept_of_usual",
            least=1 - gate.max_drop,
            says=f"Far fewer documents, kept and unchanged, than the {usual:g} of the last good nights "
            "(gates.clean.max_drop). `rejected` in the clean manifest says why they went, `visited` in the raw one how "
            "many came. If this is how it is now, release it: later nights are compared with it.",
        )


def _expect_shares(gate: CleanGate, numbers: Table, contract: Contract, *, labelled: bool) -> None:
    rows = int(contract.metrics["rows"])
    numbers.bound(
        "rows",
        least=contract.metrics["kept"],
        most=contract.metrics["kept"],
        says="The files do not have as many rows as the manifest counts: a fault of dedup. Run dedup again.",
    )
    if rows and not labelled:
        contract.skip("unlabelled_share", "rows of this kind need no label")
    elif rows:
        numbers.bound(
            "unlabelled_share",
            most=gate.max_unlabelled,
            says="More documents without a label than gates.clean.max_unlabelled allows. Do the patterns of "
            "clean.labels still fit the URLs?",
        )
    if rows < gate.rates_from:
        contract.skip("label balance, language mix", f"{rows} rows are too few to judge (gates.clean.rates_from)")
        return
    numbers.bound(
        "largest_label_share",
        most=gate.max_label_share,
        says="One label crowds out the others (gates.clean.max_label_share). Did the crawl miss a part of the site, or "
        "does a pattern of clean.labels match too much?",
    )
    for language, share in gate.min_language_share.items():
        numbers.bound(
            f"share_{language}",
            least=share,
            says=f"Less {language} than gates.clean.min_language_share asks for. Does the site answer in another "
            "language, or is the text no language at all (broken encoding)?",
        )


def _expect_of_documents(gate: CleanGate, documents: Table) -> None:
    from great_expectations import expectations as gxe

    for column in ("uid", "language", "length"):
        documents.expect(
            f"{column}_there",
            gxe.ExpectColumnValuesToNotBeNull(column=column),
            f"Documents without {column} cannot go on: a fault of clean. Clean again.",
        )
    documents.expect(
        "uid_form",
        gxe.ExpectColumnValuesToMatchRegex(column="uid", regex=r"^[0-9a-f]{32}$"),
        "Not an id of ours (32 hex digits): a fault of clean. Clean again.",
    )
    documents.expect(
        "uid_once",
        gxe.ExpectColumnValuesToBeUnique(column="uid"),
        "One document stands twice: run dedup again.",
    )
    documents.expect(
        "length",
        gxe.ExpectColumnValuesToBeBetween(column="length", min_value=1),
        "Documents without text: is clean.filters' length filter off, or does clean.strip remove all of it?",
    )
    if gate.labels is not None:
        documents.expect(
            "label_known",
            gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(gate.labels)),
            "A label that gates.clean.labels does not name. If it is new, add it there; else mend clean.labels.",
        )
    if gate.languages is not None:
        documents.expect(
            "language_known",
            gxe.ExpectColumnValuesToBeInSet(column="language", value_set=list(gate.languages)),
            "A language that gates.clean.languages does not name. Add it there, or filter it out (filter language).",
        )


def _expect_once(contract: Contract, column: str, frames: Any, says: str) -> None:
    from great_expectations import expectations as gxe

    table = contract.table(f"{column}s", frames, key="uid")
    table.expect(
        f"{column}_there",
        gxe.ExpectColumnValuesToNotBeNull(column=column),
        f"Documents without {column} cannot go on: a fault of clean. Clean again.",
    )
    table.expect(f"{column}_once", gxe.ExpectColumnValuesToBeUnique(column=column), says)


SUITES.register("clean")(Clean())
