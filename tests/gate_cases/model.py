"""What gate model refuses."""

from __future__ import annotations

from tests.gate_cases import GOOD_F1, Case
from tests.gated import scores

NAN = float("nan")

CASES = [
    *(
        Case(
            "model",
            name,
            lambda g, n=name: g.model(scores(GOOD_F1, **{n: 0.59})),
            shows="observed 0.59; expected 0.6 to 1",
            gates={"model": {"floors": {name: 0.6}}},
        )
        for name in ("accuracy", "macro_f1")
    ),
    *(
        Case("model", name, lambda g, n=name, v=value: g.model(scores(GOOD_F1, **{n: v})), shows="observed no number;")
        for name in ("accuracy", "macro_f1")
        for value in (None, NAN)
    ),
    Case(
        "model", "classes_recognised", lambda g: g.model(scores({"csv": 0.66, "json": 0.0})), shows="observed 1; .* 2"
    ),
    Case(
        "model", "f1_there", lambda g: g.model(scores({"csv": 0.9, "json": None})), shows=r"1 of 2 rows, .*label json"
    ),
    *(
        Case(
            "model",
            f"{name}_below_champion",
            lambda g, n=name: g.model(scores(GOOD_F1, **{n: 0.87}), scores(GOOD_F1)),
            shows=r"observed 0.03; expected at most 0.01.*champion 3",
        )
        for name in ("accuracy", "macro_f1")
    ),
    Case(
        "model",
        "folds_macro_f1",
        lambda g: g.model(scores(GOOD_F1), folds=[0.5, 0.6]),
        shows="observed 0.55; expected at least 0.6",
        gates={"model": {"fold_floors": {"macro_f1": 0.6}}},
    ),
    Case(
        "model",
        "folds_deviation",
        lambda g: g.model(scores(GOOD_F1), folds=[0.6, 0.7, 0.8]),
        shows="observed 0.1; expected at most 0.05",
        gates={"model": {"max_fold_deviation": 0.05}},
    ),
    Case(
        "model",
        "class_below_champion",
        lambda g: g.model(scores({"csv": 1.0, "json": 0.75}), scores({"csv": 0.8, "json": 0.9})),
        shows=r"1 of 2 rows, such as f1_below_champion 0.15, label json; expected at most 0.1",
    ),
]
