"""The article of a page: the element that holds most running text and least of anything else.

Every block is worth something: running text its length, anything else a loss. The element whose blocks are worth most
together is the main content; that is the maximum subtree of the page, found in one sweep over sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.compiled import kernel
from tasks.kernels.html import BESIDE, MAIN, Rows
from tasks.kernels.table import Bytes, Integers
from tasks.kernels.tags import BODY, HEADING

_RUNNING = 40
"""Characters from which a block is a sentence rather than a label."""
_RUNNING_WIDE = 15
"""The same in scripts that write a word in one or two characters."""
_MOSTLY = 0.4
"""The share of a block in links from which it is a list of links."""
_LINKS_ONLY = 0.6
_LOSS_LINKS, _LOSS_BESIDE, _LOSS_SHORT = 120.0, 30.0, 20.0
"""What a block of links, one beside the text, and a short one cost, in characters of running text."""
_MAIN_GAIN, _BODY_LOSS = 1.3, 0.8
"""What an element that calls itself the article gains, and the whole page loses."""
_BESIDE_AT_MOST = 0.5
"""An element with more of the page's running text is no menu, whatever its class says."""


@kernel("int64(int64[:, ::1], int64[:, ::1], uint8[::1], uint8[::1], float64[::1], int64[::1], int64[::1], int64[::1])")
def choose(
    blocks: Rows,
    elements: Rows,
    running: Bytes,
    beside: Bytes,
    worth: NDArray[np.float64],
    known: Integers,
    chosen: Integers,
    said: Integers,
) -> int:
    """Put the places of the article's blocks into ``chosen``; returns how many, or -1 where nothing runs.

    ``said``: characters of running text in the article, and in the page. ``running`` and ``beside`` are zeros, one a
    block; ``worth`` and ``known`` have one more, for what lies before each.
    """
    count = len(blocks)
    known[0] = 0
    for place in range(count):
        size, linked = blocks[place, 2], blocks[place, 3]
        long = size >= _RUNNING or (size >= _RUNNING_WIDE and blocks[place, 5] != 0)
        heading = (elements[blocks[place, 4], 0] & HEADING) != 0
        running[place] = long and linked < _MOSTLY * size and not heading
        known[place + 1] = known[place] + (size if running[place] else 0)
    said[0], said[1] = 0, known[count]
    for at in range(len(elements)):
        begin, end = elements[at, 1], elements[at, 2]
        if elements[at, 3] & BESIDE and known[end] - known[begin] <= _BESIDE_AT_MOST * known[count]:
            for place in range(begin, end):
                beside[place] = 1
    worth[0] = 0.0
    for place in range(count):
        size, linked = blocks[place, 2], blocks[place, 3]
        if beside[place]:
            value = -_LOSS_BESIDE
        elif running[place]:
            value = float(size)
        else:
            value = -_LOSS_LINKS if linked > _MOSTLY * size else -_LOSS_SHORT
        worth[place + 1] = worth[place] + value
    best, most = -1, 0.0
    for at in range(len(elements)):
        value = worth[elements[at, 2]] - worth[elements[at, 1]]
        if elements[at, 3] & MAIN:
            value *= _MAIN_GAIN
        elif elements[at, 0] & BODY:
            value *= _BODY_LOSS
        # Of two that hold the same, the inner one comes later.
        if value > 0 and value >= most:
            best, most = at, value
    if best < 0:
        return -1
    # What stands before the first sentence is a headline or a date, behind the last a list of tags.
    size = last = 0
    for place in range(elements[best, 1], elements[best, 2]):
        if beside[place] or blocks[place, 3] > _LINKS_ONLY * blocks[place, 2] or (size == 0 and not running[place]):
            continue
        chosen[size] = place
        size += 1
        if running[place]:
            last = size
            said[0] += blocks[place, 2]
    return last
