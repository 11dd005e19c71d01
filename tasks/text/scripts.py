"""Scripts that are written without spaces between words, and marks that belong to the letter before them."""

from __future__ import annotations

import functools
import re

# Han, with what stands for a repeated or an abbreviated one; kana; the scripts of Thai, Lao, Burmese and Khmer.
HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
OTHERS = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ede\u1000-\u109f\u1780-\u17d3"

_RANGES = (
    "483-489 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 610-61a 64b-65f 670 6d6-6dc 6df-6e4 6e7-6e8 6ea-6ed 711 730-74a "
    "7a6-7b0 7eb-7f3 7fd 816-819 81b-823 825-827 829-82d 859-85b 898-89f 8ca-8e1 8e3-903 93a-93c 93e-94f 951-957 "
    "962-963 981-983 9bc 9be-9c4 9c7-9c8 9cb-9cd 9d7 9e2-9e3 9fe a01-a03 a3c a3e-a42 a47-a48 a4b-a4d a51 a70-a71 a75 "
    "a81-a83 abc abe-ac5 ac7-ac9 acb-acd ae2-ae3 afa-aff b01-b03 b3c b3e-b44 b47-b48 b4b-b4d b55-b57 b62-b63 b82 "
    "bbe-bc2 bc6-bc8 bca-bcd bd7 c00-c04 c3c c3e-c44 c46-c48 c4a-c4d c55-c56 c62-c63 c81-c83 cbc cbe-cc4 cc6-cc8 "
    "cca-ccd cd5-cd6 ce2-ce3 d00-d03 d3b-d3c d3e-d44 d46-d48 d4a-d4d d57 d62-d63 d81-d83 dca dcf-dd4 dd6 dd8-ddf "
    "df2-df3 e31 e34-e3a e47-e4e eb1 eb4-ebc ec8-ecd f18-f19 f35 f37 f39 f3e-f3f f71-f84 f86-f87 f8d-f97 f99-fbc fc6 "
    "102b-103e 1056-1059 105e-1060 1062-1064 1067-106d 1071-1074 1082-108d 108f 109a-109d 135d-135f 1712-1715 "
    "1732-1734 1752-1753 1772-1773 17b4-17d3 17dd 180b-180d 180f 1885-1886 18a9 1920-192b 1930-193b 1a17-1a1b "
    "1a55-1a5e 1a60-1a7c 1a7f 1ab0-1ace 1b00-1b04 1b34-1b44 1b6b-1b73 1b80-1b82 1ba1-1bad 1be6-1bf3 1c24-1c37 "
    "1cd0-1cd2 1cd4-1ce8 1ced 1cf4 1cf7-1cf9 1dc0-1dff 20d0-20f0 2cef-2cf1 2d7f 2de0-2dff 302a-302f 3099-309a "
    "a66f-a672 a674-a67d a69e-a69f a6f0-a6f1 a802 a806 a80b a823-a827 a82c a880-a881 a8b4-a8c5 a8e0-a8f1 a8ff "
    "a926-a92d a947-a953 a980-a983 a9b3-a9c0 a9e5 aa29-aa36 aa43 aa4c-aa4d aa7b-aa7d aab0 aab2-aab4 aab7-aab8 "
    "aabe-aabf aac1 aaeb-aaef aaf5-aaf6 abe3-abea abec-abed fb1e fe00-fe0f fe20-fe2f"
)
MARKS = re.sub(r"[0-9a-f]+", lambda found: f"\\u{int(found[0], 16):04x}", _RANGES).replace(" ", "")
"""What is no letter by itself, as the vowel signs of Indic scripts: the categories Mn, Mc and Me of Unicode 14.

Not those above U+FFFF, with which a search is slow, and not the accents of Latin and Greek: normalised they are part of
their letters.
"""

_SPACELESS = re.compile(f"[{HAN}{KANA}{OTHERS}]")
_BEFORE = "\u0e40-\u0e44\u0ec0-\u0ec4"
"""Vowels of Thai and Lao that are written before their consonant."""
_BEHIND = "\u0e30\u0e32\u0e33\u0e45\u0eb0\u0eb2\u0eb3"
"""Those behind it that are no marks."""
_STACKED = "\u1039\u17d2"
"""What puts a consonant of Burmese and Khmer under the one before it."""


@functools.cache
def cluster() -> re.Pattern[str]:
    """What a reader takes for a character of these scripts: of those of Thai, Lao, Burmese and Khmer a consonant with
    its vowels and tones. Compiled where it is needed: it takes a while, and many only read the configuration.
    """
    return re.compile(
        f"[{HAN}{KANA}]|[{_BEFORE}]?(?![{MARKS}])[{OTHERS}](?:[{_STACKED}][{OTHERS}]|[{MARKS}{_BEHIND}])*|[{OTHERS}]"
    )


def spaceless(text: str) -> bool:
    """Whether there is a character in it of a script without spaces."""
    return not text.isascii() and _SPACELESS.search(text) is not None


def apart(text: str) -> str:
    """The text with spaces around every character of scripts that have none between words.

    No dictionary divides what it does not know another way, or the same words another way beside others.
    """
    return cluster().sub(r" \g<0> ", text) if spaceless(text) else text
