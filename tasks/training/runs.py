"""Which training a snapshot and a configuration make, and where on the store its work lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from tasks.errors import Lacking
from tasks.models.base import RECIPES, Recipe
from tasks.section import digest_of
from tasks.step import Shard

if TYPE_CHECKING:
    from tasks.catalog import Manifest
    from tasks.config import Corpus


_BUILDS = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
"""Distributions of one library, of which one is installed."""


def recipe_code(name: str) -> dict[str, Any]:
    """Declared version of a recipe and the installed versions of the libraries that shape its models.

    Raises:
        Lacking: a library is not installed here.
    """
    recipe = RECIPES.get(name)
    found = {library: _installed(library) for library in recipe.libraries}
    if missing := [library for library, there in found.items() if there is None]:
        raise Lacking(
            f"recipe {name} needs {', '.join(missing)}, not installed here: in pods, name an image that has them in "
            "kubernetes.trainer_image, or add them to containers/trainer/requirements.in and `make lock images`; else "
            "install them, or choose another recipe in train.recipe"
        )
    return {"recipe": name, "version": recipe.version, "libraries": found}


def _installed(library: str) -> str | None:
    for name in _BUILDS.get(library, (library,)):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def run_id(corpus: Corpus, snapshot: Manifest) -> str:
    """The id of the training that ``corpus`` makes of a snapshot: equal data, parameters and code, equal id."""
    value = {
        "snapshot": snapshot.digest(),
        "train": corpus.train.model_dump(mode="json"),
        "recipe": recipe_code(corpus.train.recipe.name),
    }
    return digest_of(value)[:16]


def features_folder(corpus: str, run: str, shard: Shard | None = None) -> str:
    """Where ``combine`` writes, or ``prepare`` for one shard."""
    return f"features/{corpus}/{run}" + (f"/shards/{shard.folder}" if shard else "")


def examples_folder(corpus: str, run: str, shard: Shard) -> str:
    """Where ``encode`` writes one shard."""
    return f"features/{corpus}/{run}/examples/{shard.folder}"


def checkpoints_folder(corpus: str, run: str) -> str:
    """Where a mirrored training keeps what it goes on from."""
    return f"models/{corpus}/{run}/checkpoints"


def model_folder(corpus: str, run: str, part: Shard | None = None) -> str:
    """Where ``merge`` writes the candidate, or ``train`` one part."""
    return f"models/{corpus}/{run}" + (f"/parts/{part.folder}" if part else "")


def report_folder(corpus: str, run: str, part: Shard | None = None) -> str:
    """Where ``evaluate`` writes about the candidate, or about one part."""
    return f"reports/{corpus}/{run}" + (f"/parts/{part.folder}" if part else "")


def fold_folder(corpus: str, run: str, fold: Shard) -> str:
    """Where ``crossvalidate`` writes about one fold."""
    return f"reports/{corpus}/{run}/folds/{fold.folder}"


@dataclass(frozen=True, slots=True)
class Training:
    """One run: a corpus's configuration applied to one snapshot."""

    corpus: Corpus
    snapshot: Manifest
    run: str
    search: Mapping[str, Any] | None = None
    """Where its parameters come from, if a search found them: ``folder`` and ``digest`` of the search, ``trial``,
    ``parameters``, ``metric`` and ``value``."""

    @classmethod
    def of(cls, corpus: Corpus, snapshot: Manifest, search: Mapping[str, Any] | None = None) -> Training:
        """The training that ``corpus`` makes of ``snapshot``."""
        return cls(corpus, snapshot, run_id(corpus, snapshot), search)

    @property
    def snapshot_id(self) -> str:
        """The snapshot's id, as ``--snapshot`` takes it."""
        return self.snapshot.partition

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards of the train split, one a mapped task."""
        return _shares(self.corpus.train.shards)

    @property
    def mirrored(self) -> bool:
        """Whether all workers train one model in step; else each shard is fitted alone."""
        return RECIPES.get(self.corpus.train.recipe.name).spread == "mirrored"

    @property
    def asynchronous(self) -> bool:
        """Whether its workers train one model through parameter servers, each at its own pace."""
        return self.corpus.train.strategy == "parameter_server"

    @property
    def parts(self) -> tuple[Shard, ...]:
        """The part models: one a shard, or of a mirrored training one an epoch that is kept."""
        return _shares(self.corpus.train.recipe.params.average) if self.mirrored else self.shards

    @property
    def rounds(self) -> int:
        """How often all shards are fitted, each time from the sum of the last; a single shard does all in one go."""
        return self.corpus.train.rounds

    def made_by(self, part: Shard, number: int | None = None) -> str:
        """The command that makes one part, or what one shard brings to a round."""
        shard = "" if self.mirrored else f" --shard {part}"
        given = "" if number is None else f" --round {number}"
        return f"train --snapshot {self.snapshot_id}{shard}{given}"

    @property
    def recipe(self) -> Recipe:
        """The recipe with the parameters and the seed of the YAML."""
        choice = self.corpus.train.recipe
        return RECIPES.get(choice.name)(choice.params, self.corpus.train.seed)

    @property
    def config(self) -> str:
        """Digest of the configuration that shapes the run."""
        return self.corpus.train.digest()

    def features(self, shard: Shard | None = None) -> str:
        """Folder of the features, or of one shard's counts."""
        return features_folder(self.corpus.corpus, self.run, shard)

    def examples(self, shard: Shard) -> str:
        """Folder of one shard's encoded examples."""
        return examples_folder(self.corpus.corpus, self.run, shard)

    @property
    def checkpoints(self) -> str:
        """Folder of the checkpoints."""
        return checkpoints_folder(self.corpus.corpus, self.run)

    def model(self, part: Shard | None = None) -> str:
        """Folder of the candidate, or of one part."""
        return model_folder(self.corpus.corpus, self.run, part)

    def round(self, number: int, shard: Shard) -> str:
        """Folder of what one shard brings to a round, the last one of which makes the parts."""
        return self.model(shard) if number == self.rounds - 1 else f"{self.model()}/rounds/{number:04d}/{shard.folder}"

    def report(self, part: Shard | None = None) -> str:
        """Folder of the candidate's report, or of one part's."""
        return report_folder(self.corpus.corpus, self.run, part)

    def fold(self, fold: Shard) -> str:
        """Folder of what is known of one fold."""
        return fold_folder(self.corpus.corpus, self.run, fold)


def _shares(count: int) -> tuple[Shard, ...]:
    return tuple(Shard(index, count) for index in range(count))
