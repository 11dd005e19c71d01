"""Personal data and secrets: masked, or the text dropped.

Emails, public IP addresses, telephone numbers in international or North American form, card numbers (with
the check digit of ISO/IEC 7812, Luhn's), and keys and tokens by the marks that their makers give them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.section import Section

Kind = Literal["email", "ip", "phone", "card", "secret"]

# Each is linear: what stands before and behind a match is bounded, or cannot be matched in two ways.
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_IP4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)")
_IP6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![\w:])")
_PHONE = re.compile(
    r"(?<![\w+.])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4})(?![\w]|[.-]\d)"
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w]|[.-]\d)")
_SECRET = re.compile(
    r"(?<!\w)(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_\w{36,255}|github_pat_\w{22,255}|xox[abprs]-[\w-]{10,250}"
    r"|sk-[\w-]{20,200}|(?:sk|rk|pk)_live_\w{16,250}|AIza[\w-]{35}|glpat-[\w-]{20,64}|npm_\w{36}|pypi-[\w-]{50,250}"
    r"|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,1000})(?!\w)"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,8000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)


_MASKS: dict[Kind, str] = {
    "email": "email@example.com",
    "ip": "192.0.2.1",
    "phone": "<phone>",
    "card": "<card>",
    "secret": "<secret>",
}


class PiiParams(Section):
    """``clean.filters: [{pii: {kinds: [email, ip]}}]``"""

    action: Literal["mask", "drop"] = Field("mask", description="mask what is found, or drop the text")
    kinds: tuple[Kind, ...] = Field(("email", "ip", "phone", "card", "secret"), description="what is looked for")
    masks: dict[Kind, str] = Field(default_factory=lambda: dict(_MASKS), description="what stands there instead")


@FILTERS.register("pii")
class Pii:
    """Drops ``pii.<kind>`` with how many were found; with ``mask`` it drops nothing."""

    Params = PiiParams
    MEASURES = ("found",)
    CHANGES_TEXT = True

    def __init__(self, params: PiiParams) -> None:
        self._params = params

    def judge(self, document: Document) -> Verdict:
        text, found = document.text, 0
        # Secrets first: a key may hold what looks like a number.
        for kind, sign, pattern, real in _SEARCHES:
            # The sign stands in each of them, and is looked for faster.
            if kind not in self._params.kinds or not (sign is None or sign in text):
                continue
            text, count = _masked(text, pattern, real, self._params.masks.get(kind, f"<{kind}>"))
            if count and self._params.action == "drop":
                return Verdict(kind, count)
            found += count
        return Verdict(measured={"found": found}, text=text if found else None)


def _masked(text: str, pattern: re.Pattern[str], real: Callable[[str], bool], mask: str) -> tuple[str, int]:
    count = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal count
        # What was masked on an earlier night is no new find.
        if match[0] == mask or not real(match[0]):
            return match[0]
        count += 1
        return mask

    return pattern.sub(replaced, text), count


def _public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _checked(number: str) -> bool:
    """Whether the last digit checks the others (Luhn)."""
    digits = [int(c) for c in number if c.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _any(found: str) -> bool:
    return True


_SEARCHES: tuple[tuple[Kind, str | None, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("secret", None, _SECRET, _any),
    ("email", "@", _EMAIL, _any),
    ("ip", ".", _IP4, _public),
    ("ip", ":", _IP6, _public),
    ("card", None, _CARD, _checked),
    ("phone", None, _PHONE, _any),
)
