"""What Airflow loads. ``NightshiftPlugin`` is made on first use: importing ``plugins`` costs nothing."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "NightshiftPlugin":
        from plugins.plugin import NightshiftPlugin

        return NightshiftPlugin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
