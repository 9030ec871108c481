"""How do NumPy's rules meet primitives?  Promotion, broadcasting, axes,
and the choice between NumPy itself and tracing.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array, as_array
from funcgrad.errors import TracerIntegerConversionError, at_line
from funcgrad.ir.types import ArrayType
from funcgrad.numpy import _examples, _results
from funcgrad.ops.comparison import convert
from funcgrad.ops.shape import broadcast_in_dim
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, functions, known
from funcgrad.tracebacks import shorten

F = TypeVar("F", bound=Callable[..., Any])
Shape = tuple[int, ...]
_EXAMPLES = {"numpy": _examples.FUNCTIONS, "numpy.linalg": _examples.LINALG, "numpy.fft": _examples.FFT}
PLAIN = frozenset(  # types of usual arguments of NumPy's functions: no need to look closer
    (Array, np.ndarray, float, int, bool, complex, np.float32, np.float64, np.int32, np.int64, np.bool_)
)
_SCALARS = frozenset({bool, int, float, complex})
_REAL = frozenset({int, float})
_PYTHON: dict[str, type] = {"b": bool, "i": int, "f": float, "c": complex}


def has_tracer(values: Sequence[Any]) -> bool:
    """Whether there is a tracer among the values, or in a list or tuple among them."""
    if PLAIN.issuperset(map(type, values)):
        return False
    for x in values:
        kind = type(x)
        if kind is Tracer or (kind in (list, tuple) and has_tracer(x)):
            return True
    return False


def implements(reference: Callable[..., Any]) -> Callable[[F], F]:
    """The decorated function stands for NumPy's `reference` on tracers; on anything else NumPy itself is called."""

    def decorate(traced: F) -> F:
        @functools.wraps(reference, assigned=("__name__", "__qualname__"), updated=())
        def function(*args: Any, **kwargs: Any) -> Any:
            try:
                if has_tracer(args) or (kwargs and has_tracer(tuple(kwargs.values()))):
                    result = traced(*args, **kwargs)
                    return result if type(result) is Tracer else boxed(result, (*args, *kwargs.values()))
                return wrap(reference(*args, **kwargs), (*args, *kwargs.values()) if kwargs else args)
            except BaseException as error:
                shorten(error)
                raise

        function.__wrapped__ = traced  # whose signature is the one to show
        function.__doc__ = document(reference)
        function.__module__ = f"funcgrad.{module_of(reference)}"
        functions[reference] = function
        return function  # type: ignore[return-value]

    return decorate


def module_of(reference: Any) -> str:
    """NumPy's public module that a function stands in."""
    module = getattr(reference, "__module__", "numpy")
    return module if module in ("numpy.linalg", "numpy.fft") else "numpy"


def document(reference: Any) -> str:
    """The docstring of a function that means what NumPy's does."""
    name = f"{module_of(reference)}.{reference.__name__}"
    example = _EXAMPLES[module_of(reference)].get(reference.__name__)
    known = _results.RESULTS[module_of(reference)].get(reference.__name__)
    returned = _results.section(*known or _results.of_ufunc(reference))
    shown = f"\n\nExamples\n--------\n>>> import funcgrad.numpy as np\n>>> {example}\n" if example else ""
    return (
        f"NumPy's `{name}`, differentiable and traceable.\n\n"
        "Takes arrays, scalars and traced arrays, and promotes dtypes as NumPy 2 does; "
        f"see :func:`{name}` for the parameters.\n"
        "Results are arrays of their own (`funcgrad.Array`), never views of an argument. What NumPy refuses is refused "
        f"with the same exception, by compiled programs too.{returned}{shown}"
    )


