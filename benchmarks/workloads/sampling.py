"""How fast is a sampler as one loop?  Hamiltonian Monte Carlo (Neal 2011) of a logistic regression, one chain and 16.

Momenta and uniform numbers are given, so that every peer walks the same chain. In the last row the sampler is Numba's,
and calls funcgrad's gradient, or the one that was written by hand.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

ROWS, COLUMNS, DRAWS, LEAPS, LEAP, CHAINS = 500, 20, 1000, 10, 0.03, 16


def data(chains: int) -> Data:
    """A regression's data, starting points, and the random numbers of every draw."""
    random = np.random.default_rng(0)
    X, truth = random.standard_normal((ROWS, COLUMNS)), random.standard_normal(COLUMNS)
    return {
        "q": random.standard_normal((chains, COLUMNS)) * 0.1,
        "X": X,
        "y": (random.random(ROWS) < 1 / (1 + np.exp(-X @ truth))).astype(float),
        "momenta": random.standard_normal((DRAWS, COLUMNS)),
        "levels": np.log(random.random(DRAWS)),
    }


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the mean of a chain's draws, and how many were accepted; several chains by `vmap`."""
    fg, np, lax = library.api, library.np, library.api.lax
    softplus = library.nn.softplus

    def energy(q, X, y):
        z = X @ q
        return np.sum(softplus(z) - y * z) + 0.5 * q @ q

    def chain(q, X, y, momenta, levels):
        value_and_grad = fg.value_and_grad(energy)

        def leap(i, state):
            q, p, _, _ = state
            q = q + LEAP * p
            u, g = value_and_grad(q, X, y)
            return q, p - np.where(i < LEAPS - 1, LEAP, 0.5 * LEAP) * g, u, g

        def draw(state, numbers):
            (q, u, g), accepted, total = state
            p, level = numbers
            other, end, other_u, other_g = lax.fori_loop(0, LEAPS, leap, (q, p - 0.5 * LEAP * g, u, g))
            take = level < u + 0.5 * p @ p - other_u - 0.5 * end @ end
            q, u, g = np.where(take, other, q), np.where(take, other_u, u), np.where(take, other_g, g)
            return ((q, u, g), accepted + take, total + q), None

        start = (q, *value_and_grad(q, X, y))
        (_, accepted, total), _ = lax.scan(draw, (start, 0, 0 * q), (momenta, levels))
        return total / DRAWS, accepted

    single = len(data["q"]) == 1
    function = chain if single else fg.vmap(chain, (0, None, None, None, None))
    q = data["q"][0] if single else data["q"]
    names = ("X", "y", "momenta", "levels")
    return partial(fg.jit(function), library.own(q), *(library.own(data[name]) for name in names))


