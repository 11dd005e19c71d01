"""``nightshift evaluate``: score a part, or the candidate beside the champion, and write the report."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks.command import ShardType, step_command
from tasks.crossvalidate import folds as crossvalidated
from tasks.crossvalidate import summary
from tasks.errors import BadInput, Outdated
from tasks.judging.base import measures_of
from tasks.step import Context, Shard, Step, StepResult
from tasks.training import Training, load_model
from tasks.training.curves import read_curves
from tasks.training.work import claim, open_training, require_part
from tasks.work import Read, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.judging.base import Judge
    from tasks.models._telling import Sheet
    from tasks.models.base import Scoring

STEP = Step("evaluate", 1, ("pyarrow", "numpy", "matplotlib", "jinja2"))


@dataclass(frozen=True, slots=True)
class Rival:
    """The champion that a candidate is compared with."""

    version: int
    run: str
    model: Read

    def described(
        self, metrics: dict[str, Any], trained_on: dict[str, int] | None, unread: str | None = None
    ) -> dict[str, Any]:
        """What the report's manifest says of it; ``unread`` is why nothing reads it any more."""
        return {
            "version": self.version,
            "run": self.run,
            "folder": self.model.folder,
            "digest": self.model.manifest.digest(),
            "metrics": metrics,
            "trained_on": trained_on,
            **({"unread": unread} if unread else {}),
        }


def evaluate_part(context: Context, training: Training, part: Shard) -> StepResult:
    """Score one part on the validation split; ``metrics`` under ``reports/…/parts/``.

    An empty part has no metrics: ``details["metrics"]["validation"]["rows"]`` is 0.
    """
    from tasks.judging.base import JUDGES
    from tasks.models.base import judge_of

    require_part(training, part)
    model = read(context, training.model(part), training.made_by(part))
    work = claim(context, training, STEP, training.report(part), [model])
    if done := work.done():
        return done
    if model.manifest.counts["rows"]:
        scores = _score(context, training, "validation", {"part": load_model(context, model.manifest)})["part"]
        message = ""
    else:
        scores, message = (
            JUDGES.get(judge_of(training.recipe))(None, None, ()),
            f"part {part} is empty: nothing to score",
        )
    metrics = {"validation": scores.metrics()}
    with tempfile.TemporaryDirectory(prefix="nightshift-report-") as scratch:
        files = [work.add("metrics", _json(Path(scratch) / "metrics.json", metrics))]
    return work.commit(files, counts=_counts(metrics), details={"metrics": metrics}, message=message)


def evaluate(context: Context, training: Training, at: datetime) -> StepResult:
    """Score the candidate, and the champion if there is one, on validation and test, and write the report.

    Files: ``metrics`` (metrics.json), ``report`` (one HTML file), ``plot`` (PNG). ``details``: ``metrics``
    ({split: metrics}), ``champion`` (None, or its ``version``, ``run``, ``metrics``, and ``trained_on``, the
    rows of each split that it was trained on; ``unread`` says why one has no metrics that nothing reads any more),
    ``newest_partition``, ``plots`` (what each ``plot`` shows), and after a cross-validation ``folds`` (mean,
    deviation and values of each measure), and after a search ``search`` (where it lies, and which trial's
    parameters these are).
    ``at`` orders the history and is recorded as volatile.

    Raises:
        BadInput: no validation row has a label, or here is no recipe or library that the champion needs.
    """
    from tasks.reports import history, page
    from tasks.reports.study import Study
    from tasks.search import ended as searched

    candidate = read(context, training.model(), f"merge --snapshot {training.snapshot_id}")
    rival = _rival(context, training)
    folds = crossvalidated(context, training)
    study = searched(context, training.search["folder"]) if training.search else None
    found = [study[0]] if study else []
    reads = [candidate, *([rival.model] if rival else []), *folds, *found]
    work = claim(context, training, STEP, training.report(), reads)
    if done := work.done():
        return done
    models = {"candidate": load_model(context, candidate.manifest)}
    unread = None
    if rival:
        try:
            models["champion"] = load_model(context, rival.model.manifest)
        except Outdated as error:  # a newer Nightshift: the candidate is there to take its place
            unread = str(error)
            context.log.warning("the champion is not compared with", version=rival.version, why=unread)
        except BadInput as error:
            raise BadInput(
                f"champion {rival.version} of corpus {context.corpus.corpus} cannot be compared with: {error}. Bring "
                "back what it needs, or make a version the champion that is read here (`nightshift rollback --to`)"
            ) from error
    scores = {split: _score(context, training, split, models) for split in ("validation", "test")}
    metrics = {split: scores[split]["candidate"].metrics() for split in scores}
    champion = _champion(context, training, rival, scores, unread) if rival else None
    newest = history.newest_partition(training.snapshot)
    runs = history.past_runs(context.catalog, context.corpus.corpus, before=training.run)
    report = page.Report(
        training=training,
        model=candidate.manifest,
        scores={split: by_model["candidate"] for split, by_model in scores.items()},
        metrics=metrics,
        champion=champion,
        runs=[*runs, history.past_run(training.run, newest, metrics)],
        curves=read_curves(context, training),
        sheets=_sheets(*models["candidate"]),
        folds=summary(folds),
        study=Study(study[0].manifest.details, study[1]) if study else None,
    )
    with tempfile.TemporaryDirectory(prefix="nightshift-report-") as scratch:
        plots = report.plots(Path(scratch))
        html = Path(scratch) / "report.html"
        html.write_text(report.html(plots), encoding="utf-8")
        files = [
            work.add("metrics", _json(Path(scratch) / "metrics.json", metrics)),
            work.add("report", html),
            *(work.add("plot", path) for path in plots.values()),
        ]
    details: dict[str, Any] = {
        "metrics": metrics,
        "champion": champion,
        "newest_partition": newest,
        "plots": list(plots),
    }
    details |= {"folds": report.folds} if folds else {}
    details |= {"search": dict(training.search)} if training.search else {}
    return work.commit(
        files,
        counts=_counts(metrics),
        details=details,
        volatile={"at": at.isoformat(timespec="seconds")},
        message=_verdict(metrics, champion),
    )


