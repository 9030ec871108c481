"""What is a row of the table of cases?  How operands are drawn, parameters, dtypes, tolerances.

A row says how operands are drawn (off the singularities, so that derivatives can be checked), for which dtypes, with
which parameters, and how many units in the last place a compiled value and a derivative may be off.
`test_consistency` runs every check over every row.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Primitive, registry

FLOATS = "f2 f4 f8"
SIGNED = "i1 i2 i4 i8"
UNSIGNED = "u1 u2 u4 u8"
INTEGERS = f"{SIGNED} {UNSIGNED}"
REALS = f"{INTEGERS} {FLOATS}"
ALL = f"b1 {REALS}"
COMPLEX = "c8 c16"
SHAPE = (3, 18)  # the last extent is one that kernels do not know, the first one that they may
INT64 = np.dtype(np.int64)


class Draw:
    """Random operands of one dtype; the same ones in every run."""

    def __init__(self, name: str, dtype: np.dtype) -> None:
        self.rng = np.random.default_rng(zlib.crc32(f"{name} {dtype}".encode()))
        self.dtype = dtype

    def between(self, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        """Numbers in [low, high]; for unsigned dtypes those that are not negative."""
        if self.dtype.kind == "b":
            return self.rng.random(shape) < 0.5
        if self.dtype.kind == "c":
            parts = self.rng.uniform(low, high, (*shape, 2))
            return np.asarray(parts[..., 0] + 1j * parts[..., 1]).astype(self.dtype)
        if self.dtype.kind in "iu":
            first = 0 if self.dtype.kind == "u" else int(np.ceil(low))
            return np.asarray(self.rng.integers(first, max(int(high), first + 1) + 1, shape)).astype(self.dtype)
        return np.asarray(self.rng.uniform(low, high, shape)).astype(self.dtype)

    def normal(self, *shape: int) -> np.ndarray:
        """Numbers around 0, none of them near it."""
        return self.off(shape, 0.2, 3)

    def off(self, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        """Numbers of magnitude in [low, high], of either sign."""
        if self.dtype.kind == "c":
            angle = self.rng.uniform(-3.1, 3.1, shape)
            return np.asarray(self.rng.uniform(low, high, shape) * np.exp(1j * angle)).astype(self.dtype)
        size = self.between(shape, low, high)
        return (
            size if self.dtype.kind in "bu" else np.where(self.rng.random(shape) < 0.5, -size, size).astype(self.dtype)
        )

    def off_integers(self, shape: tuple[int, ...], high: float) -> np.ndarray:
        """Numbers that are neither near an integer nor near the middle of two."""
        whole = self.rng.integers(-int(high), int(high), shape)
        return np.asarray(whole + self.rng.choice([0.3, 0.7], shape) + self.rng.uniform(-0.1, 0.1, shape)).astype(
            self.dtype
        )

    def distinct(self, *shape: int) -> np.ndarray:
        """Numbers no two of which are near each other."""
        size = int(np.prod(shape))
        if self.dtype.kind in "biu":
            return self.normal(*shape)
        return (self.rng.permutation(size).reshape(shape) / 16 - size / 37).astype(self.dtype)

    def near_one(self, *shape: int) -> np.ndarray:
        """Numbers of magnitude near 1, of either sign: many of them have a product."""
        return self.off(shape, 0.75, 1.33)

    def positions(self, shape: tuple[int, ...], size: int) -> np.ndarray:
        """Indices into an axis of `size`."""
        return self.rng.integers(0, size, shape)

    def bools(self, *shape: int) -> np.ndarray:
        """Truth values."""
        return self.rng.random(shape) < 0.5


Sampler = Callable[[Draw, tuple[int, ...]], np.ndarray]


def within(low: float, high: float) -> Sampler:
    """Operands in [low, high]."""
    return lambda draw, shape: draw.between(shape, low, high)


def off(low: float, high: float) -> Sampler:
    """Operands of magnitude in [low, high]."""
    return lambda draw, shape: draw.off(shape, low, high)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    name
        The primitive.
    operands
        Draws the operands.
    dtypes
        Of the operands (of the first one that is drawn, where they differ).
    params
        The parameters of the equation, from the dtype.
    ulps
        How far a compiled value may be from the reference, in units of the last place (in sums: of all magnitudes).
    slope_ulps
        The same for derivatives in a lower precision against float64.
    analytic
        Whether the reference takes complex operands and is analytic there: its derivative is then a complex step.
    samplers
        For operations on elements: of each operand; they are also tested with special values and other shapes.
    variant
        Tells rows of one primitive apart.
    output
        Which output is tested, of primitives that have several: one row for each.
    normwise
        Whether errors are relative to the largest element of the result (as in linear algebra).
    through
        What makes the primitive's operands of those that are drawn (a Hermitian matrix of any), as part of what is
        tested, so that any direction is one to differentiate along.
    onward
        What is made of the output, as part of what is tested: real numbers, where it is complex or has a phase.
    smooth
        Whether the primitive has a derivative there (False: it refuses).
    """

    name: str
    operands: Callable[[Draw], tuple[Any, ...]]
    dtypes: str = FLOATS
    params: Callable[[np.dtype], Mapping[str, Any]] = field(default=lambda dtype: {})
    ulps: float = 0
    slope_ulps: float = 8
    analytic: bool = True
    samplers: tuple[Sampler, ...] = ()
    variant: str = ""
    output: int = 0
    normwise: bool = False
    through: Callable[..., tuple[Any, ...]] = field(default=lambda *operands: operands)
    onward: Callable[[Any], Any] = field(default=lambda out: out)
    smooth: bool = True

    @property
    def primitive(self) -> Primitive:
        """The primitive of the row."""
        return registry[self.name]

    def call(self, dtype: np.dtype) -> Callable[..., Any]:
        """The primitive (one output of it) as a function of its operands."""
        primitive: Any = self.primitive
        params, output, through, onward = self.params(dtype), self.output, self.through, self.onward
        if primitive.multiple:
            return lambda *operands: onward(primitive(*through(*operands), **params)[output])
        return lambda *operands: onward(primitive(*through(*operands), **params))

    def reference(self, dtype: np.dtype) -> Callable[..., Any]:
        """The NumPy reference as a function of the operands."""
        primitive, params = self.primitive, self.params(dtype)

        def reference(*operands: Any) -> Any:
            with np.errstate(all="ignore"):
                out = primitive.reference(*self.through(*operands), **params)
            return self.onward(out[self.output] if primitive.multiple else out)

        return reference

    def draw(self, dtype: np.dtype) -> tuple[Any, ...]:
        """Operands of the row."""
        return self.operands(Draw(f"{self.name} {self.variant}", dtype))

    def __str__(self) -> str:
        return f"{self.name}-{self.variant}" if self.variant else self.name


