"""What is a universal function here?  A traced function of elements, with NumPy's methods made of it:
`reduce`, `accumulate`, `reduceat`, `outer` and `at`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, axis_numbers, cast, concrete, document, has_tracer, operand, wrap
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.ops.comparison import convert, ne, select
from funcgrad.ops.shape import concatenate, reshape, slice_
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, functions, ufuncs
from funcgrad.tracebacks import shorten

Traced = Callable[..., Any]
_NEUTRAL_KEYWORDS = {"casting": "same_kind", "order": "K", "subok": True, "signature": None, "sig": None}
_MISSING: Any = getattr(np, "_NoValue", None)

# Reductions and cumulative functions that exist under a name of their own, by the name of the ufunc.
REDUCTIONS = {
    "add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min,
    "logical_and": np.all, "logical_or": np.any,
}  # fmt: skip
CUMULATIVE = {"add": np.cumsum, "multiply": np.cumprod}
ASSOCIATIVE = frozenset(
    "add multiply maximum minimum fmax fmin logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor "
    "logaddexp logaddexp2 hypot gcd lcm".split()
)
UPDATES = {
    "add": "add", "multiply": "multiply", "maximum": "max", "minimum": "min", "power": "power", "divide": "divide",
    "subtract": "add",
}  # fmt: skip


def strong(x: Any) -> Any:
    """NumPy's functions return NumPy scalars: what comes out of them is not weak."""
    if isinstance(x, tuple):
        return tuple(map(strong, x))
    return convert(x, dtype=x.type.dtype) if type(x) is Tracer and x.type.weak else x


