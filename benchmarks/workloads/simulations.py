"""How fast are the gradients of simulations?  Planets through 10,000 leapfrog steps, a neuron's cable through 4,000.

Both are one `scan` whose body is some hundred operations on a dozen numbers: what is timed is the loop itself.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Builder, Call, Data, Goal, Workload

LEAPS, LEAP, SOFTENING = 10_000, 1e-3, 1e-4


def planets() -> Data:
    """A star and four planets on nearly circular orbits; the loss weighs their last positions."""
    radius, angle = np.array([0.0, 0.6, 1.0, 1.6, 2.4]), np.array([0.0, 0.3, 2.0, 4.0, 5.0])
    speed = np.divide(1, np.sqrt(radius), where=radius > 0, out=np.zeros(5))
    return {
        "x": np.stack([radius * np.cos(angle), radius * np.sin(angle), 0.02 * radius], 1),
        "v": np.stack([-speed * np.sin(angle), speed * np.cos(angle), 0 * speed], 1),
        "m": np.array([1, 1e-3, 2e-3, 1e-3, 5e-4]),
        "weight": np.random.default_rng(0).standard_normal((5, 3)),
    }


def nbody(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np = library.api, library.np
    m, weight = library.own(data["m"]), library.own(data["weight"])

    def loss(x, v):
        def leap(state, _):
            x, v = state
            x = x + LEAP / 2 * v
            d = x[None] - x[:, None]
            pull = m * (np.sum(d * d, axis=-1) + SOFTENING) ** -1.5
            v = v + LEAP * np.sum(d * pull[..., None], axis=1)
            return (x + LEAP / 2 * v, v), None

        return np.sum(weight * fg.lax.scan(leap, (x, v), None, length=LEAPS)[0][0])

    return partial(fg.jit(fg.value_and_grad(loss, (0, 1))), library.own(data["x"]), library.own(data["v"]))


def nbody_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: the adjoint of every leap, from the positions that it had."""
    m, weight = data["m"], data["weight"]

    def differences(x):
        d = x[None] - x[:, None]
        return d, np.sum(d * d, axis=-1) + SOFTENING

    def value_and_grad(x, v):
        places = []
        for _ in range(LEAPS):
            x = x + LEAP / 2 * v
            places.append(x)
            d, r2 = differences(x)
            v = v + LEAP * np.sum(d * (m * r2**-1.5)[..., None], axis=1)
            x = x + LEAP / 2 * v
        ct_x, ct_v = weight, np.zeros_like(v)
        for place in reversed(places):
            ct_v = ct_v + LEAP / 2 * ct_x
            d, r2 = differences(place)
            a = LEAP * ct_v[:, None]
            along = np.sum(a * d, axis=-1, keepdims=True)
            ct_d = (m * r2**-1.5)[..., None] * (a - 3 * along * d / r2[..., None])
            ct_x = ct_x + np.sum(ct_d, axis=0) - np.sum(ct_d, axis=1)
            ct_v = ct_v + LEAP / 2 * ct_x
        return np.sum(weight * x), (ct_x, ct_v)

    return partial(value_and_grad, data["x"], data["v"])


