"""NumPy's functions that take functions: apply_along_axis, vectorize, frompyfunc, by batching the function."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, broadcast_shape, has_tracer, implements, operand, wrap
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.numpy._shapes import moveaxis, reshape
from funcgrad.trace.frame import type_of
from funcgrad.transform.vmap import vmap_values

_CORE = re.compile(r"\(([^()]*)\)")


def _each(function: Callable[..., Any], loop: tuple[int, ...], arrays: list[Any]) -> list[Any]:
    """The results of a function for each place of the leading axes `loop` of arrays, stacked."""
    size = int(np.prod(loop, dtype=int))
    flat = [reshape(x, (size, *type_of(x).shape[len(loop) :])) for x in arrays]

    def values(*examples: Any) -> list[Any]:
        out = function(*examples)
        return [operand(v, "vectorize") for v in (out if isinstance(out, tuple) else (out,))]

    outs = vmap_values(values, size, flat, [True] * len(flat))
    return [reshape(out, (*loop, *type_of(out).shape[1:])) for out in outs]


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of 1-d arrays applied to each line along an axis."""
    arr = operand(arr, "apply_along_axis")
    ndim = type_of(arr).ndim
    along = axis_number(axis, ndim, "apply_along_axis")
    lines = moveaxis(arr, along, -1)
    loop = type_of(lines).shape[:-1]
    (out,) = _each(lambda line: func1d(line, *args, **kwargs), loop, [lines])
    inner = type_of(out).ndim - len(loop)
    return moveaxis(out, tuple(range(len(loop), len(loop) + inner)), tuple(range(along, along + inner)))


class vectorize:
    """A function of numbers made into one of arrays, which broadcast; or, with a `signature`, of small arrays.

    On known arrays this is `numpy.vectorize`: the function is called for each element, and may use ``if``.  On traced
    arrays it is called once, for all elements at a time, as under `vmap`.

    Parameters
    ----------
    pyfunc
        The function; it returns an array or a tuple of arrays.
    otypes, doc, excluded, cache, signature
        See `numpy.vectorize`.  `excluded` arguments are handed through.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> dot = fg.numpy.vectorize(lambda x, y: x @ y, signature="(n),(n)->()")
    >>> fg.jit(dot)(np.ones((2, 3)), np.arange(3.0))
    Array([3., 3.])
    """

    def __init__(
        self,
        pyfunc: Callable[..., Any],
        otypes: Any = None,
        doc: str | None = None,
        excluded: Iterable[int | str] | None = None,
        cache: bool = False,
        signature: str | None = None,
    ) -> None:
        functools.update_wrapper(self, pyfunc, updated=())
        self.pyfunc = pyfunc
        self.excluded = frozenset(excluded or ())
        self.signature = signature
        self.cores = _cores(signature) if signature else None
        self.reference = np.vectorize(pyfunc, otypes, doc, excluded and set(excluded), cache, signature)
        if doc is not None:
            self.__doc__ = doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function, on arrays."""
        if not has_tracer(args) and not has_tracer(tuple(kwargs.values())):
            return wrap(self.reference(*args, **kwargs))
        moving = [k for k in range(len(args)) if k not in self.excluded]
        names = [k for k in kwargs if k not in self.excluded]
        arrays = [operand(v, "vectorize") for v in (*(args[k] for k in moving), *(kwargs[k] for k in names))]
        ranks = self._ranks(arrays)
        cuts = [type_of(x).ndim - rank for x, rank in zip(arrays, ranks, strict=True)]
        loop = broadcast_shape("vectorize", *(type_of(x).shape[:cut] for x, cut in zip(arrays, cuts, strict=True)))
        full = [_broadcast_to(x, (*loop, *type_of(x).shape[cut:])) for x, cut in zip(arrays, cuts, strict=True)]
        several = [False]

        def function(*given: Any) -> Any:
            rest = list(args)
            for k, v in zip(moving, given, strict=False):
                rest[k] = v
            out = self.pyfunc(*rest, **{**kwargs, **dict(zip(names, given[len(moving) :], strict=True))})
            several[0] = isinstance(out, tuple)
            return out

        outs = _each(function, loop, full)
        return tuple(outs) if several[0] else outs[0]

    def _ranks(self, arrays: list[Any]) -> list[int]:
        """How many axes of each operand belong to the function."""
        if self.cores is None:
            return [0] * len(arrays)
        if len(self.cores) != len(arrays):
            raise TypeError(
                f"wrong number of positional arguments: expected {len(self.cores)}, got {len(arrays)}{at_line()}"
            )
        sizes: dict[str, int] = {}
        for x, names in zip(arrays, self.cores, strict=True):
            shape = type_of(x).shape
            if len(shape) < len(names):
                raise ValueError(
                    f"{len(shape)}-dimensional argument does not have enough dimensions for all core dimensions "
                    f"({', '.join(names)}) of {self.signature!r}{at_line()}"
                )
            for name, n in zip(names, shape[len(shape) - len(names) :], strict=True):
                if sizes.setdefault(name, n) != n:
                    raise ValueError(
                        f"inconsistent size for core dimension {name!r} of {self.signature!r}: {n} vs {sizes[name]}"
                        f"{at_line()}"
                    )
        return [len(names) for names in self.cores]


def _cores(signature: str) -> list[tuple[str, ...]]:
    """The names of the core dimensions of each operand in ``"(n,m),(m)->(n)"``."""
    inputs = signature.replace(" ", "").partition("->")[0]
    return [tuple(filter(None, match.split(","))) for match in _CORE.findall(inputs)]


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *, identity: Any = None) -> Callable[..., Any]:
    """A function of `nin` numbers with `nout` results as one of arrays, which broadcast.

    `identity` has no meaning here. Results have the dtypes that `func` gives them (NumPy's are arrays of objects).

    Returns
    -------
    callable
        It takes arrays, and returns arrays of objects.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.jit(fg.numpy.frompyfunc(lambda x, y: x * y + 1, 2, 1))(fg.numpy.arange(3.0), 2.0)
    Array([1., 3., 5.])
    """
    mapped = vectorize(func)

    def function(*args: Any) -> Any:
        if len(args) != nin:
            raise TypeError(
                f"{getattr(func, '__name__', 'frompyfunc')} takes {nin} arguments, got {len(args)}{at_line()}"
            )
        return mapped(*args)

    function.nin, function.nout, function.identity = nin, nout, identity  # type: ignore[attr-defined]
    return function
