"""``nightshift sample``: let the champion, a language model, write on from given texts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks.command import step_command
from tasks.errors import BadInput
from tasks.log import Progress
from tasks.predict import champion_of
from tasks.step import Context, Step, StepResult

if TYPE_CHECKING:
    from tasks.models._sampling import Sampling

STEP = Step("sample", version=1, libraries=("pyarrow", "numpy"))
_TOGETHER = 32
"""Texts that are continued side by side."""

Row = dict[str, Any]


def sample(
    context: Context,
    prompts: Sequence[str],
    inputs: Sequence[Path],
    output: Path | None,
    how: Sampling,
    *,
    text: str = "text",
    workers: int = 1,
) -> StepResult:
    """Continue ``prompts``, then each document of ``inputs``; ``samples.parquet`` under ``output``, if it is given.

    Its columns: ``uid`` and ``url`` (of a document; null of a prompt), ``prompt``, ``continuation``. Without it,
    ``counts["samples"]`` are the texts, continued. Equal champion, texts and seed: equal continuations.

    Raises:
        BadInput: there is no champion, or it writes nothing; there is nothing to continue; an input cannot be read, or
            there are inputs and no folder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.training import load_model

    if not prompts and not inputs:
        raise BadInput("nothing to write on from: give --prompt TEXT, or --input FILE with --output")
    if inputs and output is None:
        raise BadInput("--input: give --output too, the folder for the continuations")
    champion, manifest = champion_of(context)
    recipe, model = load_model(context, manifest)
    write: Callable[..., list[str]] | None = getattr(recipe, "sample", None)
    if write is None:
        raise BadInput(
            f"champion {champion.version} of corpus {champion.corpus} is a {champion.recipe}, which writes no text: "
            "`nightshift sample` is for language models; `nightshift predict` asks any champion"
        )
    schema = pa.schema([(name, pa.string()) for name in ("uid", "url", "prompt", "continuation")])
    progress = Progress(context.log, "texts")
    said: list[str] = []
    rejected: Counter[str] = Counter()
    texts = 0
    with ExitStack() as stack:
        out = None
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            # Beside the result, so that the finished file only changes its name.
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".writing-", dir=output)))
            out = pq.ParquetWriter(scratch / "samples.parquet", schema, compression="zstd")
        rows = _rows(context, prompts, inputs, text, workers, stack, rejected)
        while some := list(islice(rows, _TOGETHER)):
            written = write(model, [row["prompt"] for row in some], replace(how, first=texts))
            for row, continuation in zip(some, written, strict=True):
                row["continuation"] = continuation
            if out is not None:
                out.write_batch(pa.RecordBatch.from_pylist(some, schema))
            else:
                said += [row["prompt"] + row["continuation"] for row in some]
            texts += len(some)
            progress.advance(len(some))
        if out is not None and output is not None:
            out.close()
            shutil.move(scratch / "samples.parquet", output / "samples.parquet")
    counts: Row = {"texts": texts, "version": champion.version}
    counts |= {"rejected": dict(sorted(rejected.items()))} if inputs else {}
    counts |= {"samples": said} if output is None else {}
    return StepResult(
        step=STEP.name,
        corpus=champion.corpus,
        manifest=(output / "samples.parquet").absolute().as_uri() if output else context.catalog.url(champion.folder),
        counts=counts,
        message=f"written by version {champion.version}",
    )


def _rows(
    context: Context,
    prompts: Sequence[str],
    inputs: Sequence[Path],
    text: str,
    workers: int,
    stack: ExitStack,
    rejected: Counter[str],
) -> Iterator[Row]:
    """Prompts as they are, and documents as cleaning leaves them, without its filters."""
    from tasks.cleaning.crew import Crew
    from tasks.cleaning.raw import batches
    from tasks.kinds.base import kind_of
    from tasks.predicting.inputs import expand

    yield from ({"uid": None, "url": None, "prompt": prompt} for prompt in prompts)
    if not inputs:
        return
    kind = kind_of(context.corpus.clean)
    files = expand(inputs, kind)
    settings = context.corpus.clean.model_copy(update={"filters": ()})
    crew = stack.enter_context(Crew(settings, workers=workers, log=context.log))
    raws = kind.inputs(files, text=text, limit=settings.document_bytes, tally=Counter())
    for outcomes in crew.refine(batches(raws)):
        for row in outcomes.select(["uid", "url", "text", "reason"]).to_pylist():
            if row["reason"] is None:
                yield {"uid": row["uid"], "url": row["url"], "prompt": row["text"]}
            else:
                rejected[row["reason"]] += 1


@step_command("sample", partition=False)
@click.option("--prompt", "prompts", multiple=True, help='A text to write on from; "" for one from nothing.')
@click.option(
    "--input", "inputs", type=click.Path(path_type=Path), multiple=True,
    help="Files or folders, as of `nightshift predict`: each document is written on from.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="The folder for samples.parquet.  [default: say them]")
@click.option("--tokens", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
@click.option(
    "--temperature", type=click.FloatRange(0), default=0.8, show_default=True,
    help="How daring: 0 takes the likeliest token each time.",
)  # fmt: skip
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True,
    help="Only of the likeliest tokens that together have this chance.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another number, other texts.")
@click.option("--text", default="text", show_default=True, help="With --input: the column that holds the text.")
def command(
    context: Context,
    prompts: tuple[str, ...],
    inputs: tuple[Path, ...],
    output: Path | None,
    tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    text: str,
) -> StepResult:
    """Let the champion, a language model, write on from texts.

    \b
    nightshift sample --corpus text --prompt "An iterator is"
    nightshift sample --corpus text --input begun/ --output written/
    """
    from tasks.models._sampling import Sampling

    how = Sampling(tokens=tokens, temperature=temperature, top_p=top_p, seed=seed)
    return sample(context, prompts, inputs, output, how, text=text, workers=os.cpu_count() or 1)
