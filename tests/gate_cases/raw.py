"""What gate raw refuses."""

from __future__ import annotations

from tests.gate_cases import BEFORE, Case

CASES = [
    *(
        Case("raw", "counts", lambda g, n=name: g.raw(**{n: None}), shows=rf"observed no {name}")
        for name in ("documents", "unchanged", "gone", "visited", "errors", "bytes")
    ),
    *(
        Case("raw", name, lambda g, n=name: g.raw(**{n: -1}), shows=r"observed -1; expected at least 0")
        for name in ("documents", "unchanged", "gone", "visited", "errors", "bytes")
    ),
    Case(
        "raw",
        "documents_there",
        lambda g: g.raw(documents=5, unchanged=4),
        shows=r"observed 9; expected at least 10",
        gates={"raw": {"min_documents": 10}},
    ),
    Case("raw", "documents_there", lambda g: g.raw(documents=0, unchanged=0, gone=7), shows="observed 0;"),
    Case("raw", "error_share", lambda g: g.raw(visited=100, errors=21), shows=r"observed 0.21; expected at most 0.2"),
    Case(
        "raw",
        "visited_of_usual",
        lambda g: g.raw(visited=49, errors=0),
        shows=r"observed 0.49; expected at least 0.5",
        before=lambda g: g.raw(BEFORE, visited=100),
    ),
]
