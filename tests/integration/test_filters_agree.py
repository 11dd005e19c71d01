"""Our filters decide as datatrove's do, text by text.

What datatrove decided is kept beside this file; where `make bench-clean` has installed datatrove, it is asked again.
``DECIDE=1`` writes its decisions anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.benchmarks.cleaning import agreement, sides

pytestmark = pytest.mark.integration

KEPT = Path(__file__).with_name("datatrove.json")

PROSE = [
    f"When the {thing} came to the {place}, nobody there could say who had sent it, and that was fine with everybody."
    for thing, place in zip(
        ("letter", "train", "doctor", "parcel", "storm", "painter", "soldier", "ferry", "cook", "summer"),
        ("village", "station", "house", "harbour", "valley", "castle", "bridge", "island", "kitchen", "garden"),
        strict=True,
    )
]
VARIED = [
    "The night train left at ten.", "Rain began to fall on the fields beyond the town.", "He hadn't slept (not once).",
    "It's 3.5km to the sea, isn't it?", "They paid $10,000 for a well-known house.", "Mr. Smith and Dr. Jones had tea.",
    '"Where to?" asked the conductor, and smiled.', "Nobody knew what to do with the suitcase, or with the man.",
    "Some of them have been here since May; others came with the first snow of the year.", "I'd rather walk, you know.",
]  # fmt: skip

PLAIN = """\
The night train left the station at ten. Nobody on the platform could say where it was to go, and that was fine.
A man with a small brown suitcase sat down by the window. He had been told to have patience, so he waited.
Rain began to fall on the fields beyond the town, and the lights of the last houses swam in the wet glass.
When the conductor came he asked for nothing. He looked at the suitcase, then at the man, and walked on slowly.
It would be morning before anyone spoke again, and by then the mountains had taken the place of the plain."""

TEXTS = {
    "prose": PLAIN,
    "varied": "\n".join(VARIED),
    "half of it much the same": "\n".join([*VARIED, *PROSE]),
    "much the same": "\n".join(PROSE),
    "same lines": "\n".join(["This is the same line again and again."] * 12 + VARIED),
    "short": VARIED[0],
    "few words": "\n".join(VARIED[:5]),
    "marks": "\n".join(f"{line} {{}} [] () <> -- ;; ::" for line in VARIED),
    "hashes": "\n".join(f"# # # # {line}" for line in VARIED),
    "ellipses": "\n".join(line.rstrip(".") + "..." for line in VARIED),
    "bullets": "\n".join(f"- {line}" for line in VARIED),
    "code": "\n".join([PLAIN, "if (x) { return the value of it }"]),
    "placeholder": "\n".join([PLAIN, "Lorem ipsum dolor sit amet and so on."]),
    "cookies": "\n".join(["We use cookies on this site, as you can see.", PLAIN]),
    "list": "\n".join(word for line in VARIED for word in line.split()),
    "no stops": "\n".join(line.rstrip(".?") for line in VARIED),
    "german": "Der Zug verließ um zehn Uhr den Bahnhof, und niemand wusste, wohin er fuhr. " * 3,
    "numbers": " ".join(str(n) for n in range(200)),
    "citations": "\n".join(f"{line[:-1]}[1]{line[-1]}" for line in VARIED),
    "french": "Le train de nuit a quitté la gare à dix heures, et personne ne savait où il allait. " * 3,
    "russian": "Ночной поезд ушёл в десять часов, и никто не мог сказать, куда он идёт. " * 3,
    "chinese": "夜班火车十点离开车站，没有人知道它要去哪里，大家都觉得这样也好。" * 3,  # noqa: RUF001
    "one paragraph thrice": "\n\n".join([PLAIN] * 3),
    "javascript": "\n".join([PLAIN, "Please enable javascript to read the rest of this page."]),
    "policy": "\n".join([PLAIN, "Read our privacy policy before you go on from here."]),
    "emails": "\n".join(
        f"{line} Write to someone.{n}@example.org or 192.0.2.{n}." for n, line in enumerate(PLAIN.splitlines())
    ),
    "capitals": PLAIN.upper(),
    "without spaces": PLAIN.replace(" ", ""),
    "tabs": PLAIN.replace(" ", "\t"),
    "only marks": "?! ... ;; -- () [] {} <> " * 20,
    "long words": "internationalisation uncharacteristically the counterrevolutionaries to of and " * 9,
}


def test_every_decision_is_datatroves() -> None:
    kept = json.loads(KEPT.read_text())
    assert (kept["packages"], kept["decisions"].keys()) == (list(sides.PEER_PACKAGES), TEXTS.keys()), "DECIDE=1"
    ours, theirs = agreement.ours_decide(TEXTS), kept["decisions"]
    different = {name: (ours[name], theirs[name]) for name in TEXTS if bool(ours[name]) != bool(theirs[name])}
    assert different == {}
    assert not ours["prose"], "a sample that is dropped whole proves nothing"


@pytest.mark.skipif(
    not (sides.PEER / "ready").exists(), reason="datatrove is installed by `make bench-clean`; its answers are kept"
)
def test_datatrove_still_decides_as_it_did(tmp_path: Path) -> None:
    decisions = agreement.theirs_decide(TEXTS, tmp_path, "synthetic")
    if os.environ.get("DECIDE"):
        KEPT.write_text(json.dumps({"packages": sides.PEER_PACKAGES, "decisions": decisions}, indent=1) + "\n")
    assert json.loads(KEPT.read_text())["decisions"] == decisions
