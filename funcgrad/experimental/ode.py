"""How are ordinary differential equations solved, and differentiated?  `odeint`, with JAX's signature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.arguments import owned
from funcgrad.control.bodies import filled, program_of, pulled, smooth, strong
from funcgrad.control.call import call
from funcgrad.control.custom import Saved, VjpAfter, VjpRule, custom_vjp_call
from funcgrad.control.live import apply
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.experimental._dopri import Control, advance, begin
from funcgrad.ir.primitive import Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.lax._control import scan
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import Tracer

METHODS = ("adjoint", "discrete")


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    *args: Any,
    rtol: float = 1.4e-8,
    atol: float = 1.4e-8,
    mxstep: float = math.inf,
    hmax: float = math.inf,
    gradient: str = "adjoint",
) -> Any:
    """Solve dy/dt = func(y, t, \\*args) by Dormand & Prince's method of order 5 with steps of adaptive length.

    Parameters
    ----------
    func
        ``func(y, t, *args)``: the derivative, like `y` in structure and shapes. It may use values from outside.
    y0
        The solution at ``t[0]``: a pytree of arrays, real or complex. Integers become float64.
    t
        Times at which the solution is wanted, increasing or decreasing; integers become float64. Steps do not
        stop there: in between a polynomial of degree 4 is evaluated.
    *args
        Pytrees of arrays for `func`.
    rtol, atol
        Allowed error of a step, relative and absolute: the root of the mean of ``(error / (atol + rtol * |y|))**2``.
    mxstep
        The largest number of steps (rejected ones too) between two of the times. Where it is reached, or a step
        would be too short for the clock (the solution has a singularity), the solution is NaN from there on.
    hmax
        The longest step.
    gradient
        What reverse mode does. ``"adjoint"``, as JAX: it solves the adjoint equation backwards in time, together with
        the equation itself (Pontryagin; Chen et al. 2018); memory does not grow with the number of steps, and the
        gradient is as exact as the tolerances are. ``"discrete"``: it goes back through the steps that were taken,
        which are kept; the gradient is that of the computed solution. Forward mode goes through the steps.

    Returns
    -------
    pytree
        Like `y0`, each array with a new leading axis for the times.

    Raises
    ------
    TypeError
        `t` or `y0` are no numbers, or `func` returns another structure, shape or kind of numbers than `y0` has.
    ValueError
        `t` is not 1-d, empty or (where it is known) not monotonic; a tolerance or limit makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> import funcgrad as fg
    >>> from funcgrad.experimental.ode import odeint
    >>> found = odeint(lambda y, t, rate: -rate * y, 1.0, np.array([0.0, 1.0, 2.0]), 0.5)
    >>> np.allclose(found, np.exp([0, -0.5, -1]))
    True
    >>> slope = fg.grad(lambda rate: odeint(lambda y, t: -rate * y, 1.0, np.array([0.0, 1.0]))[-1])
    >>> np.allclose(slope(0.5), -np.exp(-0.5))
    True
    """
    control = _control(rtol, atol, mxstep, hmax)
    if gradient not in METHODS:
        raise ValueError(f'odeint: gradient must be "adjoint" or "discrete", not {gradient!r}{at_line()}')
    times = _times(t)
    leaves, structure = tree.flatten(y0)
    start = [_inexact("y0", x) for x in leaves]
    field, operands = _field(func, structure, start, times, args)
    if not start:
        return y0
    count = type_of(times).shape[0]
    if count == 1:
        return tree.unflatten(structure, owned([x[None] for x in start], leaves))
    found = solve(field, control, gradient, (*operands, *start, times))
    return tree.unflatten(structure, owned(found, leaves))


# Arguments ------------------------------------------------------------------------------------------------------------


def _control(rtol: float, atol: float, mxstep: float, hmax: float) -> Control:
    control = Control(*(float(x) for x in (rtol, atol, mxstep, hmax)))
    if not (control.rtol >= 0 and control.atol >= 0 and control.rtol + control.atol > 0):
        raise ValueError(
            f"odeint: rtol and atol must not be negative, nor both 0; they are {rtol} and {atol}{at_line()}"
        )
    if not (control.mxstep > 0 and control.hmax > 0):
        raise ValueError(f"odeint: mxstep and hmax must be positive, not {mxstep} and {hmax}{at_line()}")
    return control


def _inexact(name: str, x: Any) -> Any:
    """An array of floats or complex numbers."""
    try:
        kind = type_of(x)
    except TypeError as error:
        raise TypeError(f"odeint: {name}: {error}{at_line()}") from None
    if is_inexact(kind.dtype):
        return x if type(x) is Tracer and not kind.weak else fnp.asarray(x, kind.dtype)
    if kind.dtype.kind not in "iu":
        raise TypeError(f"odeint: {name} must be numbers, not {kind}{at_line()}")
    return fnp.asarray(x, np.float64)


def _times(t: Any) -> Any:
    times = _inexact("t", t if type(t) is Tracer else np.asarray(t))
    kind = type_of(times)
    if kind.dtype.kind == "c":
        raise TypeError(f"odeint: t must be real, not {kind}{at_line()}")
    if len(kind.shape) != 1 or not kind.shape[0]:
        raise ValueError(f"odeint: t must be 1-d and not empty, but has shape {kind.shape}{at_line()}")
    if type(times) is not Tracer:
        steps = np.diff(np.asarray(times))
        if not (np.all(steps >= 0) or np.all(steps <= 0)):
            raise ValueError(f"odeint: t must increase or decrease throughout{at_line()}")
    return times


class Field(NamedTuple):
    """The right-hand side as a program of (`consts` values of its own, y, t)."""

    program: Program
    consts: int

    def __call__(self, consts: Sequence[Any], y: Sequence[Any], t: Any) -> list[Any]:
        """dy/dt."""
        return evaluate(self.program, [*consts, *y, t], bind)


def _field(
    func: Callable[..., Any], structure: tree.TreeDef, start: Sequence[Any], times: Any, args: tuple[Any, ...]
) -> tuple[Field, list[Any]]:
    """The right-hand side, and the values that it takes beside y and t: those from outside, then the arguments."""
    given, given_structure = tree.flatten(args)
    types = [ArrayType(type_of(x).shape, type_of(x).dtype) for x in start]
    clock = ArrayType((), type_of(times).dtype)
    n = len(given)
    try:
        given_types = strong([type_of(x) for x in given])
    except TypeError as error:
        raise TypeError(f"odeint: the arguments of func must be arrays: {error}{at_line()}") from None

    def flat(*values: Any) -> list[Any]:
        y = tree.unflatten(structure, values[n:-1])
        found, found_structure = tree.flatten(func(y, values[-1], *tree.unflatten(given_structure, values[:n])))
        if found_structure != structure:
            raise TypeError(f"odeint: func returns the structure {found_structure}, but y0 has {structure}{at_line()}")
        return [_slope(x, t, path) for x, t, path in zip(found, types, structure.paths(), strict=True)]

    program, captured = trace(flat, [*given_types, *types, clock])
    return Field(program, len(captured) + n), [*captured, *given]


def _slope(x: Any, wanted: ArrayType, path: tuple[Any, ...]) -> Any:
    """A leaf of dy/dt, with the dtype of y."""
    kind = type_of(x)
    if kind.shape != wanted.shape or (kind.dtype.kind == "c" and wanted.dtype.kind != "c") or kind.dtype.kind == "b":
        where = f" at {tree.key_string(path)}" if path else ""
        raise TypeError(f"odeint: func returns {kind}{where}, but y0 has {wanted} there{at_line()}")
    return fnp.asarray(x).astype(wanted.dtype)


# The solution ---------------------------------------------------------------------------------------------------------


def solve(field: Field, control: Control, gradient: str, inputs: Sequence[Any]) -> list[Any]:
    """The solution's leaves, stacked over the times, from (constants, y0, times)."""
    program = program_of(lambda *xs: _steps(field, control, xs), strong([type_of(x) for x in inputs]))

    def run(*values: Any) -> Values:
        return bind(call, *values, program=program, name="odeint")

    if gradient == "discrete":
        return list(run(*inputs))
    return list(apply(custom_vjp_call, run, inputs, Adjoint(field, control)))


