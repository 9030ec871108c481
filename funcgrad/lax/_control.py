"""How does a user write loops and branches that run as native code?
JAX's `scan`, `while_loop`, `fori_loop`, `cond`, `switch` and `map`.

The functions given are traced once; what they use from outside is handed to the loop. In a program each is one
equation (see `funcgrad.control`), which works on flat lists of arrays: here the pytrees are taken apart and put
together again.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.control import revolve
from funcgrad.control.bodies import in_front, program_of, strong
from funcgrad.control.checkpoint import checkpoint as checkpoint_p
from funcgrad.control.cond import cond as cond_p
from funcgrad.control.scan import scan as scan_p
from funcgrad.control.while_loop import while_ as while_p
from funcgrad.errors import TracerIntegerConversionError, at_line
from funcgrad.ir.program import Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.ops.comparison import convert
from funcgrad.ops.families import operation
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.outputs import checked_leaves
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.vmap import vmap_values

__all__ = ["cond", "fori_loop", "map", "scan", "switch", "while_loop"]
INT64 = np.dtype(np.int64)
BINOMIAL = "binomial"
UNCOUNTED = 32  # carries that a loop of unknown length keeps: 400,000 iterations are run five times, 2**31 eleven times


class Body(NamedTuple):
    """A traced function: its program, whose first inputs stand for the `captured` outer values, and its output."""

    program: Program
    captured: tuple[Tracer, ...]
    structure: tree.TreeDef


def _body(name: str, function: Callable[..., Any], structure: tree.TreeDef, types: Sequence[ArrayType]) -> Body:
    """Trace ``function(*args)``, where the tuple `args` has `structure` and leaves of `types`."""
    if not callable(function):
        raise TypeError(f"{name}: a function is needed, not {function!r}{at_line()}")
    out: list[tree.TreeDef] = []

    def flat(*variables: Any) -> list[Any]:
        output = function(*tree.unflatten(structure, variables))
        leaves, out_structure = checked_leaves(f"{name}: {_title(function)} must return arrays", output)
        out.append(out_structure)
        return leaves

    program, captured = trace(flat, types)
    return Body(program, captured, out[0])


def _title(function: Any) -> str:
    return getattr(function, "__name__", repr(function))


def _leaves(name: str, value: Any) -> tuple[list[Any], tree.TreeDef, list[ArrayType]]:
    """The leaves of a pytree, its structure and the leaves' types; lists become arrays as they are, one by one."""
    leaves, structure = tree.flatten(value)
    types = []
    for path, leaf in zip(structure.paths(), leaves, strict=True):
        try:
            types.append(type_of(leaf))
        except TypeError as error:
            where = f" at {tree.key_string(path)}" if path else ""
            raise TypeError(f"{name}: {error}{where}{at_line()}") from None
    return leaves, structure, types


