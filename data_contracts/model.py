"""Before promotion: is the candidate good, and no worse than the champion? Judged on validation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from data_contracts.base import SUITES, Contract, Subject, Table, current
from tasks.config.gates import ModelGate
from tasks.judging.base import measures_of
from tasks.step import Context
from tasks.training.runs import model_folder, report_folder
from tasks.work import Read

if TYPE_CHECKING:
    import pandas as pd


class Model:
    """The report's validation metrics, overall and per class, beside the champion's on the same rows."""

    version = 2
    compared = None

    def reads(self, context: Context, name: str) -> list[Read]:
        corpus = context.corpus.corpus
        return [
            current(context, model_folder(corpus, name), f"merge --corpus {corpus} --snapshot …"),
            current(context, report_folder(corpus, name), f"evaluate --corpus {corpus} --snapshot …"),
        ]

    def config(self, context: Context) -> Any:
        return context.corpus.gates.model.model_dump(mode="json")

    def build(self, subject: Subject) -> Contract:
        from great_expectations import expectations as gxe

        gate = subject.context.corpus.gates.model
        details = subject.reads[1].manifest.details
        ours, champion = details["metrics"]["validation"], details.get("champion")
        theirs = champion["metrics"]["validation"] if champion else None
        unfair = _unfair(gate, champion, ours["rows"]) if champion else None
        if unfair:
            theirs = None
        folds = details.get("folds")
        contract = Contract(metrics=_overall(ours, theirs) | _over_folds(folds, ours))
        numbers = contract.measured()
        _expect_overall(gate, numbers, ours)
        _expect_folds(gate, contract, numbers, folds, ours)
        if not ours["per_class"]:
            contract.skip("classes", "there are none: this model says numbers, or text")
            if champion is None or theirs is None:
                contract.skip("comparison with the champion", unfair or "there is no champion yet")
            else:
                _expect_no_worse(gate, numbers, ours, champion["version"])
            return contract
        classes = _classes(gate, ours, theirs)
        table = contract.table("classes", [classes], key="label")
        table.expect(
            "f1_there",
            gxe.ExpectColumnValuesToNotBeNull(column="f1"),
            "A class's F1 is not a number: training diverged. Train again; if it stays, it is a fault of the recipe.",
        )
        if champion is None or theirs is None:
            contract.skip("comparison with the champion", unfair or "there is no champion yet")
            return contract
        _expect_no_worse(gate, numbers, ours, champion["version"])
        _expect_no_worse_class(gate, table, champion["version"])
        few = classes["label"][classes["f1_below_champion"].isna()]
        if len(few):
            contract.skip(
                "classes",
                f"new, or of fewer than {gate.class_from} rows (gates.model.class_from): {', '.join(few)}",
            )
        return contract


def _unfair(gate: ModelGate, champion: dict[str, Any], rows: int) -> str | None:
    """Why the champion's numbers on these rows say nothing, or None."""
    if unread := champion.get("unread"):
        return f"champion {champion['version']}: {unread}"
    seen = (champion.get("trained_on") or {}).get("validation", 0)
    if not rows or seen / rows <= gate.max_champion_overlap:
        return None
    return (
        f"champion {champion['version']} was trained on {seen} of the {rows} rows that judge it, which flatters it "
        "(gates.model.max_champion_overlap)"
    )


def _overall(ours: dict[str, Any], theirs: dict[str, Any] | None) -> dict[str, float]:
    metrics: dict[str, float] = {measure.name: _number(ours[measure.name]) for measure in measures_of(ours)}
    # A class that was never rightly said: when at most one was, the model may as well be a constant.
    if ours["per_class"]:
        metrics["classes_recognised"] = float(sum(_number(each["recall"]) > 0 for each in ours["per_class"].values()))
    if "distinct" in ours:
        metrics["distinct_predictions"] = _number(ours["distinct"])
    if "baseline" in ours:
        leading = measures_of(ours)[0]
        metrics["above_baseline"] = leading.gain(metrics[leading.name], _number(ours["baseline"]))
    if theirs is not None:
        metrics |= {
            f"{measure.name}_below_champion": -measure.gain(metrics[measure.name], _number(theirs.get(measure.name)))
            for measure in measures_of(ours)
        }
    return metrics


_ABOVE_BASELINE = 0.05
"""How much better than reading nothing a model must be, as a share: frequencies alone may be luckier by less."""