def _steps(field: Field, control: Control, inputs: Sequence[Any]) -> list[Any]:
    """The solver, on a clock that always runs forward."""
    consts, y, times = inputs[: field.consts], inputs[field.consts : -1], inputs[-1]
    way = fnp.where(times[-1] < times[0], -1.0, 1.0).astype(type_of(times).dtype)

    def forward(y: Sequence[Any], s: Any) -> list[Any]:
        return [k * way.astype(type_of(k).dtype) for k in field(consts, y, way * s)]

    clock = way * times

    def reach(state: Any, target: Any) -> Any:
        return advance(forward, state, target, clock[-1], control)

    _, ys = scan(reach, begin(forward, y, clock[0], control), clock[1:])
    return [fnp.concatenate([x[None], rest]) for x, rest in zip(y, ys, strict=True)]


class Adjoint:
    """Reverse mode: λ = ∂L/∂y runs backwards by dλ/dt = -λ ∂f/∂y, with jumps where the solution was asked for.

    The integral of λ ∂f/∂p along the way is the gradient by a parameter p; times have -λ(t₀)·f and the jumps times f.
    """

    both_modes = True  # forward mode differentiates the solver itself

    def __init__(self, field: Field, control: Control) -> None:
        self.field, self.control = field, control

    def __repr__(self) -> str:
        return "odeint"

    def after(self, count: int) -> VjpRule:
        """The rule behind values that the solver closes over."""
        return VjpAfter(self, count)

    def forward(self, inputs: Values, wanted: Sequence[bool]) -> Saved:
        """The solution is all that is kept."""
        ys = solve(self.field, self.control, "adjoint", inputs)
        return Saved(tuple(ys), (*inputs, *ys), (len(inputs), tuple(wanted)))

    def backward(self, residuals: Values, state: Any, cotangents: Values) -> Values:
        """From the last time to the first."""
        count, wanted = state
        ys = residuals[count:]
        cts = filled(cotangents, [type_of(y) for y in ys])
        operands = (*residuals, *cts)

        def flat(*values: Any) -> list[Any]:
            return self._backward(values[:count], values[count : count + len(ys)], values[count + len(ys) :], wanted)

        program = program_of(flat, strong([type_of(x) for x in operands]))
        found = iter(bind(call, *operands, program=program, name="odeint_adjoint"))
        consts, n = wanted[: self.field.consts], len(ys)
        able = smooth(self.field.program.input_types[: self.field.consts])
        to_consts = [next(found) if w and a else None for w, a in zip(consts, able, strict=True)]
        return (*to_consts, *(next(found) for _ in range(n)), next(found))

    def _backward(self, inputs: Values, ys: Values, cts: Values, wanted: Sequence[bool]) -> list[Any]:
        """Cotangents of the wanted smooth constants, of y0 and of the times."""
        consts, times = inputs[: self.field.consts], inputs[-1]
        able = smooth(self.field.program.input_types[: self.field.consts])
        chosen = tuple(w and a for w, a in zip(wanted, able, strict=False))
        augmented = self._augmented(chosen)
        sums = [fnp.zeros_like(c) for c, w in zip(consts, chosen, strict=True) if w]

        def slope(y: Sequence[Any], ct: Sequence[Any], t: Any) -> Any:
            rates = self.field(consts, y, t)
            return sum(fnp.sum((a * k).real) for a, k in zip(ct, rates, strict=True))

        def interval(state: Any, piece: Any) -> Any:
            adjoint, sums = state
            late, early, y, ct = piece
            moved = slope(y, ct, late).astype(type_of(times).dtype)
            adjoint = [a + b for a, b in zip(adjoint, ct, strict=True)]
            operands = (*consts, *y, *adjoint, *sums, fnp.stack([late, early]))
            found = [x[1] for x in solve(augmented, self.control, "adjoint", operands)]
            n = len(y)
            return (found[n : 2 * n], found[2 * n :]), moved

        start = ([fnp.zeros_like(x[0]) for x in ys], sums)
        pieces = (times[1:], times[:-1], [y[1:] for y in ys], [ct[1:] for ct in cts])
        (adjoint, sums), moved = scan(interval, start, pieces, reverse=True)
        first = -slope([y[0] for y in ys], adjoint, times[0]).astype(type_of(times).dtype)
        to_start = [a + ct[0] for a, ct in zip(adjoint, cts, strict=True)]
        return [*sums, *to_start, fnp.concatenate([first[None], moved])]

    def _augmented(self, chosen: Sequence[bool]) -> Field:
        """The equation of (y, λ, integrals of λ ∂f/∂p)."""
        field = self.field
        kinds = field.program.input_types
        n = len(kinds) - field.consts - 1
        pull = pulled(field.program, (*chosen, *(True,) * n, False))
        parameters = [t for t, c in zip(kinds, chosen, strict=False) if c]
        types = strong([*kinds[:-1], *kinds[field.consts : -1], *parameters, kinds[-1]])

        def flat(*values: Any) -> list[Any]:
            first, second = field.consts + n, field.consts + 2 * n
            found = evaluate(pull, [*values[:first], values[-1], *values[first:second]], bind)
            rates, to_consts, to_y = found[:n], found[n : n + len(parameters)], found[n + len(parameters) :]
            return [*rates, *(-x for x in to_y), *(-x for x in to_consts)]

        return Field(program_of(flat, types), field.consts)


__all__ = ["odeint"]
