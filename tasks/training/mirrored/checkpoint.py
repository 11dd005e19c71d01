"""Checkpoints on the store: one file of tensors, and a small JSON that commits it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import BadInput, Corrupt, NotFound
from tasks.training.mirrored.state import State

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from structlog.typing import FilteringBoundLogger

    from tasks.store import Store

    Tensors = Mapping[str, NDArray[Any]]

_FORMAT = 1
_TENSORS = ".safetensors"
_COMMIT = ".json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a training goes on from."""

    state: State
    tensors: Tensors
    kept: dict[int, list[NDArray[Any]]]
    """Weights by epoch."""


class Checkpoints:
    """The checkpoints of one training, ``<step>-<sha256[:16]>.safetensors`` and the same as ``.json``.

    A checkpoint is there when its JSON is. ``fingerprint`` is the training's own: a checkpoint with another
    one was made from other data or by other code, and is nothing to go on from.
    """

    def __init__(self, store: Store, folder: str, fingerprint: str, log: FilteringBoundLogger) -> None:
        self._store = store
        self._folder = folder
        self._fingerprint = fingerprint
        self._log = log

    def write(self, checkpoint: Checkpoint) -> str:
        """Store a checkpoint; returns its key."""
        from safetensors.numpy import save_file

        tensors = {name: np.asarray(tensor, order="C") for name, tensor in checkpoint.tensors.items()}
        for epoch, weights in checkpoint.kept.items():
            tensors |= {f"kept/{epoch:06d}/{i:05d}": np.asarray(array, order="C") for i, array in enumerate(weights)}
        with tempfile.TemporaryDirectory(prefix="nightshift-checkpoint-") as scratch:
            path = Path(scratch) / "tensors"
            save_file(tensors, path)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            name = f"{self._folder}/{checkpoint.state.step:09d}-{sha256[:16]}"
            size = path.stat().st_size
            self._store.upload(path, name + _TENSORS)
        commit = {
            "format": _FORMAT,
            "fingerprint": self._fingerprint,
            "size": size,
            "sha256": sha256,
            "state": checkpoint.state.to_json(),
        }
        self._store.write(name + _COMMIT, json.dumps(commit, indent=1).encode())
        return name + _TENSORS

    def newest(self) -> str | None:
        """The key of the newest checkpoint whose bytes are intact; each that is passed over is named in the log.

        Only its commit is read here, and its bytes are hashed as they lie on the store.
        """
        for key in reversed(self._keys(_COMMIT)):
            name = key.removesuffix(_COMMIT)
            try:
                self._commit(name)
                self._verify(name)
            except (Corrupt, NotFound) as error:
                self._log.warning("a checkpoint is passed over", key=key, error=str(error))
                continue
            return name + _TENSORS
        return None

    def read(self, key: str) -> Checkpoint:
        """A checkpoint by the key that ``newest`` gave.

        Raises:
            Corrupt: it is not what was committed, or not of this training.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        name = key.removesuffix(_TENSORS)
        commit, state = self._commit(name)
        with tempfile.TemporaryDirectory(prefix="nightshift-checkpoint-") as scratch:
            path = Path(scratch) / "tensors"
            if self._store.download(name + _TENSORS, path) != commit["sha256"]:
                raise Corrupt(f"{self._store.url_of(key)} is not the checkpoint that was committed")
            try:
                arrays = load_file(path)
            except SafetensorError as error:
                raise Corrupt(f"{self._store.url_of(key)} holds no tensors: {error}") from error
        kept: dict[int, list[NDArray[Any]]] = {}
        for tensor in sorted(arrays):
            if tensor.startswith("kept/"):
                kept.setdefault(int(tensor.split("/")[1]), []).append(arrays.pop(tensor))
        return Checkpoint(state, arrays, kept)

    def prune(self, keep: int) -> None:
        """Delete all but the ``keep`` newest."""
        self._delete([key.removesuffix(_COMMIT) for key in self._keys(_COMMIT)[:-keep]])

    def clear(self) -> None:
        """Delete every one: the training has ended."""
        names = {key.removesuffix(_COMMIT) for key in self._keys(_COMMIT)}
        self._delete(sorted(names | {key.removesuffix(_TENSORS) for key in self._keys(_TENSORS)}))

    def _delete(self, names: list[str]) -> None:
        for name in names:  # the commit first: without its tensors it would be a corrupt checkpoint
            self._store.delete(name + _COMMIT)
            self._store.delete(name + _TENSORS)

    def _keys(self, suffix: str) -> list[str]:
        return [info.key for info in self._store.list(f"{self._folder}/") if info.key.endswith(suffix)]

    def _commit(self, name: str) -> tuple[dict[str, Any], State]:
        url = self._store.url_of(name + _COMMIT)
        try:
            value = json.loads(self._store.read(name + _COMMIT))
            foreign = value["fingerprint"] != self._fingerprint
            known = value["format"] == _FORMAT and isinstance(value["sha256"], str)
            state = State.from_json(value["state"])
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{url} commits no checkpoint: {type(error).__name__}: {error}") from error
        if foreign or not known:
            raise Corrupt(f"{url} is of another training: its data, configuration or code differ")
        return value, state

    def _verify(self, name: str) -> None:
        commit = json.loads(self._store.read(name + _COMMIT))
        found = self._store.stat(name + _TENSORS)
        if found is None or found.size != commit["size"]:
            size = "missing" if found is None else f"{found.size} bytes, committed were {commit['size']}"
            raise Corrupt(f"{self._store.url_of(name + _TENSORS)} is {size}")
        if self._store.sha256(name + _TENSORS) != commit["sha256"]:
            raise Corrupt(f"{self._store.url_of(name + _TENSORS)} is not what was committed: its sha256 differs")


def require_checkpoint_key(key: str, folder: str) -> str:
    """The key itself, if it names a checkpoint of ``folder``: it came over the network.

    Raises:
        BadInput: it does not.
    """
    if not key.startswith(f"{folder}/") or not key.endswith(_TENSORS):
        raise BadInput(f"{key!r} is no checkpoint below {folder}")
    return key
