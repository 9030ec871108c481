"""How is attention cut into pieces that threads can share?  By blocks of queries, and by runs of keys, as sizes say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import WRITERS, Call
from funcgrad.lower.schedule import KernelStep

ROWS, COLUMNS = 64, 384  # queries and keys of a block: 0.8 MB with all that a backward pass reads of them
TOGETHER = 8  # blocks of queries that use the same panels of keys
MOST_PIECES = 16
LINE = 64  # bytes; parts of the room of a piece begin at multiples


@dataclass(frozen=True, slots=True)
class Attention(Call):
    """A pass over the scores.

    Attributes
    ----------
    units, chunk
        How many there are of each head or group, of queries or runs of keys; how many of all make a piece.
    total
        Those of all heads or groups.
    span
        The queries of a unit of the forward pass.
    room
        What pieces need for themselves, `each` elements.
    """

    units: int
    total: int
    chunk: int
    span: int
    each: int
    room: Var

    @property
    def buffers(self) -> tuple[Var, ...]:
        """The buffers that the step reads and writes."""
        return (*(a for a in self.inputs if isinstance(a, Var)), *self.equation.outputs, self.room)

    @property
    def backward(self) -> bool:
        """Whether gradients are computed."""
        return self.equation.primitive.name == "attend_backward"

    @property
    def flops(self) -> int:
        """Additions and multiplications of products, of scores that are seen."""
        q, k, v = (a.type.shape for a in self.equation.inputs[:3])
        left, right = (self.equation.params[side] for side in ("left", "right"))
        t = np.arange(q[2])
        last = np.full_like(t, k[1]) if right is None else np.clip(t + right + 1, 0, k[1])
        first = np.zeros_like(t) if left is None else np.clip(t - left, 0, k[1])
        seen = int(np.maximum(last - first, 0).sum()) * q[0] * q[1]
        return 2 * seen * (3 * q[3] + 2 * v[2] if self.backward else q[3] + v[2])


def passes(call: Call) -> Sequence[KernelStep | Call] | None:
    """The step of a pass over scores, with the room that it needs."""
    if any(not isinstance(a, Var) for a in call.inputs):
        return None
    equation = call.equation
    q, _, v = (a.type for a in equation.inputs[:3])
    groups, heads, queries, features = q.shape
    backward = equation.primitive.name == "attend_backward"
    blocks = -(-queries // ROWS)
    span = ROWS * max(1, min(TOGETHER, groups * heads * blocks // MOST_PIECES))
    units = equation.params["runs"] if backward else -(-queries // span)
    total = groups * units * (1 if backward else heads)
    chunk = -(-total // MOST_PIECES)
    each = _room(features, v.shape[-1], q.dtype.itemsize, None if backward else span)
    room = Var(ArrayType((each * -(-total // chunk),), q.dtype))
    return [Attention(equation, call.inputs, call.status, units, total, chunk, span, each, room)]


def _room(features: int, values: int, itemsize: int, span: int | None) -> int:
    """The elements that one piece needs: scores and panels of keys; then as much again for cotangents of the scores and
    panels of values, or (with `span`) the results of so many rows, their largest scores and sums.
    """
    line = LINE // itemsize
    scores = ROWS * (COLUMNS + line)
    if span is None:
        return 2 * scores + COLUMNS * (features + values)
    return scores + COLUMNS * features + span * (-(-values // line) * line + 2 * line)


WRITERS["attend"] = WRITERS["attend_backward"] = passes
