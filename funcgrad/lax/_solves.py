"""How are solvers given derivatives?  `custom_root` and `custom_linear_solve`: by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.array import as_array
from funcgrad.control import linear_solve as control
from funcgrad.control.custom import DerivedJvp, custom_jvp_call
from funcgrad.control.live import apply
from funcgrad.dtypes import is_inexact
from funcgrad.errors import NonConcreteBooleanIndexError, TracerError, at_line
from funcgrad.ir.primitive import Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.quiet import quiet
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.vjp import instantiate

__all__ = ["custom_linear_solve", "custom_root"]


def _types(leaves: Sequence[Any]) -> list[ArrayType]:
    return [ArrayType(t.shape, t.dtype) for t in map(type_of, leaves)]


def _flat(name: str, what: str, result: Any, structure: tree.TreeDef, types: Sequence[ArrayType]) -> list[Any]:
    """The leaves of what a function returned, if they are like the unknowns."""
    leaves, found = tree.flatten(result)
    if found != structure:
        raise TypeError(f"lax.{name}: {what} returned the structure {found}, where {structure} is needed{at_line()}")
    for path, x, t in zip(structure.paths(), leaves, types, strict=True):
        have = type_of(x)
        if have.shape != t.shape or (have.dtype != t.dtype and not have.weak):
            where = f" at {tree.key_string(path)}" if path else ""
            raise TypeError(
                f"lax.{name}: {what} returned a value of type {have}{where}, where {t} is needed{at_line()}"
            )
    return leaves


def _with_aux(name: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(f"lax.{name}: with has_aux=True solve must return a pair (solution, aux){at_line()}")
    return result[0], result[1]


def _own(x: Any) -> Any:
    return x if type(x) is Tracer else as_array(np.array(x))


def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    transpose_solve: Callable[[Callable[[Any], Any], Any], Any] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """The solution of ``matvec(x) == b``, whose derivatives are solutions of linear systems again.

    Parameters
    ----------
    matvec
        A linear function from pytrees like `b` to pytrees like `b`; it may close over traced values.
    b
        The right-hand side, a pytree of arrays.
    solve
        ``solve(matvec, b) -> x``: any solver; it is not differentiated.
    transpose_solve
        ``transpose_solve(vecmat, b) -> x`` for the transposed system; reverse mode needs it, unless `symmetric`.
    symmetric
        Whether `matvec` is its own transpose, so that `solve` serves both.
    has_aux
        Whether the solvers return ``(x, aux)``.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `b`; with `has_aux` a pair of that and what `solve` hands out besides.

    Raises
    ------
    TypeError
        For functions that return something unlike `b`; by reverse mode, when it has no `transpose_solve`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> a, b = np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 4.0])
    >>> def loss(a):
    ...     solve = lambda matvec, b: b / np.diagonal(a)
    ...     return np.sum(fg.lax.custom_linear_solve(lambda x: a @ x, b, solve, symmetric=True))
    >>> fg.grad(loss)(a)
    Array([[-0.5 , -0.5 ],
           [-0.25, -0.25]])
    """
    leaves, structure = tree.flatten(b)
    types = _types(leaves)
    for path, t in zip(structure.paths(), types, strict=True):
        if not is_inexact(t.dtype):
            raise TypeError(f"lax.custom_linear_solve: b{tree.key_string(path)} has dtype {t.dtype.name}{at_line()}")
    aux_structure: list[tree.TreeDef] = []

    def turn(*xs: Any) -> list[Any]:
        return _flat("custom_linear_solve", "matvec", matvec(tree.unflatten(structure, xs)), structure, types)

    def solving(solver: Callable[..., Any], product: Callable[[Any], Any]) -> Callable[..., list[Any]]:
        def run(*bs: Any) -> list[Any]:
            x, aux = _with_aux("custom_linear_solve", solver(product, tree.unflatten(structure, bs)), has_aux)
            rest, found = tree.flatten(aux)
            aux_structure.append(found)
            return [*_flat("custom_linear_solve", "solve", x, structure, types), *rest]

        return run

    with quiet():
        forward, turn_consts = control.part_of(turn, types)
        direct, solve_consts = control.part_of(solving(solve, matvec), types)
        backward, back = (forward if symmetric else control.transposed(forward)), turn_consts

        def vecmat(y: Any) -> Any:
            given = _flat("custom_linear_solve", "the operand of vecmat", y, structure, types)
            return tree.unflatten(structure, evaluate(backward.program, [*back, *given], bind))

        inverse, inverse_consts = (direct, solve_consts) if symmetric else (None, ())
        if transpose_solve is not None:
            inverse, inverse_consts = control.part_of(solving(transpose_solve, vecmat), types)
        solvers = control.Solvers(forward, direct, backward, inverse, len(leaves))
        outputs = control.apply(solvers, *turn_consts, *solve_consts, *back, *inverse_consts, *leaves)
    x = tree.unflatten(structure, list(map(_own, outputs[: len(leaves)])))
    return (x, tree.unflatten(aux_structure[0], list(map(_own, outputs[len(leaves) :])))) if has_aux else x


class _Equation:
    """f(x, constants) = 0, as a program of the constants and of the flat `x`."""

    def __init__(self, program: Program, structure: tree.TreeDef, types: Sequence[ArrayType]) -> None:
        self.program, self.structure, self.types = program, structure, types
        self.constants = len(program.inputs) - len(types)

    def pushed(self, consts: Values, moved: Values, x: Values) -> list[Any]:
        """The change of f's value with that of the constants."""
        _, turned = jvp_values(lambda *cs: evaluate(self.program, [*cs, *x], bind), list(consts), list(moved))
        return [instantiate(t, v) for t, v in zip(turned, x, strict=True)]

    def slope(self, consts: Sequence[Any], x: Sequence[Any]) -> Callable[..., list[Any]]:
        """The linear function v -> (∂f/∂x) v of flat values."""

        def product(*moves: Any) -> list[Any]:
            found = jvp_values(lambda *xs: evaluate(self.program, [*consts, *xs], bind), list(x), list(moves))[1]
            return [instantiate(t, y) for t, y in zip(found, x, strict=True)]

        return product

    def of_trees(self, product: Callable[..., Sequence[Any]]) -> Callable[[Any], Any]:
        """A function of flat values, of pytrees like `x`."""
        return lambda v: tree.unflatten(self.structure, product(*tree.leaves(v)))


