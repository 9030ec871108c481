"""Which functions do random programs call besides public ones?  Each for funcgrad and for JAX: `namespace`."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from tests.ops.rows import Row

Function = Callable[..., Any]


def is_smooth(value: Any) -> bool:
    """Whether one may differentiate by an argument: real floats."""
    return isinstance(value, float) or getattr(value, "dtype", numpy.dtype("i8")).name in (
        *("float16", "float32", "float64", "bfloat16"),
    )


@functools.cache
def rows() -> dict[str, Row]:
    """The table of primitives, by the rows' names."""
    from tests.ops.cases import ROWS

    return {str(row): row for row in ROWS}


@functools.cache
def namespace(library: str = "funcgrad") -> Mapping[str, Any]:
    """The names that texts of programs use."""
    np = importlib.import_module(f"{library}.numpy")
    fg, lax, nn = (importlib.import_module(name) for name in (library, f"{library}.lax", f"{library}.nn"))
    special = importlib.import_module(f"{library}.scipy.special")
    kit = Kit(fg, np)
    bound = {name: getattr(kit, name) for name in dir(kit) if not name.startswith("_")}
    return {"fg": fg, "np": np, "lax": lax, "nn": nn, "special": special, "numpy": numpy} | bound


class Kit:
    """The functions, by the modules that they use."""

    def __init__(self, fg: Any, np: Any) -> None:
        self._fg, self._np = fg, np

    # Values ----------------------------------------------------------------------------------------------------------

    def cast(self, x: Any, dtype: str) -> Any:
        """`x` in another dtype, by way of numbers that every dtype has."""
        np = self._np
        to, x = numpy.dtype(np.bfloat16 if dtype == "bfloat16" else dtype), np.asarray(x)
        if x.dtype == to:
            return x
        if x.dtype.kind == "c" and to.kind != "c":
            x = np.real(x)
        if to.kind in "iu" and x.dtype.kind in "fV":
            x = np.clip(np.nan_to_num(x.astype("float32" if x.dtype.kind == "V" else x.dtype)), -100, 100)
            x = np.abs(x) if to.kind == "u" else x
        return x.astype(to)

    def fit(self, x: Any, shape: tuple[int, ...], dtype: str) -> Any:
        """The numbers of `x`, repeated or cut off, in this shape and dtype."""
        np = self._np
        x, size = np.asarray(x), math.prod(shape)
        if x.shape != shape:
            if not x.size:
                x = np.ones(shape, x.dtype)
            elif x.size != size:
                x = np.tile(np.ravel(x), -(-size // x.size) if size else 1)[:size]
            x = np.reshape(x, shape)
        return self.cast(x, dtype)

    def tame(self, x: Any) -> Any:
        """Numbers of moderate size."""
        return self._np.tanh(x / 4) * 2

    def finite(self, x: Any) -> Any:
        """Numbers that LAPACK spreads no further than its formulas say: 0 times infinity is NaN anywhere in a block."""
        np = self._np
        return np.where(np.isfinite(x), x, np.ones((), x.dtype) / 2)

    def spd(self, x: Any) -> Any:
        """A matrix that is symmetric and positive definite."""
        np = self._np
        x = np.tanh(x)
        return x @ np.swapaxes(x, -1, -2) / x.shape[-1] + np.eye(x.shape[-2], dtype=x.dtype)

    def regular(self, x: Any) -> Any:
        """A square matrix of finite numbers that has an inverse."""
        np, x = self._np, self.finite(x)
        return np.tanh(x) / x.shape[-1] + 1.5 * np.eye(x.shape[-1], dtype=x.dtype)

    def total(self, outputs: Any) -> Any:
        """One real number of all outputs that are floats."""
        np = self._np
        found = 0.0
        for out in self._fg.tree.leaves(outputs) if hasattr(self._fg.tree, "leaves") else outputs:
            if out.dtype.kind in "fcV":
                part = np.sum(np.sin(np.real(out) if out.dtype.kind == "c" else out))
                found = found + part.astype("float64")
        return found

    def row(self, name: str, dtype: str, *values: Any) -> Any:
        """A primitive as in the table of cases, its operands moved a little by `values`."""
        row = rows()[name]
        base = row.draw(numpy.dtype(dtype))
        if row.name == "searchsorted":  # the table must stay in order
            values = (None, *values)
        return row.call(numpy.dtype(dtype))(*map(self._blend, base, (*values, *[None] * len(base))))

    def _blend(self, base: Any, value: Any) -> Any:
        np, kind = self._np, getattr(base, "dtype", numpy.dtype("O")).kind
        if value is None or kind not in "fcb":
            return base
        moved = self.fit(value, numpy.shape(base), base.dtype.name)
        if kind == "b":
            return np.logical_xor(base, moved)
        return base * (1 + np.tanh(moved) * numpy.asarray(0.04, base.real.dtype))

    # Transformations -------------------------------------------------------------------------------------------------

    def _part(self, f: Function, numbers: tuple[int, ...], given: tuple[Any, ...]) -> Function:
        def function(*moving: Any) -> Any:
            arguments = list(given)
            for k, x in zip(numbers, moving, strict=True):
                arguments[k] = x
            return f(*arguments)

        return function

    def _direction(self, x: Any) -> Any:
        np = self._np
        x = np.asarray(x)
        return np.reshape(np.cos(np.arange(x.size)), x.shape).astype(x.dtype)

    def gradient(self, f: Function, numbers: tuple[int, ...]) -> Function:
        """The gradient of the total."""
        return self._fg.grad(lambda *a: self.total(f(*a)), argnums=numbers)

    def with_gradient(self, f: Function, numbers: tuple[int, ...]) -> Function:
        """The outputs, and the gradient of their total."""

        def loss(*a: Any) -> Any:
            out = f(*a)
            return self.total(out), out

        return lambda *a: self._fg.tree.leaves(self._fg.value_and_grad(loss, argnums=numbers, has_aux=True)(*a))

    def pushed(self, f: Function, numbers: tuple[int, ...]) -> Function:
        """The directional derivatives."""

        def function(*a: Any) -> Any:
            xs = tuple(a[k] for k in numbers)
            out, slope = self._fg.jvp(self._part(f, numbers, a), xs, tuple(map(self._direction, xs)))
            return self._moving(out, slope)

        return function

    def linearized(self, f: Function, numbers: tuple[int, ...]) -> Function:
        """The directional derivatives, by way of the linear part alone."""

        def function(*a: Any) -> Any:
            xs = tuple(a[k] for k in numbers)
            out, linear = self._fg.linearize(self._part(f, numbers, a), *xs)
            return self._moving(out, linear(*map(self._direction, xs)))

        return function

    def _moving(self, outputs: Any, slopes: Any) -> tuple[Any, ...]:
        """Outputs, and the slopes of those that are not integers."""
        return (*outputs, *(t for x, t in zip(outputs, slopes, strict=True) if x.dtype.kind in "fcV"))

    def batched(self, f: Function, numbers: tuple[int, ...]) -> Function:
        """A batch of three, in every second argument."""
        np = self._np

        def function(*a: Any) -> Any:
            mapped = [k % 2 == 0 and np.ndim(x) > 0 for k, x in enumerate(a)]
            if not any(mapped):
                mapped = [np.ndim(x) > 0 for x in a]
            if not any(
                mapped
            ):  # Python's numbers are arrays to a trace: whether there are axes is the same in each way
                return f(*a)
            stacked = [np.stack([x, np.flip(x), x]) if m else x for m, x in zip(mapped, a, strict=True)]
            axes = tuple(0 if m else None for m in mapped)
            return self._fg.vmap(f, in_axes=axes)(*stacked)

        return function

    def compiled(self, f: Function, numbers: tuple[int, ...]) -> Function:
        """The function, compiled by itself."""
        return self._fg.jit(f)

    def checkpointed(self, f: Function, numbers: tuple[int, ...]) -> Function:
        """The function, whose values are computed again for derivatives."""
        return self._fg.checkpoint(f)

    def with_jvp_rule(self, f: Function) -> Function:
        """A function of one value with the rule that it has anyway."""
        function = self._fg.custom_jvp(f)
        function.defjvp(lambda primals, tangents: self._fg.jvp(f, primals, tangents))
        return function

    def with_vjp_rule(self, f: Function) -> Function:
        """A function of one value with the halves of reverse mode that it has anyway."""
        function = self._fg.custom_vjp(f)
        function.defvjp(lambda x: (f(x), x), lambda x, ct: self._fg.vjp(f, x)[1](ct))
        return function

    # Transformations inside of programs: of functions of one array, which give one array ----------------------------

    def slope(self, f: Function, x: Any) -> Any:
        """The gradient of the sum."""
        return self._fg.grad(lambda y: self._np.sum(f(y)))(x)

    def push(self, f: Function, x: Any) -> Any:
        """The derivative along a direction."""
        return self._fg.jvp(f, (x,), (self._direction(x),))[1]

    def pull(self, f: Function, x: Any) -> Any:
        """The cotangent of `x` for the output itself."""
        out, back = self._fg.vjp(f, x)
        return back(out)[0]

    def line(self, f: Function, x: Any) -> Any:
        """The linear part along a direction."""
        return self._fg.linearize(f, x)[1](self._direction(x))
