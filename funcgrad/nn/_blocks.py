"""How does attention work where all scores together are too many to store?  Reverse mode computes them again.

What is kept are two numbers for each row of scores: its maximum and its sum of exponentials (Rabe and Staats 2021; Dao
et al. 2022). That the scores of few rows at a time are at hand is the work of kernels (`compile.native.attention`)
where the CPU has fast products of small matrices, and nothing but positions says which keys are seen; else it is
lowering's (`lower.tiling`). For that, the queries are cut into parts, each with the keys that some of its queries see.

The primitives' operands have the axes examples B, groups of heads G, heads of a group E, positions T or S, features H.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad.compile import native
from funcgrad.control.bodies import placed, program_of, pushed
from funcgrad.dtypes import largest
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.printer import record
from funcgrad.ir.types import ArrayType
from funcgrad.lax._slicing import dynamic_update_slice_in_dim, slice_in_dim
from funcgrad.ops.attention import attend, attend_backward
from funcgrad.ops.families import Operation, operation, repeat, zero
from funcgrad.ops.shape import counted
from funcgrad.runtime.dispatch import jit
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, type_of
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.vjp import vjp_values

MASKED = -0.7 * largest(_np.dtype(_np.float32))  # finite: a row without any key weighs all keys alike, as in JAX
RUNS, KEYS = (
    8,
    256,
)  # of keys, whose gradients threads can share (those of groups are others): at most, and how long at least
PARTS = 8  # into which the queries are cut where later ones see more keys: 1/16 of the scores is computed in vain


@record
class How(NamedTuple):
    """What the scores are: `scale` times the products; query t sees keys t - left, ..., t + right at most (None: no
    bound); behind queries, keys and values stand so many masks, then the bias, if there is one.
    """

    scale: float
    left: int | None
    right: int | None
    masks: int
    bias: bool

    @property
    def extras(self) -> int:
        """Operands behind the values."""
        return self.masks + self.bias

    @property
    def bounded(self) -> bool:
        """Whether positions say which keys are seen."""
        return self.left is not None or self.right is not None


class Part(NamedTuple):
    """Queries first, ..., last - 1, which look at keys start, ..., stop - 1."""

    first: int
    last: int
    start: int
    stop: int


def parts(how: How, queries: int, keys: int) -> list[Part]:
    """The queries, cut where this leaves keys out.

    Examples
    --------
    >>> parts(How(1.0, None, None, 0, False), 5, 7)
    [Part(first=0, last=5, start=0, stop=7)]
    >>> [(p.first, p.stop) for p in parts(How(1.0, None, 0, 0, False), 32, 32)]
    [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 24), (24, 28), (28, 32)]
    """
    if not how.bounded or not _all_see_keys(how, queries, keys):
        return [Part(0, queries, 0, keys)]
    step = max(-(-queries // PARTS), 1)
    found = []
    for first in range(0, queries, step):
        last = min(first + step, queries)
        start = 0 if how.left is None else max(0, first - how.left)
        found.append(Part(first, last, start, keys if how.right is None else min(keys, last + how.right)))
    return found


def _all_see_keys(how: How, queries: int, keys: int) -> bool:
    """Whether every query sees a key for certain, so that those it does not see have weight 0."""
    if how.extras:
        return False
    behind = how.left is None or (how.left >= 0 and queries - 1 - how.left < keys)
    return behind and (how.right is None or how.right >= 0)


# What is computed -----------------------------------------------------------------------------------------------------


def _scores(how: How, part: Part, q: Any, k: Any, extras: Sequence[Any]) -> tuple[Any, Any]:
    """The scores of a part, (B, G, E, T, S), and which of them count (None: all)."""
    scores = np.einsum("bgeth,bgsh->bgets", q, k) * how.scale
    if how.bias:
        scores = scores + extras[-1]
    allowed = [*extras[: how.masks]]
    if how.bounded:
        queries, keys = (counted(_np.dtype(_np.int32), (n,)) for n in type_of(scores).shape[3:])
        behind = (queries + (part.first - part.start))[:, None] - keys
        if how.right is not None:
            allowed.append(behind >= -how.right)
        if how.left is not None:
            allowed.append(behind <= how.left)
    if not allowed:
        return scores, None
    seen = functools.reduce(lambda a, b: a & b, allowed)
    return np.where(seen, scores, type_of(scores).dtype.type(MASKED)), seen


def _forward(how: How, q: Any, k: Any, v: Any, *extras: Any) -> Values:
    """(out, the rows' maxima, their sums)."""
    found = []
    for part in parts(how, type_of(q).shape[3], type_of(k).shape[2]):
        rows, keys, values = _of_part(part, (q,), (k, v))
        scores, _ = _scores(how, part, rows, keys, extras)
        top = operation("stop_gradient")(np.max(scores, -1))
        weights = np.exp(scores - top[..., None])
        total = np.sum(weights, -1)
        found.append((np.einsum("bgets,bgsf->bgetf", weights, values) / total[..., None], top, total))
    return tuple(_together(x) for x in zip(*found, strict=True))


def _of_part(part: Part, rows: Sequence[Any], keys: Sequence[Any]) -> list[Any]:
    """The queries of operands with an axis of queries, the keys of those with one of keys."""
    of_rows = [slice_in_dim(x, part.first, part.last, axis=3) for x in rows]
    return of_rows + [slice_in_dim(x, part.start, part.stop, axis=2) for x in keys]


def _together(pieces: Sequence[Any]) -> Any:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, 3)