def wrap(result: Any, arguments: Sequence[Any] = ()) -> Any:
    """NumPy's result as an `Array` of its own: not a view, and not one of `arguments`
    (arrays in a tuple or list likewise).
    """
    if isinstance(result, np.ndarray):
        if result.base is not None:
            return result.copy().view(Array)
        for x in arguments:
            if result is x:
                return result.copy().view(Array)
        return result.view(Array)
    if isinstance(result, np.generic):
        return as_array(result)
    if isinstance(result, (tuple, list)):
        make = getattr(type(result), "_make", type(result))  # named tuples take an iterable by another name
        return make(wrap(x, arguments) for x in result)
    return result


def boxed(result: Any, arguments: Sequence[Any] = ()) -> Any:
    """What a function of tracers has found out (where something is, say): plain arrays as `wrap` makes them."""
    if type(result) is np.ndarray:
        return wrap(result, arguments)
    if type(result) in (tuple, list):
        return type(result)(boxed(x, arguments) for x in result)
    return result


def operand(x: Any, name: str) -> Any:
    """`x` as a tracer, NumPy array or Python scalar; lists become arrays."""
    if type(x) is Tracer or isinstance(x, (np.ndarray, np.generic, bool, int, float, complex)):
        return x
    if isinstance(x, (list, tuple)):
        return methods_array(x)
    raise TypeError(f"{name} does not accept {x!r} of type {type(x).__name__}: arrays and numbers are{at_line()}")


def methods_array(x: Any) -> Any:
    """A list of numbers and tracers as one array."""
    return functions[np.array](x)


def cast(x: Any, dtype: np.dtype) -> Any:
    """`x` with another dtype (Python scalars checked for overflow, as in NumPy); never weak."""
    if type(x) is not Tracer:
        return dtype.type(x) if type(x) in _SCALARS else np.asarray(x).astype(dtype, copy=False)
    return x if x.type.dtype == dtype and not x.type.weak else convert(x, dtype=dtype)


def promoted(name: str, *xs: Any, weak: bool = False) -> list[Any]:
    """Operands brought to their common dtype; if `weak`, operands that are all weak stay so."""
    operands = [x if type(x) is Tracer else operand(x, name) for x in xs]
    types = [type_of(x) for x in operands]
    first = types[0]
    for t in types:
        if t.dtype is not first.dtype or t.weak is not first.weak or (t.weak and not weak):
            break
    else:
        return operands
    dtype, all_weak = dtypes.promote((t.dtype, t.weak) for t in types)
    if all_weak and weak:
        return [cast_weakly(x, dtype) for x in operands]
    if all_weak:
        return [cast(x, dtype) for x in operands]
    pairs = zip(operands, types, strict=True)
    return [x if t.dtype == dtype and type(x) is Tracer else cast(x, dtype) for x, t in pairs]


def aligned(name: str, x: Any, y: Any) -> Sequence[Any]:
    """Two operands brought to a common dtype and shape; what an operator does, so the usual cases come first."""
    if type(x) is Tracer:
        kind = x.type
        if type(y) is Tracer:
            if y.type == kind:
                return x, y
            if y.type.dtype is kind.dtype and not (kind.weak or y.type.weak):
                return _aligned_shapes(name, x, y, kind.shape, y.type.shape)
        elif type(y) in _REAL and kind.dtype.kind == "f" and not kind.weak:
            return x, kind.dtype.type(y)
        elif type(y) is np.ndarray and y.dtype is kind.dtype and not kind.weak:
            return _aligned_shapes(name, x, y, kind.shape, y.shape)
    elif type(x) in _REAL and type(y) is Tracer and y.type.dtype.kind == "f" and not y.type.weak:
        return y.type.dtype.type(x), y
    return broadcast(name, *promoted(name, x, y, weak=True))


def _aligned_shapes(name: str, x: Any, y: Any, left: Shape, right: Shape) -> Sequence[Any]:
    """`broadcast` of two operands."""
    if left == right or not left or not right:
        return x, y
    shape = broadcast_shape(name, left, right)
    return x if left == shape else broadcast_to(x, shape), y if right == shape else broadcast_to(y, shape)