def elements(name: str, dtypes: str, *samplers: Sampler, **options: Any) -> Row:
    """A row of an operation on elements."""
    return Row(name, lambda draw: tuple(s(draw, SHAPE) for s in samplers), dtypes, samplers=samplers, **options)


def fixed(**params: Any) -> Callable[[np.dtype], Mapping[str, Any]]:
    """Parameters that do not depend on the dtype."""
    return lambda dtype: params


def arrays(*shapes: tuple[int, ...]) -> Callable[[Draw], tuple[Any, ...]]:
    """Operands of the given shapes."""
    return lambda draw: tuple(draw.normal(*shape) for shape in shapes)


def drawn(sampler: Callable[..., Any], shape: tuple[int, ...]) -> Callable[[Draw], tuple[Any, ...]]:
    """One operand of a shape, by a method of `Draw`."""
    return lambda draw: (sampler(draw, *shape),)


SPECIAL_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 17.25, -104.0, np.inf, -np.inf, np.nan)


def special_values(dtype: np.dtype) -> np.ndarray:
    """The numbers at which implementations differ: zeros, infinities, NaN, extremes, halves."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array(
            [0, 1, 2, 3, 7, limits.max, limits.max - 1, limits.min, *((-1, -2, -7) if dtype.kind == "i" else ())], dtype
        )
    if dtype.kind == "c":
        line = np.array([0.0, -0.0, 1.0, -2.5, 1e3, np.inf, -np.inf, np.nan])
        z = np.empty((line.size, line.size), dtype)
        z.real, z.imag = line[:, None], line
        return z.reshape(-1)
    limits = np.finfo(dtype)
    ends = (
        limits.max,
        limits.min,
        limits.tiny,
        -limits.tiny,
        limits.smallest_subnormal,
        limits.eps,
        1 + limits.eps,
        1 - limits.eps,
    )
    return np.array([*SPECIAL_FLOATS, *ends], dtype)


def special_operands(row: Row, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Every combination of special values, as 1-d operands."""
    values = special_values(dtype)
    grids = np.meshgrid(*[values] * len(row.samplers), indexing="ij")
    return tuple(np.ascontiguousarray(g.reshape(-1)) for g in grids)
