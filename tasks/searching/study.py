"""Optuna's study, made anew from the trials that are committed: nothing but their manifests is shared or kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

if TYPE_CHECKING:
    from tasks.config.search import Parameter, Pruning, Search

optuna.logging.set_verbosity(optuna.logging.WARNING)

Direction = Literal["maximize", "minimize"]
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_APART = 1_000_003
"""Between the seeds of two searches."""


@dataclass(frozen=True, slots=True)
class Record:
    """One trial that has ended, as its manifest keeps it."""

    number: int
    params: Mapping[str, Any]
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    """Of the search's metric; None of one that did not come to its end."""
    seen: Mapping[int, float] = field(default_factory=dict)
    """What the pruner was told after each epoch or shard, better the way the metric is."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """The pruner's own notes."""
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"seen": [[step, value] for step, value in self.seen.items()]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        return cls(**{**value, "seen": {int(step): float(seen) for step, seen in value["seen"]}})


def distributions(parameters: Mapping[str, Parameter]) -> dict[str, BaseDistribution]:
    """What Optuna draws each parameter from; a choice is drawn as its JSON."""
    return {name: _distribution(parameter) for name, parameter in parameters.items()}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.choices is not None:
        return CategoricalDistribution([json.dumps(each) for each in parameter.choices])
    assert parameter.low is not None and parameter.high is not None
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), parameter.log, int(parameter.step or 1))
    return FloatDistribution(parameter.low, parameter.high, parameter.log, parameter.step)


def drawn(search: Search, direction: Direction, number: int, before: Sequence[Record]) -> dict[str, Any]:
    """The values of trial ``number``, given those of all rounds before its own: the same whenever it is asked."""
    seed = (search.seed * _APART + number) % 2**32
    if search.sampler == "random":
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.startup)
    study = _study(before, number, direction, search.parameters, sampler=sampler)
    told = study.ask(distributions(search.parameters)).params
    return {
        name: json.loads(told[name]) if parameter.choices is not None else told[name]
        for name, parameter in search.parameters.items()
    }


def importances(search: Search, direction: Direction, records: Sequence[Record]) -> dict[str, float]:
    """How much of the differences between finished trials each parameter explains (fANOVA, Hutter et al. 2014).

    Empty with fewer than two, or where all are alike: there is nothing to explain.
    """
    finished = [record.value for record in records if record.state == "complete"]
    if len(finished) < 2 or len(set(finished)) < 2:
        return {}
    study = _study(records, len(records), direction, search.parameters)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=search.seed % 2**32)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


class Referee:
    """Ends a trial that falls behind the ones before it."""

    def __init__(
        self, pruning: Pruning, direction: Direction, last: int, number: int, before: Sequence[Record]
    ) -> None:
        """``last`` is how many epochs or shards a trial has that nobody ends."""
        self._study = _study(before, number, direction, {}, pruner=_pruner(pruning, last))
        self._trial = self._study.ask()
        self.seen: dict[int, float] = {}

    def ends(self, step: int, value: float) -> bool:
        """Whether the trial ends here, ``step`` epochs or shards after its begin."""
        self.seen[step] = value
        self._trial.report(value, step)
        return self._trial.should_prune()

    @property
    def attributes(self) -> dict[str, Any]:
        """What the pruner noted, for its judgement of others."""
        notes = self._study.trials[self._trial.number].system_attrs
        return {name: note for name, note in notes.items() if name.startswith("completed_rung")}


def _pruner(pruning: Pruning, last: int) -> optuna.pruners.BasePruner:
    if pruning.by == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=pruning.least, max_resource=max(last, pruning.least), reduction_factor=pruning.reduction
        )
    # Steps are counted from 1, so that one at most as far as the warm-up is not judged.
    return optuna.pruners.MedianPruner(n_startup_trials=pruning.startup, n_warmup_steps=pruning.warmup + 1)


def _study(
    records: Sequence[Record],
    number: int,
    direction: Direction,
    parameters: Mapping[str, Parameter],
    *,
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """A study of trials 0 to ``number - 1``: a trial that is not told of yet counts as one of which nothing came."""
    # Hyperband draws a trial's bracket from the study's name and the trial's number.
    study = optuna.create_study(study_name="search", direction=direction, sampler=sampler, pruner=pruner)
    known = {record.number: record for record in records}
    for each in range(number):
        record = known.get(each)
        if record is None:
            study.add_trial(create_trial(state=TrialState.FAIL))
            continue
        told = {
            name: json.dumps(value) if parameters[name].choices is not None else value
            for name, value in record.params.items()
            if name in parameters
        }
        study.add_trial(
            create_trial(
                state=_STATES[record.state],
                value=record.value,
                params=told,
                distributions=distributions({name: parameters[name] for name in told}),
                intermediate_values=dict(record.seen),
                system_attrs=dict(record.attributes),
            )
        )
    return study