def _backward(how: How, *operands: Any) -> Values:
    """Cotangents of queries, keys, values and bias."""
    q, k, v = operands[:3]
    extras, rest = operands[3 : 3 + how.extras], operands[3 + how.extras :]
    queries, keys = type_of(q).shape[3], type_of(k).shape[2]
    certain = _all_see_keys(how, queries, keys)
    pieces, of_bias, sums = [], list[Any](), [zero(type_of(x)) for x in (k, v)]
    for part in parts(how, queries, keys):
        *rows, part_k, part_v = _of_part(part, (q, *rest), (k, v))
        ct_q, *terms, of_bias = _backward_part(how, part, certain, part_k, part_v, extras, *rows)
        pieces.append(ct_q)
        sums = [_added(x, term, part) for x, term in zip(sums, terms, strict=True)]
    return (_together(pieces), *sums, *of_bias)


def _backward_part(
    how: How, part: Part, certain: bool, k: Any, v: Any, extras: Sequence[Any], *rows: Any
) -> tuple[Any, Any, Any, list[Any]]:
    q, top, total, delta, ct = rows
    scores, seen = _scores(how, part, q, k, extras)
    weights = np.exp(scores - top[..., None]) * (1 / total)[..., None]
    ct_scores = weights * (np.einsum("bgetf,bgsf->bgets", ct, v) - delta[..., None])
    if seen is not None and not certain:
        ct_scores = np.where(seen, ct_scores, type_of(scores).dtype.type(0))
    scaled = ct_scores * how.scale
    ct_q = np.einsum("bgets,bgsh->bgeth", scaled, k)
    ct_k = np.einsum("bgets,bgeth->bgsh", scaled, q)
    ct_v = np.einsum("bgets,bgetf->bgsf", weights, ct)
    of_bias = [_summed(ct_scores, type_of(extras[-1]).shape)] if how.bias else []
    return ct_q, ct_k, ct_v, of_bias


def _summed(x: Any, shape: Sequence[int]) -> Any:
    """Added up along the axes that have extent 1 in `shape`."""
    axes = tuple(k for k, (n, m) in enumerate(zip(type_of(x).shape, shape, strict=True)) if m == 1 < n)
    return np.sum(x, axes, keepdims=True) if axes else x


def _added(x: Any, term: Any, part: Part) -> Any:
    """`x` with what a part adds to the keys that it sees."""
    return dynamic_update_slice_in_dim(x, slice_in_dim(x, part.start, part.stop, axis=2) + term, part.start, 2)


# Where small products are fast ----------------------------------------------------------------------------------------


def _in_tiles(how: How, q: ArrayType, k: ArrayType) -> bool:
    """Whether kernels of their own go over the scores."""
    if how.extras or not (0 not in (*q.shape, *k.shape) and native.multiplies_in_tiles()):
        return False
    return q.dtype.char in "fd" and (not how.bounded or _all_see_keys(how, q.shape[3], k.shape[2]))


def _forward_in_tiles(how: How, q: Any, k: Any, v: Any) -> Values:
    """As `_forward`."""
    shape = type_of(q).shape
    out, top, total = attend(*_grouped(how, q, k, v), left=how.left, right=how.right)
    return np.reshape(out, (*shape[:-1], type_of(v).shape[-1])), *(np.reshape(x, shape[:-1]) for x in (top, total))


def _grouped(how: How, q: Any, k: Any, v: Any) -> list[Any]:
    """Examples are more groups; the queries are scaled."""
    return [_merged(q * type_of(q).dtype.type(how.scale)), _merged(k), _merged(v)]


def _merged(x: Any) -> Any:
    shape = type_of(x).shape
    return np.reshape(x, (shape[0] * shape[1], *shape[2:]))