def _expect_overall(gate: ModelGate, numbers: Table, ours: dict[str, Any]) -> None:
    for measure in measures_of(ours):
        floor = gate.floors.get(measure.name)
        numbers.bound(
            measure.name,
            least=(0.0 if floor is None and measure.share else floor) if measure.rising else None,
            most=1.0 if measure.rising and measure.share else None if measure.rising else floor,
            says=f"Worse than gates.model.floors.{measure.name} allows, or not a number: then training diverged. Look "
            "at the report's confusions and at the labels of the newest partitions.",
        )
    if "distinct" in ours:
        numbers.bound(
            "distinct_predictions",
            least=2,
            says="It says the same number whatever it reads. Do the columns tell anything of the target?",
        )
    if "baseline" in ours:
        numbers.bound(
            "above_baseline",
            least=_ABOVE_BASELINE,
            says="Hardly better than what needs no reading, or not a number: it says the same whatever it reads. Train "
            "longer, or with another learning_rate.",
        )
    if not ours["per_class"]:
        return
    numbers.bound(
        "classes_recognised",
        least=min(2, len(ours["per_class"])),
        says="It says the same whatever it reads. Are the labels right, is there text left after clean.strip?",
    )


def _over_folds(folds: dict[str, Any] | None, ours: dict[str, Any]) -> dict[str, float]:
    if folds is None:
        return {}
    told = {measure.name: folds["measures"][measure.name] for measure in measures_of(ours)}
    leading = next(iter(told.values()))
    return {**{f"folds_{name}": each["mean"] for name, each in told.items()}, "folds_deviation": leading["deviation"]}


def _expect_folds(
    gate: ModelGate, contract: Contract, numbers: Table, folds: dict[str, Any] | None, ours: dict[str, Any]
) -> None:
    """What the cross-validation says, where the corpus asks for one."""
    if folds is None:
        if gate.fold_floors or gate.max_fold_deviation is not None:
            contract.skip("cross-validation", "the corpus has no section `crossvalidate`")
        return
    for measure in measures_of(ours):
        if (floor := gate.fold_floors.get(measure.name)) is not None:
            numbers.bound(
                f"folds_{measure.name}",
                least=floor if measure.rising else None,
                most=None if measure.rising else floor,
                says=f"Over the folds worse than gates.model.fold_floors.{measure.name} allows. Look at the report.",
            )
    if gate.max_fold_deviation is not None:
        numbers.bound(
            "folds_deviation",
            most=gate.max_fold_deviation,
            says="The folds differ by more than gates.model.max_fold_deviation: the model hangs on what it happens to "
            "see. More documents, fewer parameters, or labels that are right help.",
        )


def _classes(gate: ModelGate, ours: dict[str, Any], theirs: dict[str, Any] | None) -> pd.DataFrame:
    """A row a class; ``f1_below_champion`` is null where the two are not to be compared."""
    import pandas as pd

    rows = []
    for label, scores in sorted(ours["per_class"].items()):
        f1, before, below = _number(scores["f1"]), (theirs["per_class"].get(label) if theirs else None), math.nan
        if before is not None and scores["support"] >= gate.class_from:
            below = _number(before["f1"]) - f1
        rows.append({"label": label, "rows": scores["support"], "f1": f1, "f1_below_champion": below})
    return pd.DataFrame(rows, columns=["label", "rows", "f1", "f1_below_champion"])


def _expect_no_worse(gate: ModelGate, numbers: Table, ours: dict[str, Any], version: int) -> None:
    for measure in measures_of(ours):
        numbers.bound(
            f"{measure.name}_below_champion",
            most=gate.tolerance,
            says=f"Worse than champion {version} on the same rows by more than gates.model.tolerance. The champion "
            "stays. What changed in the data since its snapshot? The report compares the two.",
        )


def _expect_no_worse_class(gate: ModelGate, classes: Table, version: int) -> None:
    from great_expectations import expectations as gxe

    classes.expect(
        "class_below_champion",
        gxe.ExpectColumnValuesToBeBetween(column="f1_below_champion", max_value=gate.class_tolerance),
        f"Classes lose more F1 to champion {version} than gates.model.class_tolerance allows, though the whole may be "
        "fine. The champion stays. Did these labels' documents change or go?",
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


SUITES.register("model")(Model())
