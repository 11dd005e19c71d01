"""MLflow as the registry's mirror: a run with the metrics, a model version, and the two aliases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tasks.judging.base import measures_of
from tasks.model_registry.mlflow_rest import MlflowRest, Refused

if TYPE_CHECKING:
    from tasks.catalog import Manifest
    from tasks.model_registry.records import Version
    from tasks.store import Store

MODEL_TAG = "nightshift.model"
"""Tag of a run and of a model version: version number and digest of the model it stands for."""

_BATCH = 1000
"""Metrics that MLflow takes in one call."""
_PARAMETERS = 100
_LONGEST = 5000
"""Characters of a parameter or tag."""


class Mirror:
    """The registered model ``<corpus>`` and the experiment ``<corpus>`` of one MLflow server.

    Every method looks before it writes: called again after a failure it ends in the same state, and it
    mends what is missing, also on a server that was set up anew. All raise ``StoreError`` when MLflow
    does not answer, and ``BadInput`` when it refuses the credentials.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._mlflow = MlflowRest(env)

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Mirror | None:
        """The mirror that ``MLFLOW_TRACKING_URI`` names, or None."""
        return cls(env) if env.get("MLFLOW_TRACKING_URI") else None

    def register(self, version: Version, model: Manifest, store: Store) -> bool:
        """Record a version, its metrics, parameters and where its files lie; whether anything was missing."""
        if self._number(version) is not None:
            return False
        run = self._run(version, model, store)
        try:
            self._mlflow.post("registered-models/create", name=version.corpus, description="Kept by Nightshift.")
        except Refused as error:
            if not error.exists:
                raise
        self._mlflow.post(
            "model-versions/create",
            name=version.corpus,
            # MLflow takes a file:// source for one of its own folders, and refuses it.
            source=store.url_of(version.folder).replace("file://", "nightshift-file://"),
            run_id=run,
            tags=_pairs(_tags(version, store)),
            description=f"Version {version.version}: {version.recipe} trained on snapshot {version.snapshot}.",
        )
        return True

    def alias(self, name: str, version: Version) -> bool:
        """Let ``candidate`` or ``champion`` name a version; whether it did not before.

        A version that MLflow does not know is left to whoever promotes it: that registers it first.
        """
        number = self._number(version)
        if number is None:
            return False
        found = self._mlflow.get("registered-models/get", name=version.corpus)["registered_model"]
        if {"alias": name, "version": number} in found.get("aliases", []):
            return False
        self._mlflow.post("registered-models/alias", name=version.corpus, alias=name, version=number)
        return True

    def _number(self, version: Version) -> str | None:
        """MLflow's own number of a version, or None."""
        found = self._mlflow.get(
            "model-versions/search",
            filter=f"name = '{version.corpus}' and tags.`{MODEL_TAG}` = '{_identity(version)}'",
            max_results="1",
        ).get("model_versions", [])
        return str(found[0]["version"]) if found else None

    def _run(self, version: Version, model: Manifest, store: Store) -> str:
        """The id of the finished run of a version."""
        experiment = self._experiment(version.corpus)
        found = self._mlflow.post(
            "runs/search",
            experiment_ids=[experiment],
            filter=f"tags.`{MODEL_TAG}` = '{_identity(version)}'",
            max_results=1,
        ).get("runs", [])
        # Always the same moment, so that a metric logged twice is one.
        moment = int(datetime.fromisoformat(version.created).timestamp() * 1000)
        if found:
            run = str(found[0]["info"]["run_id"])
        else:
            created = self._mlflow.post(
                "runs/create",
                experiment_id=experiment,
                run_name=f"{version.corpus}-{version.version}",
                start_time=moment,
                tags=_pairs(_tags(version, store)),
            )
            run = str(created["run"]["info"]["run_id"])
        parameters = _pairs(_parameters(model))[:_PARAMETERS]
        metrics = [
            {"key": name, "value": value, "timestamp": moment, "step": 0} for name, value in _metrics(version.metrics)
        ]
        for start in range(0, max(len(metrics), 1), _BATCH):
            batch = metrics[start : start + _BATCH]
            self._mlflow.post("runs/log-batch", run_id=run, metrics=batch, params=[] if start else parameters)
        self._mlflow.post("runs/update", run_id=run, status="FINISHED", end_time=moment)
        return run

    def _experiment(self, name: str) -> str:
        try:
            found = self._mlflow.get("experiments/get-by-name", experiment_name=name)["experiment"]
        except Refused as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            try:
                return str(self._mlflow.post("experiments/create", name=name)["experiment_id"])
            except Refused as race:
                if not race.exists:
                    raise
                found = self._mlflow.get("experiments/get-by-name", experiment_name=name)["experiment"]
        if found.get("lifecycle_stage") == "deleted":
            self._mlflow.post("experiments/restore", experiment_id=found["experiment_id"])
        return str(found["experiment_id"])


def _identity(version: Version) -> str:
    return f"{version.version}-{version.digest}"


def _tags(version: Version, store: Store) -> dict[str, str]:
    return {
        MODEL_TAG: _identity(version),
        "nightshift.version": str(version.version),
        "nightshift.run": version.run,
        "nightshift.snapshot": version.snapshot,
        "nightshift.snapshot_digest": version.snapshot_digest,
        "nightshift.model_url": store.url_of(f"{version.folder}/manifests/{version.digest}.json"),
        "nightshift.report_url": store.url_of(f"{version.report}/manifests/{version.report_digest}.json"),
        "nightshift.snapshot_url": store.url_of(
            f"snapshots/{version.corpus}/{version.snapshot}/manifests/{version.snapshot_digest}.json"
        ),
    }


def _parameters(model: Manifest) -> dict[str, Any]:
    details = model.details
    return {"recipe": details["recipe"], "seed": details["seed"], **details["params"]}


def _metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The headline numbers and per-class F1 of each split that has rows, named as MLflow allows."""
    for split, values in metrics.items():
        for name in ("rows", *(measure.name for measure in measures_of(values))):
            if values.get(name) is not None:
                yield f"{split}_{name}", float(values[name])
        for label, scores in values.get("per_class", {}).items():
            allowed = "".join(c if c.isalnum() or c in "_-. " else "_" for c in label)
            yield f"{split}_f1/{allowed}"[:250], float(scores["f1"])


def _pairs(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)[:_LONGEST]} for key, value in values.items()]
