"""How an address that a user gave stands in a message."""

from __future__ import annotations

import re


def without_login(url: str) -> str:
    """The URL without what may hold a password: user information, query and fragment.

    It need not be a valid one: it is for messages that say so.
    """
    scheme, colon, rest = url.partition("://") if "://" in url else ("", "", url)
    # Up to the last @: a password may hold any other mark, unescaped by whoever typed it.
    _, at, place = rest.rpartition("@")
    return f"{scheme}{colon}{'…@' if at else ''}{re.split('[?#]', place)[0]}"