def _backward_in_tiles(how: How, q: Any, k: Any, v: Any, *rest: Any) -> Values:
    """As `_backward`."""
    (examples, groups, *_), keys, dtype = type_of(q).shape, type_of(k).shape[2], type_of(q).dtype
    runs = max(1, min(-(-RUNS // (examples * groups)), keys // KEYS))
    operands = [*_grouped(how, q, k, v), *map(_merged, rest)]
    parts, ct_k, ct_v = attend_backward(*operands, left=how.left, right=how.right, runs=runs)
    ct_q = np.sum(parts, 0) * dtype.type(how.scale)
    return tuple(np.reshape(x, type_of(y).shape) for x, y in zip((ct_q, ct_k, ct_v), (q, k, v), strict=True))


# The primitives -------------------------------------------------------------------------------------------------------


def _infer_forward(*types: ArrayType, how: How) -> tuple[ArrayType, ...]:
    q, _, v = types[:3]
    rows = ArrayType(q.shape[:-1], q.dtype)
    return (ArrayType((*q.shape[:-1], v.shape[-1]), q.dtype), rows, rows)


def _infer_backward(*types: ArrayType, how: How) -> tuple[ArrayType, ...]:
    kept = (*types[:3], *types[2 + how.extras : 3 + how.extras]) if how.bias else types[:3]
    return tuple(ArrayType(t.shape, t.dtype) for t in kept)


def _forward_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    """The blocks' own: one program computes values and tangents."""
    program = program_of(functools.partial(_forward, params["how"]), [_strong(x) for x in inputs])
    moving = tuple(t is not None for t in tangents)
    outputs = evaluate(pushed(program, moving), [*inputs, *(t for t in tangents if t is not None)], bind)
    return tuple(outputs[:3]), (outputs[3], None, None)


def _strong(x: Any) -> ArrayType:
    t = type_of(x)
    return ArrayType(t.shape, t.dtype)


def _forward_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    out, top, total = bind(attention, *inputs, **params)
    how = params["how"]

    def pullback(cotangents: Values) -> Values:
        ct = cotangents[0]
        if ct is None:
            return (None,) * len(inputs)
        delta = np.sum(ct * out, -1)
        found = bind(attention_backward, *inputs, top, total, delta, ct, how=how)
        full = [*found[:3], *(None,) * how.masks, *found[3:]]
        return tuple(x if w else None for x, w in zip(full, wanted, strict=True))

    return (out, top, total), pullback


def _pulled(how: How, *operands: Any) -> list[Any]:
    """What the backward primitive computes, as a function of queries, keys, values, bias and the cotangent alone."""
    *inputs, ct = operands
    masks = inputs[3 : 3 + how.masks]
    smooth = [*inputs[:3], *inputs[3 + how.masks :]]

    def function(*values: Any) -> tuple[list[Any], None]:
        return [_forward(how, *values[:3], *masks, *values[3:])[0]], None

    return vjp_values(function, smooth)[2]([ct])


def _own(values: Sequence[Any]) -> list[Any]:
    """Without what follows from the others: maxima, sums, and their products with cotangents."""
    return [*values[:-4], values[-1]]


def _backward_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    outputs, moved = jvp_values(functools.partial(_pulled, params["how"]), _own(inputs), _own(tangents))
    return tuple(outputs), tuple(moved)


def _backward_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    own, flags = _own(inputs), _own(wanted)

    def function(*values: Any) -> tuple[list[Any], None]:
        rest = iter(values)
        return _pulled(params["how"], *(next(rest) if w else x for x, w in zip(own, flags, strict=True))), None

    outputs, _, pull = vjp_values(function, [x for x, w in zip(own, flags, strict=True) if w])

    def pullback(cotangents: Values) -> Values:
        found = placed(pull(cotangents), flags)
        return (*found[:-1], None, None, None, found[-1])

    return tuple(outputs), pullback


def _batch(
    primitive: Operation, size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
) -> tuple[Values, tuple[bool, ...]]:
    """Examples of a batch are more examples."""
    how = params["how"]
    examples = type_of(inputs[0]).shape[1 if batched[0] else 0]
    backward = primitive is attention_backward
    operands = []
    for number, (x, b) in enumerate(zip(inputs, batched, strict=True)):
        shared = 3 <= number < 3 + how.extras - (backward and how.bias)
        if shared and not b and type_of(x).shape[0] == 1:
            operands.append(x)
            continue
        x = x if b else repeat(x, size)
        shape = type_of(x).shape
        x = np.broadcast_to(x, (size, examples, *shape[2:]))
        operands.append(np.reshape(x, (size * examples, *shape[2:])))
    outputs = bind(primitive, *operands, **params)
    results = [np.reshape(x, (size, examples, *type_of(x).shape[1:])) for x in outputs]
    if backward and how.bias:
        place = 2 + how.extras
        results[3] = _summed(results[3], (size, *type_of(inputs[place]).shape[1 if batched[place] else 0 :]))
    return tuple(results), (True,) * len(results)


def _expander(*ways: Callable[..., Values]) -> Callable[..., Callable[..., Values]]:
    """`ways`: in slices, and in tiles."""
    return lambda types, params: functools.partial(ways[_in_tiles(params["how"], *types[:2])], params["how"])


def _made(name: str, function: Callable[..., Values], in_tiles: Callable[..., Values], **rules: Any) -> Operation:
    """A primitive that kernels see as `function`; known arrays go through a compiled call of it too."""

    def run(*operands: Any, how: How) -> Values:
        return tuple(function(how, *operands))

    compiled = jit(run, static_argnames="how")
    return Operation(
        name=name,
        family="structured",
        reference=run,
        multiple=True,
        evaluate=lambda *operands, how: compiled(*operands, how=how),
        expand=_expander(function, in_tiles),
        batch=lambda *arguments: _batch(operation(name), *arguments),
        **rules,
    )


attention = _made("attention", _forward, _forward_in_tiles, infer=_infer_forward, jvp=_forward_jvp, vjp=_forward_vjp)
attention_backward = _made(
    *("attention_backward", _backward, _backward_in_tiles), infer=_infer_backward, jvp=_backward_jvp, vjp=_backward_vjp
)
