"""Do both sides decide alike, document by document?"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.cleaning import sides

PEER = Path(__file__).with_name("peer.py")


def compare(warcs: Path, folder: Path) -> dict[str, Any]:
    """Decisions on the texts that each extractor makes of the pages; each text is shown to both sides."""
    texts = {"datatrove": _extracted(warcs, folder), "ours": _ours(warcs)}
    decided: dict[str, dict[str, dict[str, str]]] = {}
    report: dict[str, Any] = {"texts": 0, "differences": []}
    same = 0
    for extractor, rows in texts.items():
        theirs, ours = theirs_decide(rows, folder, extractor), ours_decide(rows)
        decided[extractor] = {"datatrove": theirs, "ours": ours}
        for key in rows:
            report["texts"] += 1
            if bool(ours[key]) == bool(theirs[key]):
                same += 1
            else:
                report["differences"].append(
                    {"page": key, "text": extractor, "ours": ours[key] or "kept", "datatrove": theirs[key] or "kept"}
                )
    report["classes"] = dict(Counter(f"{d['ours']} / {d['datatrove']}" for d in report["differences"]).most_common())
    # A page without a text on one side is one that it drops.
    keys = texts["ours"].keys() | texts["datatrove"].keys()
    own = {
        key: (decided["ours"]["ours"].get(key, "empty"), decided["datatrove"]["datatrove"].get(key, "empty"))
        for key in keys
    }
    alike = sum(bool(ours) == bool(theirs) for ours, theirs in own.values())
    return {
        "kept_agreement": same / max(report["texts"], 1),
        "agreement": report,
        "extraction": {
            "agreement": alike / max(len(own), 1),
            "kept_by_ours": sum(not ours for ours, _ in own.values()),
            "kept_by_datatrove": sum(not theirs for _, theirs in own.values()),
            "differences": dict(
                Counter(
                    f"{ours or 'kept'} / {theirs or 'kept'}"
                    for ours, theirs in own.values()
                    if bool(ours) != bool(theirs)
                ).most_common()
            ),
        },
    }


def _extracted(warcs: Path, folder: Path) -> dict[str, str]:
    target = folder / "extracted.jsonl"
    subprocess.run([sides.peer_python(), PEER, "extract", warcs, target, "-"], check=True, capture_output=True)
    return _tidied({row["id"]: row["text"] for row in map(json.loads, target.read_text().splitlines())})


def _ours(warcs: Path) -> dict[str, str]:
    from tasks.cleaning.raw import Raw
    from tasks.cleaning.reading import read_warc
    from tasks.text.decode import decode
    from tasks.text.extract import MODES

    found = {}
    for path in sorted(warcs.glob("*.warc.gz")):
        for raw in read_warc(path, name=path.name, limit=10_000_000, tally=Counter()):
            if isinstance(raw, Raw):
                found[raw.url] = MODES[sides.EXTRACTION](decode(raw.body, raw.charset)).text
    return _tidied(found)


def _tidied(texts: dict[str, str]) -> dict[str, str]:
    """As cleaning leaves them, so that both sides see the same characters."""
    from tasks.text.normalise import tidy

    return {key: text for key, raw in texts.items() if (text := tidy(raw, "NFC"))}


def theirs_decide(rows: dict[str, str], folder: Path, name: str) -> dict[str, str]:
    source, target = folder / f"{name}.texts.jsonl", folder / f"{name}.decisions.jsonl"
    source.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in rows.items()))
    subprocess.run(
        [sides.peer_python(), PEER, "filters", source, target, sides.model()], check=True, capture_output=True
    )
    return {row["id"]: row["reason"] for row in map(json.loads, target.read_text().splitlines())}


def ours_decide(rows: dict[str, str]) -> dict[str, str]:
    from tasks.cleaning.raw import Raw, batches, uid_of
    from tasks.cleaning.refine import Refiner
    from tasks.config.clean import Clean

    refiner = Refiner(Clean.model_validate({"filters": sides.FILTERS}))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    raws = (Raw(uid_of(key), key, moment, text.encode(), "text/plain", "utf-8") for key, text in rows.items())
    decided = {}
    for batch in batches(raws):
        outcomes = refiner.batch(batch)
        decided |= dict(zip(outcomes.column("url").to_pylist(), outcomes.column("reason").to_pylist(), strict=True))
    return {key: reason or "" for key, reason in decided.items()}