def by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: all chains side by side."""
    X, y = data["X"], data["y"]

    def value_and_grad(q):
        z = q @ X.T
        e = np.exp(-np.abs(z))
        u = np.sum(np.maximum(z, 0) + np.log1p(e) - y * z, axis=1) + 0.5 * np.sum(q * q, axis=1)
        return u, (np.where(z > 0, 1, e) / (1 + e) - y) @ X + q

    def chains(q):
        u, g = value_and_grad(q)
        accepted, total = np.zeros(len(q), int), np.zeros_like(q)
        for momentum, level in zip(data["momenta"], data["levels"], strict=True):
            other, p = q, momentum - 0.5 * LEAP * g
            for i in range(LEAPS):
                other = other + LEAP * p
                other_u, other_g = value_and_grad(other)
                p = p - (LEAP if i < LEAPS - 1 else 0.5 * LEAP) * other_g
            take = level < u + 0.5 * momentum @ momentum - other_u - 0.5 * np.sum(p * p, axis=1)
            u = np.where(take, other_u, u)
            q, g = np.where(take[:, None], other, q), np.where(take[:, None], other_g, g)
            accepted, total = accepted + take, total + q
        return (total / DRAWS)[0 if len(q) == 1 else ...], accepted[0 if len(q) == 1 else ...]

    return partial(chains, data["q"])


def numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba: one chain in scalar loops over the transposed matrix, with unsafe mathematics allowed."""
    njit = library.numba.njit(fastmath=True)

    @njit
    def value_and_grad(q, XT, y, z, g):
        z[:] = 0
        for k in range(len(q)):
            for i in range(len(y)):
                z[i] += q[k] * XT[k, i]
        u = 0.0
        for i in range(len(y)):
            e = np.exp(-abs(z[i]))
            u += max(z[i], 0.0) + np.log(1 + e) - y[i] * z[i]
            z[i] = (1.0 if z[i] > 0 else e) / (1 + e) - y[i]
        for k in range(len(q)):
            total = 0.0
            for i in range(len(y)):
                total += XT[k, i] * z[i]
            g[k] = total + q[k]
            u += 0.5 * q[k] * q[k]
        return u

    @njit
    def chain(q, XT, y, momenta, levels):
        q, other, p, total = q.copy(), np.empty_like(q), np.empty_like(q), np.zeros_like(q)
        z, g, other_g, accepted = np.empty_like(y), np.empty_like(q), np.empty_like(q), 0
        u = value_and_grad(q, XT, y, z, g)
        for s in range(len(levels)):
            p[:] = momenta[s] - 0.5 * LEAP * g
            other[:] = q
            for i in range(LEAPS):
                other += LEAP * p
                other_u = value_and_grad(other, XT, y, z, other_g)
                p -= (LEAP if i < LEAPS - 1 else 0.5 * LEAP) * other_g
            if levels[s] < u + 0.5 * np.sum(momenta[s] ** 2) - other_u - 0.5 * np.sum(p * p):
                q[:] = other
                g[:] = other_g
                u = other_u
                accepted += 1
            total += q
        return total / len(levels), accepted

    arrays = (np.ascontiguousarray(data["X"].T), data["y"], data["momenta"], data["levels"])
    return partial(chain, data["q"][0], *arrays)


def in_numba(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad's gradient in Numba's sampler, which knows nothing of the regression."""
    import numba

    fg, np = library.api, library.np
    X, y = data["X"], data["y"]

    def energy(q):
        z = X @ q
        return np.sum(library.nn.softplus(z) - y * z) + 0.5 * q @ q

    value_and_grad = fg.value_and_grad(energy)

    @numba.njit
    def chain(q, momenta, levels):
        u, g = value_and_grad(q)
        total, accepted = q * 0, 0
        for s in range(len(levels)):
            p, other, other_u, other_g = momenta[s] - 0.5 * LEAP * g, q.copy(), u, g
            for i in range(LEAPS):
                other += LEAP * p
                other_u, other_g = value_and_grad(other)
                p -= (LEAP if i < LEAPS - 1 else 0.5 * LEAP) * other_g
            if levels[s] < u + 0.5 * (momenta[s] ** 2).sum() - other_u - 0.5 * (p * p).sum():
                q, u, g = other, other_u, other_g
                accepted += 1
            total += q
        return total / len(levels), accepted

    return partial(chain, data["q"][0], data["momenta"], data["levels"])


def outcome(data: Data, result: Any) -> dict[str, np.ndarray]:
    """The mean of the draws and the count of accepted ones."""
    return {"mean": np.asarray(result[0]), "accepted": np.asarray(result[1], float)}


def _workload(name: str, summary: str, chains: int, goals: tuple[Goal, ...]) -> Workload:
    builders = {"funcgrad": traced, "jax": traced, "numpy": by_hand} | ({"numba": numba} if chains == 1 else {})
    return Workload(name, summary, partial(data, chains), builders, 1e-7, outcome, goals=goals, x64=True)


WORKLOADS = (
    _workload("loop_hmc", "HMC, 500 × 20, 1,000 draws of 10 leaps, float64", 1, (Goal("steady", 0.6, ("jax",)),)),
    _workload("loop_hmc16", "the same for 16 chains under vmap", CHAINS, (Goal("steady", 0.3, ("jax",)),)),
    Workload(
        "numba_hmc",
        "the same sampler in @njit, around a gradient",
        partial(data, 1),
        {"funcgrad": in_numba, "numba": numba, "numpy": by_hand},
        1e-7,
        outcome,
        goals=(Goal("steady", 1.2, ("numba",)),),
    ),
)
