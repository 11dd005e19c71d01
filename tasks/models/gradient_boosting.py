"""``gradient_boosting``: trees over a table's columns, each mending those before it; the shards' sums are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import Corrupt
from tasks.models._cells import MOST, Cells, narrowed, seen
from tasks.models._clusters import same_frame
from tasks.models._regression import Regression, RegressionParams, targets_of
from tasks.models._space import ROW, Frame
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_FILE = "model.skops"


class GradientBoostingParams(RegressionParams):
    """Parameters of ``train.recipe.gradient_boosting``."""

    iterations: int = Field(100, ge=1, le=100_000, description="trees of each shard's model")
    learning_rate: float = Field(0.1, gt=0, le=1, description="how much of the error each tree mends")
    max_leaves: int = Field(31, ge=2, description="of a tree")
    min_samples_leaf: int = Field(20, ge=1, description="rows that a leaf holds at least")
    l2: float = Field(0.0, ge=0, description="penalty on the leaves' values")
    loss: Literal["squared_error", "absolute_error"] = Field("squared_error", description="what is made small")


@dataclass(frozen=True, slots=True)
class BoostingModel:
    """The members and their say, which sums to 1: one of a part, one a part of what was merged."""

    frame: Frame
    members: Sequence[Any]
    codes: Sequence[Sequence[np.ndarray]]
    """Of each member, and each category, the codes that it has seen: what is another one is missing to it."""
    weights: Sequence[float]


@RECIPES.register("gradient_boosting")
class GradientBoosting(Regression):
    """scikit-learn's HistGradientBoostingRegressor: what is hard to beat on tables of numbers and categories.

    A category is one column, split by sets of its values; what is missing goes, at each split, where it fits best. A
    value that is rarer than ``rare``, or unknown, is as if missing.

    Friedman, Greedy Function Approximation: A Gradient Boosting Machine, 2001; Ke et al., LightGBM, 2017.
    """

    Params: ClassVar[type[Section]] = GradientBoostingParams
    version: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn", "numpy", "skops")
    merges: ClassVar[tuple[str, ...]] = ("union",)

    def __init__(self, params: GradientBoostingParams, seed: int) -> None:
        super().__init__(params, seed)
        self._params = params

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> BoostingModel:
        import numpy as np
        from sklearn.ensemble import HistGradientBoostingRegressor

        frame = self._space.frame(features)
        cells = Cells.of(frame)
        found, targets = [], list[float]()
        for batch in batches:
            found.append(cells.points(batch[ROW].to_pylist()))
            targets += targets_of(batch["label"].to_pylist())
        points, categories = np.concatenate(found), len(cells.categories)
        codes = seen(points, categories)
        made = HistGradientBoostingRegressor(
            loss=self._params.loss,
            max_iter=self._params.iterations,
            learning_rate=self._params.learning_rate,
            max_leaf_nodes=self._params.max_leaves,
            min_samples_leaf=self._params.min_samples_leaf,
            l2_regularization=self._params.l2,
            categorical_features=list(range(categories)) or None,
            early_stopping=False,  # it would hold rows out by chance that were given to learn from
            random_state=int(np.random.SeedSequence([self._seed, shard.index]).generate_state(1)[0]),
        )
        made.fit(narrowed(points, codes), np.array(targets))
        # It would encode anew what has codes without gaps, in columns of their order, already.
        made._preprocessor = None
        return BoostingModel(frame, (made,), (codes,), (1.0,))

    def merge(self, models: Sequence[BoostingModel], weights: Sequence[float]) -> BoostingModel:
        """All members together; each says its part's share."""
        members = [
            (member, codes, part * own)
            for model, part in zip(models, weights, strict=True)
            for member, codes, own in _say(model)
        ]
        return BoostingModel(same_frame(models), *(list(column) for column in zip(*members, strict=True)))

    def labels(self, model: BoostingModel) -> list[str]:
        return []

    def predict(self, model: BoostingModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        """One number a row, shape ``(rows,)``."""
        import numpy as np

        rows: Sequence[Any] = columns[ROW]
        points = Cells.of(model.frame).points(rows)
        if not len(points):
            return np.zeros(0)
        return np.asarray(
            np.sum([say * member.predict(narrowed(points, codes)) for member, codes, say in _say(model)], axis=0)
        )

    def facts(self, model: BoostingModel) -> dict[str, int]:
        """Members, trees, nodes and columns."""
        trees = [tree for member in model.members for (tree,) in member._predictors]
        nodes = sum(len(tree.nodes) for tree in trees)
        return {
            "members": len(model.members),
            "trees": len(trees),
            "nodes": nodes,
            "vocabulary": len(model.frame.terms),
        }

    def save(self, model: BoostingModel, folder: Path) -> None:
        from tasks.models import _skops

        value = {
            "terms": "\n".join(model.frame.terms),
            **model.frame.arrays,
            "members": list(model.members),
            "codes": [list(codes) for codes in model.codes],
            "weights": list(model.weights),
        }
        _skops.write(value, folder / _FILE)

    def load(self, folder: Path) -> BoostingModel:
        import numpy as np

        from tasks.models import _skops

        value: Any = _skops.read(folder / _FILE, _TYPES)
        if not isinstance(value, dict) or set(value) != {"terms", "mean", "scale", "members", "codes", "weights"}:
            raise Corrupt(f"{_FILE} is not a gradient_boosting model")
        terms, members, weights = value["terms"].split("\n"), value["members"], [float(w) for w in value["weights"]]
        arrays = {name: value[name] for name in ("mean", "scale")}
        for name, array in arrays.items():
            if array.shape != (len(terms),) or not np.isfinite(array).all():
                raise Corrupt(f"{_FILE}: {name} is not {len(terms)} finite numbers")
        codes: list[list[np.ndarray]] = value["codes"]
        if not members or not len(members) == len(codes) == len(weights) or not np.isclose(sum(weights), 1):
            raise Corrupt(f"{_FILE}: the members' weights do not sum to 1")
        frame = Frame(terms, arrays)
        cells = Cells.of(frame)
        for number, (member, known) in enumerate(zip(members, codes, strict=True)):
            _verify(member, known, cells, f"{_FILE}: member {number}")
        return BoostingModel(frame, members, codes, weights)


def _say(model: BoostingModel) -> list[tuple[Any, Sequence[np.ndarray], float]]:
    return list(zip(model.members, model.codes, model.weights, strict=True))


def _verify(member: Any, codes: Sequence[Any], cells: Cells, name: str) -> None:
    """Refuse a loaded member whose trees would make scikit-learn read outside its arrays, or round in circles."""
    import numpy as np

    categories = len(cells.categories)
    features = categories + len(cells.numbers)
    if member.n_features_in_ != features or member._baseline_prediction.shape != (1, 1):
        raise Corrupt(f"{name} has {member.n_features_in_} columns, not {features}")
    split, mapper = np.arange(features) < categories, member._bin_mapper
    known = [np.arange(len(each)) for each in codes]
    if (
        member._preprocessor is not None
        or len(codes) != categories
        or any(each.ndim != 1 or each.dtype != np.int64 or (np.diff(each) < 1).any() for each in codes)
        or any(len(each) and not (each[0] >= 0 and each[-1] < MOST) for each in codes)
        or not np.array_equal(mapper.is_categorical_, split)
        or not all(map(np.array_equal, mapper.bin_thresholds_[:categories], known))
    ):
        raise Corrupt(f"{name} has other categories than its table")
    for (tree,) in member._predictors:
        nodes = tree.nodes
        own, inner = np.arange(len(nodes)), nodes["is_leaf"] == 0
        ends = [nodes[side][inner].astype(np.int64) for side in ("left", "right")]
        inside = all(((end > own[inner]) & (end < len(nodes))).all() for end in ends)
        columns = nodes["feature_idx"][inner]
        there = ((columns >= 0) & (columns < features)).all()
        sets, by_set = tree.raw_left_cat_bitsets, nodes["is_categorical"][inner] != 0
        there = there and sets.dtype == np.uint32 and sets.shape == (len(sets), 8)
        there = there and (nodes["bitset_idx"][inner][by_set] < len(sets)).all() and split[columns[by_set]].all()
        if not (len(nodes) and inside and there and np.isfinite(nodes["value"]).all()):
            raise Corrupt(f"{name} has a tree that points outside its own arrays")


_TYPES = frozenset(
    {
        "builtins.dict",
        "builtins.float",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "numpy.float64",
        "numpy.ndarray",
        "numpy.random._generator.Generator",
        "numpy.uint64",
        "sklearn._loss._loss.CyAbsoluteError",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    }
)
