"""Compile every kernel now, and keep it beside its source: `python -m tasks.kernels`, as images do when they are built.

NUMBA_CPU_NAME=generic makes code for any processor of the architecture; it must be set where the code is to run, too.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tasks.kernels


def main() -> None:
    for module in pkgutil.iter_modules(tasks.kernels.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"tasks.kernels.{module.name}")
    sys.stdout.write(f"compiled for {tasks.kernels.__path__[0]}\n")


if __name__ == "__main__":
    main()
