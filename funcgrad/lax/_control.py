"""How does a user write loops that run as native code?  JAX's `scan`, `while_loop`, `fori_loop` and `map`.

The functions given are traced once; what they use from outside is handed to the loop. In a program each is one
equation (see `funcgrad.control`), which works on flat lists of arrays: here the pytrees are taken apart and put
together again.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.control import revolve
from funcgrad.control.bodies import in_front, program_of, strong
from funcgrad.control.checkpoint import checkpoint as checkpoint_p
from funcgrad.control.scan import scan as scan_p
from funcgrad.control.while_loop import while_ as while_p
from funcgrad.errors import TracerIntegerConversionError, at_line
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.lax import _in_python
from funcgrad.lax._arguments import converted
from funcgrad.lax._bodies import Body, body_of, leaves_of, operands_of, settled_carry, shown, title
from funcgrad.ops.families import operation
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.vmap import vmap_values

__all__ = ["fori_loop", "map", "scan", "while_loop"]
INT64 = np.dtype(np.int64)
BINOMIAL = "binomial"
LONG = 1 << 20  # iterations from which on `fori_loop` counts in the carry, where there is no array of numbers
UNCOUNTED = 32  # carries that a loop of unknown length keeps: 400,000 iterations are run five times, 2**31 eleven times


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    *,
    checkpoint: int | str | None = None,
) -> tuple[Any, Any]:
    """A loop that carries a state along the leading axis of arrays, as native code.

    Parameters
    ----------
    f
        ``f(carry, x) -> (carry, y)``: one iteration. The carry keeps its structure, shapes and dtypes.
    init
        The first carry: a pytree of arrays.
    xs
        A pytree of arrays of equal leading extent, of which each iteration gets one slice; None: no slices.
    length
        The number of iterations; needed where there are no `xs`.
    reverse
        Whether to go from the last slice to the first; `ys` are stacked in the order of `xs` all the same.
    unroll, _split_transpose
        Accepted as JAX does, and without effect: the loop is native code, there is no call to save.
    checkpoint
        What reverse mode keeps, for a loop of n iterations. None: what it reads of each of them. A number k: the carry
        of every k-th, so that memory is that of n / k carries and k iterations, and each iteration is run once more;
        ``"sqrt"`` takes k = √n. ``"binomial"``: about log₂ n carries in all, each iteration is run a few times more
        (five for n = 10,000; Griewank & Walther 2000).

    Returns
    -------
    tuple
        The last carry, and the pytree of the iterations' `y`, stacked along a new leading axis.

    Raises
    ------
    TypeError
        The carry changes its structure, a shape or a dtype.
    ValueError
        Leading extents differ, there is neither `xs` nor `length`, or `unroll` or `checkpoint` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> fg.lax.scan(lambda total, x: (total + x, total), 0.0, np.arange(4.0))
    (Array(6.), Array([0., 0., 1., 3.]))
    """
    if not isinstance(unroll, (int, np.integer)) or unroll < 0:
        raise ValueError(f"scan: unroll must be a bool or a non-negative integer, not {unroll!r}{at_line()}")
    init_leaves, init_structure, init_types = leaves_of("scan: init", init)
    x_leaves, _, x_types = leaves_of("scan: xs", xs)
    count = _length(x_types, length)
    if count and _in_python.wanted():
        return _in_python.scan(f, init, xs, count, reverse)
    slices = [ArrayType(t.shape[1:], t.dtype) for t in x_types]
    structure = tree.structure((init, xs))

    def traced(types: Sequence[ArrayType]) -> tuple[Body, Sequence[ArrayType], tree.TreeDef]:
        body = body_of("scan", f, structure, [*types, *slices])
        children = body.structure.children()
        if body.structure.type not in (tuple, list) or len(children) != 2:
            raise TypeError(f"scan: {title(f)} must return a pair (carry, y), not {body.structure}{at_line()}")
        n = children[0].num_leaves
        return body, body.program.output_types[:n], children[0]

    body, types = settled_carry("scan", traced, init_structure, init_types)
    n = len(types)
    params: dict[str, Any] = {
        "program": body.program,
        "consts": len(body.captured),
        "carry": n,
        "length": count,
        "reverse": bool(reverse),
    }
    operands = (*body.captured, *operands_of(init_leaves, types), *operands_of(x_leaves, x_types))
    kept = _kept("scan", checkpoint, count)
    if kept == BINOMIAL:
        outputs = bind(scan_p, *operands, **params, snapshots=revolve.enough(count))
    elif isinstance(kept, int) and kept < count:
        outputs = _segmented(operands, params, kept)
    else:
        outputs = bind(scan_p, *operands, **params)
    y_structure = body.structure.children()[1]
    return tree.unflatten(init_structure, outputs[:n]), tree.unflatten(y_structure, outputs[n:])


def _kept(name: str, checkpoint: Any, count: int) -> int | str | None:
    """The argument `checkpoint`: None, the length of a segment, or `BINOMIAL`."""
    if checkpoint is None or checkpoint == BINOMIAL:
        return None if checkpoint is None else BINOMIAL
    if checkpoint == "sqrt":
        return max(1, math.isqrt(count))
    try:
        found = operator.index(checkpoint)
    except TypeError:
        found = 0
    if found < 1 or isinstance(checkpoint, bool):
        raise ValueError(
            f'{name}: checkpoint must be None, a number of iterations, "sqrt" or "binomial", '
            f"not {checkpoint!r}{at_line()}"
        )
    return found


def _segmented(operands: Sequence[Any], params: dict[str, Any], size: int) -> tuple[Any, ...]:
    """A scan whose iterations are grouped by `size`; reverse mode keeps what a group starts from."""
    consts, carry, length = params["consts"], params["carry"], params["length"]
    whole, first = length - length % size, consts + carry
    program: Program = params["program"]
    rest = {"consts": consts, "carry": carry, "reverse": params["reverse"]}
    slices = in_front(program.input_types[first:], size)

    def group(*values: Any) -> tuple[Any, ...]:
        return bind(scan_p, *values, program=program, length=size, **rest)

    inner = program_of(group, [*strong(program.input_types[:first]), *slices])

    def again(*values: Any) -> tuple[Any, ...]:
        return bind(checkpoint_p, *values, program=inner, policy=None, prevent_cse=False)

    outer = program_of(again, inner.input_types)

    def grouped(state: Sequence[Any]) -> tuple[Any, ...]:
        xs = [_reshaped(_sliced(x, 0, whole), whole // size, size) for x in operands[first:]]
        found = bind(scan_p, *operands[:consts], *state, *xs, program=outer, length=whole // size, **rest)
        return (*found[:carry], *(_reshaped(y, whole, keep=2) for y in found[carry:]))

    def left_over(state: Sequence[Any]) -> tuple[Any, ...]:
        xs = [_sliced(x, whole, length) for x in operands[first:]]
        return bind(scan_p, *operands[:consts], *state, *xs, program=program, length=length - whole, **rest)

    if whole == length:
        return grouped(operands[consts:first])
    parts: list[tuple[Any, ...]] = []
    state = operands[consts:first]
    for run in (left_over, grouped) if params["reverse"] else (grouped, left_over):
        parts.append(run(state))
        state = parts[-1][:carry]
    one, two = reversed(parts) if params["reverse"] else parts
    join = operation("concatenate")
    return (*state, *(join(a, b, dimension=0) for a, b in zip(one[carry:], two[carry:], strict=True)))


def _length(types: Sequence[ArrayType], length: Any) -> int:
    """The number of iterations."""
    if any(not t.shape for t in types):
        raise ValueError(f"scan: every leaf of xs needs a leading axis, but one is a scalar{at_line()}")
    extents = {t.shape[0] for t in types}
    if length is not None:
        extents.add(_known_integer("scan: length", length))
    if not extents:
        raise ValueError(f"scan: without xs, the number of iterations is needed: length=...{at_line()}")
    if len(extents) > 1:
        raise ValueError(f"scan: leading extents of xs (and length) differ: {sorted(extents)}{at_line()}")
    return extents.pop()


def _known_integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TracerIntegerConversionError:
        raise
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}{at_line()}") from None


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    *,
    checkpoint: str | None = None,
) -> Any:
    """Repeat ``val = body_fun(val)`` as long as ``cond_fun(val)``, as native code.

    Unlike in JAX, it can be differentiated in reverse mode: the pullback runs the loop again and keeps the values of
    every iteration. Under `vmap` each example stops at its own count.

    Parameters
    ----------
    cond_fun
        Gives a boolean scalar.
    body_fun
        Gives a value of the structure, shapes and dtypes of its argument.
    init_val
        The first value: a pytree of arrays.
    checkpoint
        What reverse mode keeps. None: the values of every iteration. ``"binomial"``: those of 32 iterations, however
        many there are; the loop is run a few times more (Griewank & Walther 2000).

    Returns
    -------
    pytree of Array
        The last value: the structure, shapes and dtypes of `init_val`.

    Raises
    ------
    TypeError
        The condition is not a boolean scalar, or the value changes its structure, a shape or a dtype.
    ValueError
        `checkpoint` is something else.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.lax.while_loop(lambda x: x < 100, lambda x: x * 3, 1)
    Array(243)
    """
    leaves, structure, types = leaves_of("while_loop: init_val", init_val)
    if _in_python.wanted(init_val):
        return _in_python.while_loop(cond_fun, body_fun, init_val)
    argument = tree.structure((init_val,))

    def traced(types: Sequence[ArrayType]) -> tuple[Body, Sequence[ArrayType], tree.TreeDef]:
        body = body_of("while_loop", body_fun, argument, types)
        return body, body.program.output_types, body.structure

    body, types = settled_carry("while_loop", traced, structure, types)
    test = body_of("while_loop", cond_fun, argument, types)
    if not test.structure.is_leaf() or [(t.shape, t.dtype) for t in test.program.output_types] != [
        ((), np.dtype(np.bool_))
    ]:
        found = shown(test.structure, test.program.output_types)
        raise TypeError(f"while_loop: {title(cond_fun)} must return a boolean scalar, not {found}{at_line()}")
    if checkpoint not in (None, BINOMIAL):
        raise ValueError(f'while_loop: checkpoint must be None or "binomial", not {checkpoint!r}{at_line()}')
    outputs = bind(
        while_p,
        *test.captured,
        *body.captured,
        *operands_of(leaves, types),
        cond=test.program,
        body=body.program,
        cond_consts=len(test.captured),
        body_consts=len(body.captured),
        **({"snapshots": UNCOUNTED} if checkpoint else {}),
    )
    return tree.unflatten(structure, outputs)


def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: Any = None,
    checkpoint: int | str | None = None,
) -> Any:
    """``for i in range(lower, upper): val = body_fun(i, val)``, as native code.

    With known bounds it is a `scan`; with traced ones a `while_loop`. Both can be differentiated.

    Parameters
    ----------
    lower, upper
        Integers, known or traced.
    body_fun
        ``body_fun(i, val) -> val``.
    init_val
        The first value: a pytree of arrays.
    unroll
        Accepted as JAX does, and without effect.
    checkpoint
        As in `scan`; with traced bounds, as in `while_loop`.

    Returns
    -------
    pytree of Array
        The last value: the structure, shapes and dtypes of `init_val`.

    Raises
    ------
    TypeError
        A bound is no integer scalar.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.lax.fori_loop(0, 5, lambda i, total: total + i, 0)
    Array(10)
    """
    kinds = [type_of(lower), type_of(upper)]
    for name, kind in zip(("lower", "upper"), kinds, strict=True):
        if kind.shape or kind.dtype.kind not in "iu":
            raise TypeError(f"fori_loop: {name} must be an integer scalar, not {kind}{at_line()}")
    dtype = np.result_type(*(0 if t.weak else t.dtype for t in kinds))
    dtype = dtype if dtype.kind in "iu" else INT64  # of int64 and uint64, NumPy makes float64
    known = type(lower) is not Tracer and type(upper) is not Tracer
    count = max(0, int(upper) - int(lower)) if known else 0
    if known and count <= LONG:
        numbers = np.arange(int(lower), int(lower) + count).astype(dtype)
        return scan(lambda val, i: (body_fun(i, val), None), init_val, numbers, checkpoint=checkpoint)[0]

    def body(state: Any) -> Any:
        i, val = state
        return i + 1, body_fun(i, val)

    start = converted(lower, dtype)
    if known:
        return scan(lambda c, _: (body(c), None), (start, init_val), length=count, checkpoint=checkpoint)[0][1]
    end = converted(upper, dtype)
    return while_loop(lambda state: state[0] < end, body, (start, init_val), checkpoint=checkpoint)[1]  # type: ignore[arg-type]


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """``f`` of each slice along the leading axis, one after the other, the results stacked.

    With `batch_size`, so many slices at a time are computed together (by `vmap`), and those left over likewise;
    0 is as good as None.

    Returns
    -------
    pytree of Array
        The results of `f`, stacked along a new leading axis.

    Raises
    ------
    ValueError
        `batch_size` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> fg.lax.map(lambda x: x * x, np.arange(3.0))
    Array([0., 1., 4.])
    """
    if batch_size is not None and batch_size < 0:
        raise ValueError(f"map: batch_size must not be negative, but is {batch_size}{at_line()}")
    if not batch_size:
        return scan(lambda _, x: (None, f(x)), None, xs)[1]
    _, _, types = leaves_of("map: xs", xs)
    count = _length(types, None)
    whole = count - count % batch_size
    parts: list[Any] = []
    if whole:
        head = tree.map(lambda x: _reshaped(_sliced(x, 0, whole), whole // batch_size, batch_size), xs)
        stacked = scan(lambda _, x: (None, _vectorised(f, x)), None, head)[1]
        parts.append(tree.map(lambda y: _reshaped(y, whole, keep=2), stacked))
    if count > whole or not whole:
        parts.append(_vectorised(f, tree.map(lambda x: _sliced(x, whole, count), xs)))
    join = operation("concatenate")
    results = parts[0] if len(parts) == 1 else tree.map(lambda *ys: join(*ys, dimension=0), *parts)
    return tree.map(_in_python.own, results)


def _vectorised(f: Callable[[Any], Any], part: Any) -> Any:
    """`f` of every slice of a pytree, by `vmap`."""
    values, structure = tree.flatten(part)
    out: list[tree.TreeDef] = []

    def flat(*xs: Any) -> Sequence[Any]:
        found, out_structure = tree.flatten(f(tree.unflatten(structure, xs)))
        out.append(out_structure)
        return found

    results = vmap_values(flat, type_of(values[0]).shape[0], values, [True] * len(values))
    return tree.unflatten(out[0], results)


def _sliced(x: Any, start: int, stop: int) -> Any:
    shape = type_of(x).shape
    lows, highs = (start, *(0 for _ in shape[1:])), (stop, *shape[1:])
    return operation("slice")(x, start_indices=lows, limit_indices=highs, strides=(1,) * len(shape))


def _reshaped(x: Any, *leading: int, keep: int = 1) -> Any:
    """`x` with other leading axes in place of its first `keep`."""
    return operation("reshape")(x, shape=(*leading, *type_of(x).shape[keep:]))