def _operands(leaves: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
    """Leaves with exactly these dtypes."""
    return [_operand(leaf, t) for leaf, t in zip(leaves, types, strict=True)]


def _operand(leaf: Any, kind: ArrayType) -> Any:
    have = type_of(leaf)
    if have.dtype == kind.dtype and (not have.weak or type(leaf) is not Tracer):
        return leaf if type(leaf) is Tracer else np.asarray(leaf, kind.dtype)
    return convert(leaf, dtype=kind.dtype) if type(leaf) is Tracer else np.asarray(leaf, kind.dtype)


def _settle(
    name: str,
    trace_with: Callable[[Sequence[ArrayType]], tuple[Body, Sequence[ArrayType], tree.TreeDef]],
    structure: tree.TreeDef,
    types: list[ArrayType],
) -> tuple[Body, list[ArrayType]]:
    """Trace a body until the carry that it returns has the types of the one that it takes.

    Weak leaves (Python numbers) take the dtype that the body gives them, as in JAX.
    """
    for _ in range(3):
        body, after, out_structure = trace_with(types)
        if out_structure != structure:
            raise TypeError(
                f"{name}: the carry after one iteration has the structure {out_structure}, "
                f"where {structure} was passed in{at_line()}"
            )
        changed = [
            ArrayType(t.shape, u.dtype) if t.weak and t.dtype != u.dtype and t.shape == u.shape else t
            for t, u in zip(types, after, strict=True)
        ]
        if changed == types:
            break
        types = changed
    for path, t, u in zip(structure.paths(), types, after, strict=True):
        if (t.shape, t.dtype) != (u.shape, u.dtype):
            where = tree.key_string(path) if path else "the carry"
            raise TypeError(
                f"{name}: the carry must keep its shapes and dtypes, but {where} is {t} before "
                f"and {u} after one iteration{at_line()}"
            )
    return body, types


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
        Leading extents differ, there is neither `xs` nor `length`, or `checkpoint` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> fg.lax.scan(lambda total, x: (total + x, total), 0.0, np.arange(4.0))
    (Array(6.), Array([0., 0., 1., 3.]))
    """
    init_leaves, init_structure, init_types = _leaves("scan: init", init)
    x_leaves, _, x_types = _leaves("scan: xs", xs)
    count = _length(x_types, length)
    slices = [ArrayType(t.shape[1:], t.dtype) for t in x_types]
    structure = tree.structure((init, xs))

    def traced(types: Sequence[ArrayType]) -> tuple[Body, Sequence[ArrayType], tree.TreeDef]:
        body = _body("scan", f, structure, [*types, *slices])
        children = body.structure.children()
        if body.structure.type is not tuple or len(children) != 2:
            raise TypeError(f"scan: {_title(f)} must return a pair (carry, y), not {body.structure}{at_line()}")
        n = children[0].num_leaves
        return body, body.program.output_types[:n], children[0]

    body, types = _settle("scan", traced, init_structure, init_types)
    n = len(types)
    params: dict[str, Any] = {
        "program": body.program,
        "consts": len(body.captured),
        "carry": n,
        "length": count,
        "reverse": bool(reverse),
    }
    operands = (*body.captured, *_operands(init_leaves, types), *_operands(x_leaves, x_types))
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
    leaves, structure, types = _leaves("while_loop: init_val", init_val)
    argument = tree.structure((init_val,))

    def traced(types: Sequence[ArrayType]) -> tuple[Body, Sequence[ArrayType], tree.TreeDef]:
        body = _body("while_loop", body_fun, argument, types)
        return body, body.program.output_types, body.structure

    body, types = _settle("while_loop", traced, structure, types)
    test = _body("while_loop", cond_fun, argument, types)
    if [(t.shape, t.dtype) for t in test.program.output_types] != [((), np.dtype(np.bool_))]:
        found = ", ".join(str(t) for t in test.program.output_types)
        raise TypeError(f"while_loop: {_title(cond_fun)} must return a boolean scalar, not {found}{at_line()}")
    if checkpoint not in (None, BINOMIAL):
        raise ValueError(f'while_loop: checkpoint must be None or "binomial", not {checkpoint!r}{at_line()}')
    outputs = bind(
        while_p,
        *test.captured,
        *body.captured,
        *_operands(leaves, types),
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

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.lax.fori_loop(0, 5, lambda i, total: total + i, 0)
    Array(10)
    """
    for name, bound in (("lower", lower), ("upper", upper)):
        kind = type_of(bound)
        if kind.shape or kind.dtype.kind not in "iu":
            raise TypeError(f"fori_loop: {name} must be an integer scalar, not {kind}{at_line()}")
    if type(lower) is not Tracer and type(upper) is not Tracer:
        numbers = np.arange(lower, upper, dtype=np.result_type(lower, upper))
        return scan(lambda val, i: (body_fun(i, val), None), init_val, numbers, checkpoint=checkpoint)[0]

    def body(state: Any) -> Any:
        i, val = state
        return i + 1, body_fun(i, val)

    start = convert(lower, dtype=INT64) if type(lower) is Tracer else np.int64(lower)
    return while_loop(lambda state: state[0] < upper, body, (start, init_val), checkpoint=checkpoint)[1]  # type: ignore[arg-type]


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """``true_fun(*operands) if pred else false_fun(*operands)``; only one of them runs.

    Under `vmap`, every example takes its own branch (JAX computes both for all).

    Parameters
    ----------
    pred
        A boolean scalar; of a number, whether it is not 0.
    true_fun, false_fun
        Functions of the operands, whose results have equal structures, shapes and dtypes.

    Raises
    ------
    TypeError
        The predicate is no scalar, or the results of the branches differ in structure, a shape or a dtype.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.grad(lambda x: fg.lax.cond(x > 0, lambda x: x * x, lambda x: -x, x))(3.0)
    Array(6.)
    """
    kind = type_of(pred)
    if kind.shape:
        raise TypeError(f"cond: the predicate must be a scalar, not {kind}; for arrays there is numpy.where{at_line()}")
    if kind.dtype != np.bool_:
        pred = pred != 0
    number = convert(pred, dtype=INT64) if type(pred) is Tracer else np.int64(bool(pred))
    return _choose("cond", number, (false_fun, true_fun), operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``; only that one runs. The index is clamped to the branches there are, as in JAX.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.lax.switch(1, [lambda x: x, lambda x: x * 2, lambda x: x * 3], 5.0)
    Array(10.)
    """
    kind = type_of(index)
    if kind.shape or kind.dtype.kind not in "iu":
        raise TypeError(f"switch: the index must be an integer scalar, not {kind}{at_line()}")
    if not branches:
        raise ValueError(f"switch: at least one branch is needed{at_line()}")
    last = len(branches) - 1
    if type(index) is not Tracer:
        return _choose("switch", np.int64(min(max(int(index), 0), last)), branches, operands)
    number = convert(index, dtype=INT64)
    low, high = operation("max"), operation("min")
    return _choose("switch", high(low(number, np.int64(0)), np.int64(last)), branches, operands)


def _choose(name: str, number: Any, branches: Sequence[Callable[..., Any]], operands: tuple[Any, ...]) -> Any:
    leaves, structure, types = _leaves(f"{name}: operands", operands)
    types = list(strong(types)) if any(type(x) is Tracer for x in leaves) else types
    bodies = [_body(name, branch, structure, types) for branch in branches]
    captured = list({id(x): x for body in bodies for x in body.captured}.values())
    first = bodies[0]
    for body, branch in zip(bodies, branches, strict=True):
        _check_branch(name, first, body, branches[0], branch)
    programs = tuple(_aligned(body, captured) for body in bodies)
    outputs = bind(cond_p, number, *captured, *_operands(leaves, types), branches=programs)
    return tree.unflatten(first.structure, outputs)


def _check_branch(name: str, first: Body, other: Body, one: Any, two: Any) -> None:
    if other.structure != first.structure:
        raise TypeError(
            f"{name}: the branches return different structures: {_title(one)} {first.structure}, "
            f"{_title(two)} {other.structure}{at_line()}"
        )
    pairs = zip(first.structure.paths(), first.program.output_types, other.program.output_types, strict=True)
    for path, t, u in pairs:
        if (t.shape, t.dtype) != (u.shape, u.dtype):
            where = f" at {tree.key_string(path)}" if path else ""
            raise TypeError(
                f"{name}: the branches return different types{where}: {_title(one)} {t}, {_title(two)} {u}{at_line()}"
            )


def _aligned(body: Body, captured: Sequence[Tracer]) -> Program:
    """The program with an input for every captured value of any branch."""
    from_id = {id(x): v for x, v in zip(body.captured, body.program.inputs, strict=False)}
    own = [from_id.get(id(x)) for x in captured]
    inputs = tuple(v if v is not None else Var(x.type) for v, x in zip(own, captured, strict=True))
    return body.program.replace(inputs=(*inputs, *body.program.inputs[len(body.captured) :]))


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """``f`` of each slice along the leading axis, one after the other, the results stacked.

    With `batch_size`, so many slices at a time are computed together (by `vmap`), and those left over likewise.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> fg.lax.map(lambda x: x * x, np.arange(3.0))
    Array([0., 1., 4.])
    """
    if batch_size is None:
        return scan(lambda _, x: (None, f(x)), None, xs)[1]
    _, _, types = _leaves("map: xs", xs)
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
    return parts[0] if len(parts) == 1 else tree.map(lambda *ys: join(*ys, dimension=0), *parts)


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
