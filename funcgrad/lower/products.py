"""How is a product of arrays computed?  By BLAS where the operands lie right for it, by loops where that is as good.

A product of a matrix and a vector reads each element of the matrix once, whoever computes it: as a fold it shares a
kernel with what comes before and after (a residual and its gradient in one pass over the data). Many tiny products
are loops of constant length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from funcgrad.dtypes import code
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Var
from funcgrad.lower.graph import Graph
from funcgrad.lower.index import Index, Shape, Strided, axis, contiguous_strides, is_view, strided, through_view
from funcgrad.lower.roots import Root, make_fold
from funcgrad.ops.contraction import free_axes

BLAS = frozenset(("f4", "f8", "c8", "c16"))  # what the library multiplies
TINY = 512  # multiplications of one product of a batch, below which loops beat a call
TINIEST = 216  # of a product by itself


class Matrix(NamedTuple):
    """An operand as BLAS sees it: stacks of stacks of row-major matrices, perhaps transposed; `strides` are those from
    one stack to the next and within a stack.
    """

    var: Var
    offset: int
    transposed: bool
    leading: int
    strides: tuple[int, int]


class Product(NamedTuple):
    """``out[b] = alpha * x[b] @ y[b] + beta * out[b]``: one library call for each member of the batch, `inner` in each
    stack. The result stands in C order, or as `lie` says.
    """

    out: Var
    x: Matrix
    y: Matrix
    m: int
    n: int
    k: int
    batch: int
    inner: int
    alpha: float = 1.0
    beta: float = 0.0
    lie: Matrix | None = None

    @property
    def dtype(self) -> str:
        """One of `BLAS`."""
        return code(self.out.type.dtype)

    def exchanged(self) -> Product:
        """The same, written as the transpose of the exchanged factors' product."""
        x, y, lie = (a._replace(transposed=not a.transposed) for a in (self.y, self.x, self.target))
        return self._replace(x=x, y=y, m=self.n, n=self.m, lie=lie)

    @property
    def target(self) -> Matrix:
        """Where the result stands."""
        size = self.m * self.n
        return self.lie or Matrix(self.out, 0, False, self.n, (self.inner * size, size))


class Dimensions(NamedTuple):
    """The axes of a `dot_general` by role, for each operand."""

    batch: tuple[Shape, Shape]
    free: tuple[Shape, Shape]
    summed: tuple[Shape, Shape]

    @staticmethod
    def of(equation: Equation) -> Dimensions:
        """From the equation's parameters."""
        (cx, cy), (bx, by) = equation.params["dimension_numbers"]
        x, y = equation.inputs
        return Dimensions((bx, by), (free_axes(x.type.ndim, cx, bx), free_axes(y.type.ndim, cy, by)), (cx, cy))

    def extent(self, operand: Atom, which: int, role: str) -> int:
        """The number of index combinations of a role."""
        return math.prod(operand.type.shape[k] for k in getattr(self, role)[which])


def is_fold(equation: Equation) -> bool:
    """Whether loops compute the product, rather than the library."""
    x, y = equation.inputs
    d = Dimensions.of(equation)
    m, n = d.extent(x, 0, "free"), d.extent(y, 1, "free")
    k, batch = d.extent(x, 0, "summed"), d.extent(x, 0, "batch")
    tiny = m * n * k <= (TINY if batch > 1 else TINIEST)
    return code(x.type.dtype) not in BLAS or m <= 1 or n <= 1 or tiny


