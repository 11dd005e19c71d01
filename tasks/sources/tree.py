"""Source ``tree``: the files of a folder and those below it, as archives: for data that are a file each, as images."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from tasks.catalog import FileEntry, Input
from tasks.errors import BadInput
from tasks.kinds.base import kind_of
from tasks.section import Bytes, Section, digest_of
from tasks.sources.base import SOURCES, Harvest, Target
from tasks.sources.locate import Found, check_pattern, find
from tasks.step import Context


class TreeParams(Section):
    """Where the files lie, and how many go into one archive."""

    path: str = Field(
        description="as in photos/{partition}/**: in the store, an absolute path, file://… or s3://…; the folder that "
        "a file lies in is its label"
    )
    segment: Bytes = Field("64MB", gt=0, description="of files that one archive holds, which one task cleans")  # type: ignore[assignment]

    @field_validator("path")
    @classmethod
    def _pattern(cls, value: str) -> str:
        return check_pattern(value)


@SOURCES.register("tree")
class Tree:
    """Packs the files below a folder into archives of one partition."""

    Params: ClassVar[type[Section]] = TreeParams
    replayable = True

    def __init__(self, params: TreeParams) -> None:
        self.params = params

    def shape(self) -> dict[str, Any]:
        return self.params.model_dump(mode="json")

    def inputs(self, context: Context, partition: str, known: Mapping[str, Any]) -> Sequence[Input]:
        return [self._whole(find(context, self.params.path, partition))]

    def fetch(self, target: Target) -> Harvest:
        if "tar" not in kind_of(target.context.corpus.clean).formats:
            raise BadInput(
                f"source tree: a corpus of kind {target.context.corpus.kind.name} is not made of single files"
            )
        found = [f for f in find(target.context, self.params.path, target.partition) if not f.name.startswith(".")]
        entries: list[FileEntry] = []
        waiting: list[Found] = []
        size = 0
        for file in found:
            if waiting and size + file.info.size > self.params.segment:
                entries.append(self._packed(target, waiting, len(entries)))
                waiting, size = [], 0
            waiting.append(file)
            size += file.info.size
        entries.append(self._packed(target, waiting, len(entries)))
        counts = {"documents": len(found), "unchanged": 0, "gone": 0, "visited": len(found), "errors": 0, "skipped": {}}
        counts["bytes"] = sum(file.info.size for file in found)
        details = {"source": "tree", "format": "tar", "columns": {}}
        return Harvest(entries, [self._whole(found)], counts, details)

    def unfinished(self, context: Context, folder: str, config: str) -> bool:
        return False

    def tidy(self, context: Context, folder: str) -> None:
        return None

    def _whole(self, found: Sequence[Found]) -> Input:
        """All files as one input: thousands would drown a manifest."""
        told = {file.url: file.info.etag or file.store.sha256(file.info.key) for file in found}
        return Input(name=found[0].store.url_of(""), digest=digest_of(told))

    def _packed(self, target: Target, files: Sequence[Found], number: int) -> FileEntry:
        """One archive; equal files, equal bytes."""
        path = target.scratch / f"{number:06d}.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for file in files:
                local: Path = target.scratch / "file"
                file.store.download(file.info.key, local)
                info = tarfile.TarInfo(file.info.key.lstrip("/"))
                info.size = local.stat().st_size
                with local.open("rb") as stream:
                    tar.addfile(info, stream)
                local.unlink()
        target.context.log.info("packed", files=len(files), archive=path.name)
        return target.keep(path, "rows", rows=len(files))
