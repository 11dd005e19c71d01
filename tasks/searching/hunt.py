"""One search as data: what it may read, where its trials lie, and the training of its winner. Without Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tasks.config.search import Search, applied
from tasks.errors import BadInput
from tasks.section import Choice, digest_of
from tasks.training.runs import Training, recipe_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.catalog import FileEntry, Manifest
    from tasks.config import Corpus
    from tasks.judging.base import Measure
    from tasks.step import Context

SPLITS = ("train", "validation")
"""What a search may know."""


@dataclass(frozen=True)
class Hunt:
    """A corpus's search over one snapshot.

    Its id is made of the rows of train and validation alone, the ``train`` and ``search`` sections and the
    recipe's code: whatever the test split holds, the search is the same one. So is one of more trials, which goes on.
    """

    corpus: Corpus
    snapshot: Manifest
    id: str

    @classmethod
    def of(cls, corpus: Corpus, snapshot: Manifest) -> Hunt:
        """The search that the corpus makes of a snapshot.

        Raises:
            BadInput: the corpus asks for none.
        """
        if corpus.search is None:
            raise BadInput(
                f"corpus {corpus.corpus} has nothing to search for: its YAML has no section `search`; see "
                "docs/strategies.md"
            )
        value = {
            "data": {split: [[e.sha256, e.rows] for e in snapshot.of_role(split)] for split in SPLITS},
            "train": corpus.train.model_dump(mode="json"),
            "search": corpus.search.model_dump(mode="json", exclude={"trials"}),
            "recipe": recipe_code(corpus.train.recipe.name),
        }
        return cls(corpus, snapshot, digest_of(value)[:16])

    @property
    def search(self) -> Search:
        assert self.corpus.search is not None
        return self.corpus.search

    @property
    def folder(self) -> str:
        """Where the search's end is told."""
        return f"searches/{self.corpus.corpus}/{self.id}"

    def trial(self, number: int) -> str:
        """Where one trial is told."""
        return f"{self.folder}/trials/{number:04d}"

    def made_by(self, number: int | None = None) -> str:
        """The command that makes a trial, or the end of all."""
        trial = "" if number is None else f" --trial {number}/{self.search.trials}"
        return f"search --corpus {self.corpus.corpus} --snapshot {self.snapshot.partition}{trial}"

    @property
    def files(self) -> Sequence[FileEntry]:
        """What of the snapshot a search reads."""
        return [entry for split in SPLITS for entry in self.snapshot.of_role(split)]

    def before(self, number: int) -> range:
        """The trials that a trial learns from: those of all rounds before its own."""
        return range(number - number % self.search.parallel)

    @cached_property
    def measure(self) -> Measure:
        """What the best trial is best by."""
        from tasks.judging.base import JUDGES
        from tasks.models.base import RECIPES, judge_of

        measures = JUDGES.get(judge_of(RECIPES.get(self.corpus.train.recipe.name))).measures
        return next(each for each in measures if self.search.metric in (None, each.name))

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Of Optuna's two."""
        return self.search.direction or ("maximize" if self.measure.rising else "minimize")

    def with_parameters(self, values: Mapping[str, Any]) -> Corpus:
        """The corpus with these parameters of the recipe.

        Raises:
            BadInput: they do not go together.
        """
        choice = self.corpus.train.recipe
        try:
            params = applied(choice.params, values)
        except ValueError as error:
            raise BadInput(f"train.recipe.{choice.name} does not take {dict(values)}: {error}") from error
        changed = self.corpus.train.model_copy(update={"recipe": Choice(name=choice.name, params=params)})
        return self.corpus.model_copy(update={"train": changed})

    def ended(self, context: Context) -> Manifest | None:
        """The end of a search of so many trials, if it was told."""
        manifest = context.catalog.current(self.folder)
        return manifest if manifest and manifest.details["trials"] == self.search.trials else None

    def training(self, context: Context) -> Training:
        """The training with the winner's parameters.

        Raises:
            BadInput: the search has not come to its end.
        """
        found = self.ended(context)
        if found is None:
            raise BadInput(
                f"the parameters of {self.corpus.corpus} on snapshot {self.snapshot.partition} are not found yet: run "
                f"`nightshift {self.made_by()}` first"
            )
        best = found.details["best"]
        told = {"folder": self.folder, "digest": found.digest(), "metric": found.details["metric"]["name"]}
        told |= {"trial": best["number"], "value": best["value"], "parameters": best["params"]}
        return Training.of(self.with_parameters(best["params"]), self.snapshot, told)
