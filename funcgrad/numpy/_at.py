"""What is ``x.at[index]``?  Reading and writing at an index without writing into `x`: each method gives a new array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import array as arrays
from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.lax._scatter import UPDATES
from funcgrad.numpy._common import cast, has_tracer, operand
from funcgrad.numpy._indexing import MODES, getitem
from funcgrad.numpy._updates import cast_values, update
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, methods


class At:
    """``x.at``: what an index is applied to."""

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def __getitem__(self, index: Any) -> AtIndex:
        return AtIndex(self._array, index)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: places are in brackets."""
        raise TypeError(f"x.at takes an index in brackets: write x.at[index].set(values){at_line()}")

    def __repr__(self) -> str:
        return f"<x.at of {type_of(self._array)}: x.at[index].set(values), .add, .get, ...>"


class AtIndex:
    """``x.at[index]``: a place in an array, whose methods give the array with that place changed.

    `x` itself stays as it is. Inside `jit` no copy is made where nothing else needs the old array. All methods can be
    differentiated and batched. They take these keywords:

    mode
        What happens to integers out of bounds: ``"raise"`` (default: `IndexError`, compiled too), ``"clip"`` (the
        nearest element), ``"drop"`` or ``"fill"`` (writes are skipped, reads give `fill_value`), ``"wrap"`` (modulo
        the size), ``"promise_in_bounds"`` (there are none: not checked, read and written as by ``"clip"``).
        Negative integers count from the end in every mode.
    indices_are_sorted, unique_indices
        What the caller knows of the indices. Sorted ones make no difference here; unique ones save work in
        derivatives, and if they are not, these are wrong.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import funcgrad.numpy as fnp
    >>> x = fnp.arange(5.0)
    >>> x.at[1:3].set(9.0)
    Array([0., 9., 9., 3., 4.])
    >>> x.at[[0, 0, 4]].add(1.0)
    Array([2., 1., 2., 3., 5.])
    >>> fg.grad(lambda x: (x.at[2].multiply(3.0) ** 2).sum())(x)
    Array([ 0.,  2., 36.,  6.,  8.])
    """

    __slots__ = ("_array", "_index")

    def __init__(self, array: Any, index: Any) -> None:
        self._array = array
        self._index = index

    def get(
        self,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        fill_value: Any = None,
    ) -> Any:
        """The elements there, ``x[index]``.

        Parameters
        ----------
        indices_are_sorted, unique_indices, mode
            See `AtIndex`.
        fill_value
            What stands where mode ``"fill"`` finds none; by default NaN, the least of signed and the largest of
            unsigned integers, True.

        Returns
        -------
        Array
            Of the shape of ``x[index]``, and of the dtype of `x`.

        Raises
        ------
        IndexError
            An integer is out of bounds, and no `mode` says otherwise.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> fnp.arange(3.0).at[5].get(mode="fill", fill_value=-1.0)
        Array(-1.)
        """
        found = _mode(mode)
        if self._is_plain(found):
            return as_array(np.array(np.asarray(self._array)[self._index]))
        return _owned(getitem(self._array, self._index, found, fill_value))

    def set(self, values: Any, **options: Any) -> Any:
        """`x` with the elements there replaced; where an index is repeated, the last value stays.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[1].set(0.0)
        Array([1., 0., 4.])
        """
        return self._update("set", values, **options)

    def add(self, values: Any, **options: Any) -> Any:
        """`x` with values added there, as often as an index is repeated.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[[0, 0]].add(1.0)
        Array([3., 2., 4.])
        """
        return self._update("add", values, **options)

    def subtract(self, values: Any, **options: Any) -> Any:
        """`x` with values subtracted there, as often as an index is repeated.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[[0, 0]].subtract(1.0)
        Array([-1.,  2.,  4.])
        """
        return self._update("add", np.negative(operand(values, "at[].subtract")), **options)

    def multiply(self, values: Any, **options: Any) -> Any:
        """`x` with the elements there multiplied, as often as an index is repeated; `mul` is another name.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[[0, 0]].multiply(3.0)
        Array([9., 2., 4.])
        """
        return self._update("multiply", values, **options)

    mul = multiply

    def divide(self, values: Any, **options: Any) -> Any:
        """`x` with the elements there divided, as often as an index is repeated.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[[2, 2]].divide(2.0)
        Array([1., 2., 1.])
        """
        divisor = self._ones(values)._update("multiply", values, **options)
        return self._back("divide", np.true_divide(self._array, divisor))

    def power(self, values: Any, **options: Any) -> Any:
        """`x` with the elements there raised to powers, as often as an index is repeated.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[1:].power(2.0)
        Array([ 1.,  4., 16.])
        """
        exponent = self._ones(values)._update("multiply", values, **options)
        return self._back("power", np.power(self._array, exponent))

    def min(self, values: Any, **options: Any) -> Any:
        """`x` with the lesser of element and value there; equal ones share the derivative.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[1:].min(3.0)
        Array([1., 2., 3.])
        """
        return self._update("min", values, **options)

    def max(self, values: Any, **options: Any) -> Any:
        """`x` with the greater of element and value there; equal ones share the derivative.

        Parameters
        ----------
        values
            What broadcasts to the shape of the place.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[1:].max(3.0)
        Array([1., 3., 4.])
        """
        return self._update("max", values, **options)

    def apply(self, func: Callable[[Any], Any], **options: Any) -> Any:
        """`x` with a function applied there, once per element.

        Parameters
        ----------
        func
            A function of arrays that works on elements.
        **options
            The keywords of all methods; see `AtIndex`.

        Returns
        -------
        Array
            A new array of the shape and dtype of `x`.

        Examples
        --------
        >>> import funcgrad.numpy as fnp
        >>> x = fnp.array([1.0, 2.0, 4.0])
        >>> x.at[1:].apply(fnp.sqrt)
        Array([1.        , 1.41421356, 2.        ])
        """
        get = {k: v for k, v in options.items() if k != "fill_value"}
        return self._update("set", func(self.get(**get)), **options)

    def _update(
        self,
        kind: str,
        values: Any,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        fill_value: Any = None,
    ) -> Any:
        found = _mode(mode)
        values = operand(values, f"at[].{kind}")
        if self._is_plain(found) and not has_tracer((values,)):
            return self._plain(kind, values)
        return _owned(update(kind, self._array, self._index, values, found, unique_indices))

    def _is_plain(self, mode: str) -> bool:
        entries = self._index if isinstance(self._index, tuple) else (self._index,)
        inner = [x for e in entries for x in ((e.start, e.stop, e.step) if isinstance(e, slice) else (e,))]
        return mode == "raise" and not has_tracer((self._array, inner))

    def _plain(self, kind: str, values: Any) -> Any:
        """NumPy's own assignment, into a copy."""
        out = np.array(self._array)
        ufunc = UPDATES[kind].ufunc
        if ufunc is None:
            out[self._index] = values
        else:
            ufunc.at(out, self._index, cast_values(kind, values, out.dtype))
        return as_array(out)

    def _ones(self, values: Any) -> AtIndex:
        """This place in an array of ones."""
        kind, given = type_of(self._array), type_of(operand(values, "at[]"))
        dtype = kind.dtype if given.weak and given.dtype.kind <= kind.dtype.kind else given.dtype
        dtype = kind.dtype if dtype.kind == kind.dtype.kind else dtype
        return AtIndex(np.broadcast_to(dtype.type(1), kind.shape), self._index)

    def _back(self, kind: str, result: Any) -> Any:
        dtype = type_of(self._array).dtype
        if not np.can_cast(type_of(result).dtype, dtype, "same_kind"):
            raise TypeError(
                f"at[].{kind}: an array of dtype {dtype.name} cannot hold results of dtype "
                f"{type_of(result).dtype.name}: convert it first.{at_line()}"
            )
        return _owned(cast(result, dtype))


def _mode(mode: Any) -> str:
    """The mode by name; None is "raise", and JAX's enumeration is known by its members' names."""
    name = "raise" if mode is None else mode if isinstance(mode, str) else getattr(mode, "name", "")
    name = {"fill_or_drop": "fill", "one_hot": "promise_in_bounds"}.get(name.lower(), name.lower())
    if name not in MODES:
        raise ValueError(f"at[]: mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}{at_line()}")
    return name


def _owned(result: Any) -> Any:
    return result if type(result) is Tracer else as_array(np.array(result))


methods["at"] = At
arrays.indexing.update(at=At, getitem=lambda x, index: getitem(x, index))
