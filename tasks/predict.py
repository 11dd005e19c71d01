"""``nightshift predict``: score a clean partition, or plain files, with the champion."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks.command import PartitionType, step_command
from tasks.errors import BadInput
from tasks.log import Progress
from tasks.model_registry import Champion, Registry
from tasks.section import digest_of
from tasks.step import Context, Step, StepResult
from tasks.work import Read, Work, read

if TYPE_CHECKING:
    from tasks.catalog import FileEntry, Manifest

STEP = Step("predict", version=1, libraries=("pyarrow", "numpy"))


def predictions_folder(corpus: str, partition: str) -> str:
    """Where the scores of a partition lie."""
    return f"predictions/{corpus}/{partition}"


def predict(context: Context, partition: str) -> StepResult:
    """Score a clean partition; files of role ``predictions``, one for each of its files.

    ``counts``: ``documents``, ``version`` (the champion's) and ``labels`` ({label: predictions of it}).

    Raises:
        BadInput: there is no champion, or the partition was not cleaned.
        Quarantined: gate clean rejected the partition.
        Corrupt: a file of the partition or of the model is missing or altered.
    """
    from tasks.predicting.scorer import Predictions, Scorer
    from tasks.training import load_model, recipe_code

    corpus = context.corpus.corpus
    champion, model = champion_of(context)
    source = read(context, f"clean/{corpus}/{partition}", f"dedup --corpus {corpus} --partition {partition}")
    reads = [source, Read(champion.folder, model, f"restore --corpus {corpus} --version {champion.version} --force")]
    # Another release of the recipe's libraries may predict otherwise.
    code = digest_of(recipe_code(model.details["recipe"]))
    work = Work(context, STEP, predictions_folder(corpus, partition), name=partition, config=code, reads=reads)
    if done := work.done():
        return done
    scorer = Scorer(champion, *load_model(context, model))
    documents = source.manifest.of_role("documents")
    progress = Progress(context.log, "documents", sum(entry.rows for entry in documents))
    files = []
    for entry in documents:
        with tempfile.TemporaryDirectory(prefix="nightshift-predict-") as scratch:
            with Predictions(Path(scratch) / "predictions.parquet", scorer) as out:
                _score_file(context, entry, Path(scratch), scorer.columns, out, progress)
            files.append(work.add("predictions", out.path, rows=out.rows))
    counts = {
        "documents": scorer.rows,
        "version": champion.version,
        "labels": dict(sorted(scorer.said.items())),
    }
    return work.commit(
        files,
        counts=counts,
        details={"champion": {"version": champion.version, "run": champion.run, "digest": champion.digest}},
        message=f"scored with version {champion.version}",
    )


def predict_files(context: Context, inputs: list[Path], output: Path, *, text: str, workers: int) -> StepResult:
    """Score plain files; ``predictions.parquet`` and, if any, ``rejects.parquet`` under ``output``.

    Pages are extracted, normalised and stripped as the corpus's own are, but no quality filter is
    applied: every document that has a text is scored. ``counts``: ``documents`` (seen), ``scored``,
    ``rejected`` ({reason: n}), ``labels``, ``version``.

    Raises:
        BadInput: there is no champion, or an input is missing, unreadable or of no known kind.
        Corrupt: a file of the model is missing or altered.
    """
    import pyarrow.compute as pc

    from tasks.cleaning.crew import Crew
    from tasks.cleaning.output import TableFile
    from tasks.cleaning.raw import batches
    from tasks.cleaning.schema import REJECTS
    from tasks.kinds.base import kind_of
    from tasks.predicting.inputs import expand
    from tasks.predicting.scorer import Predictions, Scorer
    from tasks.training import load_model

    kind = kind_of(context.corpus.clean)
    files = expand(inputs, kind)
    champion, model = champion_of(context)
    settings = context.corpus.clean.model_copy(update={"filters": ()})
    scorer = Scorer(champion, *load_model(context, model))
    rejected: Counter[str] = Counter()
    tally: Counter[str] = Counter()
    progress = Progress(context.log, "documents")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{output}: no folder to write to: {error}") from error
    with ExitStack() as stack:
        # Beside the results, so that finished files only change their names.
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".writing-", dir=output)))
        rejects = TableFile("rejects", scratch, REJECTS)
        crew = stack.enter_context(Crew(settings, workers=workers, log=context.log))
        raws = kind.inputs(files, text=text, limit=settings.document_bytes, tally=tally)
        with Predictions(scratch / "predictions.parquet", scorer) as out:
            for outcomes in crew.refine(batches(raws)):
                kept = pc.is_null(outcomes["reason"])
                out.add(outcomes.filter(kept))
                refused = outcomes.filter(pc.invert(kept)).select(REJECTS.names)
                rejected.update(refused["reason"].to_pylist())
                rejects.add(refused)
                progress.advance(outcomes.num_rows)
        (output / "rejects.parquet").unlink(missing_ok=True)  # of an earlier call, which it would belie
        for path in [out.path, *(written.path for written in rejects.close())]:
            shutil.move(path, output / path.name)
    counts: dict[str, Any] = {
        "files": len(files),
        "documents": scorer.rows + rejected.total(),
        "scored": scorer.rows,
        "rejected": dict(sorted(rejected.items())),
        **dict(sorted(tally.items())),
        "version": champion.version,
        "labels": dict(sorted(scorer.said.items())),
    }
    return StepResult(
        step=STEP.name,
        corpus=champion.corpus,
        manifest=(output / "predictions.parquet").absolute().as_uri(),
        counts=counts,
        message=f"scored with version {champion.version}",
    )


def champion_of(context: Context) -> tuple[Champion, Manifest]:
    """The champion and its model's manifest, intact."""
    registry = Registry(context.catalog, context.corpus.corpus)
    champion = registry.champion()
    if champion is None:
        raise BadInput(
            f"corpus {registry.corpus} has no champion to predict with: trigger retrain_{registry.corpus}, or run "
            "the steps from `nightshift snapshot` to `nightshift promote`, or `nightshift restore` one from a backup"
        )
    return champion, registry.model(champion)


def _score_file(
    context: Context, entry: FileEntry, scratch: Path, columns: tuple[str, ...], out: Any, progress: Progress
) -> None:
    import pyarrow.parquet as pq

    from tasks.predicting.scorer import BATCH_ROWS

    path = context.catalog.fetch(entry, scratch / "documents.parquet")
    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
            out.add(batch)
            progress.advance(batch.num_rows)


@step_command("predict", partition=False)
@click.option("--partition", type=PartitionType(), help="The day to score, from the store.")
@click.option(
    "--input", "inputs", type=click.Path(path_type=Path), multiple=True,
    help="Instead: files or folders (JSONL, CSV, Parquet, text, HTML, WARC).",
)  # fmt: skip
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="With --input: the folder for the Parquet files.")
@click.option("--text", default="text", show_default=True, help="With --input: the column that holds the text.")
@click.option("--workers", type=click.IntRange(1, 512), help="With --input: parsing processes.  [default: one a core]")
def command(
    context: Context,
    partition: str | None,
    inputs: tuple[Path, ...],
    files: tuple[Path, ...],
    output: Path | None,
    text: str,
    workers: int | None,
) -> StepResult:
    """Score a clean partition, or plain FILES, with the champion.

    \b
    nightshift predict --corpus docs --partition 2026-11-20
    nightshift predict --corpus docs --output scores/ --input pages/ more/*.html
    """
    if partition is not None and not inputs and not files and output is None:
        return predict(context, partition)
    if partition is None and inputs and output is not None:
        chosen = [*inputs, *files]
        return predict_files(context, chosen, output, text=text, workers=workers or os.cpu_count() or 1)
    raise BadInput("give --partition alone, or --input together with --output")
