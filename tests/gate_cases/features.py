"""What gate features refuses."""

from __future__ import annotations

from tests.gate_cases import Case

CASES = [
    Case(
        "features", "train_rows", lambda g: g.features(labels={"csv": 5, "json": 4}), shows="observed 9; .* at least 10"
    ),
    Case(
        "features",
        "validation_rows",
        lambda g: g.features(labels={"csv": 9, "json": 9}, validation=0),
        shows="observed 0",
    ),
    Case("features", "labels", lambda g: g.features(labels={"csv": 20}), shows="observed 1; expected at least 2"),
    Case(
        "features",
        "largest_label_share",
        lambda g: g.features(labels={"csv": 96, "json": 4}),
        shows="observed 0.96; expected at most 0.95",
    ),
    *(
        Case(
            "features",
            "unseen_label_share",
            lambda g: g.features(labels={"csv": 50, "xml": 50}),
            shows="'json' in 10 rows",
            sections=sections,
        )
        for sections in ({}, {"kind": "images", "train": {"recipe": "image_vgg16"}})
    ),
    Case(
        "features", "vocabulary", lambda g: g.features(labels={"csv": 9, "json": 9}, vocabulary=9), shows="observed 9;"
    ),
    *(
        Case(
            "features",
            "vocabulary",
            lambda g, n=terms: g.features(labels={"csv": 9, "json": 9}, vocabulary=n),
            shows=rf"observed {terms}; expected at least {terms + 1}.*labels of images",
            gates={"features": {"min_vocabulary": asked}},
            sections={"kind": "images", "train": {"recipe": "image_vgg16"}},
        )
        for terms, asked in ((0, None), (2, 3))
    ),
]