class _Tangents(NamedTuple):
    """A user's solver of (∂f/∂x) v = b that closes over traced values, and what it is for the transposed system.

    The programs take what they close over, the constants, x and b.
    """

    equation: _Equation
    direct: control.Part
    inverse: control.Part

    def solvers(self, closed: Values, consts: Values, x: Values) -> list[Callable[[Any, Any], Any]]:
        """Both, for values of what they close over."""
        given = (closed[: self.direct.consts], closed[self.direct.consts :])
        return [self._solver(part, [*own, *consts, *x]) for part, own in zip(self[1:], given, strict=True)]

    def _solver(self, part: control.Part, values: Sequence[Any]) -> Callable[[Any, Any], Any]:
        def run(product: Any, b: Any) -> Any:  # the product is in the program
            return self.equation.of_trees(lambda *bs: evaluate(part.program, [*values, *bs], bind))(b)

        return run


def _closed(
    equation: _Equation, kinds: Sequence[ArrayType], solver: Callable[..., Any]
) -> tuple[_Tangents | None, tuple[Any, ...]]:
    """A solver of tangents that closes over traced values, as programs, and these values; None for one that does not.

    The derivative is computed when the traces that such values belong to may have ended.
    """
    first, count = equation.constants, equation.constants + len(equation.types)

    def solving(turned: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[..., list[Any]]:
        def run(*values: Any) -> list[Any]:
            product = turned(equation.slope(values[:first], values[first:count]))
            b = tree.unflatten(equation.structure, values[count:])
            found = solver(equation.of_trees(product), b)
            return _flat("custom_root", "tangent_solve", found, equation.structure, equation.types)

        return run

    def transposed(product: Callable[..., Any]) -> Callable[..., Any]:
        part, own = control.part_of(product, equation.types)
        back = control.transposed(part).program
        return lambda *ys: evaluate(back, [*own, *ys], bind)

    types = [*kinds, *equation.types, *equation.types]
    try:
        direct, values = control.part_of(solving(lambda product: product), types)
    except (TracerError, NonConcreteBooleanIndexError):  # values may be known where the derivative is computed
        return None, ()
    if not values:
        return None, ()
    inverse, others = control.part_of(solving(transposed), types)
    return _Tangents(equation, direct, inverse), (*values, *others)


class _Root(DerivedJvp):
    """dx = -(∂f/∂x)⁻¹ (∂f/∂c) dc, by the implicit function theorem.

    The operands are the constants of f, what the solver of tangents closes over, and others.
    """

    def __init__(
        self,
        equation: _Equation,
        function: Callable[..., Sequence[Any]],
        tangent_solve: Callable[..., Any],
        tangents: _Tangents | None,
        closed: int,
    ) -> None:
        self.equation, self.function = equation, function
        self.tangent_solve, self.tangents, self.closed = tangent_solve, tangents, closed

    def __repr__(self) -> str:
        return "custom_root"

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]:
        outputs = apply(custom_jvp_call, self.function, inputs, self)
        equation, first = self.equation, self.equation.constants
        x, consts, moved = outputs[: len(equation.types)], inputs[:first], tangents[:first]
        rest = (None,) * (len(outputs) - len(x))
        if all(t is None for t in moved):
            return outputs, (*(None for _ in x), *rest)
        rhs = tree.unflatten(equation.structure, [-t for t in equation.pushed(consts, moved, x)])
        direct = inverse = self.tangent_solve
        if self.tangents is not None:
            direct, inverse = self.tangents.solvers(inputs[first : first + self.closed], consts, x)
        dx = custom_linear_solve(equation.of_trees(equation.slope(consts, x)), rhs, direct, inverse)
        return outputs, (*tree.leaves(dx), *rest)


