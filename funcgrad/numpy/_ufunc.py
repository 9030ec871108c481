"""What is a universal function here?  A traced function of elements, with NumPy's methods made of it:
`reduce`, `accumulate`, `reduceat`, `outer` and `at`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.array import Array
from funcgrad.errors import at_line
from funcgrad.numpy import _folds as folds
from funcgrad.numpy._common import PLAIN, axis_number, boxed, cast, concrete, document, has_tracer, operand, wrap
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.ops.comparison import convert, select
from funcgrad.ops.shape import concatenate, reshape
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, functions, ufuncs
from funcgrad.tracebacks import shorten

Traced = Callable[..., Any]
_NEUTRAL_KEYWORDS = {"order": "K", "subok": True, "signature": None, "sig": None}
_PYTHON = {"i": int, "f": float, "c": complex}  # what NumPy calls a weak dtype
_MISSING: Any = folds.MISSING

# Reductions and cumulative functions that exist under a name of their own, by the name of the ufunc.
REDUCTIONS = {
    "add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min,
    "logical_and": np.all, "logical_or": np.any,
}  # fmt: skip
CUMULATIVE = {"add": np.cumsum, "multiply": np.cumprod}
UPDATES = {
    "add": "add", "multiply": "multiply", "maximum": "max", "minimum": "min", "power": "power", "divide": "divide",
    "subtract": "add",
}  # fmt: skip

# Whose `reduce` is not NumPy's on known arrays either: where it has AVX-512, NumPy 2.4 folds one line wrongly.
_FOLDED = ("power", "arctan2")


def strong(x: Any) -> Any:
    """NumPy's functions return NumPy scalars: what comes out of them is not weak."""
    if isinstance(x, tuple):
        return tuple(map(strong, x))
    if type(x) is not Tracer:
        return boxed(x)
    return convert(x, dtype=x.type.dtype) if x.type.weak else x


