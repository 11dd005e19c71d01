"""What gate clean expects of what documents are made of: the numbers of step ``stats``, held against usual nights."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from data_contracts.base import Contract, Subject, Table
from data_contracts.engine.history import good_metrics

_HAVING = "median_length"
_NIGHTS = "usual_nights"
_LANGUAGE = "language."
_COMPARED = "length, languages, domains and shared words"


def measured(told: Mapping[str, Any]) -> dict[str, float]:
    """What the gate reads of the statistics of a partition; only ``documents`` of one without any."""
    documents = told["documents"]
    if not documents:
        return {"documents": 0.0}
    shared = told["ngrams"][0][1] if told["ngrams"] else 0
    return {
        "documents": float(documents),
        _HAVING: float(told["length"]["p50"]),
        "largest_domain_share": max((count for _, count in told["domains"]), default=0) / documents,
        "common_words_share": shared / told["sampled"],
        **{f"{_LANGUAGE}{name}": count / documents for name, count in told["languages"]},
    }


def contents_of(subject: Subject, *, there: float) -> dict[str, float]:
    """What the documents are made of that are there now, and how far that is from usual; none without statistics, or of
    fewer documents than say something.

    ``there`` counts the partition's documents and those that did not change since the last night. Of the latter nothing
    is known but that they are as usual: a night on which a crawl finds a few pages new says as little as they are few.
    """
    context, gate = subject.context, subject.context.corpus.gates.clean
    if len(subject.reads) < 2:
        return {}
    own = measured(subject.reads[1].manifest.details)
    documents = own.pop("documents")
    if not documents or max(there, documents) < gate.usual_documents:
        return {}
    earlier = good_metrics(context, "clean", before=subject.name, having=_HAVING)
    enough = earlier.released or len(earlier.days) >= min(gate.usual_nights, context.corpus.gates.history)
    if not earlier.days:
        return {**own, _NIGHTS: 0.0}
    usual = _usual(earlier.metrics)
    now = _mixed(own, usual, documents / max(there, documents))
    return now | {_NIGHTS: float(len(earlier.days))} | (_compared(now, usual) if enough else {})


def expect_usual_contents(subject: Subject, numbers: Table, contract: Contract) -> None:
    """Bound how far the documents' lengths, languages, domains and shared words are from usual."""
    gate = subject.context.corpus.gates.clean
    if why := _unknown(subject, contract.metrics):
        contract.skip(_COMPARED, why)
        return
    numbers.bound(
        "length_of_usual",
        least=1 / gate.max_length_change,
        most=gate.max_length_change,
        says="The median document is far shorter, or longer, than on usual nights (gates.clean.max_length_change). Cut "
        "off, an error page or a teaser in place of the text, or menus taken for text? Look at the page of `nightshift "
        "stats`. If this is how it is now, release it: later nights are compared with it.",
    )
    numbers.bound(
        "language_shift",
        most=gate.max_language_shift,
        says="So many documents, of all, are in other languages than on usual nights (gates.clean.max_language_shift). "
        "Does the site answer in the crawler's language, or is the encoding broken? If this is how it is now, release "
        "it.",
    )
    numbers.bound(
        "largest_domain_rise",
        most=gate.max_domain_rise,
        says="One domain has far more of the documents than the largest one usually has (gates.clean.max_domain_rise). "
        "Did others fail, or does one of them make pages without end? If this is how it is now, release it.",
    )
    numbers.bound(
        "common_words_rise",
        most=gate.max_common_rise,
        says="Far more documents than usual share one run of words (gates.clean.max_common_rise): a notice to accept "
        "cookies or to sign in, or a page that says to come again? `ngrams` in the stats manifest, and its page, say "
        "which. If this is how it is now, release it.",
    )


def _unknown(subject: Subject, metrics: dict[str, float]) -> str | None:
    """Why nothing is compared; None if it is."""
    gate = subject.context.corpus.gates.clean
    if len(subject.reads) < 2:
        return "there are no statistics of this very partition (nightshift stats)"
    if _HAVING not in metrics:
        documents = subject.reads[1].manifest.details["documents"]
        return f"{documents} documents, with those unchanged, are too few to judge (gates.clean.usual_documents)"
    if "length_of_usual" not in metrics:
        return (
            f"{metrics[_NIGHTS]:g} good partition(s) of {gate.usual_documents} documents or more before this one "
            "are too few (gates.clean.usual_nights)"
        )
    return None


def _usual(earlier: list[dict[str, float]]) -> dict[str, float]:
    """The medians of earlier nights; shares of languages, whose medians need not add up, as parts of their sum."""
    names = {name for each in earlier for name in each if name.startswith(_LANGUAGE)}
    names |= {_HAVING, "largest_domain_share", "common_words_share"}
    usual = {name: median(each.get(name, 0.0) for each in earlier) for name in names}
    whole = sum(share for name, share in usual.items() if name.startswith(_LANGUAGE)) or 1.0
    return {name: value / whole if name.startswith(_LANGUAGE) else value for name, value in usual.items()}


def _mixed(own: dict[str, float], usual: dict[str, float], fresh: float) -> dict[str, float]:
    """The numbers of ``own`` documents, which are the share ``fresh`` of all, and of others that are as usual; of the
    length the geometric mean, as it is compared by its ratio."""
    names = own.keys() | usual.keys()
    mixed = {name: fresh * own.get(name, 0.0) + (1 - fresh) * usual.get(name, 0.0) for name in names}
    return mixed | {_HAVING: own[_HAVING] ** fresh * usual[_HAVING] ** (1 - fresh)}


def _compared(now: dict[str, float], usual: dict[str, float]) -> dict[str, float]:
    """``language_shift`` is the total variation distance of the shares of languages: half the sum of what they differ
    by; 0 where they are the same, 1 where no language is in both."""
    languages = {name for name in now.keys() | usual.keys() if name.startswith(_LANGUAGE)}
    return {
        "length_of_usual": now[_HAVING] / usual[_HAVING],
        "language_shift": sum(abs(now.get(name, 0.0) - usual.get(name, 0.0)) for name in languages) / 2,
        "largest_domain_rise": now["largest_domain_share"] - usual["largest_domain_share"],
        "common_words_rise": now["common_words_share"] - usual["common_words_share"],
    }