def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    tangent_solve: Callable[[Callable[[Any], Any], Any], Any],
    has_aux: bool = False,
) -> Any:
    """A root of `f`, differentiable by what `f` closes over: by the implicit function theorem.

    Parameters
    ----------
    f
        A function from pytrees like `initial_guess` to such; it may close over traced values.
    initial_guess
        Where the search begins; the root's derivative by it is zero.
    solve
        ``solve(f, initial_guess) -> x`` with ``f(x)`` zero (or ``(x, aux)``); it is not differentiated.
    tangent_solve
        ``tangent_solve(g, y) -> x`` with ``g(x) == y`` for a linear function `g`, such as
        ``lambda g, y: y / g(1.0)`` for numbers; it may close over traced values.
    has_aux
        Whether `solve` returns a pair.

    Returns
    -------
    pytree of Array
        The structure, shapes and dtypes of `initial_guess`; with `has_aux` a pair of that and what `solve` hands out
        besides.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> def square_root(a):
    ...     newton = lambda f, x: fg.lax.fori_loop(0, 9, lambda i, x: x - f(x) / (2 * x), x)
    ...     return fg.lax.custom_root(lambda x: x * x - a, a, newton, lambda g, y: y / g(1.0))
    >>> fg.value_and_grad(square_root)(4.0)
    (Array(2.), Array(0.25))
    """
    leaves, structure = tree.flatten(initial_guess)
    types = _types(leaves)
    aux_structure: list[tree.TreeDef] = []

    def flat(*xs: Any) -> list[Any]:
        return _flat("custom_root", "f", f(tree.unflatten(structure, xs)), structure, types)

    def run(*xs: Any) -> list[Any]:
        x, aux = _with_aux("custom_root", solve(f, tree.unflatten(structure, xs)), has_aux)
        rest, found = tree.flatten(aux)
        aux_structure.append(found)
        return [*_flat("custom_root", "solve", x, structure, types), *rest]

    with quiet():
        program, constants = trace(flat, types)
        search, others = trace(run, types)
        equation = _Equation(program, structure, types)
        tangents, closed = _closed(equation, _types(constants), tangent_solve) if constants else (None, ())

        def function(*values: Any) -> Sequence[Any]:
            return evaluate(search, values[len(constants) + len(closed) :], bind)

        rule = _Root(equation, function, tangent_solve, tangents, len(closed))
        strong = [x if type(x) is Tracer else np.asarray(x, t.dtype)[()] for x, t in zip(leaves, types, strict=True)]
        outputs = apply(custom_jvp_call, function, [*constants, *closed, *others, *strong], rule)
    x = tree.unflatten(structure, list(map(_own, outputs[: len(leaves)])))
    return (x, tree.unflatten(aux_structure[0], list(map(_own, outputs[len(leaves) :])))) if has_aux else x