def _sheets(recipe: Scoring, model: Any) -> Sequence[Sheet]:
    """What a model tells of itself, of a recipe that has something to tell."""
    tell = getattr(recipe, "sheets", None)
    return tell(model) if tell else ()


def _champion(
    context: Context, training: Training, rival: Rival, scores: dict[str, dict[str, Judge]], unread: str | None
) -> dict[str, Any]:
    from tasks.training.overlap import trained_on

    if unread:
        return rival.described({split: {"per_class": {}} for split in scores}, None, unread)

    seen = trained_on(context, training, rival.model.manifest)
    if seen and any(seen.values()):
        context.log.warning("the champion was trained on rows that judge it: its numbers flatter it", **seen)
    return rival.described({split: scores[split]["champion"].metrics() for split in scores}, seen)


def _rival(context: Context, training: Training) -> Rival | None:
    """The champion, unless it is this very candidate: then the one it was compared with before, if any.

    So evaluating a run again after its promotion is a no-op, not a comparison with itself.
    """
    from tasks.model_registry import Registry

    catalog, registry = context.catalog, Registry(context.catalog, context.corpus.corpus)
    found = registry.champion()
    if found is None:
        return None
    if found.run != training.run:
        model = Read(found.folder, registry.model(found), f"restore --version {found.version}")
        return Rival(found.version, found.run, model)
    earlier = catalog.current(training.report())
    before = earlier.details["champion"] if earlier else None
    if before is None:
        return None
    model = Read(
        before["folder"], catalog.at(before["folder"], before["digest"]), f"restore --version {before['version']}"
    )
    return Rival(before["version"], before["run"], model)


def _score(
    context: Context, training: Training, split: str, models: dict[str, tuple[Scoring, Any]]
) -> dict[str, Judge]:
    from tasks.training.scoring import score

    scores, rows = score(context, training, split, models)
    first = next(iter(scores.values()))
    if split == "validation" and not first.metrics()["rows"]:
        raise BadInput(
            f"the validation split of snapshot {training.snapshot_id} ({training.corpus.corpus}) has no rows with a "
            f"label ({rows.unlabelled} without), so no model can be judged: raise split.ratios.validation, bring more "
            f"documents, or check clean.labels and train.label ({training.corpus.train.label!r})"
        )
    for name, unseen in ((name, s.unseen) for name, s in scores.items() if s.unseen):
        context.log.warning("labels unseen in training count as errors", model=name, split=split, rows=unseen)
    return scores


def _counts(metrics: dict[str, Any]) -> dict[str, Any]:
    counts: dict[str, Any] = {split: values["rows"] for split, values in metrics.items()}
    unseen = {split: sum(values["unseen"].values()) for split, values in metrics.items()}
    return {
        **counts,
        "unseen_labels": sum(unseen.values()),
        **{m.name: metrics["validation"][m.name] for m in measures_of(metrics["validation"])},
    }


def _verdict(metrics: dict[str, Any], champion: dict[str, Any] | None) -> str:
    leading = measures_of(metrics["validation"])[0]
    said = f"validation {leading.title} {metrics['validation'][leading.name]:.4f}"
    if champion is None:
        return f"{said}; there is no champion yet"
    theirs = champion["metrics"]["validation"].get(leading.name)
    return f"{said}; champion {champion['version']}: " + ("not measured so" if theirs is None else f"{theirs:.4f}")


def _json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


@step_command("evaluate", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--part", type=ShardType(), help="One part only, on validation.  [default: the merged candidate]")
def command(context: Context, snapshot: str, part: Shard | None) -> StepResult:
    """Score a part, or the candidate beside the champion on validation and test, with a report."""
    training = open_training(context, snapshot)
    if part is not None:
        return evaluate_part(context, training, part)
    return evaluate(context, training, datetime.now(UTC))