def fold_product(equation: Equation) -> Root:
    """The product as a sum over the contracted axes."""
    x, y = equation.inputs
    (out,) = equation.outputs
    d = Dimensions.of(equation)
    if not d.batch[0] and not d.free[1]:
        return _matrix_vector(out, x, y, d.summed[0], d.summed[1])
    if not d.batch[0] and not d.free[0]:
        return _matrix_vector(out, y, x, d.summed[1], d.summed[0])
    shapes = x.type.shape, y.type.shape
    roles = [(d.batch[0], 0), (d.free[0], 0), (d.free[1], 1), (d.summed[0], 0)]
    shape = tuple(shapes[which][k] for axes, which in roles for k in axes)
    nb, nx, ny = len(d.batch[0]), len(d.free[0]), len(d.free[1])

    def operands(index: Index) -> Any:
        batch, rest = index[:nb], index[nb + nx + ny :]
        left = _placed(len(shapes[0]), (d.batch[0], batch), (d.free[0], index[nb : nb + nx]), (d.summed[0], rest))
        right = _placed(
            len(shapes[1]), (d.batch[1], batch), (d.free[1], index[nb + nx : nb + nx + ny]), (d.summed[1], rest)
        )
        return (x, left), (y, right)

    return make_fold("reduce_sum", out, shape, tuple(range(nb + nx + ny, len(shape))), operands)


def _matrix_vector(out: Var, matrix: Atom, vector: Atom, folded: Shape, order: Shape) -> Root:
    def operands(index: Index) -> Any:
        return (matrix, index), (vector, _placed(len(order), (order, tuple(index[k] for k in folded))))

    return make_fold("reduce_sum", out, matrix.type.shape, folded, operands)


def _placed(ndim: int, *parts: tuple[Shape, Index]) -> Index:
    found = {k: i for axes, index in parts for k, i in zip(axes, index, strict=True)}
    return tuple(found[k] for k in range(ndim))


# Library calls -------------------------------------------------------------------------------------------------------


def match_product(equation: Equation, graph: Graph, position: int) -> tuple[Product | None, list[int]]:
    """The library call, or None and which operands do not lie as matrices."""
    x, y = equation.inputs
    d = Dimensions.of(equation)
    left, right = as_strided(x, graph, position), as_strided(y, graph, position)
    missing = [0, 1]
    for cut in (0, *range(1, len(d.batch[0]))):  # where the axes of the stacks end and those within them begin
        one = _matrix(left, d.batch[0], cut, d.free[0], d.summed[0])
        other = _matrix(right, d.batch[1], cut, d.summed[1], d.free[1])
        if one is not None and other is not None:
            sizes = d.extent(x, 0, "free"), d.extent(y, 1, "free"), d.extent(x, 0, "summed"), d.extent(x, 0, "batch")
            inner = math.prod(x.type.shape[k] for k in d.batch[0][cut:])
            return Product(equation.outputs[0], one, other, *sizes, inner), []
        missing = min(missing, [which for which, found in enumerate((one, other)) if found is None], key=len)
    return None, missing


def turned(equation: Equation, product: Product, graph: Graph) -> Product:
    """The product whose result stands in the order of a transpose, if that alone reads it and BLAS can write it so."""
    out, user = product.out, graph.only_user(product.out)
    if user is None or user.primitive.name != "transpose" or code(out.type.dtype)[0] == "c":
        return product
    d, permutation, (other,) = Dimensions.of(equation), user.params["permutation"], user.outputs
    strides = contiguous_strides(other.type.shape)
    lies = Strided(0, out.type.shape, tuple(strides[permutation.index(k)] for k in range(out.type.ndim)))
    batch, rows = len(d.batch[0]), len(d.free[0])
    axes = tuple(range(out.type.ndim))
    for cut in (0, *range(1, batch)):
        found = _matrix((other, lies), axes[:batch], cut, axes[batch : batch + rows], axes[batch + rows :])
        inner = math.prod(out.type.shape[cut:batch])
        if found is not None and inner == product.inner:
            back = {"permutation": tuple(permutation.index(k) for k in axes)}
            graph.producers[out] = Equation(user.primitive, (other,), (out,), back)
            graph.producers[other] = equation
            product = product._replace(out=other, lie=found)
            return product.exchanged() if found.transposed else product
    return product


class Accumulation(NamedTuple):
    """``out = base + factor * product``, where nothing else reads the product:
    what a step of gradient descent does to weights.
    """

    out: Var
    base: Atom
    factor: float


