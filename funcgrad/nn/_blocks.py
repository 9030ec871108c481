"""How does attention work where all scores together are too many to store?  A block of queries at a time.

The scores of a block for all keys lie in memory of a cache's size, the softmax of its rows is exact, then comes the
block's product with the values. Reverse mode computes a block's scores again, from queries, keys and two numbers kept
for each row: its maximum and its sum of exponentials. Memory is linear in the lengths of the sequences (Rabe and Staats
2021; Dao et al. 2022, without their sums that are corrected as they go).

The primitives' operands have the axes examples B, groups of heads G, heads of a group E, positions T or S, features H.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as _np

from funcgrad import numpy as np
from funcgrad.control.bodies import placed, program_of, pushed
from funcgrad.control.checkpoint import barrier
from funcgrad.dtypes import largest
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.printer import record
from funcgrad.ir.types import ArrayType
from funcgrad.lax._control import scan
from funcgrad.lax._slicing import slice_in_dim
from funcgrad.ops.contraction import dot_general
from funcgrad.ops.families import Operation, operation, repeat, zero
from funcgrad.runtime.dispatch import jit
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, type_of
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.vjp import vjp_values

MASKED = -0.7 * largest(_np.dtype(_np.float32))  # finite: a row without any key weighs all keys alike, as in JAX
BLOCK = 1 << 22  # bytes of scores at hand: several such blocks fit into a last-level cache
ROWS = 128  # queries of a block: the library's products are at their speed, and caches hold what they write
PARTS = 8  # into which the queries are cut where later ones see more keys: 1/16 of the scores is computed in vain

SCORES = (((2,), (2,)), ((0,), (0,)))  # x yᵀ, for every head
SUMS = (((2,), (1,)), ((0,), (0,)))  # x y
TURNED = (((1,), (1,)), ((0,), (0,)))  # xᵀ y


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


class Block(NamedTuple):
    """Queries first, ..., last - 1, in blocks of `rows`, which look at keys start, ..., stop - 1."""

    first: int
    last: int
    rows: int
    start: int
    stop: int


def blocks(how: How, queries: int, keys: int, rows: int) -> list[Block]:
    """The parts of the queries, each a whole number of blocks.

    Examples
    --------
    >>> blocks(How(1.0, None, None, 0, False), 5, 7, 2)
    [Block(first=0, last=4, rows=2, start=0, stop=7), Block(first=4, last=5, rows=1, start=0, stop=7)]
    >>> [(b.first, b.stop) for b in blocks(How(1.0, None, 0, 0, False), 32, 32, 2)]
    [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 24), (24, 28), (28, 32)]
    """
    bounded = _all_see_keys(how, queries, keys)
    part = max(-(-queries // (PARTS * rows)), 1) * rows if bounded and how.bounded else queries
    found = []
    for first in range(0, queries, part):
        last = min(first + part, queries)
        start = max(0, first - how.left) if bounded and how.left is not None else 0
        stop = min(keys, last + how.right) if bounded and how.right is not None else keys
        whole = last - (last - first) % rows
        found += [Block(a, b, min(rows, b - a), start, stop) for a, b in ((first, whole), (whole, last)) if b > a]
    return found


def _all_see_keys(how: How, queries: int, keys: int) -> bool:
    """Whether every query sees a key for certain, so that those it does not see have weight 0."""
    if how.extras:
        return False
    behind = how.left is None or (how.left >= 0 and queries - 1 - how.left < keys)
    return behind and (how.right is None or how.right >= 0)


# Scores ---------------------------------------------------------------------------------------------------------------


def _scores(how: How, products: Any, extras: Sequence[Any], queries: Any, keys: Any) -> tuple[Any, Any]:
    """Scores of shape (c, E, R, S) at positions of queries and keys, and which of them count (None: all)."""
    dtype = type_of(products).dtype
    scores = products * how.scale
    if how.bias:
        scores = scores + extras[-1]
    allowed = [*extras[: how.masks]]
    if how.right is not None:
        allowed.append(keys <= queries + how.right)
    if how.left is not None:
        allowed.append(keys >= queries - how.left)
    if not allowed:
        return scores, None
    seen = functools.reduce(lambda a, b: a & b, allowed)
    return np.where(seen, scores, dtype.type(MASKED)), seen


def _plain(how: How, *operands: Any) -> Values:
    """All at once: (out, the rows' maxima, their sums)."""
    q, k, v, *extras = operands
    scores, _ = _scores(how, np.einsum("bgeth,bgsh->bgets", q, k), extras, *_positions(q, k))
    top = operation("stop_gradient")(np.max(scores, -1))
    weights = np.exp(scores - top[..., None])
    total = np.sum(weights, -1)
    return np.einsum("bgets,bgsf->bgetf", weights / total[..., None], v), top, total


def _positions(q: Any, k: Any) -> tuple[Any, Any]:
    t, s = type_of(q).shape[-2], type_of(k).shape[-2]
    return _np.arange(t, dtype=_np.int32)[:, None], _np.arange(s, dtype=_np.int32)


class Cut(NamedTuple):
    """How arrays with a leading axis of all heads' groups are cut: `size` at a time."""

    groups: int
    size: int

    @staticmethod
    def of(q: Any, k: Any) -> Cut:
        """As many groups at a time as have their scores in a block."""
        examples, groups, each, queries, _ = type_of(q).shape
        one = each * min(ROWS, queries) * type_of(k).shape[2] * type_of(k).dtype.itemsize
        n = examples * groups
        return Cut(n, max(c for c in range(1, n + 1) if n % c == 0 and (c == 1 or c * one <= BLOCK)))

    def joined(self, x: Any) -> Any:
        """An operand of (B, G, ...) with one axis for both; 1 where it is the same for all."""
        shape = type_of(x).shape
        return np.reshape(x, (shape[0] * shape[1], *shape[2:]))

    def shared(self, x: Any, full: Sequence[int]) -> Any:
        """A mask or bias with one axis for examples and groups."""
        shape = type_of(x).shape
        if shape[0] * shape[1] > 1:
            x = np.broadcast_to(x, (*full, *shape[2:]))
        return self.joined(x)

    def pieces(self, x: Any) -> Any:
        """With a leading axis along which a loop runs."""
        return np.reshape(x, (self.groups // self.size, self.size, *type_of(x).shape[1:]))

    def whole(self, x: Any) -> Any:
        """The inverse of `pieces`."""
        return np.reshape(x, (self.groups, *type_of(x).shape[2:]))

    def moves(self, x: Any) -> bool:
        """Whether groups have parts of their own."""
        return self.groups > 1 and type_of(x).shape[0] == self.groups


def _rows(x: Any, part: Block, axis: int = 2) -> Any:
    """The queries of a part, by blocks along a new leading axis."""
    shape = type_of(x).shape
    x = slice_in_dim(x, part.first, part.last, axis=axis)
    count = (part.last - part.first) // part.rows
    return np.moveaxis(np.reshape(x, (*shape[:axis], count, part.rows, *shape[axis + 1 :])), axis, 0)


def _together(x: Any) -> Any:
    """The inverse of `_rows` for one part."""
    x = np.moveaxis(x, 0, 2)
    shape = type_of(x).shape
    return np.reshape(x, (*shape[:2], shape[2] * shape[3], *shape[4:]))


def _flat(x: Any) -> Any:
    """Heads of a group one below the other: (c, E, R, ...) as (c, E R, ...)."""
    shape = type_of(x).shape
    return np.reshape(x, (shape[0], shape[1] * shape[2], *shape[3:]))


class Rows(NamedTuple):
    """What the blocks of one part have in common: the keys that they see, the operands that all of them read, which
    of the extra operands these are not, and whether every query sees a key for certain.
    """

    how: How
    part: Block
    keys: Any
    fixed: tuple[Any, ...]
    moving: tuple[bool, ...]
    certain: bool

    @staticmethod
    def of(how: How, part: Block, queries: int, k: Any, extras: Sequence[Any]) -> Rows:
        """For the operands of some groups."""
        moving = tuple(type_of(x).shape[2] == queries > 1 for x in extras)
        keys = slice_in_dim(k, part.start, part.stop, axis=1)
        fixed = tuple(x for x, m in zip(extras, moving, strict=True) if not m)
        return Rows(how, part, keys, fixed, moving, _all_see_keys(how, queries, type_of(k).shape[1]))

    def slices(self, extras: Sequence[Any]) -> tuple[Any, ...]:
        """What each block reads: where it begins, and its rows of masks and bias."""
        first = _np.arange(self.part.first, self.part.last, self.part.rows, dtype=_np.int32)
        return (first, *(_rows(x, self.part) for x, m in zip(extras, self.moving, strict=True) if m))

    def scores(self, q: Any, first: Any, moving: Sequence[Any]) -> tuple[Any, Any]:
        """A block's scores, which of them count, and the keys."""
        fixed, own = iter(self.fixed), iter(moving)
        extras = [next(own) if m else next(fixed) for m in self.moving]
        shape = type_of(q).shape
        products = dot_general(_flat(q), self.keys, dimension_numbers=SCORES)
        products = np.reshape(products, (*shape[:3], type_of(self.keys).shape[1]))
        queries = first + _np.arange(self.part.rows, dtype=_np.int32)[:, None]
        keys = _np.arange(self.part.start, self.part.stop, dtype=_np.int32)
        return _scores(self.how, products, extras, queries, keys)


# Forward --------------------------------------------------------------------------------------------------------------


def _forward(how: How, *operands: Any) -> Values:
    """(out, the rows' maxima, their sums)."""
    q, k, v, *extras = operands
    cut = Cut.of(q, k)
    examples, groups = type_of(q).shape[:2]
    flat = [cut.joined(x) for x in (q, k, v)] + [cut.shared(x, (examples, groups)) for x in extras]
    outputs = _over_groups(cut, functools.partial(_forward_groups, how), flat, ())
    return tuple(np.reshape(x, (examples, groups, *type_of(x).shape[1:])) for x in outputs)


def _over_groups(
    cut: Cut, body: Callable[..., tuple[Values, Values]], operands: Sequence[Any], sums: Sequence[ArrayType]
) -> Values:
    """``body(*operands of some groups) -> (parts of results, terms of sums)`` for all groups."""
    if cut.size == cut.groups:
        results, terms = body(*operands)
        return (*results, *terms)
    flags = [cut.moves(x) for x in operands]

    def step(carry: Values, xs: Values) -> tuple[Values, Values]:
        own, same = iter(xs), iter([x for x, f in zip(operands, flags, strict=True) if not f])
        results, terms = body(*(next(own) if f else next(same) for f in flags))
        return tuple(a + b for a, b in zip(carry, terms, strict=True)), results

    pieces = tuple(cut.pieces(x) for x, f in zip(operands, flags, strict=True) if f)
    totals, results = scan(step, tuple(map(zero, sums)), pieces)
    return (*map(cut.whole, results), *totals)


def _forward_groups(how: How, q: Any, k: Any, v: Any, *extras: Any) -> tuple[Values, Values]:
    queries, keys = type_of(q).shape[2], type_of(k).shape[1]
    found = []
    for part in blocks(how, queries, keys, min(ROWS, queries)):
        rows = Rows.of(how, part, queries, k, extras)
        values = slice_in_dim(v, part.start, part.stop, axis=1)

        def body(_: None, xs: Values, rows: Rows = rows, values: Any = values) -> tuple[None, Values]:
            first, x, *moving = xs
            scores, _ = rows.scores(barrier(x), first, moving)
            top = np.max(scores, -1)
            weights = np.exp(scores - top[..., None])
            total = np.sum(weights, -1)
            out = dot_general(_flat(weights), values, dimension_numbers=SUMS)
            out = np.reshape(out, (*type_of(total).shape, type_of(v).shape[2]))
            return None, (out / total[..., None], top, total)

        first, *moving = rows.slices(extras)
        found.append(scan(body, None, (first, _rows(q, part), *moving))[1])
    joined = tuple(np.concatenate([_together(x) for x in outputs], 2) for outputs in zip(*found, strict=True))
    return joined, ()


# Backward -------------------------------------------------------------------------------------------------------------


def _backward(how: How, *operands: Any) -> Values:
    """Cotangents of queries, keys, values and bias."""
    q, k, v = operands[:3]
    extras, rest = operands[3 : 3 + how.extras], operands[3 + how.extras :]
    cut = Cut.of(q, k)
    lead = type_of(q).shape[:2]
    shared = [cut.shared(x, lead) for x in extras]
    flat = [*map(cut.joined, (q, k, v)), *shared, *map(cut.joined, rest)]
    same = bool(how.bias) and not cut.moves(shared[-1])
    sums = [type_of(shared[-1])] if same else []

    def body(*values: Any) -> tuple[Values, Values]:
        found = _backward_groups(how, *values)
        return (found[:-1], found[-1:]) if same else (found, ())

    outputs = _over_groups(cut, body, flat, sums)
    results = [np.reshape(x, (*lead, *type_of(x).shape[1:])) for x in outputs[:3]]
    if how.bias:
        (ct,), shape = outputs[3:], type_of(extras[-1]).shape
        whole = np.reshape(ct, (*(lead if type_of(ct).shape[0] > 1 else (1, 1)), *shape[2:]))
        results.append(_summed(whole, shape))
    return tuple(results)


def _summed(x: Any, shape: Sequence[int]) -> Any:
    """Added up along the axes that have extent 1 in `shape`."""
    axes = tuple(k for k, (n, m) in enumerate(zip(type_of(x).shape, shape, strict=True)) if m == 1 < n)
    return np.sum(x, axes, keepdims=True) if axes else x


def _backward_groups(how: How, q: Any, k: Any, v: Any, *rest: Any) -> Values:
    extras, (top, total, delta, ct) = rest[: how.extras], rest[how.extras :]
    queries, keys = type_of(q).shape[2], type_of(k).shape[1]
    sums = [zero(type_of(x)) for x in (k, v)]
    bias = zero(type_of(extras[-1])) if how.bias else None
    pieces, of_bias = [], []
    for part in blocks(how, queries, keys, min(ROWS, queries)):
        rows = Rows.of(how, part, queries, k, extras)
        moves = bool(how.bias) and rows.moving[-1]
        values = slice_in_dim(v, part.start, part.stop, axis=1)
        body = functools.partial(_backward_block, rows, values, type_of(extras[-1]).shape if how.bias else ())
        first, *moving = rows.slices(extras)
        start = tuple(zero(type_of(x)) for x in (rows.keys, values))
        start += (bias,) if how.bias and not moves else ()
        given = (first, *(_rows(x, part) for x in (q, top, total, delta, ct)), *moving)
        (ct_k, ct_v, *carried), (ct_q, *stacked) = scan(body, start, given)
        pieces.append(_together(ct_q))
        sums = [_added(x, y, part, keys) for x, y in zip(sums, (ct_k, ct_v), strict=True)]
        bias = carried[0] if carried else bias
        of_bias += [_together(x) for x in stacked]
    results = (np.concatenate(pieces, 2), *sums)
    if not how.bias:
        return results
    return (*results, np.concatenate(of_bias, 2) if of_bias else bias)


def _added(x: Any, term: Any, part: Block, keys: int) -> Any:
    """`x` plus what a part of the queries adds to the keys that it sees."""
    padded = operation("pad")(
        term, type_of(term).dtype.type(0), padding_config=((0, 0, 0), (part.start, keys - part.stop, 0), (0, 0, 0))
    )
    return x + padded


def _backward_block(
    rows: Rows, values: Any, bias: Sequence[int], carry: Values, xs: Values
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    first, q, top, total, delta, ct, *moving = xs
    q = barrier(q)
    ct_k, ct_v, *of_bias = carry
    scores, seen = rows.scores(q, first, moving)
    shape = type_of(scores).shape
    weights = np.exp(scores - top[..., None]) * (1 / total)[..., None]
    ct_v = ct_v + dot_general(_flat(weights), _flat(ct), dimension_numbers=TURNED)
    ct_weights = np.reshape(dot_general(_flat(ct), values, dimension_numbers=SCORES), shape)
    ct_scores = weights * (ct_weights - delta[..., None])
    if seen is not None and not rows.certain:
        ct_scores = np.where(seen, ct_scores, type_of(scores).dtype.type(0))
    stacked: tuple[Any, ...] = ()
    if rows.how.bias:
        part = _summed(ct_scores, (shape[0] if bias[0] > 1 else bias[0], *bias[1:2], rows.part.rows, *bias[3:]))
        if rows.moving[-1]:
            stacked = (part,)
        else:
            of_bias = [of_bias[0] + _summed(part, bias)]
    scaled = _flat(ct_scores * rows.how.scale)
    ct_k = ct_k + dot_general(scaled, _flat(q), dimension_numbers=TURNED)
    ct_q = np.reshape(dot_general(scaled, rows.keys, dimension_numbers=SUMS), type_of(q).shape)
    return (ct_k, ct_v, *of_bias), (ct_q, *stacked)


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
        return [_plain(how, *values[:3], *masks, *values[3:])[0]], None

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


def _expander(function: Callable[..., Values]) -> Callable[..., Callable[..., Values]]:
    return lambda types, params: functools.partial(function, params["how"])


def _made(name: str, function: Callable[..., Values], **rules: Any) -> Operation:
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
        expand=_expander(function),
        batch=lambda *arguments: _batch(operation(name), *arguments),
        **rules,
    )


attention = _made("attention", _forward, infer=_infer_forward, jvp=_forward_jvp, vjp=_forward_vjp)
attention_backward = _made("attention_backward", _backward, infer=_infer_backward, jvp=_backward_jvp, vjp=_backward_vjp)
