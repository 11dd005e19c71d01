"""A page of HTML as blocks of running text and the elements that they stand in: one pass over its bytes.

A tree is not built, only the stack of what is open. Where a page leaves out tags or crosses them, the rules are in the
main those of libxml2's HTML parser: what a tag closes (htmlStartClose), and that an end tag closes nothing of higher
rank than its own element (htmlEndPriority). A start tag deeper than ``DEEPEST`` is left out, its text is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.compiled import kernel, part
from tasks.kernels.entities import decode
from tasks.kernels.markup import attributes, behind, behind_comment, meaning, raw_end
from tasks.kernels.runs import LEAD, SPACE, space_at
from tasks.kernels.table import BASIS, PRIME, TABLE, Bytes, Hashes, Integers, Slots, mixed
from tasks.kernels.tags import (
    ANCHOR,
    ARTICLE,
    ASIDE,
    BODY,
    BREAK,
    CLOSES,
    FRAME,
    GROUPS,
    HEAD,
    HEADISH,
    HTML,
    INLINE,
    IS,
    PARAGRAPH,
    RANK,
    RAW,
    SKIPPED,
    TITLE,
    VOID,
)  # fmt: skip

Rows = NDArray[np.int64]

DEEPEST = 512
OUT, BLOCK, PENDING, LETTERS, LINKED, WIDE, BLOCKS, ELEMENTS, DEPTH, LINKS, SKIPPING, BODIED = range(12)
"""Places in ``state``: bytes of text; where the open block begins; white space not yet written; the block's characters,
those in links, whether its script is wide; numbers of blocks, elements, open tags, links, skipped elements, bodies."""
BESIDE_WORD, WHOLE_WORD, PART_WORD, MAIN_WORD = 1, 2, 4, 8
BESIDE, MAIN = 1, 2


@part
def put(data: Bytes, at: int, kinds: Bytes, out: Bytes, state: Integers) -> Any:
    """Write the character that begins at ``at``, white space as one space; returns its bytes."""
    byte = data[at]
    width: Any = np.int64(1)
    kind = kinds[byte]
    space = kind == SPACE
    if kind == LEAD:
        wide = space_at(data, at)
        if wide > 0:
            space, width = True, np.int64(wide)
    begun = state[OUT] > state[BLOCK]
    if space:
        if begun:
            state[PENDING] = max(state[PENDING], 1)
            state[LINKED] += state[LINKS] > 0
    else:
        if byte >= 0xC0:
            width = np.int64(2 if byte < 0xE0 else (3 if byte < 0xF0 else 4))
            width = min(width, len(data) - at)
        if state[PENDING] > 0:
            out[state[OUT]] = 0x20 if state[PENDING] == 1 else 0x0A
            state[OUT] += 1
            state[LETTERS] += 1
            state[PENDING] = 0
        for step in range(width):
            out[state[OUT] + step] = data[at + step]
        state[OUT] += width
        state[LETTERS] += 1
        state[LINKED] += state[LINKS] > 0
        if width == 3:
            code = ((np.int64(byte) & 0x0F) << 12) | ((np.int64(data[at + 1]) & 0x3F) << 6) | (data[at + 2] & 0x3F)
            if 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7AF:
                state[WIDE] = 1
    return width


@part
def close_block(state: Integers, blocks: Rows, element: Any) -> None:
    """End the open block, if there is text in it: begin and end, characters, those in links, element, wide or not."""
    if state[OUT] > state[BLOCK]:
        row = blocks[state[BLOCKS]]
        row[0], row[1], row[2], row[3] = state[BLOCK], state[OUT], state[LETTERS], state[LINKED]
        row[4], row[5] = element, state[WIDE]
        state[BLOCKS] += 1
        state[BLOCK] = state[OUT]
    state[LETTERS] = state[LINKED] = state[WIDE] = state[PENDING] = 0


@kernel("void(int64[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1])")
def pop(state: Integers, stack: Rows, blocks: Rows, elements: Rows) -> None:
    """Close the innermost open tag."""
    top = stack[state[DEPTH] - 1]
    if top[1] & SKIPPED:
        state[SKIPPING] -= 1
    elif top[1] & INLINE:
        if top[1] & ANCHOR:
            state[LINKS] -= 1
    else:
        close_block(state, blocks, top[2])
        elements[top[2], 2] = state[BLOCKS]
    state[DEPTH] -= 1


@kernel("void(int64[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1], uint64, int64, int64)")
def push(state: Integers, stack: Rows, blocks: Rows, elements: Rows, hashed: Any, tag: Any, said: Any) -> None:
    """Open a tag: its hash, what it is, and its element; that of an inline tag is the one around it."""
    around = np.int64(-1)
    if state[DEPTH] > 0:
        around = stack[state[DEPTH] - 1, 2]
    if state[DEPTH] == DEEPEST:
        return
    row = stack[state[DEPTH]]
    row[0], row[1], row[2] = np.int64(hashed), tag, around
    state[DEPTH] += 1
    if tag & SKIPPED:
        state[SKIPPING] += 1
    elif tag & INLINE:
        if tag & ANCHOR:
            state[LINKS] += 1
    elif state[SKIPPING] > 0:
        row[1] = tag | INLINE  # what is inside of nothing is nothing
        row[1] &= ~np.int64(ANCHOR)
    else:
        close_block(state, blocks, around)
        row[2] = state[ELEMENTS]
        element = elements[state[ELEMENTS]]
        beside = (tag & ASIDE) != 0 or ((said & BESIDE) != 0 and (tag & FRAME) == 0)
        main = (tag & ARTICLE) != 0 or ((said & MAIN) != 0 and (tag & BODY) == 0)
        element[0], element[1], element[2] = tag, state[BLOCKS], state[BLOCKS]
        element[3] = (BESIDE if beside else 0) | (MAIN if main else 0)
        state[ELEMENTS] += 1


@kernel(
    f"void(uint8[::1], {TABLE}, int64[::1], {TABLE}, uint8[::1], {TABLE}, int64[::1], uint8[::1], "
    "int64[::1], uint8[::1], uint8[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1], int64[::1], int64[::1], "
    "uint8[::1], int64[::1])"
)
def read_page(
    data: Bytes,
    tag_slots: Slots, tag_hashes: Hashes, tag_bounds: Integers, tag_arena: Bytes, tags: Integers,
    word_slots: Slots, word_hashes: Hashes, word_bounds: Integers, word_arena: Bytes, meanings: Bytes,
    entity_slots: Slots, entity_hashes: Hashes, entity_bounds: Integers, entity_arena: Bytes,
    decoded_bounds: Integers, decoded: Bytes,
    windows: Integers, kinds: Bytes,
    out: Bytes, blocks: Rows, elements: Rows, stack: Rows, state: Integers, title: Integers,
    buffer: Bytes, found: Integers,
) -> None:  # fmt: skip
    """Fill ``out`` with text, ``blocks`` and ``elements`` with a row each (see ``close_block`` and ``push``).

    An element: what its tag is, the blocks ``[1]`` to ``[2]`` that lie in it, and BESIDE or MAIN or both. ``title``:
    where the page's title begins and ends in ``data``. ``buffer`` and ``found`` are room to work in.
    """
    at, end = 0, len(data)
    push(state, stack, blocks, elements, np.uint64(0), HTML | FRAME | 8 << RANK, 0)
    while at < end:
        byte = data[at]
        after = data[at + 1] if at + 1 < end else np.uint8(0)
        name = at + 1
        closing = byte == 0x3C and after == 0x2F
        if closing:
            name = at + 2
            after = data[at + 2] if at + 2 < end else np.uint8(0)
        letter = after | 0x20
        if byte != 0x3C or not (0x61 <= letter <= 0x7A or closing or after == 0x21 or after == 0x3F):
            # Text.
            if state[SKIPPING] > 0:
                if state[BODIED] == 0 and kinds[byte] != SPACE and stack[state[DEPTH] - 1, 1] & HEAD:
                    pop(state, stack, blocks, elements)  # text ends a head
                    continue
                at += 1
                while at < end and data[at] != 0x3C:
                    at += 1
                continue
            if state[BODIED] == 0 and kinds[byte] != SPACE:
                state[BODIED] = 1
                push(state, stack, blocks, elements, np.uint64(1), BODY | FRAME | 7 << RANK, 0)
            if byte == 0x26:
                stop = decode(
                    data, at, entity_slots, entity_hashes, entity_bounds, entity_arena, decoded_bounds, decoded,
                    buffer, found, windows,
                )  # fmt: skip
                if stop > 0:
                    place, size = 0, found[0]
                    while place < size:
                        place += put(buffer[:size], place, kinds, out, state)
                    at = stop
                    continue
            at += put(data, at, kinds, out, state)
            continue
        if not 0x61 <= letter <= 0x7A:
            at = behind_comment(data, at) if not closing else behind(data, at)
            continue
        hashed = BASIS
        stop = name
        while stop < end and data[stop] > 0x20 and data[stop] != 0x2F and data[stop] != 0x3E:
            low = data[stop]
            if 0x41 <= low <= 0x5A:
                low |= 0x20
            hashed = (hashed ^ np.uint64(low)) * PRIME
            stop += 1
        hashed = mixed(hashed)
        tag = np.int64(1 << RANK)
        slot = np.int64(hashed) & (len(tag_slots) - 1)
        while tag_slots[slot] >= 0:
            if tag_hashes[tag_slots[slot]] == hashed:
                tag = tags[tag_slots[slot]]
                break
            slot = (slot + 1) & (len(tag_slots) - 1)
        if closing:
            at = behind(data, stop)
            if tag & (BODY | HTML | VOID):
                continue
            level = state[DEPTH] - 1
            while level > 0 and np.uint64(stack[level, 0]) != hashed and stack[level, 1] >> RANK <= tag >> RANK:
                level -= 1
            if level > 0 and np.uint64(stack[level, 0]) == hashed:
                while state[DEPTH] > level:
                    pop(state, stack, blocks, elements)
            elif tag & PARAGRAPH and state[SKIPPING] == 0:
                close_block(state, blocks, stack[state[DEPTH] - 1, 2])
            continue
        at = attributes(data, stop, found)
        if tag & HTML:
            continue
        if state[BODIED] == 0:
            if stack[state[DEPTH] - 1, 1] & HEAD and not tag & HEADISH:
                pop(state, stack, blocks, elements)
            if not tag & (HEADISH | HEAD | BODY) and state[SKIPPING] == 0:
                state[BODIED] = 1
                push(state, stack, blocks, elements, np.uint64(1), BODY | FRAME | 7 << RANK, 0)
        if (tag & HEAD and (state[BODIED] or state[SKIPPING])) or (tag & BODY and (state[BODIED] or state[SKIPPING])):
            continue
        if tag & BODY:
            state[BODIED] = 1
        if tag & RAW:
            stop = raw_end(data, at, name, stop - name)
            if tag & TITLE and title[1] == 0 and (state[SKIPPING] == 0 or stack[state[DEPTH] - 1, 1] & HEAD):
                title[0], title[1] = at, stop
            at = behind(data, stop)
            continue
        while state[DEPTH] > 1 and ((tag >> CLOSES) & (stack[state[DEPTH] - 1, 1] >> IS) & GROUPS):
            pop(state, stack, blocks, elements)
        if tag & BREAK:
            if state[SKIPPING] == 0 and state[OUT] > state[BLOCK]:
                state[PENDING] = 2
            continue
        if tag & (VOID | SKIPPED) == VOID | SKIPPED or (tag & VOID and tag & INLINE):
            continue
        said = 0
        if not tag & (INLINE | SKIPPED) and state[SKIPPING] == 0:
            words = 0
            for which in (0, 2):
                if found[which + 1] > found[which]:
                    words |= meaning(
                        data, found[which], found[which + 1], word_slots, word_hashes, word_bounds, word_arena, meanings
                    )
            said = BESIDE if words & BESIDE_WORD else 0
            if words & MAIN_WORD or (words & WHOLE_WORD and words & PART_WORD):
                said |= MAIN
        single = found[4] != 0 or (tag & VOID) != 0
        depth = state[DEPTH]
        push(state, stack, blocks, elements, hashed, tag, said)
        if single and state[DEPTH] > depth:
            pop(state, stack, blocks, elements)
    while state[DEPTH] > 0:
        pop(state, stack, blocks, elements)
