"""skops files with equal bytes for equal objects, read back only if they hold expected types.

skops writes object addresses, the current time and the padding of structured arrays (memory that
happened to be there) into its zip; all are taken out here, and arrays are named by their content. What
is left is still a skops file that ``skops.io.load`` reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.errors import Corrupt

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(value: object, path: Path) -> None:
    """Save ``value`` at ``path``; equal values give equal bytes."""
    from skops import io as skops_io

    with (
        zipfile.ZipFile(io.BytesIO(skops_io.dumps(value))) as made,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        arrays = {name: _without_padding(made.read(name)) for name in made.namelist() if name != _SCHEMA}
        names = {name: hashlib.sha256(data).hexdigest() + Path(name).suffix for name, data in arrays.items()}
        schema = _without_addresses(json.loads(made.read(_SCHEMA)), names)
        _add(out, _SCHEMA, json.dumps(schema, separators=(",", ":")).encode())
        for name, data in sorted({names[old]: data for old, data in arrays.items()}.items()):
            _add(out, name, data)


def read(path: Path, allowed: frozenset[str]) -> Any:
    """Load what ``write`` saved, if every type in it is in ``allowed`` (``module.Class``).

    Raises:
        Corrupt: a foreign type, or not a readable skops file.
    """
    from skops import io as skops_io

    try:
        with zipfile.ZipFile(path) as file:
            found = set(_types(json.loads(file.read(_SCHEMA))))
        found.update(skops_io.get_untrusted_types(file=path))
        foreign = sorted(found - allowed)
        if foreign:
            raise Corrupt(f"{path.name} holds types that this recipe never writes: {', '.join(foreign)}; not loaded")
        return skops_io.load(path, trusted=sorted(allowed))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise Corrupt(f"{path.name} is not a readable model file: {type(error).__name__}: {error}") from error


def _without_addresses(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        kept = {key: _without_addresses(value, names) for key, value in node.items() if key != "__id__"}
        if kept.get("file") in names:
            kept["file"] = names[kept["file"]]
        return kept
    if isinstance(node, list):
        return [_without_addresses(item, names) for item in node]
    return node


def _without_padding(data: bytes) -> bytes:
    """An ``.npy`` file with zeros between the fields of a structured array."""
    import numpy as np

    array = np.load(io.BytesIO(data), allow_pickle=False)
    if not array.dtype.names:
        return data
    clean = bytearray(array.nbytes)
    fields = np.frombuffer(clean, array.dtype).reshape(array.shape)
    for name in array.dtype.names:
        fields[name] = array[name]
    return data[: -array.nbytes or None] + clean


def _types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "__class__" in node:
            yield f"{node['__module__']}.{node['__class__']}"
        for value in node.values():
            yield from _types(value)
    elif isinstance(node, list):
        for item in node:
            yield from _types(item)


def _add(out: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    out.writestr(info, data)
