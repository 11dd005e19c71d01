"""Whom to tell of a failed run: an entry of the section ``notifications``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.section import Section


class Notification(Section):
    """Whom to tell of a failed run, by a JSON POST."""

    webhook: str = Field(
        pattern=r"^https?://[^/\s]+", description="a URL; keep the secret in it in the environment: ${NAME}"
    )
    on: tuple[Literal["failure", "success", "promotion"], ...] = Field(("failure",), description="which events")
