"""Other thresholds for a cleaned partition, without cleaning it anew."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tasks.clean import commit_shard, load_raw, refilterable, shard_count, shard_folder, shard_mark
from tasks.command import step_command
from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.kinds.base import kind_of
from tasks.step import Context, Shard, StepResult

if TYPE_CHECKING:
    from tasks.catalog import Manifest
    from tasks.cleaning.refilter import Refiltered


@step_command("filter")
@click.option("--set", "changes", multiple=True, metavar="FILTER.KEY=VALUE", help="Instead of what the YAML says.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def command(context: Context, partition: str, changes: tuple[str, ...], dry_run: bool) -> StepResult:
    """Apply the YAML's filters to a partition that was cleaned with others, in seconds.

    \b
    nightshift filter --corpus docs --partition 2026-11-20 --set length.min_words=80 --dry-run
    nightshift filter --corpus docs --partition 2026-11-20

    Shows each changed threshold over the partition, then moves rows between documents and rejects, and unites the
    shards again: the same rows as `clean` and `dedup` with these filters, from the texts and values on the store.
    `clean` finds the work done, if the YAML says the same. What follows (stats of texts, gate clean, split, upload)
    is yours to run.
    """
    return refilter(context, partition, changes, dry_run=dry_run, show=lambda line: click.echo(line, err=True))


def refilter(
    context: Context, partition: str, changes: Sequence[str] = (), *, dry_run: bool = False, show: Any = None
) -> StepResult:
    """Bring a cleaned partition to the filters of the YAML, changed by ``changes`` (``filter.key=value``).

    ``show`` is called with each line of the histograms. ``counts``: ``documents``, ``kept``, ``rejected`` and
    ``before``, the same of the shards as they were (duplicates, which `dedup` finds, not yet taken out).

    Raises:
        BadInput: a change names no filter or parameter, or a shard must be cleaned anew; says why.
    """
    from tasks.cleaning.refilter import refiltered
    from tasks.cleaning.rejudge import Impossible
    from tasks.dedup import dedup

    started = time.monotonic()
    context = replace(context, corpus=changed(context.corpus, changes))
    corpus, catalog = context.corpus, context.catalog
    raw_folder, raw = load_raw(catalog, corpus.corpus, partition)
    mark = shard_mark(corpus, raw_folder, raw)
    count = shard_count(corpus, raw)
    with ExitStack() as stack:
        found: dict[Shard, Refiltered] = {}
        untouched: list[Manifest] = []
        for shard in (Shard(index, count) for index in range(count)):
            folder = shard_folder(corpus.corpus, partition, shard)
            if done := catalog.unchanged(folder, mark):
                untouched.append(done)
                continue
            try:
                old = refilterable(context, folder, raw_folder, raw)
                found[shard] = stack.enter_context(refiltered(catalog, old, corpus.clean))
            except Impossible as reason:
                again = f"clean --corpus {corpus.corpus} --partition {partition} --shard {shard}"
                raise BadInput(
                    f"shard {shard} cannot be filtered as it is: {reason}; run `nightshift {again}`"
                ) from None
        for line in _histograms(list(found.values())):
            (show or context.log.info)(line)
        counts = _total([*(m.counts for m in untouched), *(each.counts for each in found.values())])
        counts["before"] = _total([*(m.counts for m in untouched), *(each.old.counts for each in found.values())])
        if dry_run or not found:
            url = catalog.url(f"clean/{corpus.corpus}/{partition}")
            said = "a dry run: nothing was changed" if found else "the shards have these filters already"
            return StepResult("filter", corpus.corpus, url, partition, not found, counts, message=said)
        for shard, each in found.items():
            files = each.add(catalog, shard_folder(corpus.corpus, partition, shard))
            commit_shard(context, shard, raw_folder, raw, files, each.counts, seconds=time.monotonic() - started)
        judged = sum(each.again for each in found.values())
    united = dedup(context, partition)
    context.log.info("filtered", judged_again=judged, **counts)
    # The statistics are of the partition as it was: without new ones gate clean would compare nothing.
    counted = "stats, " if kind_of(corpus.clean).prose else ""
    said = f"{judged} row(s) judged again; next: {counted}gate clean, split, upload"
    if changes:
        said += "; put --set into the YAML, or the next clean of this day goes back to what it says"
    return StepResult(
        "filter", corpus.corpus, united.manifest, partition, False, {**counts, **united.counts}, message=said
    )


def changed(corpus: Corpus, changes: Sequence[str]) -> Corpus:
    """The corpus with parameters of its filters replaced.

    Raises:
        BadInput: a change is not ``filter.key=value`` (``filter.key.subkey=value``) of a filter in the YAML.
    """
    from tasks.config.clean import Clean
    from tasks.config.yaml12 import parse

    if not changes:
        return corpus
    clean = corpus.clean.model_dump(mode="json")
    for change in changes:
        path, equals, text = change.partition("=")
        name, *keys = path.strip().split(".")
        params: Any = next((each[name] for each in clean["filters"] if name in each), None)
        if params is None:
            known = ", ".join(next(iter(each)) for each in clean["filters"]) or "none"
            raise BadInput(f"--set {change!r}: the corpus has no filter {name!r}; it has: {known}")
        for key in keys[:-1]:
            params = params.get(key) if isinstance(params, dict) else None
        if not equals or not keys or not isinstance(params, dict) or (len(keys) == 1 and keys[0] not in params):
            raise BadInput(f"--set {change!r}: expected FILTER.KEY=VALUE of filter {name!r}, as in length.min_words=80")
        try:
            params[keys[-1]] = parse(text)
        except ValueError as error:
            raise BadInput(f"--set {change!r}: {error}") from None
    try:
        return corpus.model_copy(update={"clean": Clean.model_validate(clean)})
    except ValueError as error:
        raise BadInput(f"--set {' '.join(changes)}: {error}") from None


def _histograms(shards: Sequence[Refiltered]) -> list[str]:
    import numpy as np

    from tasks.cleaning.histogram import histogram

    lines: list[str] = []
    for bound in dict.fromkeys(bound for each in shards for bound in each.plan.shown):
        values = [each.values(bound) for each in shards]
        kept, dropped = (np.concatenate([pair[place] for pair in values]) for place in (0, 1))
        lines += histogram(bound, kept, dropped)
    return lines


def _total(counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rejected: Counter[str] = Counter()
    for each in counts:
        rejected.update(each["rejected"])
    return {
        "documents": sum(each["documents"] for each in counts),
        "kept": sum(each["kept"] for each in counts),
        "rejected": dict(sorted(rejected.items())),
    }
