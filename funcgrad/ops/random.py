"""Where do random bits come from?  The block cipher threefry2x32, of 20 rounds, on elements.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ops.families import elementwise
from funcgrad.quiet import quiet

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # of the rounds, in turns of four
PARITY = 0x1BD11BDA  # exclusive or with both words of the key gives the third one
UINT32, UINT64 = np.dtype(np.uint32), np.dtype(np.uint64)


def _threefry2x32(key_0: Any, key_1: Any, count_0: Any, count_1: Any) -> Any:
    keys = [np.asarray(key_0, UINT32), np.asarray(key_1, UINT32)]
    keys.append(keys[0] ^ keys[1] ^ UINT32.type(PARITY))
    with quiet():  # of single numbers
        x, y = count_0 + keys[0], count_1 + keys[1]
        for turn in range(5):
            for distance in ROTATIONS[turn % 2]:
                x = x + y
                y = x ^ ((y << UINT32.type(distance)) | (y >> UINT32.type(32 - distance)))
            x, y = x + keys[(turn + 1) % 3], y + (keys[(turn + 2) % 3] + UINT32.type(turn + 1))
    return (np.asarray(x).astype(UINT64) << UINT64.type(32)) | y


def _threefry2x32_scalar(emit: Any, dtype: str, key_0: Any, key_1: Any, count_0: Any, count_1: Any) -> Any:
    def number(value: int) -> Any:
        return emit.constant(value, "u4")

    # LLVM's strength reduction would look for sums of a loop's counter in all rounds: 20 times the compile time
    count_1 = emit("and", count_1, emit.cast(emit.size(0xFFFFFFFF), "u4"))
    keys = (key_0, key_1, emit("xor", emit("xor", key_0, key_1), number(PARITY)))
    x, y = emit("add", count_0, key_0), emit("add", count_1, key_1)
    for turn in range(5):
        for distance in ROTATIONS[turn % 2]:
            x = emit("add", x, y)
            rotated = emit("or", emit("shl", y, number(distance)), emit("shr", y, number(32 - distance)))
            y = emit("xor", x, rotated)
        x = emit("add", x, keys[(turn + 1) % 3])
        y = emit("add", y, emit("add", keys[(turn + 2) % 3], number(turn + 1)))
    high = emit("shl", emit.cast(x, "u8"), emit.constant(32, "u8"))
    return emit("or", high, emit.cast(y, "u8"))


# Two words of a key and two of a count, each of 32 bits, to the two words of the result, the first one in the upper
# half of 64 bits: one number, so that it fuses as any operation on elements does.
threefry2x32 = elementwise(
    "threefry2x32",
    _threefry2x32,
    frozenset({UINT32}),
    None,
    _threefry2x32_scalar,
    result=lambda dtype: UINT64,
    operands=4,
)
