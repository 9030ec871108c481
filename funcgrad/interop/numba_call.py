"""How does a program call a function of Numba's?  `numba_call`, natively."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from funcgrad import tree
from funcgrad.arguments import owned
from funcgrad.compile.native import Step
from funcgrad.dtypes import check_supported
from funcgrad.errors import at_line
from funcgrad.interop.numba_kernel import Kinds, Lies, NumbaKernel, integers, kept, numba_type
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.program import Literal
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import FAILURES, Call, Kept
from funcgrad.ops.families import Operation, repeat
from funcgrad.runtime.calls import ROUTINES, Slots
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.tracebacks import boundary

_numbers = itertools.count()


class Callee:
    """A function of Numba's with the structures of its arguments and results."""

    def __init__(self, function: Any, arguments: tree.TreeDef, results: tree.TreeDef) -> None:
        self.function, self.arguments, self.results = function, arguments, results
        self._number = next(_numbers)
        self._kernels: dict[tuple[Kinds, Kinds], NumbaKernel] = {}

    def __repr__(self) -> str:
        return f"{getattr(self.function, '__name__', 'function')}#{self._number}"  # no two share a listing

    def kernel(self, arguments: Kinds, results: Kinds) -> NumbaKernel:
        """The kernel for operands and results of these ranks and dtypes; of two that threads make at once, one is
        kept, and nobody has the address of the other.
        """
        key = (arguments, results)
        found = self._kernels.get(key)
        if found is None:
            made = NumbaKernel(self.function, self.arguments, arguments, self.results, results)
            found = self._kernels.setdefault(key, made)
        return found


def _callee(function: Any, arguments: tree.TreeDef, results: tree.TreeDef) -> Callee:
    """One object for each function and structures, so that equal calls are equal equations."""
    key = (id(function), arguments, results)
    found = _callees.get(key)
    if found is None:
        found = _callees.setdefault(key, Callee(function, arguments, results))
    return found


_callees: dict[Any, Callee] = {}  # never forgotten: they hold their functions, so that an id stays theirs


@boundary
def numba_call(function: Any, out_type: Any, *args: Any) -> Any:
    """Call a function of Numba's from a function under transformation: natively in compiled programs and loops.

    Under `vmap` it is called for one example after the other. It has no derivative: see `numba_primitive`.

    Parameters
    ----------
    function
        What `numba.njit` returned. It gets arrays in C order, numbers, and tuples of them; copies if it writes to
        them. It may be called any number of times, or never when nothing needs its results.
    out_type
        What it returns: a `ShapeDtypeStruct` or array, a dtype for a number, or tuples of these; or a function of the
        arguments' `ShapeDtypeStruct` that returns that.
    *args
        Pytrees of arrays and numbers: tuples and named tuples.

    Returns
    -------
    Array
        Of the shape and dtype of `out_type` (several: a tuple).

    Raises
    ------
    TypeError
        `function` is none of Numba's, Numba cannot compile it for these arguments, or it returns something else than
        `out_type` promises.
    ValueError
        It returned an array of another shape; and derivatives.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numba
    >>> import numpy as np
    >>> @numba.njit
    ... def running_maximum(x):
    ...     y = x.copy()
    ...     for k in range(1, len(y)):
    ...         y[k] = max(y[k], y[k - 1])
    ...     return y
    >>> f = fg.jit(lambda x: 2 * fg.numba_call(running_maximum, x, x))
    >>> f(np.array([1.0, 3.0, 2.0]))
    Array([2., 6., 6.])
    """
    if not isinstance(function, Dispatcher):
        raise TypeError(f"numba_call takes a function decorated with numba.njit, not {function!r}{at_line()}")
    leaves, structure = tree.flatten(args)
    types = [type_of(x) for x in leaves]
    results, out_structure = _promised(out_type, tree.unflatten(structure, [_struct(t) for t in types]))
    for t in (*types, *results):
        numba_type(function.__name__, t.ndim, t.dtype)  # which refuses what Numba does not have
    callee = _callee(function, structure, out_structure)
    outputs = bind(primitive, *leaves, callee=callee, results=results, size=None, batched=())
    return tree.unflatten(out_structure, owned(outputs, ()))


def _struct(kind: ArrayType) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(kind.shape, kind.dtype)


def _promised(out_type: Any, args: Any) -> tuple[tuple[ArrayType, ...], tree.TreeDef]:
    """The types that a function promises."""
    if callable(out_type) and not isinstance(out_type, type | np.dtype) and not hasattr(out_type, "dtype"):
        out_type = out_type(*args)
    leaves, structure = tree.flatten(out_type)
    types = []
    for leaf in leaves:
        described = leaf if hasattr(leaf, "shape") and not isinstance(leaf, type | np.dtype) else None
        try:
            dtype = np.dtype(leaf if described is None else described.dtype)
        except TypeError:
            raise TypeError(
                f"numba_call: out_type takes arrays, ShapeDtypeStruct and dtypes, not {leaf!r}{at_line()}"
            ) from None
        types.append(ArrayType(() if described is None else tuple(described.shape), check_supported(dtype)))
    return tuple(types), structure


