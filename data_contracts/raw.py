"""After the crawl: did it bring what it usually brings?"""

from __future__ import annotations

from typing import Any

from data_contracts.base import SUITES, Contract, Subject, current
from tasks.step import Context
from tasks.work import Read

COUNTS = ("documents", "unchanged", "gone", "visited", "errors", "bytes")


class Raw:
    """Counts of the crawl, against thresholds and the last good partitions."""

    version = 2
    compared = "visited"

    def reads(self, context: Context, name: str) -> list[Read]:
        corpus = context.corpus.corpus
        return [current(context, f"raw/{corpus}/{name}", f"crawl --corpus {corpus} --partition {name}")]

    def config(self, context: Context) -> Any:
        return context.corpus.gates.raw.model_dump(mode="json")

    def build(self, subject: Subject) -> Contract:
        import pandas as pd
        from great_expectations import expectations as gxe

        gate, usual = subject.context.corpus.gates.raw, subject.usual
        counts = {name: subject.counts[name] for name in COUNTS if name in subject.counts}
        documents, unchanged, visited = (counts.get(name, 0) for name in ("documents", "unchanged", "visited"))
        contract = Contract(metrics={name: float(count) for name, count in counts.items()})
        # What the site has now; on a night with few changes most of it is unchanged.
        contract.metrics["documents_there"] = float(documents + unchanged)
        contract.metrics["error_share"] = counts.get("errors", 0) / visited if visited else 0.0
        if usual:
            contract.metrics["visited_of_usual"] = visited / usual

        whole = contract.table("counts", [pd.DataFrame([counts])])
        whole.expect(
            "counts",
            gxe.ExpectTableColumnsToMatchSet(column_set=list(COUNTS), exact_match=False),
            "The source did not count what every source counts, so nothing about this partition can be trusted. "
            "Was it made by an older version? Run the crawl again.",
        )
        for name in counts:
            whole.bound(name, least=0, says="A count cannot be negative: a fault of the source. Run the crawl again.")

        numbers = contract.measured()
        if documents == 0 and unchanged > 0:
            contract.skip("documents_there", f"nothing changed: all {unchanged} pages are as they were")
        else:
            numbers.bound(
                "documents_there",
                least=gate.min_documents,
                says="Fewer documents, new, changed and unchanged, than gates.raw.min_documents. Is the site up, are "
                "the seeds right, did robots.txt change? `skipped` in the raw manifest counts what was left out.",
            )
        numbers.bound(
            "error_share",
            most=gate.max_error_share,
            says="More of the fetches failed than gates.raw.max_error_share allows. Is the site slow or down, or does "
            "it block us? Run the crawl again when it is well.",
        )
        if usual:
            numbers.bound(
                "visited_of_usual",
                least=1 - gate.max_drop,
                says=f"Far fewer pages than the {usual:g} of the last good nights (gates.raw.max_drop). Did a page "
                "lose its links, a sitemap go, a budget run out? If the site did shrink, release it: later nights are "
                "compared with it.",
            )
        else:
            contract.skip("visited_of_usual", "there is no good partition before this one")
        return contract


SUITES.register("raw")(Raw())
