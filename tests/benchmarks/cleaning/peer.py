"""datatrove's side, run by an interpreter that has datatrove: the whole pipeline, or its filters on given texts.

python peer.py pipeline FOLDER_OF_WARCS OUTPUT MODEL
python peer.py filters TEXTS.jsonl DECISIONS.jsonl MODEL
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.lid import FastTextLID

TIMEOUT = 60
"""Seconds by the clock that a page may take: so many that other work on the machine costs no page."""


class SameModel(FastTextLID):
    """Language identification by the model that the other side uses: a file, nothing is downloaded."""

    def __init__(self, languages: list[str], path: str) -> None:
        super().__init__(languages)
        self._path = path

    @property
    def model(self):
        if self._model is None:
            from fasttext.FastText import _FastText

            self._model = _FastText(self._path)
        return self._model


def filters(model: str) -> list:
    """In FineWeb's order, with its one change to C4."""
    language = LanguageFilter(languages=["en"])
    language.model = SameModel(["en"], model)
    return [
        language,
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]


def pipeline(folder: str, output: str, model: str) -> dict[str, float]:
    """Seconds of the executor's run, imports apart."""
    executor = LocalPipelineExecutor(
        pipeline=[
            WarcReader(folder, glob_pattern="*.warc.gz"),
            Trafilatura(favour_precision=True, timeout=TIMEOUT),
            *filters(model),
            PIIFormatter(),
            JsonlWriter(f"{output}/documents"),
            MinhashDedupSignature(f"{output}/signatures", MinhashConfig()),
        ],
        tasks=1,
        workers=1,
        logging_dir=f"{output}/logs",
    )
    started = time.perf_counter()
    executor.run()
    return {"seconds": time.perf_counter() - started}


def extract(folder: str, texts: str, model: str) -> dict[str, float]:
    """The text of each page, by its URL."""
    pages = WarcReader(folder, glob_pattern="*.warc.gz").run()
    with Path(texts).open("w") as target:
        for document in Trafilatura(favour_precision=True, timeout=TIMEOUT).run(pages):
            target.write(json.dumps({"id": document.metadata["url"], "text": document.text}) + "\n")
    return {}


def decide(texts: str, decisions: str, model: str) -> dict[str, float]:
    """Keep or drop, and why, for each text; a filter may change the text that the next one sees."""
    chain = filters(model)
    count = 0
    with Path(texts).open() as source, Path(decisions).open("w") as target:
        for line in source:
            row = json.loads(line)
            document = Document(text=row["text"], id=row["id"])
            reason = ""
            for step in chain:
                answer = step.filter(document)
                kept, why = answer if isinstance(answer, tuple) else (answer, "")
                if not kept:
                    reason = f"{type(step).__name__}.{why}"
                    break
            target.write(json.dumps({"id": row["id"], "reason": reason}) + "\n")
            count += 1
    return {"count": count}


def main() -> None:
    command = {"pipeline": pipeline, "extract": extract, "filters": decide}[sys.argv[1]]
    print(json.dumps(command(*sys.argv[2:])))


if __name__ == "__main__":
    main()