# The primitive -------------------------------------------------------------------------------------------------------


def _kinds(types: Sequence[ArrayType], skipped: int) -> Kinds:
    return tuple((len(t.shape) - skipped, t.dtype) for t in types)


def _reference(*inputs: Any, callee: Callee, results: Sequence[ArrayType], size: int | None, batched: Any) -> Values:
    flags = batched or (False,) * len(inputs)
    arrays = [np.asarray(x) for x in inputs]
    kinds = tuple((x.ndim - b, x.dtype) for x, b in zip(arrays, flags, strict=True))
    callee.kernel(kinds, _kinds(results, size is not None))  # which checks the types
    outs = tuple(np.empty(t.shape, t.dtype) for t in results)
    for k in range(1 if size is None else size):
        given = [np.array(x[k] if b else x)[()] for x, b in zip(arrays, flags, strict=True)]  # its own
        returned = tree.leaves(callee.function(*tree.unflatten(callee.arguments, given)))
        for out, x in zip(outs, returned, strict=True):
            place = out if size is None else out[k]
            if np.shape(x) != place.shape:
                name = getattr(callee.function, "__name__", "function")
                raise ValueError(f"numba_call: {name} returned another shape than out_type promises{at_line()}")
            out[... if size is None else k] = x
    return outs


def _infer(*types: ArrayType, results: tuple[ArrayType, ...], **params: Any) -> tuple[ArrayType, ...]:
    return results


def _refuse(callee: Callee) -> None:
    raise ValueError(
        f"numba_call has no derivative: wrap {getattr(callee.function, '__name__', 'the function')} with "
        f"numba_primitive and give it one (defvjp, defjvp), or take stop_gradient of the arguments{at_line()}"
    )


def _jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    if any(t is not None for t in tangents):
        _refuse(params["callee"])
    outputs = bind(primitive, *inputs, **params)
    return outputs, (None,) * len(outputs)


def _vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    _refuse(params["callee"])
    raise AssertionError


def _batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """A batch is a loop in the kernel; a batch of batches is one longer loop."""
    inner = params["size"]
    if inner is None:
        results = tuple(ArrayType((size, *t.shape), t.dtype) for t in params["results"])
        outputs = bind(primitive, *inputs, **params | {"results": results, "size": size, "batched": tuple(batched)})
        return outputs, (True,) * len(outputs)
    both = [i or o for i, o in zip(params["batched"], batched, strict=True)]
    flat = []
    for x, within, outside in zip(inputs, params["batched"], batched, strict=True):
        if not (within or outside):
            flat.append(x)
            continue
        full = x if outside else repeat(x, size)  # (size, inner, ...) once both are there
        if not within:
            full = np.moveaxis(repeat(full, inner), 0, 1)
        flat.append(np.reshape(full, (size * inner, *type_of(full).shape[2:])))
    results = tuple(ArrayType((size * inner, *t.shape[1:]), t.dtype) for t in params["results"])
    changed = params | {"results": results, "size": size * inner, "batched": tuple(both)}
    outputs = bind(primitive, *flat, **changed)
    apart = [np.reshape(x, (size, *t.shape)) for x, t in zip(outputs, params["results"], strict=True)]
    return tuple(apart), (True,) * len(apart)


primitive: Operation = Operation(
    name="numba_call",
    family="callback",
    reference=_reference,
    infer=_infer,
    jvp=_jvp,
    vjp=_vjp,
    batch=_batch,
    multiple=True,
)


def call_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The native step of a call."""
    params, size = call.equation.params, call.equation.params["size"]
    flags = params["batched"] or (False,) * len(call.inputs)
    operands = list(zip((a.type for a in call.equation.inputs), flags, strict=True))
    results = [(v.type, size is not None) for v in call.equation.outputs]
    arguments, promised = (tuple((len(t.shape) - b, t.dtype) for t, b in part) for part in (operands, results))
    kernel = params["callee"].kernel(arguments, promised)
    rows = []
    for atom, (t, b) in zip((*call.inputs, *call.equation.outputs), (*operands, *results), strict=True):
        shape = t.shape[1:] if b else t.shape
        stride = ArrayType(shape, t.dtype).nbytes if b else 0
        slot, base = (0, _known(atom)) if isinstance(atom, Literal) else (slots[atom], 0)
        rows.append(Lies(slot, base, stride, shape))
    return [Step(kernel.address, integers(call.status, rows), 1 if size is None else size, 0)]


_numbers_known: dict[tuple[bytes, np.dtype], np.ndarray] = {}  # native code has their addresses


def _known(literal: Literal) -> int:
    """The address of a number."""
    value = np.asarray(literal.value, literal.type.dtype)
    return int(_numbers_known.setdefault((value.tobytes(), value.dtype), value).ctypes.data)


ROUTINES["numba_call"] = call_steps
FAILURES["numba_call"] = lambda: Kept(kept)
