"""Great Expectations, imported without what no gate uses.

Two fifths of its import (2.1 s instead of 3.5 s of one core, pandas not counted) are SciPy's statistics
and Altair, for expectations about distributions, and SQLAlchemy, for databases. None is needed to look
at frames: the first two are imported when something asks them for anything, the last is left out, which
the library is made for (it is an optional extra of it).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.data_context import EphemeralDataContext

_LATER = ("altair", "scipy.stats")
_WITHOUT = ("sqlalchemy",)


class _Later(ModuleType):
    """Stands for a module that is imported when one of its names is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def great_expectations() -> Any:
    """The library; only what it is asked to do is reported, and nothing to its makers."""
    # It looks at the import, once, whether it may call home.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with _sparing():
        return importlib.import_module("great_expectations")


def ephemeral_context() -> EphemeralDataContext:
    """A context that lives in memory alone, and draws nothing on the terminal."""
    gx = great_expectations()
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    # Its defaults would leave a folder for a site in /tmp at every gate.
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    bars = ProgressBarsConfig(globally=False)
    return gx.get_context(
        mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores, progress_bars=bars)
    )


@contextmanager
def _sparing() -> Iterator[None]:
    stand_ins: dict[str, ModuleType | None] = {
        **{name: _Later(name) for name in _LATER if name not in sys.modules},
        **{name: None for name in _WITHOUT if name not in sys.modules},
    }
    # None in sys.modules makes an import of that name fail as if it were not installed.
    sys.modules.update(stand_ins)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if name in sys.modules and sys.modules[name] is stand_in:
                del sys.modules[name]
