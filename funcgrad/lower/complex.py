"""How do complex and bfloat16 arrays become what kernels know?  A program of real equations, over the same memory.

A complex array of shape S lies in memory as a real array of shape S + (2,). Inputs, constants and results are such
arrays; every equation with complex operands or results becomes equations on the real parts and the imaginary parts,
which are lazy views of them, and fuse as any others do. Results are concatenations of parts, which are written where
they belong. What has no formula is a call of NumPy, on the same memory again.

A bfloat16 array is the upper halves of float32 numbers: an array of uint16 in memory, float32 wherever it is computed
with, rounded (to nearest, ties to even) where it is stored or converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.dtypes import BFLOAT16
from funcgrad.ir.primitive import OF_USERS, in_single
from funcgrad.ir.program import Atom, Equation, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.complex_math import FORMULAS
from funcgrad.lower.products import is_fold
from funcgrad.ops.arithmetic import add
from funcgrad.ops.bits import bitcast
from funcgrad.ops.comparison import and_, convert, ne, or_, select, shift_left, shift_right
from funcgrad.ops.complex import from_parts, to_parts, to_real
from funcgrad.ops.contraction import dot_general, free_axes
from funcgrad.ops.families import fill
from funcgrad.ops.shape import concatenate, reshape, slice_, transpose
from funcgrad.simplify import simplify
from funcgrad.trace.builder import Builder
from funcgrad.trace.frame import running, type_of, undisturbed
from funcgrad.trace.tracer import Tracer

LINEAR = frozenset(
    (
        "broadcast_in_dim transpose slice rev pad concatenate gather scatter_add reduce_sum dynamic_slice "
        "dynamic_update_slice cumsum reduce_window_sum"
    ).split()
)
"""What treats the parts alike (other operands, such as indices, are handed to both)."""

ROUNDING = frozenset(("convert_element_type", "iota"))  # results are rounded to bfloat16 if that is their dtype
SINGLE, WORD, HALF_WORD = np.dtype(np.float32), np.dtype(np.uint32), np.dtype(np.uint16)


class Parts(NamedTuple):
    """A complex value.

    Attributes
    ----------
    re, im
        Its parts, of its shape.
    memory
        The array of shape S + (2,) that it lies in, if it does; or one whose axes are in another order, `permutation`.
    permutation
        For each axis of the value, that of the array in memory.
    """

    re: Any
    im: Any
    memory: Any = None
    permutation: tuple[int, ...] | None = None


@undisturbed
def split(program: Program) -> Program:
    """A program without complex numbers, with the same results in the same memory.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> print(split(fg.make_jaxpr(lambda z: z * 1j)(np.ones(3, complex))))
    { lambda ; a:f64[3,2]. let
        b:f64[3,1] = slice[limit_indices=(3,1) start_indices=(0,0) strides=(1,1)] a
        c:f64[3] = reshape[shape=(3,)] b
        d:f64[3,1] = slice[limit_indices=(3,2) start_indices=(0,1) strides=(1,1)] a
        e:f64[3] = reshape[shape=(3,)] d
        f:f64[3] = mul c 0.0:f64[]
        g:f64[3] = sub f e
        h:f64[3] = mul e 0.0:f64[]
        i:f64[3] = add c h
        j:f64[3,1] = reshape[shape=(3,1)] g
        k:f64[3,1] = reshape[shape=(3,1)] i
        l:f64[3,2] = concatenate[dimension=1] j k
      in (l,) }
    """
    variables = (*program.inputs, *program.constants, *(v for e in program.equations for v in e.outputs))
    if not any(a.type.dtype.kind in "cV" for a in (*variables, *program.outputs)):
        return program
    with Builder() as builder:
        return simplify(_Splitter(builder).run(program))


def _is_complex(atom: Atom) -> bool:
    return atom.type.dtype.kind == "c"


def in_memory(kind: ArrayType) -> ArrayType:
    """The type of the array that a complex or bfloat16 array is in memory; other types are themselves."""
    if kind.dtype == BFLOAT16:
        return ArrayType(kind.shape, HALF_WORD)
    return ArrayType((*kind.shape, 2), to_real(kind.dtype)) if kind.dtype.kind == "c" else kind


class _Splitter:
    """Runs a program on parts, as the equations of another one."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.env: dict[Var, Any] = {}

    def run(self, program: Program) -> Program:
        """The real program."""
        parameters = [self.builder.parameter(in_memory(v.type)) for v in program.inputs]
        self.env.update((v, _loaded(t, v)) for v, t in zip(program.inputs, parameters, strict=True))
        for v, value in program.constants.items():
            self.env[v] = _loaded(self._constant(v, value), v)
        before = running.source
        try:
            for equation in program.equations:
                running.source = equation.source
                self._equation(equation)
        finally:
            running.source = before
        return self.builder.program(parameters, [_stored(self._read(a), a) for a in program.outputs])

    def _constant(self, v: Var, value: np.ndarray) -> Tracer:
        kind = in_memory(v.type)
        var = Var(kind)
        flat = np.ascontiguousarray(value, v.type.dtype).reshape(-1)
        self.builder.constants[var] = flat.view(kind.dtype).reshape(kind.shape)
        return Tracer(self.builder, kind, var)

    def _read(self, atom: Atom) -> Any:
        if isinstance(atom, Var):
            return self.env[atom]
        if atom.type.dtype == BFLOAT16:
            return np.float32(atom.value)
        return Parts(atom.value.real, atom.value.imag) if _is_complex(atom) else atom.value

    def _equation(self, equation: Equation) -> None:
        operands = [self._read(a) for a in equation.inputs]
        results: Sequence[Any]
        if equation.primitive.name == "bitcast_convert_type" and _is_half(equation.inputs[0], equation.outputs[0]):
            (operand,), (result,) = equation.inputs, equation.outputs
            bits = bitcast(_stored(operands[0], operand), new_dtype=in_memory(result.type).dtype)
            self.env[result] = _loaded(bits, result)
            return
        if equation.primitive.family in OF_USERS or equation.primitive.name == "bitcast_convert_type":
            results = self._call(equation, operands)  # bodies are lowered by themselves
            self.env.update(zip(equation.outputs, results, strict=True))
            return
        rounds = equation.primitive.name in ROUNDING and equation.params["dtype"] == BFLOAT16
        equation = equation.replace(params=in_single(equation.params))
        if not any(map(_is_complex, (*equation.inputs, *equation.outputs))):
            results = self._append(equation, operands)
        else:
            found = _result(equation, operands)
            results = self._call(equation, operands) if found is None else [_shaped(found, equation.outputs[0])]
        self.env.update(zip(equation.outputs, map(rounded, results) if rounds else results, strict=True))

    def _append(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        return self.builder.process(equation.primitive, tuple(operands), dict(equation.params))

    def _call(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        """The equation itself, on arrays of its dtypes in the same memory."""
        whole = [self._whole(x, a) for x, a in zip(operands, equation.inputs, strict=True)]
        return [self._taken(x) for x in self._append(equation, whole)]

    def _whole(self, x: Any, atom: Atom) -> Any:
        if isinstance(x, Parts):
            return self.builder.process(from_parts, (memory_of(x),), {})[0]
        return bitcast(_stored(x, atom), new_dtype=BFLOAT16) if atom.type.dtype == BFLOAT16 else x

    def _taken(self, x: Tracer) -> Any:
        if x.type.dtype == BFLOAT16:
            return _widened(convert(bitcast(x, new_dtype=HALF_WORD), dtype=WORD))
        return _taken_apart(self.builder.process(to_parts, (x,), {})[0]) if x.type.dtype.kind == "c" else x


def _is_half(*atoms: Atom) -> bool:
    return any(atom.type.dtype == BFLOAT16 for atom in atoms)


def _loaded(x: Any, v: Var) -> Any:
    """What stands for a variable that lies in memory."""
    if v.type.dtype == BFLOAT16:
        return _widened(convert(x, dtype=WORD))
    return _taken_apart(x) if _is_complex(v) else x


def _stored(x: Any, atom: Atom) -> Any:
    """A value as it lies in memory."""
    if atom.type.dtype == BFLOAT16:
        return convert(_upper_half(x), dtype=HALF_WORD)
    return memory_of(x) if isinstance(x, Parts) else x


# bfloat16 ------------------------------------------------------------------------------------------------------------


def _widened(bits: Any) -> Any:
    """The float32 with these upper 16 bits (given as uint32)."""
    return bitcast(shift_left(bits, np.uint32(16)), new_dtype=SINGLE)


def _upper_half(x: Any) -> Any:
    """The bits of the bfloat16 nearest to a float32, as uint32: half of the last place added, less one unless odd."""
    bits, sixteen = bitcast(x, new_dtype=WORD), np.uint32(16)
    upper = shift_right(bits, sixteen)
    nearest = shift_right(add(bits, add(and_(upper, np.uint32(1)), np.uint32(0x7FFF))), sixteen)
    return select(ne(x, x), nearest, or_(upper, np.uint32(0x40)))


def rounded(x: Any) -> Any:
    """A float32 rounded to bfloat16."""
    return _widened(_upper_half(x))


# Complex numbers -----------------------------------------------------------------------------------------------------


def _taken_apart(memory: Any) -> Parts:
    """The parts of what lies in memory."""
    shape = type_of(memory).shape

    def part(k: int) -> Any:
        ones, start = (1,) * len(shape), (*(0,) * (len(shape) - 1), k)
        line = slice_(memory, start_indices=start, limit_indices=(*shape[:-1], k + 1), strides=ones)
        return reshape(line, shape=shape[:-1])

    return Parts(part(0), part(1), memory, tuple(range(len(shape) - 1)))


def memory_of(x: Parts) -> Any:
    """The array of shape S + (2,): the one that there is, or the parts side by side."""
    shape = type_of(x.re).shape
    if x.memory is not None and x.permutation == tuple(range(len(shape))):
        return x.memory
    columns = [reshape(part, shape=(*shape, 1)) for part in (x.re, x.im)]
    return concatenate(*columns, dimension=len(shape))


def _shaped(found: Any, v: Var) -> Any:
    """A result in the shape of the output: formulas of numbers alone are numbers."""
    shape = v.type.shape
    if not _is_complex(v):
        return fill(found, shape)
    re, im, *rest = found
    return Parts(fill(re, shape), fill(im, shape), *rest)


# Rules ---------------------------------------------------------------------------------------------------------------


def _result(equation: Equation, operands: Sequence[Any]) -> Any:
    """The result on parts, or None where there is no formula."""
    name = equation.primitive.name
    if name in STRUCTURE:
        return STRUCTURE[name](equation, *operands)
    if name in LINEAR:
        return _alike(equation, operands)
    if equation.primitive.family == "bilinear":
        return _bilinear(equation, *operands)
    formula = FORMULAS.get(name)
    return formula and formula(*((x.re, x.im) if isinstance(x, Parts) else x for x in operands), **equation.params)


def _alike(equation: Equation, operands: Sequence[Any]) -> Parts:
    """The same operation on the real parts and on the imaginary parts."""
    primitive: Any = equation.primitive
    re, im = (primitive(*(x[k] if isinstance(x, Parts) else x for x in operands), **equation.params) for k in (0, 1))
    return Parts(re, im)


def _bilinear(equation: Equation, x: Parts, y: Parts) -> Parts:
    """(a + ib)(c + id) in four real products."""
    product: Any = equation.primitive

    def of(left: Any, right: Any) -> Any:
        return product(left, right, **equation.params)

    return Parts(of(x.re, y.re) - of(x.im, y.im), of(x.re, y.im) + of(x.im, y.re))


def _reshape(equation: Equation, x: Parts) -> Parts:
    shape = equation.params["shape"]
    if x.memory is not None and x.permutation == tuple(range(len(type_of(x.re).shape))):
        return _taken_apart(reshape(x.memory, shape=(*shape, 2)))
    return Parts(reshape(x.re, shape=shape), reshape(x.im, shape=shape))


def _transpose(equation: Equation, x: Parts) -> Parts:
    """The parts transposed; a product may still find the array in memory."""
    order = equation.params["permutation"]
    moved = None if x.permutation is None else tuple(x.permutation[k] for k in order)
    return Parts(transpose(x.re, permutation=order), transpose(x.im, permutation=order), x.memory, moved)


def _convert(equation: Equation, x: Any) -> Any:
    dtype = equation.params["dtype"]
    if isinstance(x, Parts):
        same = dtype == equation.inputs[0].type.dtype
        return x if same else FORMULAS["convert_element_type"]((x.re, x.im), **equation.params)
    part = to_real(dtype)
    return convert(x, dtype=part), part.type(0)


def _product(equation: Equation, x: Parts, y: Parts) -> Any:
    """By BLAS, on the arrays in memory; or four real sums, where those are as good."""
    if is_fold(equation):
        return _bilinear(equation, x, y)
    (cx, cy), (bx, by) = equation.params["dimension_numbers"]
    (left, cx, bx), (right, cy, by) = _as_matrices(x, cx, bx), _as_matrices(y, cy, by)
    numbers = ((cx, cy), (bx, by))
    whole = [from_parts(left), from_parts(right)]
    return _taken_apart(to_parts(dot_general(*whole, dimension_numbers=numbers)))


Axes = tuple[int, ...]


def _as_matrices(x: Parts, contracted: Axes, batch: Axes) -> tuple[Any, Axes, Axes]:
    """An operand in memory, as a stack of matrices, with the numbers of its axes there."""
    ndim = type_of(x.re).ndim
    free = free_axes(ndim, contracted, batch)
    if x.memory is not None and x.permutation is not None:
        there = [tuple(x.permutation[k] for k in axes) for axes in (batch, free, contracted)]
        lying = tuple(range(ndim))
        if lying in ((*there[0], *there[1], *there[2]), (*there[0], *there[2], *there[1])):
            return x.memory, there[2], there[0]
    order = (*batch, *free, *contracted)
    moved = Parts(transpose(x.re, permutation=order), transpose(x.im, permutation=order))
    first = len(batch) + len(free)
    return memory_of(moved), tuple(range(first, ndim)), tuple(range(len(batch)))


STRUCTURE: Mapping[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "convert_element_type": _convert,
    "dot_general": _product,
}
