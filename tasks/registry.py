"""Small files that register themselves: a filter, source, split strategy or recipe is one file.

The file's stem is the name used in the corpus YAML. Looking a name up imports that one file, so a
step pays only for what its configuration names, and adding a file touches no other.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from tasks.errors import BadInput

T = TypeVar("T")
E = TypeVar("E")


class Registry(Generic[T]):
    """Names of one package's files to the objects they register.

    >>> strategies: Registry[type] = Registry("tasks.splits", kind="split strategy")
    >>> @strategies.register("by_hash")
    ... class ByHash: ...
    """

    def __init__(self, package: str, *, kind: str, parts: Sequence[str] = ()) -> None:
        self._package = package
        self.kind = kind
        self._hidden = {"base", *parts}  # files of the package that register nothing
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[E], E]:
        """Decorator: file ``<name>.py`` of the package offers the decorated object as ``name``."""

        def keep(entry: E) -> E:
            self._entries[name] = cast(T, entry)
            return entry

        return keep

    def names(self) -> list[str]:
        """Every name that can be looked up, without importing any of the files."""
        package = importlib.import_module(self._package)
        files = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg and not m.name.startswith("_")}
        return sorted((files - self._hidden) | set(self._entries))

    def get(self, name: str) -> T:
        """The object registered as ``name``.

        Raises:
            BadInput: no file of that name, naming the ones there are; or its file cannot be imported.
        """
        if name not in self._entries:
            if name not in self.names():
                raise BadInput(f"unknown {self.kind} {name!r}; known: {', '.join(self.names())}")
            module = f"{self._package}.{name}"
            try:
                importlib.import_module(module)
            except Exception as error:  # one broken file must cost only the corpora that name it
                fault = f"{type(error).__name__}: {error}"
                raise BadInput(f"{self.kind} {name!r} cannot be loaded from {module}: {fault}") from error
            if name not in self._entries:
                raise BadInput(f"{self.kind} {name!r}: {module} registers nothing under that name")
        return self._entries[name]
