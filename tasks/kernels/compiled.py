"""Compile a function once a machine, whatever may be written there."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numba.core.config
from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

F = TypeVar("F", bound=Callable[..., Any])
_config: Any = numba.core.config
_njit: Any = numba.njit
"""As their documentation has them; the package's own types know neither all options nor all settings."""


@functools.cache
def stamp() -> str:
    """SHA-256 of all sources of this package."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class _OfPackage:
    """Kept code is good for these sources only: numba asks for a kernel's own file, but what a kernel calls, and the
    constants of other files, are compiled into it."""

    def get_source_stamp(self) -> str:
        return stamp()


class Provided(_OfPackage, UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR."""


class InTree(_OfPackage, InTreeCacheLocator):
    """Beside the source."""


class UserWide(_OfPackage, UserWideCacheLocator):
    """The user's own cache."""


class Shipped(InTree):
    """Machine code beside its source that is only read: in an image nothing can be written, and numba's own locators
    take no folder that they cannot write to. Without it (a user's read-only installation) the next one is asked."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> Shipped | None:
        found: Any = cls(function, path)
        folder = Path(found.get_cache_path())
        base = f"{Path(path).stem}.{function.__qualname__}-{found.get_disambiguator()}"
        index = folder / f"{base}.py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}.nbi"
        usable: Shipped | None = found if index.exists() and not os.access(folder, os.W_OK) else None
        return usable


_LOCATORS = ",".join(f"{__name__}.{locator.__name__}" for locator in (Provided, Shipped, InTree, UserWide))


def kernel(signature: str) -> Callable[[F], F]:
    """Compile for these types of arguments and of the result, when the module is imported.

    What was compiled is kept in NUMBA_CACHE_DIR, or beside the source, or in the user's cache; where nothing of all
    that can be written, or what lies there can only be read and does not fit, it is compiled anew in every process,
    which takes some seconds and changes nothing else.
    Nothing in it may allocate: without counted references, arrays are passed on for nothing.
    """

    def compiled(function: F) -> F:
        for kept in (True, False):
            made = _njit(_nrt=False)(function)
            if made is function:
                return function  # NUMBA_DISABLE_JIT
            if kept and not _keep(made):
                continue
            try:
                made.compile(signature)
            except OSError:
                # Compiled, but the folder is read only or full; or what is kept cannot be read, and nothing is.
                if not made.signatures:
                    continue
            made.disable_compile()
            done: F = made
            return done
        raise AssertionError("compiling without a cache reads and writes no file")

    return compiled


def _keep(made: Any) -> bool:
    """Let a function's code be kept; False where there is no place for it. Other users of numba keep their settings."""
    before = _config.CACHE_LOCATOR_CLASSES
    _config.CACHE_LOCATOR_CLASSES = _LOCATORS
    try:
        made.enable_caching()
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return False
    finally:
        _config.CACHE_LOCATOR_CLASSES = before
    return True


def part(function: F) -> F:
    """A piece of kernels: becomes part of each that calls it, so that no call is left."""
    made: F = _njit(inline="always")(function)
    return made