def accumulation(equation: Equation, graph: Graph, position: int) -> Accumulation | None:
    """The sum or difference that the product of `equation` goes into, if the library can add it up itself."""
    (term,), factor = equation.outputs, 1.0
    user = graph.only_user(term)
    if user is not None and user.primitive.name == "mul":
        number = next((a for a in user.inputs if isinstance(a, Literal)), None)
        if number is None:
            return None
        term, factor = user.outputs[0], float(number.value)
        user = graph.only_user(term)
    if user is None or user.primitive.name not in ("add", "sub"):
        return None
    left, right = user.inputs
    base = left if right is term else right
    if base is term or base.type.shape != term.type.shape or not graph.is_stored(base, position):
        return None
    if user.primitive.name == "sub":
        if right is not term:  # the product is what is subtracted from
            return None
        factor = -factor
    return Accumulation(user.outputs[0], base, factor)


def arranged(equation: Equation, which: int) -> tuple[Equation, Equation]:
    """A transpose that brings an operand's axes into the order batch, free, contracted,
    and the product of its result.
    """
    d = Dimensions.of(equation)
    order = (*d.batch[which], *d.free[which], *d.summed[which])
    operand = equation.inputs[which]
    copy = Var(operand.type.with_shape(tuple(operand.type.shape[k] for k in order)))
    turn = Equation(registry["transpose"], (operand,), (copy,), {"permutation": order}, equation.source)
    numbers = [list(axes) for axes in equation.params["dimension_numbers"]]
    numbers[0][which] = tuple(order.index(k) for k in d.summed[which])
    numbers[1][which] = tuple(order.index(k) for k in d.batch[which])
    inputs = (copy, equation.inputs[1]) if which == 0 else (equation.inputs[0], copy)
    return turn, equation.replace(inputs=inputs, params={"dimension_numbers": tuple(map(tuple, numbers))})


def _matrix(found: tuple[Var, Strided] | None, batch: Shape, cut: int, rows: Shape, columns: Shape) -> Matrix | None:
    if found is None:
        return None
    var, view = found
    groups = [_walk(view, axes) for axes in (batch[:cut], batch[cut:], rows, columns)]
    if any(g is None for g in groups):
        return None
    (_, outer), (_, inner), (m, row), (n, column) = groups  # type: ignore[misc]
    if column in (1, 0) and (n == 1 or column == 1) and (m == 1 or row >= n):
        return Matrix(var, view.offset, False, row if m > 1 else max(n, 1), (outer, inner))
    if (m == 1 or row == 1) and (n == 1 or column >= m):
        return Matrix(var, view.offset, True, column if n > 1 else max(m, 1), (outer, inner))
    return None


def _walk(view: Strided, axes: Sequence[int]) -> tuple[int, int] | None:
    """Extent and stride of several axes walked through as one, in their order; None when no single stride does it."""
    extent, stride = 1, 0
    for k in reversed(axes):
        n, s = view.shape[k], view.strides[k]
        if n == 1:
            continue
        if extent == 1:
            extent, stride = n, s
        elif s == stride * extent:
            extent *= n
        else:
            return None
    return extent, stride


def as_strided(atom: Atom, graph: Graph, position: int) -> tuple[Var, Strided] | None:
    """The buffer that a value lies in, and how; None when it is not stored, or not as it stands."""
    shape = atom.type.shape
    if isinstance(atom, Var) and graph.is_stored(atom, position):
        strides = zip(contiguous_strides(shape), shape, strict=True)
        return graph.stored[atom].root, Strided(0, shape, tuple(0 if n == 1 else s for s, n in strides))
    index: Index = tuple(map(axis, range(len(shape))))
    while isinstance(atom, Var):
        if graph.is_stored(atom, position):
            return graph.stored[atom].root, strided(index, atom.type.shape, shape)
        equation = graph.producers[atom]
        if not is_view(equation):
            return None
        index = through_view(equation, index)
        atom = equation.inputs[0]
    return None
