"""What may samplers be called with?  Keys, shapes, dtypes and parameters, checked before anything is traced."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.dtypes import COMPLEX, FLOATS, INTEGERS, UNSIGNED, DType, check_supported
from funcgrad.errors import TracerError, at_line
from funcgrad.ops.comparison import convert
from funcgrad.runtime.dispatch import jit
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

F = TypeVar("F", bound=Callable[..., Any])
Shape = tuple[int, ...]
UINT32 = np.dtype(np.uint32)
KINDS: dict[frozenset[DType], str] = {
    FLOATS: "a float dtype",
    FLOATS | COMPLEX: "a float or complex dtype",
    INTEGERS: "an int dtype",
    UNSIGNED: "an unsigned int dtype",
}


def keys(name: str, key: Any) -> Any:
    """An array of keys: uint32, two words along the last axis."""
    if type(key) is not Tracer and not isinstance(key, np.ndarray):
        raise TypeError(
            f"{name}: a key is an array of two uint32, as funcgrad.random.key(seed) makes, not {key!r} of type "
            f"{type(key).__name__}{at_line()}"
        )
    kind = type_of(key)
    if kind.dtype != UINT32 or kind.shape[-1:] != (2,):
        raise TypeError(
            f"{name}: a key is an array of two uint32, as funcgrad.random.key(seed) makes; this one has shape "
            f"{kind.shape} and dtype {kind.dtype.name}{at_line()}"
        )
    return key


def one_key(name: str, key: Any) -> Any:
    """A single key."""
    shape = type_of(keys(name, key)).shape
    if shape != (2,):
        raise ValueError(
            f"{name} takes one key, of shape (2,), but was given an array of keys, of shape {shape}: use vmap for "
            f"batches{at_line()}"
        )
    return key


def integer(name: str, argument: str, value: Any) -> int:
    """A known integer."""
    try:
        return operator.index(value)
    except TracerError:
        raise
    except TypeError:
        raise TypeError(f"{name}: {argument} must be an integer, not {value!r}{at_line()}") from None


def extents(name: str, shape: Any, argument: str = "shape") -> Shape:
    """A shape as a tuple of ints."""
    sequence = isinstance(shape, (tuple, list)) or (isinstance(shape, np.ndarray) and shape.ndim > 0)
    numbers = tuple(integer(name, argument, n) for n in (shape if sequence else (shape,)))
    if any(n < 0 for n in numbers):
        raise ValueError(f"{name}: {argument} {numbers} has a negative extent{at_line()}")
    return numbers


def dtype_among(name: str, dtype: Any, allowed: frozenset[DType], error: type[Exception] = ValueError) -> DType:
    """A dtype of the kind that the sampler makes."""
    found = check_supported(np.dtype(dtype))
    if found not in allowed:
        raise error(f"{name}: dtype must be {KINDS[allowed]}, got {found.name}{at_line()}")
    return found


def array(name: str, argument: str, x: Any) -> Any:
    """A parameter as an array or tracer of its own dtype."""
    if type(x) is Tracer:
        return x
    if isinstance(x, int) and not -(1 << 63) <= x < 1 << 64:
        raise OverflowError(f"{name}: {argument} must fit into 64 bits, got {x}{at_line()}")
    if isinstance(x, (np.ndarray, np.generic, bool, int, float, complex)):
        return np.asarray(x)
    raise TypeError(f"{name}: {argument} must be an array or a number, not {x!r} of type {type(x).__name__}{at_line()}")


def parameter(name: str, argument: str, x: Any, dtype: DType) -> Any:
    """A parameter of a distribution as an array or tracer of the sampler's dtype."""
    x = array(name, argument, x)
    have = type_of(x).dtype
    if have.kind == "c" and dtype.kind != "c":
        raise TypeError(f"{name}: {argument} must be real, but has dtype {have.name}{at_line()}")
    return converted(x, dtype)


def converted(x: Any, dtype: DType) -> Any:
    """An array or tracer with another dtype."""
    if type(x) is Tracer:
        return x if x.type.dtype == dtype and not x.type.weak else convert(x, dtype=dtype)
    return x.astype(dtype, copy=False)


def common_shape(name: str, shape: Any, /, **parameters: Shape) -> Shape:
    """The shape of a sample: as given, if the parameters' shapes fit it, else what these broadcast to."""
    try:
        joint = np.broadcast_shapes(*parameters.values())
    except ValueError:
        listed = ", ".join(f"{argument} {found}" for argument, found in parameters.items())
        raise ValueError(f"{name}: shapes do not broadcast together: {listed}{at_line()}") from None
    if shape is None:
        return joint
    wanted = extents(name, shape)
    if len(joint) > len(wanted) or any(
        n not in (1, m) for n, m in zip(reversed(joint), reversed(wanted), strict=False)
    ):
        listed = ", ".join(f"{argument} {found}" for argument, found in parameters.items())
        raise ValueError(f"{name}: {listed} cannot be broadcast to shape {wanted}{at_line()}")
    return wanted


def parameters(name: str, shape: Any, dtype: DType, /, **values: Any) -> tuple[Shape, list[Any]]:
    """The shape of a sample and its distribution's parameters, checked and converted."""
    found = {argument: parameter(name, argument, x, dtype) for argument, x in values.items()}
    return common_shape(name, shape, **{a: type_of(x).shape for a, x in found.items()}), list(found.values())


def spread(x: Any, shape: Shape) -> Any:
    """`x` repeated to a shape; numbers stay as they are."""
    return x if type_of(x).shape in ((), shape) else fnp.broadcast_to(x, shape)


def compiled(sampler: F) -> F:
    """A sampler that runs compiled; its arguments by keyword only are static."""

    @functools.lru_cache(maxsize=1024)  # programs of so many shapes are kept
    def specialised(**statics: Any) -> Callable[..., Any]:
        return jit(functools.wraps(sampler)(functools.partial(sampler, **statics)))

    @functools.wraps(sampler)
    def call(*args: Any, **statics: Any) -> Any:
        return specialised(**statics)(*args)

    return call  # type: ignore[return-value]


def plain(name: str, key: Any, shape: Any, dtype: Any, allowed: frozenset[DType] = FLOATS) -> tuple[Any, Shape, DType]:
    """The checked arguments of a sampler without parameters."""
    kind = dtype_among(name, float if dtype is None else dtype, allowed)
    return one_key(name, key), extents(name, shape), kind