class UFunc:
    """A function of elements, as `numpy.ufunc` objects are: it broadcasts, promotes, and has methods.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> fg.jit(lambda x: fg.numpy.maximum.reduce(x))(np.array([1.0, 3.0, 2.0]))
    Array(3.)
    >>> fg.jit(lambda x: np.subtract.outer(x, x))(np.array([1.0, 3.0]))
    Array([[ 0., -2.],
           [ 2.,  0.]])
    """

    def __init__(self, reference: np.ufunc, traced: Traced) -> None:
        self.reference = reference
        self.traced = traced
        self.__name__ = self.__qualname__ = reference.__name__
        self.__doc__ = document(reference)
        self.__module__ = "funcgrad.numpy"
        self.nin, self.nout, self.nargs, self.identity = (
            reference.nin,
            reference.nout,
            reference.nargs,
            reference.identity,
        )

    def __repr__(self) -> str:
        return f"<ufunc 'funcgrad.numpy.{self.__name__}'>"

    def __getattr__(self, name: str) -> Any:
        # Only of instances: on the class, `inspect` would take a property for the signature of its constructor.
        if name == "__signature__":
            return inspect.signature(self.reference)
        raise AttributeError(f"{self!r} has no attribute {name!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function of every element."""
        try:
            for x in args:
                if type(x) is Tracer:
                    break
            else:
                if not has_tracer(args) and not (kwargs and has_tracer(tuple(kwargs.values()))):
                    return wrap(self.reference(*args, **kwargs))
            if len(args) > self.nin:
                raise TypeError(
                    f"{self.__name__}() takes {self.nin} array arguments, got {len(args)}; out= would write into an "
                    f"array: traced functions are pure{at_line()}"
                )
            if not kwargs:
                result = self.traced(*args)
                return result if type(result) is Tracer and not result.type.weak else strong(result)
            dtype, where = self._keywords(dict(kwargs))
            if dtype is not None:
                args = tuple(cast(operand(x, self.__name__), np.dtype(dtype)) for x in args)
            return strong(self.traced(*args)) if where is True else self._masked(args, where)
        except BaseException as error:
            shorten(error)
            raise

    def _keywords(self, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """``dtype=`` and ``where=``; nothing else can be meant on traced arrays."""
        no_output(f"numpy.{self.__name__}", kwargs.pop("out", None))
        dtype, where = kwargs.pop("dtype", None), kwargs.pop("where", True)
        odd = [k for k, v in kwargs.items() if k not in _NEUTRAL_KEYWORDS or v != _NEUTRAL_KEYWORDS[k]]
        if odd:
            raise TypeError(f"numpy.{self.__name__}: {', '.join(odd)}= cannot be used on traced arrays{at_line()}")
        return dtype, where

    def _masked(self, args: tuple[Any, ...], where: Any) -> Any:
        """The function where the mask holds and 0 elsewhere, where NumPy's result is undefined.

        It sees 1 at the other places, so that no derivative of theirs is infinite.
        """
        mask = _truth(where)
        arrays = [operand(x, self.__name__) for x in args]
        shape = np.broadcast_shapes(type_of(mask).shape, *(type_of(x).shape for x in arrays))
        mask = _broadcast_to(mask, shape)
        safe = [select(mask, type_of(x).dtype.type(1), _broadcast_to(x, shape)) for x in map(strong, arrays)]
        result = strong(self.traced(*safe))
        outs = result if isinstance(result, tuple) else (result,)
        kept = tuple(select(mask, type_of(x).dtype.type(0), x) for x in outs)
        return kept if isinstance(result, tuple) else kept[0]

    # Methods ---------------------------------------------------------------------------------------------------------

    def reduce(
        self,
        array: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = _MISSING,
        where: Any = True,
    ) -> Any:
        """The function of two operands folded over an axis (None: over all)."""
        if not has_tracer((array, initial, where)):
            given = {} if initial is _MISSING else {"initial": initial}
            reduce: Any = self.reference.reduce
            return wrap(reduce(array, axis, dtype, out, keepdims, where=where, **given))
        self._binary("reduce")
        no_output(f"numpy.{self.__name__}.reduce", out)
        named: Any = REDUCTIONS.get(self.__name__)
        if named is not None:
            given = {} if initial is _MISSING or initial is None else {"initial": initial}
            given |= {} if where is True else {"where": where}
            given |= {} if dtype is None else {"dtype": dtype}
            return functions[named](array, axis=axis, keepdims=keepdims, **given)
        x = operand(array, f"{self.__name__}.reduce")
        x = x if dtype is None else cast(x, np.dtype(dtype))
        if where is not True:
            neutral = self.identity if initial is _MISSING or initial is None else initial
            if neutral is None:
                raise ValueError(
                    f"reduction operation '{self.__name__}' does not have an identity, so to use a where mask one has "
                    f"to specify 'initial'{at_line()}"
                )
            x = select(_broadcast_to(_truth(where), type_of(x).shape), type_of(x).dtype.type(neutral), x)
        return self._fold(x, axis, keepdims, self.identity if initial is _MISSING else initial, initial is not _MISSING)

    def _fold(self, x: Any, axis: Any, keepdims: bool, initial: Any, given: bool) -> Any:
        shape = type_of(x).shape
        axes = axis_numbers(axis, len(shape), f"{self.__name__}.reduce")
        if len(axes) > 1 and self.__name__ not in ASSOCIATIVE:
            raise ValueError(
                f"reduction operation '{self.__name__}' is not reorderable, so at most one axis may be "
                f"specified{at_line()}"
            )
        for k in axes:
            x = self._fold_axis(x, k, initial)
        if given and initial is not None:
            x = self(initial, x)
        return x if keepdims else reshape(x, shape=tuple(n for k, n in enumerate(shape) if k not in axes))

    def _fold_axis(self, x: Any, axis: int, initial: Any) -> Any:
        n = type_of(x).shape[axis]
        if n == 0:
            if initial is None:
                raise ValueError(
                    f"zero-size array to reduction operation {self.__name__} which has no identity{at_line()}"
                )
            shape = tuple(1 if k == axis else m for k, m in enumerate(type_of(x).shape))
            return np.full(shape, initial, type_of(self._of_types(x, x)).dtype)
        if n == 1:
            return x if type_of(x).dtype == type_of(self._of_types(x, x)).dtype else self(x, x)
        if self.__name__ not in ASSOCIATIVE:
            total = part(x, axis, 0, 1)
            for k in range(1, n):
                total = self(total, part(x, axis, k, k + 1))
            return total
        while n > 1:  # halves, again and again: one kernel for each, and half the memory
            half = n // 2
            folded = self(part(x, axis, 0, half), part(x, axis, half, 2 * half))
            rest = [cast(part(x, axis, 2 * half, n), type_of(folded).dtype)] if n % 2 else []
            x, n = concatenate(folded, *rest, dimension=axis) if rest else folded, half + n % 2
        return x

    def _of_types(self, *xs: Any) -> Any:
        """The function of one element, for the dtype of the result."""
        return self.reference(*(np.ones((), type_of(x).dtype) for x in xs))

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """The results of folding ever more elements along an axis."""
        if not has_tracer((array,)):
            return wrap(self.reference.accumulate(array, axis, dtype, out))
        self._binary("accumulate")
        no_output(f"numpy.{self.__name__}.accumulate", out)
        x = operand(array, f"{self.__name__}.accumulate")
        if not type_of(x).shape:
            raise TypeError(f"cannot accumulate on a scalar{at_line()}")
        named = functions.get(CUMULATIVE.get(self.__name__, _MISSING))
        if named is not None:
            return named(x, axis=axis, **({} if dtype is None else {"dtype": dtype}))
        x = x if dtype is None else cast(x, np.dtype(dtype))
        along = axis_number(axis, type_of(x).ndim, f"{self.__name__}.accumulate")
        n = type_of(x).shape[along]
        return self._doubling(x, along, n) if self.__name__ in ASSOCIATIVE else self._sequence(x, along, n)

    def _doubling(self, x: Any, axis: int, n: int) -> Any:
        """Each element joined with that 1, 2, 4, ... places before (Hillis and Steele, 1986)."""
        step = 1
        while step < n:
            joined = self(part(x, axis, 0, n - step), part(x, axis, step, n))
            x = concatenate(cast(part(x, axis, 0, step), type_of(joined).dtype), joined, dimension=axis)
            step *= 2
        return x

    def _sequence(self, x: Any, axis: int, n: int) -> Any:
        parts = [part(x, axis, 0, 1)] if n else []
        for k in range(1, n):
            parts.append(self(parts[-1], part(x, axis, k, k + 1)))
        if len(parts) < 2:
            return x
        dtype = type_of(parts[-1]).dtype
        return concatenate(*(cast(p, dtype) for p in parts), dimension=axis)

    def reduceat(self, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """The folds of the slices that begin at `indices` (known integers)."""
        if not has_tracer((array, indices)):
            return wrap(self.reference.reduceat(array, indices, axis, dtype, out))
        self._binary("reduceat")
        no_output(f"numpy.{self.__name__}.reduceat", out)
        known = concrete(indices)
        if known is None:
            raise TypeError(
                f"numpy.{self.__name__}.reduceat: the indices must be known, as they cut the array into slices; for a "
                f"sum by traced labels write np.zeros(n).at[labels].add(x){at_line()}"
            )
        x = operand(array, f"{self.__name__}.reduceat")
        along = axis_number(axis, type_of(x).ndim, f"{self.__name__}.reduceat")
        n, starts = type_of(x).shape[along], [int(i) for i in np.asarray(known)]
        for i in starts:
            if not 0 <= i < n:
                raise IndexError(f"index {i} out-of-bounds in {self.__name__}.reduceat [0, {n}){at_line()}")
        folds = []
        for start, stop in zip(starts, [*starts[1:], n], strict=True):
            piece = part(x, along, start, max(stop, start + 1))
            folds.append(self.reduce(piece, axis=along, dtype=dtype, keepdims=True))
        return concatenate(*folds, dimension=along) if folds else part(x, along, 0, 0)

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:
        """The function of all pairs of an element of `A` and one of `B`."""
        if not has_tracer((A, B)):
            return wrap(self.reference.outer(A, B, **kwargs))
        self._binary("outer")
        x, y = operand(A, f"{self.__name__}.outer"), operand(B, f"{self.__name__}.outer")
        shape = type_of(x).shape
        if shape:
            x = reshape(x, shape=(*shape, *(1,) * type_of(y).ndim))
        return self(x, y, **kwargs)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Any:
        """With ``inplace=False``, `a` with the function applied at `indices`, as JAX's; else NumPy's, which writes."""
        if inplace:
            if has_tracer((a, indices, b)):
                update = UPDATES.get(self.__name__, "apply")
                raise TypeError(
                    f"np.{self.__name__}.at would write into an array: functions under transformation are pure. Write "
                    f"x = x.at[indices].{update}(values).{at_line()}"
                )
            self.reference.at(*(a, indices) if b is None else (a, indices, b))
            return None
        if not has_tracer((a, indices, b)):
            copied = np.array(a)
            self.reference.at(*(copied, indices) if b is None else (copied, indices, b))
            return wrap(copied)
        method = UPDATES.get(self.__name__)
        if method is None:
            if self.nin == 1:
                return (a if type(a) is Tracer else wrap(np.array(a))).at[indices].apply(self)
            raise TypeError(f"np.{self.__name__}.at has no counterpart for traced arrays: use x.at[i].set{at_line()}")
        place = (a if type(a) is Tracer else wrap(np.array(a))).at[indices]
        return getattr(place, method)(-b if self.__name__ == "subtract" else b)

    def _binary(self, method: str) -> None:
        if self.nin != 2 or self.nout != 1:
            raise ValueError(f"{method} only supported for binary functions, {self.__name__} is not{at_line()}")


def no_output(name: str, out: Any) -> None:
    """Refuse ``out=``, which pure functions cannot write to."""
    if out is not None and not (isinstance(out, tuple) and all(x is None for x in out)):
        raise TypeError(
            f"{name}: out= would write a traced value into an array: traced functions are pure. Use the "
            f"result instead (and np.where(mask, result, other) for out= with where=).{at_line()}"
        )


def _truth(x: Any) -> Any:
    x = operand(x, "where")
    kind = type_of(x)
    return x if kind.dtype == np.bool_ else ne(x, kind.dtype.type(0))


def part(x: Any, axis: int, start: int, stop: int) -> Any:
    """A slice along one axis."""
    shape = type_of(x).shape
    low = tuple(start if k == axis else 0 for k in range(len(shape)))
    high = tuple(stop if k == axis else n for k, n in enumerate(shape))
    return slice_(x, start_indices=low, limit_indices=high, strides=(1,) * len(shape))


def register(reference: np.ufunc, traced: Traced) -> UFunc:
    """The ufunc that stands for `reference`, which NumPy's protocol finds from now on."""
    function = ufuncs[reference] = UFunc(reference, traced)
    return function