def nbody_numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba: pairs in scalar loops, forward and adjoint, with unsafe mathematics allowed."""
    njit = library.numba.njit(fastmath=True)

    @njit
    def pulls(x, m, a):
        a[:] = 0
        for i in range(len(x)):
            for j in range(i + 1, len(x)):
                dx, dy, dz = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
                r2 = dx * dx + dy * dy + dz * dz + SOFTENING
                w = 1 / (r2 * np.sqrt(r2))
                towards, back = m[j] * w, m[i] * w
                a[i, 0] += dx * towards
                a[i, 1] += dy * towards
                a[i, 2] += dz * towards
                a[j, 0] -= dx * back
                a[j, 1] -= dy * back
                a[j, 2] -= dz * back

    @njit
    def pulls_adjoint(x, m, a, ct_x):
        for i in range(len(x)):
            for j in range(i + 1, len(x)):
                dx, dy, dz = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
                r2 = dx * dx + dy * dy + dz * dz + SOFTENING
                w = 1 / (r2 * np.sqrt(r2))
                cx = m[j] * a[i, 0] - m[i] * a[j, 0]
                cy = m[j] * a[i, 1] - m[i] * a[j, 1]
                cz = m[j] * a[i, 2] - m[i] * a[j, 2]
                along = (cx * dx + cy * dy + cz * dz) * 3 * w / r2
                gx, gy, gz = cx * w - along * dx, cy * w - along * dy, cz * w - along * dz
                ct_x[i, 0] -= gx
                ct_x[i, 1] -= gy
                ct_x[i, 2] -= gz
                ct_x[j, 0] += gx
                ct_x[j, 1] += gy
                ct_x[j, 2] += gz

    @njit
    def value_and_grad(x, v, m, weight):
        x, v, a = x.copy(), v.copy(), np.empty_like(x)
        places = np.empty((LEAPS, *x.shape))
        for s in range(LEAPS):
            for i in range(len(x)):
                for k in range(3):
                    x[i, k] += LEAP / 2 * v[i, k]
                    places[s, i, k] = x[i, k]
            pulls(x, m, a)
            for i in range(len(x)):
                for k in range(3):
                    v[i, k] += LEAP * a[i, k]
                    x[i, k] += LEAP / 2 * v[i, k]
        ct_x, ct_v = weight.copy(), np.zeros_like(v)
        for s in range(LEAPS - 1, -1, -1):
            for i in range(len(x)):
                for k in range(3):
                    ct_v[i, k] += LEAP / 2 * ct_x[i, k]
                    a[i, k] = LEAP * ct_v[i, k]
            pulls_adjoint(places[s], m, a, ct_x)
            for i in range(len(x)):
                for k in range(3):
                    ct_v[i, k] += LEAP / 2 * ct_x[i, k]
        return np.sum(weight * x), (ct_x, ct_v)

    return partial(value_and_grad, *(data[name] for name in ("x", "v", "m", "weight")))


# A cable of compartments with the currents of Hodgkin & Huxley (1952) -------------------------------------------------

COMPARTMENTS, TICKS, TICK = 10, 4000, 0.01  # TICK in ms
AXIAL, SODIUM, POTASSIUM, LEAK = 0.5, 50.0, -77.0, -54.4  # mS/cm² between neighbours; reversal potentials in mV


def cable_data() -> Data:
    """Conductances of sodium, potassium and leak in mS/cm², and the current into the first compartment in µA/cm²."""
    current = np.where(np.arange(TICKS) * TICK % 20 < 2, 40.0, 0.0)
    return {"g": np.array([120, 36, 0.3]), "current": current, "v": np.full(COMPARTMENTS, -65.0)}


def rates(np: Any, v: Any) -> tuple[Any, ...]:
    """How fast the gates m, h, n open and close, in 1/ms."""
    return (
        (0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10)), 4 * np.exp(-(v + 65) / 18)),
        (0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))),
        (0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10)), 0.125 * np.exp(-(v + 65) / 80)),
    )


def tick(np: Any, g: Any, state: tuple[Any, ...], current: Any, place: Any) -> tuple[Any, ...]:
    """One step: gates by exponential Euler, then the voltages by Euler."""
    v, gates = state[0], []
    for x, (opening, closing) in zip(state[1:], rates(np, v), strict=True):
        steady = opening / (opening + closing)
        gates.append(steady + (x - steady) * np.exp(-TICK * (opening + closing)))
    m, h, n = gates
    flow = np.concatenate([0 * v[..., :1], AXIAL * (v[..., 1:] - v[..., :-1]), 0 * v[..., :1]], axis=-1)
    channels = g[0] * m**3 * h * (v - SODIUM) + g[1] * n**4 * (v - POTASSIUM) + g[2] * (v - LEAK)
    return v + TICK * (current * place - channels + flow[..., 1:] - flow[..., :-1]), m, h, n


def rest(np: Any, v: Any) -> tuple[Any, ...]:
    """The gates that belong to constant voltages."""
    return (v, *(opening / (opening + closing) for opening, closing in rates(np, v)))


PLACE = np.eye(COMPARTMENTS)[0]


def cable(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the mean square of the last compartment's voltage, and its derivative by the conductances."""
    fg, np = library.api, library.np
    place = library.own(PLACE)

    def loss(g, current, v):
        def body(state, current):
            state = tick(np, g, state, current, place)
            return state, state[0][-1]

        return np.mean(fg.lax.scan(body, rest(np, v), current)[1] ** 2)

    return partial(fg.jit(fg.value_and_grad(loss)), *(library.own(data[name]) for name in ("g", "current", "v")))


def cable_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: derivatives by a complex step (Squire & Trapp 1998), a row per conductance; they are exact to rounding."""
    step = 1e-30

    def value_and_grad():
        g = [np.full((3, 1), each, complex) for each in data["g"]]
        for k in range(3):
            g[k][k] += 1j * step
        state = rest(np, np.tile(data["v"] + 0j, (3, 1)))
        total = np.zeros(3, complex)
        for current in data["current"]:
            state = tick(np, g, state, current, PLACE)
            total += state[0][:, -1] ** 2
        return total[0].real / TICKS, total.imag / step / TICKS

    return value_and_grad


def _workload(
    name: str, summary: str, data: Any, builders: dict[str, Builder], tolerance: float, goals: tuple[Goal, ...]
) -> Workload:
    return Workload(name, summary, data, builders, tolerance, goals=goals, x64=True)


WORKLOADS = (
    _workload(
        "loop_nbody",
        "N-body, 5 bodies, 10,000 leapfrog steps, loss and gradient, float64",
        planets,
        {"funcgrad": nbody, "jax": nbody, "numpy": nbody_by_hand, "numba": nbody_numba},
        1e-7,
        (Goal("steady", 0.08, ("jax",)), Goal("steady", 1.5, ("numba",))),
    ),
    _workload(
        "loop_cable",
        "Hodgkin–Huxley cable, 10 compartments, 4,000 steps, loss and gradient, float64",
        cable_data,
        {"funcgrad": cable, "jax": cable, "numpy": cable_by_hand},
        1e-7,
        (Goal("steady", 0.2, ("jax",)),),
    ),
)
