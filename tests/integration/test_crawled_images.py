"""Images from a real site: what its pages show, labelled by the page, through the images' chain, night after night."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tasks.sources.web import run
from tests.chain import Chain
from tests.sites.hostile import redirect
from tests.sites.site import Site

pytestmark = pytest.mark.integration

DAY1, DAY2, DAY3 = "2026-11-20", "2026-11-21", "2026-11-22"
EACH = 25
"""Images of a digit, on pages of five."""


def digits() -> dict[str, list[bytes]]:
    """Handwritten zeros and ones as PNG files, by their name."""
    data = load_digits(n_class=2)
    found: dict[str, list[bytes]] = {"zero": [], "one": []}
    for pixels, digit in zip(data.images, data.target, strict=True):
        out = io.BytesIO()
        Image.fromarray((pixels * 255 / 16).astype("uint8")).resize((32, 32)).save(out, "PNG")
        found[("zero", "one")[int(digit)]].append(out.getvalue())
    return {name: bodies[:EACH] for name, bodies in found.items()}


def publish(site: Site) -> None:
    """Galleries of five images each; where an image lies says nothing of what it shows."""
    galleries = []
    for name, bodies in digits().items():
        for page in range(0, EACH, 5):
            shown = ""
            for number in range(page, page + 5):
                path = f"/files/{name[0]}{number * 37 % 101}"
                site.page(path, bodies[number], "image/png")
                shown += f'<img src="{path}" alt="">'
            galleries.append(f"/gallery/{name}/{page}")
            site.page(galleries[-1], f"<html><body>{shown}</body></html>")
    site.page("/", "".join(f'<a href="{path}">more</a>' for path in galleries))


@pytest.fixture
def chain(site: Site, tmp_path: Path) -> Chain:
    publish(site)
    crawl = {"seeds": [f"{site.url}/"], "networks": ["127.0.0.0/8"], "throttle": None, "images": True, "depth": 1}
    return Chain(
        tmp_path,
        {
            "corpus": "gallery",
            "kind": {"images": {"min_side": 16}},
            "source": {"live": {"crawl": crawl}},
            "clean": {"labels": [{"pattern": "/gallery/(?P<label>[a-z]+)/"}]},
            # The site's port is part of every uid: by hash, some ports would leave a split without one of the labels.
            "split": {"ratios": {"train": 0.6, "validation": 0.2, "test": 0.2}, "strategy": "stratified"},
            "gates": {
                "clean": {"labels": ["zero", "one"]},
                "splits": {"tolerance": 0.3},
            },
            "train": {
                "recipe": {"image_vgg16": {"weights": "random", "size": 32, "epochs": 2, "learning_rate": 0.003}},
                "near": None,
                "slices": [],
            },
            "resources": {"workers": 2},
        },
    )


def rows(chain: Chain, day: str, role: str = "documents") -> dict[str, dict[str, Any]]:
    manifest = chain.context.catalog.load(f"clean/gallery/{day}", made_by="dedup")
    found: dict[str, dict[str, Any]] = {}
    for entry in manifest.of_role(role):
        table = pq.read_table(io.BytesIO(chain.context.store.read(entry.key)))
        found |= {row["url"].rsplit(":", 1)[1].partition("/")[2]: row for row in table.to_pylist()}
    return found


def test_what_pages_show_is_learned_by_the_label_of_the_page(site: Site, chain: Chain) -> None:
    bodies = digits()
    site.behave("/files/o0", redirect("/files/moved"))
    site.page("/files/moved", bodies["one"][0], "image/png")
    site.page("/files/z0", "<html>sorry, no such image today</html>")
    chain.ingest(DAY1)
    found = rows(chain, DAY1)
    assert {path: row["label"] for path, row in found.items()} == {
        **{f"files/z{n * 37 % 101}": "zero" for n in range(1, EACH)},
        **{f"files/o{n * 37 % 101}": "one" for n in range(1, EACH)},
        "files/moved": "one",
    }
    with Image.open(io.BytesIO(found["files/z37"]["image"])) as image, Image.open(io.BytesIO(bodies["zero"][1])) as it:
        assert image.tobytes() == it.convert("RGB").tobytes()
    raw = chain.context.catalog.load(f"raw/gallery/{DAY1}", made_by="crawl")
    assert raw.counts["skipped"] == {"content_type": 1}, "an error page in an image's place is none"
    clean = chain.context.catalog.load(f"clean/gallery/{DAY1}", made_by="dedup")
    assert clean.counts["rejected"] == {"page": 11}

    # The next night: one gallery shows another image, one image is gone, the rest did not change.
    site.page("/files/new", bodies["zero"][0], "image/png")
    site.page("/gallery/zero/0", '<img src="/files/new">')
    del site.pages["/files/o37"]
    site.hits.clear()
    chain.ingest(DAY2, gates=False)
    assert {path: row["label"] for path, row in rows(chain, DAY2).items()} == {"files/new": "zero"}
    assert list(rows(chain, DAY2, "deletions")) == ["files/o37"]
    assert site.fetched(status=304)["/files/z37"] == 1, (
        "asked for once more, though its page was unchanged or forgot it"
    )

    # An image that changed while its page did not keeps its page.
    site.page("/files/o74", bodies["one"][7], "image/png")
    chain.ingest(DAY3, gates=False)
    assert rows(chain, DAY3)["files/o74"]["label"] == "one"

    training = chain.retrain(gates=False, promoted=False)
    metrics = chain.metrics(training)
    assert set(metrics["validation"]["per_class"]) == {"zero", "one"}
    assert metrics["validation"]["rows"] > 3


def test_of_an_image_in_several_sizes_the_largest_is_fetched_and_no_other(
    site: Site, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = digits()
    dot = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
    pages = {
        "zero/0": '<img src="/v/1-s" srcset="/v/1-s 300w, /v/1,large 1200w, /v/1-m 600w" alt="">',
        "zero/1": f'<img class="lazy" src="{dot}" data-srcset="/v/2-s 1x, /v/2-l 2x">'
        '<noscript><img src="/v/2-m"></noscript>',
        "one/0": '<picture><source type="image/avif" srcset="/v/3-a 2000w"><source media="(max-width: 600px)" '
        'srcset="/v/3-s"><source type="image/png" srcset="/v/3-s 300w, /v/3-l 900w"><img src="/v/3-m"></picture>',
        "one/1": '<img loading="lazy" src="/v/blank" data-src="/v/4-l"><meta property="og:image" content="/v/4-card">',
    }
    taken = {"v/1,large": "zero", "v/2-l": "zero", "v/3-l": "one", "v/4-l": "one"}
    site.page("/", "".join(f'<a href="/gallery/{path}">more</a>' for path in pages))
    for path, html in pages.items():
        site.page(f"/gallery/{path}", html)
    for number, path in enumerate(taken):
        site.page(f"/{path}", bodies[taken[path]][number], "image/png")
    chain.ingest(DAY1, gates=False)
    assert {path: row["label"] for path, row in rows(chain, DAY1).items()} == taken
    assert {path: times for path, times in site.fetched().items() if path.startswith("/v/")} == {
        f"/{path}": 1 for path in taken
    }

    # Unchanged pages are not read again, unless what counts as their image has changed since.
    site.hits.clear()
    chain.ingest(DAY2, gates=False)
    assert site.fetched(status=304)["/gallery/zero/0"] == 1
    monkeypatch.setattr(run, "VERSION", run.VERSION + 1)
    site.hits.clear()
    chain.ingest(DAY3, gates=False)
    assert site.fetched(status=200)["/gallery/zero/0"] == 1
