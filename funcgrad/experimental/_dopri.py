"""What does one step of an ODE solver do?  Dormand & Prince's pair of orders 5 and 4 on a list of arrays.

A step gives the solution of order 5, an error estimate, and a polynomial of degree 4 for what lies between. Formulas:
Dormand & Prince (1980), J. Comput. Appl. Math. 6; the polynomial, the norm of errors, the choice of steps and the first
step: Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, sections II.4 to II.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.api import stop_gradient
from funcgrad.lax._control import while_loop
from funcgrad.trace.frame import type_of

Leaves = Sequence[Any]
Field = Callable[[Leaves, Any], list[Any]]  # ``(y, t) -> dy/dt``

TIMES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
BETWEEN = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)
SAFETY, SHRINK, GROW, ORDER = 0.9, 0.2, 10.0, 5


class Control(NamedTuple):
    """How accurate, in at most how many steps per output, and how long a step may be."""

    rtol: float
    atol: float
    mxstep: float
    hmax: float


class State(NamedTuple):
    """Where a solver stands.

    Attributes
    ----------
    y, f, t
        The solution at the last accepted step's end, its derivative, and the time.
    dt
        The length of the next step.
    start
        The time at which the last accepted step began.
    between
        Per leaf, the five coefficients of the polynomial over that step.
    """

    y: tuple[Any, ...]
    f: tuple[Any, ...]
    t: Any
    dt: Any
    start: Any
    between: tuple[tuple[Any, ...], ...]


def scaled(h: Any, k: Any) -> Any:
    """``h * k`` in the precision of `k`."""
    return h.astype(type_of(k).dtype.type(0).real.dtype) * k


def combined(h: Any, weights: Sequence[float], slopes: Sequence[Leaves]) -> list[Any]:
    """``h * sum(weight * slope)``, leaf by leaf."""
    used = [(w, k) for w, k in zip(weights, slopes, strict=False) if w]
    totals = [sum(w * k[leaf] for w, k in used) for leaf in range(len(slopes[0]))]
    return [scaled(h, total) for total in totals]


def added(y: Leaves, change: Leaves) -> list[Any]:
    return [a + b for a, b in zip(y, change, strict=True)]


def norm(errors: Leaves, one: Leaves, other: Leaves, control: Control) -> Any:
    """The root of the mean square of errors, as multiples of what is allowed."""
    total, count = 0.0, 0
    for e, a, b in zip(errors, one, other, strict=True):
        allowed = control.atol + control.rtol * fnp.maximum(fnp.abs(a), fnp.abs(b))
        total = total + fnp.sum((fnp.abs(e) / allowed).astype(np.float64) ** 2)
        count += type_of(e).size
    return fnp.sqrt(total / max(count, 1))


def first_step(field: Field, y: Leaves, f: Leaves, t: Any, control: Control) -> Any:
    """A length for the first step, from the sizes of y, y′ and y″."""
    size, slope = norm(y, y, y, control), norm(f, y, y, control)
    small = (size < 1e-5) | (slope < 1e-5)
    h = fnp.where(small, 1e-6, 0.01 * size / fnp.where(small, 1.0, slope)).astype(type_of(t).dtype)
    f1 = field(added(y, [scaled(h, k) for k in f]), t + h)
    bend = norm([a - b for a, b in zip(f1, f, strict=True)], y, y, control) / h
    steepest = fnp.maximum(slope, bend)
    flat = steepest <= 1e-15
    other = fnp.where(flat, fnp.maximum(1e-6, h * 1e-3), (0.01 / fnp.where(flat, 1.0, steepest)) ** (1 / ORDER))
    return fnp.minimum(fnp.minimum(100 * h, other), control.hmax).astype(type_of(t).dtype)


def step(field: Field, state: State, dt: Any) -> tuple[State, Leaves]:
    """A step of length `dt`, and the estimate of its error."""
    slopes: list[Leaves] = [state.f]
    for time, weights in zip(TIMES, STAGES, strict=True):
        y = added(state.y, combined(dt, weights, slopes))
        slopes.append(field(y, state.t + time * dt))
    f = slopes[-1]
    curves = combined(dt, BETWEEN, slopes)
    between = []
    for y0, y1, f0, f1, curve in zip(state.y, y, state.f, f, curves, strict=True):
        rise = y1 - y0
        off = scaled(dt, f0) - rise
        between.append((y0, rise, off, rise - scaled(dt, f1) - off, curve))
    new = State(tuple(y), tuple(f), state.t + dt, dt, state.t, tuple(between))
    return new, combined(dt, ERROR, slopes)


def smallest(t: Any) -> Any:
    """The shortest step that still makes a difference at `t`."""
    return 10 * np.finfo(type_of(t).dtype).eps * fnp.abs(t)


def begin(field: Field, y: Leaves, t: Any, control: Control) -> State:
    """The state before the first step."""
    f = field(y, t)
    dt = stop_gradient(first_step(field, y, f, t, control))
    still = tuple((x, *(fnp.zeros_like(x) for _ in range(4))) for x in y)
    return State(tuple(y), tuple(f), t, dt, t, still)


def advance(field: Field, state: State, target: Any, end: Any, control: Control) -> tuple[State, tuple[Any, ...]]:
    """The state after the first step that reaches `target`, and the solution there; NaN if none did.

    No step goes beyond `end`. Lengths of steps count as constants in derivatives: the solution does not depend on them
    but for the error that is allowed.
    """

    def going(carry: Any) -> Any:
        count, state = carry
        # a step too short for the clock, or no number at all, ends the attempt
        able = (state.dt > smallest(state.t)) & (count < control.mxstep)
        return (target - state.t > smallest(target)) & able

    def attempt(carry: Any) -> Any:
        count, state = carry
        dt = fnp.minimum(state.dt, stop_gradient(end - state.t))
        new, error = step(field, state, dt)
        ratio = stop_gradient(norm(error, state.y, new.y, control))
        accepted = ratio <= 1
        factor = SAFETY * fnp.maximum(ratio, 1e-10) ** (-1 / ORDER)
        factor = fnp.where(accepted, fnp.clip(factor, 1.0, GROW), fnp.clip(factor, SHRINK, 1.0))
        factor = fnp.where(ratio < np.inf, factor, SHRINK)  # an overflow or NaN within the step: try a shorter one
        length = fnp.minimum(dt * factor, control.hmax).astype(type_of(dt).dtype)
        kept = selected(accepted, new, state)
        return count + 1, kept._replace(dt=length)

    _, state = while_loop(going, attempt, (0, state))
    missed = target - state.t > smallest(target)
    return state, tuple(fnp.where(missed, np.nan, x) for x in between(state, target))


def selected(condition: Any, one: State, other: State) -> State:
    """One state or the other, but for the length of the next step."""

    def pick(a: Any, b: Any) -> Any:
        return fnp.where(condition, a, b)

    chosen: State = tree.map(pick, one, other)
    return chosen._replace(dt=other.dt)


def between(state: State, t: Any) -> list[Any]:
    """The polynomial of the last step at time `t`."""
    length = state.t - state.start
    still = length == 0
    x = (t - state.start) / fnp.where(still, 1.0, length)
    found = []
    for y, rise, off, bend, curve in state.between:
        u = x.astype(type_of(y).dtype.type(0).real.dtype)
        found.append(y + u * (rise + (1 - u) * (off + u * (bend + (1 - u) * curve))))
    return found