def as_loop(reference: np.ufunc, args: Sequence[Any], dtype: Any, casting: Any) -> tuple[Any, ...]:
    """The operands in the dtypes of the loop that NumPy would choose for results of `dtype`."""
    name = reference.__name__
    operands = [operand(x, name) for x in args]
    have = [_PYTHON.get(t.dtype.kind, t.dtype) if t.weak else t.dtype for t in map(type_of, operands)]
    results = [None if dtype is None else np.dtype(dtype)] * reference.nout
    try:
        loop = reference.resolve_dtypes(
            (*have, *(None,) * reference.nout), signature=(*(None,) * reference.nin, *results), casting=casting
        )
    except TypeError as error:
        raise TypeError(f"numpy.{name}: {error}{at_line()}") from None
    return tuple(cast(x, wanted) for x, wanted in zip(operands, loop, strict=False))


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
            if not kwargs and PLAIN.issuperset(map(type, args)) and len(args) == self.nin:
                result = self.reference(*args, subok=False)  # spares a call of `Array.__array_wrap__`
                return result.view(Array) if type(result) is np.ndarray else wrap(result)
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
            return self._with_keywords(args, kwargs)
        except BaseException as error:
            shorten(error)
            raise

    def _with_keywords(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The traced function of every element, with the keywords that all ufuncs have."""
        dtype, casting, where = self._keywords(dict(kwargs))
        if dtype is not None or casting != "same_kind":
            args = as_loop(self.reference, args, dtype, casting)
        return strong(self.traced(*args)) if where is True else self._masked(args, where)

    def _keywords(self, kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """``dtype=``, ``casting=`` and ``where=``; nothing else can be meant on traced arrays."""
        no_output(f"numpy.{self.__name__}", kwargs.pop("out", None))
        dtype, where, casting = kwargs.pop("dtype", None), kwargs.pop("where", True), kwargs.pop("casting", "same_kind")
        odd = [k for k, v in kwargs.items() if k not in _NEUTRAL_KEYWORDS or v != _NEUTRAL_KEYWORDS[k]]
        if odd:
            raise TypeError(f"numpy.{self.__name__}: {', '.join(odd)}= cannot be used on traced arrays{at_line()}")
        return dtype, casting, where

    def _masked(self, args: tuple[Any, ...], where: Any) -> Any:
        """The function where the mask holds and 0 elsewhere, where NumPy's result is undefined.

        It sees 1 at the other places, so that no derivative of theirs is infinite.
        """
        mask = folds.truth(where)
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
        """The function of two operands folded over axes.

        Parameters
        ----------
        array
            What is folded.
        axis
            An axis, a tuple of axes, or None for all of them.
        dtype
            In which it is computed; by default the function's own for the elements of `array`.
        out
            None, on traced arrays.
        keepdims
            Whether the axes stay, with one element.
        initial
            What the fold begins with; by default the function's neutral element, or the first element if it has none.
        where
            A mask that broadcasts to the array's shape: which elements count.

        Returns
        -------
        Array
            The shape of `array` without the axes.

        Raises
        ------
        ValueError
            The function does not take two operands; there is a mask, or nothing to fold, and the function has no
            neutral element.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> fnp.add.reduce(fnp.ones((2, 3)))
        Array([2., 2., 2.])
        """
        known = not has_tracer((array, initial, where))
        if known and self.__name__ not in _FOLDED:
            given = {} if initial is _MISSING else {"initial": initial}
            reduce: Any = self.reference.reduce
            return wrap(reduce(array, axis, dtype, out, keepdims, where=where, **given))
        self._binary("reduce")
        no_output(f"numpy.{self.__name__}.reduce", out)
        x = folds.in_its_loop(self.reference, operand(array, f"{self.__name__}.reduce"), dtype)
        named: Any = functions.get(REDUCTIONS.get(self.__name__, _MISSING))
        if named is None:
            folded = folds.reduced(self, x, axis, keepdims, initial, where)
            return wrap(folded) if known else folded
        return folds.reduced_by_name(self, named, array if dtype is None else x, axis, keepdims, initial, where)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """The results of folding ever more elements along an axis.

        Parameters
        ----------
        array
            What is folded.
        axis
            The axis.
        dtype
            In which it is computed; by default the function's own for the elements of `array`.
        out
            None, on traced arrays.

        Returns
        -------
        Array
            The shape of `array`.

        Raises
        ------
        TypeError
            The array has no axes.
        ValueError
            The function does not take two operands.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> fnp.multiply.accumulate([1, 2, 3, 4])
        Array([ 1,  2,  6, 24])
        """
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
        x = folds.in_its_loop(self.reference, x, dtype)
        return folds.accumulated(self, x, axis_number(axis, type_of(x).ndim, f"{self.__name__}.accumulate"))

    def reduceat(self, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """The folds of slices.

        Parameters
        ----------
        array
            What is folded.
        indices
            Where the slices begin: known integers. Each one ends where the next begins, the last one at the end; one
            that would be empty is a single element.
        axis
            The axis.
        dtype
            In which it is computed; by default the function's own for the elements of `array`.
        out
            None, on traced arrays.

        Returns
        -------
        Array
            The shape of `array`, with as many elements along the axis as there are indices.

        Raises
        ------
        TypeError
            The indices are traced.
        IndexError
            One of them is not within the axis.
        ValueError
            The function does not take two operands.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> fnp.add.reduceat(fnp.arange(6.0), [0, 4])
        Array([6., 9.])
        """
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
        pieces = []
        for start, stop in zip(starts, [*starts[1:], n], strict=False):
            piece = folds.part(x, along, start, max(stop, start + 1))
            pieces.append(self.reduce(piece, axis=along, dtype=dtype, keepdims=True))
        if not pieces:
            return folds.in_its_loop(self.reference, folds.part(x, along, 0, 0), dtype)
        return concatenate(*pieces, dimension=along)

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:
        """The function of all pairs of an element of `A` and one of `B`.

        Parameters
        ----------
        A, B
            Arrays.
        **kwargs
            As the function takes them.

        Returns
        -------
        Array
            Of the shape of `A` followed by that of `B`.

        Raises
        ------
        ValueError
            The function does not take two operands.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> fnp.subtract.outer([1.0, 2.0], [0.0, 1.0, 2.0])
        Array([[ 1.,  0., -1.],
               [ 2.,  1.,  0.]])
        """
        if not has_tracer((A, B)):
            return wrap(self.reference.outer(A, B, **kwargs))
        if self.nin != 2:
            raise ValueError(f"outer only supported for binary functions, {self.__name__} is not{at_line()}")
        x, y = (strong(functions[np.asarray](v)) for v in (A, B))  # numbers are arrays here, whose dtype counts
        shape = type_of(x).shape
        if shape:
            x = reshape(x, shape=(*shape, *(1,) * type_of(y).ndim))
        return self(x, y, **kwargs)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Any:
        """The function applied at places of an array, as often as an index is repeated.

        Parameters
        ----------
        a
            The array.
        indices
            As in ``a[indices]``.
        b
            The second operand, for functions of two.
        inplace
            Whether `a` is written to, as by NumPy, which traced arrays cannot be; with False the result is a new array,
            as JAX's.

        Returns
        -------
        Array or None
            `a` with the places changed; None if it was written to.

        Raises
        ------
        TypeError
            A traced array should be written to; or the function of two operands is none that traced arrays have such
            updates for (those of `x.at`).

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> fnp.add.at(fnp.zeros(3), [0, 0, 2], 1.0, inplace=False)
        Array([2., 0., 1.])
        """
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


def register(reference: np.ufunc, traced: Traced) -> UFunc:
    """The ufunc that stands for `reference`, which NumPy's protocol finds from now on."""
    function = ufuncs[reference] = UFunc(reference, traced)
    return function
