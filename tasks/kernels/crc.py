"""CRC-32C (Castagnoli) of bytes, which each record of a TFRecord file carries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.compiled import kernel
from tasks.kernels.table import Bytes, bytes_of

_REFLECTED = 0x82F63B78
"""The polynomial of RFC 3720, appendix B.4, its bits in reverse."""


def _table() -> NDArray[np.uint32]:
    """What each byte adds."""
    found = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        found = np.where(found & 1, found >> 1 ^ np.uint32(_REFLECTED), found >> 1).astype(np.uint32)
    return found


_ADDED = _table()


@kernel("uint32(uint8[::1], uint32[::1])")
def _checked(data: Bytes, added: NDArray[np.uint32]) -> np.uint32:
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = added[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """The checksum of ``data``."""
    return int(_checked(bytes_of(data), _ADDED))