def cast_weakly(x: Any, dtype: np.dtype) -> Any:
    """`x` with another dtype, weak if it was."""
    kind = type_of(x)
    if kind.dtype == dtype:
        return x
    if not kind.weak:
        return cast(x, dtype)
    return convert(x, dtype=dtype, weak=True) if type(x) is Tracer else _PYTHON[dtype.kind](x)


def broadcast(name: str, *xs: Any) -> list[Any]:
    """Operands brought to a common shape; 0-d ones stay as they are."""
    shapes = [type_of(x).shape for x in xs]
    if len(set(filter(None, shapes))) <= 1:
        return list(xs)
    shape = broadcast_shape(name, *shapes)
    return [x if not s else broadcast_to(x, shape) for x, s in zip(xs, shapes, strict=True)]


def broadcast_shape(name: str, *shapes: Shape) -> Shape:
    """The common shape, or NumPy's error with the function's name and the user's line."""
    try:
        return _broadcast_shapes(*shapes)
    except ValueError:
        listed = " ".join(map(str, shapes))
        message = f"{name}: operands could not be broadcast together with shapes {listed}{at_line()}"
        raise ValueError(message) from None


@functools.lru_cache(maxsize=4096)
def _broadcast_shapes(*shapes: Shape) -> Shape:
    """The common shape of any number of axes (`np.broadcast_shapes` ends at 32, arrays at 64)."""
    rank = max(map(len, shapes), default=0)
    padded = ((1,) * (rank - len(shape)) + shape for shape in shapes)
    extents = [set(column) - {1} for column in zip(*padded, strict=True)]
    if any(len(extent) > 1 for extent in extents):
        raise ValueError
    return tuple(next(iter(extent), 1) for extent in extents)


def broadcast_to(x: Any, shape: Shape) -> Any:
    """`x` repeated along new and size-1 axes."""
    have = type_of(x).shape
    if have == shape:
        return x
    first = len(shape) - len(have)
    return broadcast_in_dim(x, shape=shape, broadcast_dimensions=tuple(range(first, len(shape))))


def axis_number(axis: Any, ndim: int, name: str) -> int:
    """A checked, non-negative axis."""
    try:
        number = operator.index(axis)
    except TracerIntegerConversionError:
        raise
    except TypeError:
        raise TypeError(f"{name}: an axis is an integer, not {axis!r}{at_line()}") from None
    if not -ndim <= number < ndim:
        raise np.exceptions.AxisError(
            f"{name}: axis {number} is out of bounds for array of dimension {ndim}{at_line()}"
        )
    return number % ndim


def axis_numbers(axis: Any, ndim: int, name: str) -> Shape:
    """Checked, sorted axes from an int, a sequence of ints, or None for all."""
    if axis is None:
        return tuple(range(ndim))
    axes = [axis_number(a, ndim, name) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: duplicate value in 'axis' {axis}{at_line()}")
    return tuple(sorted(axes))


def static_shape(shape: Any, name: str) -> Shape:
    """A shape as a tuple of ints."""
    extents = tuple(shape) if isinstance(shape, (tuple, list, np.ndarray)) else (shape,)
    try:
        return tuple(operator.index(n) for n in extents)
    except TracerIntegerConversionError:
        raise
    except TypeError:
        raise TypeError(f"{name}: a shape is an integer or a tuple of integers, not {shape!r}{at_line()}") from None


def dtype_of(dtype: Any) -> np.dtype:
    """A dtype from whatever NumPy takes for one."""
    try:
        return dtypes.check_supported(np.dtype(dtype))
    except TypeError as error:
        raise TypeError(f"{error}{at_line()}") from None


def concrete(x: Any) -> Any:
    """The known value of a tracer, anything else as it is; None for an unknown tracer."""
    return known(x) if type(x) is Tracer else x


def kind_of(x: Any) -> ArrayType:
    """The type of an operand."""
    return type_of(x)
