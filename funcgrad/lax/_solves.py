"""How are solvers given derivatives?  `custom_root` and `custom_linear_solve`: by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import as_array
from funcgrad.control import linear_solve as control
from funcgrad.control.custom import DerivedJvp, custom_jvp_call
from funcgrad.control.live import apply
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.primitive import Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
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

    with np.errstate(all="ignore"):
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


class _Root(DerivedJvp):
    """dx = -(∂f/∂x)⁻¹ (∂f/∂c) dc, by the implicit function theorem."""

    def __init__(
        self,
        equation: Program,
        constants: int,
        count: int,
        structure: tree.TreeDef,
        function: Callable[..., Sequence[Any]],
        tangent_solve: Callable[..., Any],
    ) -> None:
        self.equation, self.constants, self.count = equation, constants, count
        self.structure, self.function, self.tangent_solve = structure, function, tangent_solve

    def __repr__(self) -> str:
        return "custom_root"

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]:
        outputs = apply(custom_jvp_call, self.function, inputs, self)
        x, consts, moved = outputs[: self.count], inputs[: self.constants], tangents[: self.constants]
        rest = (None,) * (len(outputs) - self.count)
        if all(t is None for t in moved):
            return outputs, (*(None for _ in x), *rest)
        _, turned = jvp_values(lambda *cs: evaluate(self.equation, [*cs, *x], bind), list(consts), list(moved))
        rhs = [-instantiate(t, v) for t, v in zip(turned, x, strict=True)]

        def slope(v: Any) -> Any:
            moves = tree.leaves(v)
            found = jvp_values(lambda *xs: evaluate(self.equation, [*consts, *xs], bind), list(x), moves)[1]
            return tree.unflatten(self.structure, [instantiate(t, y) for t, y in zip(found, x, strict=True)])

        dx = custom_linear_solve(slope, tree.unflatten(self.structure, rhs), self.tangent_solve, self.tangent_solve)
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
        ``lambda g, y: y / g(1.0)`` for numbers.
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

    with np.errstate(all="ignore"):
        equation, constants = trace(flat, types)
        search, others = trace(run, types)

        def function(*values: Any) -> Sequence[Any]:
            return evaluate(search, values[len(constants) :], bind)

        rule = _Root(equation, len(constants), len(leaves), structure, function, tangent_solve)
        strong = [x if type(x) is Tracer else np.asarray(x, t.dtype)[()] for x, t in zip(leaves, types, strict=True)]
        outputs = apply(custom_jvp_call, function, [*constants, *others, *strong], rule)
    x = tree.unflatten(structure, list(map(_own, outputs[: len(leaves)])))
    return (x, tree.unflatten(aux_structure[0], list(map(_own, outputs[len(leaves) :])))) if has_aux else x
