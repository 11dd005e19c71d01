"""By the hash of a group: all documents of a host, an author or a library stand in one split."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from tasks.section import Section
from tasks.splits.base import STRATEGIES, Ratios
from tasks.splits.hash import by_hash

if TYPE_CHECKING:
    import pyarrow as pa


class GroupParams(Section):
    """What makes a group."""

    url: str | None = Field(
        None,
        description="a regular expression on the URL: its first group, or the whole match, names the group; by "
        "default the column `group` does, which has the host, or what a row source maps to it",
    )

    @field_validator("url")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value


@STRATEGIES.register("group")
class Group:
    """Each group by itself; a document without a group is a group of its own."""

    Params = GroupParams
    frozen = True

    def __init__(self, params: GroupParams, ratios: Ratios, seed: int) -> None:
        self._pattern = re.compile(params.url) if params.url else None
        self._ratios = ratios
        self._seed = seed

    def assign(self, documents: pa.Table) -> pa.Array:
        import pyarrow as pa

        columns = (documents[name].to_pylist() for name in ("uid", "url", "group"))
        keys = [self._key(*row) for row in zip(*columns, strict=True)]
        return pa.array(by_hash(keys, self._ratios, self._seed), pa.string())

    def _key(self, uid: str, url: str | None, group: str | None) -> str:
        if self._pattern is None:
            return group or uid
        found = self._pattern.search(url or "")
        if found is None:
            return uid
        return str(found[1] if self._pattern.groups and found[1] is not None else found[0])
