"""How fast are loops and branches?  Small bodies and many iterations, each example of a batch on a way of its own.

Arrays in the carry stand in `carried`, larger bodies in `simulations`, `sampling` and `lstm`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.workload import Builder, Call, Data, Goal, Workload

# Forty scalars that pull at each other (Kuramoto's oscillators on a ring): a carry of forty 0-d values --------------

SCALARS, ROUNDS, ROUND = 40, 200, 0.05


def ring_data() -> Data:
    """Forty phases."""
    return {"x": np.random.default_rng(0).uniform(-3, 3, SCALARS)}


def ring(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np = library.api, library.np

    def loss(*start):
        def body(x, _):
            return tuple(x[k] + ROUND * np.sin(x[k - 1] - x[k]) for k in range(SCALARS)), None

        return sum(x * x for x in fg.lax.scan(body, start, None, length=ROUNDS)[0])

    return partial(fg.jit(fg.value_and_grad(loss, tuple(range(SCALARS)))), *map(library.own, data["x"]))


def ring_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: the forty side by side, and the adjoint of every round."""

    def value_and_grad(x):
        tape = []
        for _ in range(ROUNDS):
            gap = np.roll(x, 1) - x
            tape.append(np.cos(gap))
            x = x + ROUND * np.sin(gap)
        ct = 2 * x
        for slope in reversed(tape):
            turn = ROUND * slope * ct
            ct = ct - turn + np.roll(turn, -1)
        return np.sum(x * x), tuple(ct)

    return partial(value_and_grad, data["x"])


# A robot's arm: thirty joints, written out one after the other --------------------------------------------------------

JOINTS = 30


def arm_data() -> Data:
    """Angles of the joints, twists of the links, and where the hand should be."""
    random = np.random.default_rng(0)
    return {
        "angles": random.uniform(-1, 1, JOINTS),
        "twists": random.uniform(-1, 1, JOINTS),
        "goal": np.array([2.0, 1.0, 3.0]),
    }


def arm(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: products of Denavit and Hartenberg's matrices, no loop primitive."""
    fg, np = library.api, library.np
    sines = [(float(s), float(c)) for s, c in zip(*(f(data["twists"]) for f in (SIN, COS)), strict=True)]

    def loss(angles, goal):
        s, c = np.sin(angles), np.cos(angles)
        pose = np.eye(4)
        for k, (st, ct) in enumerate(sines):
            link = [
                [c[k], -s[k] * ct, s[k] * st, 0.3 * c[k]],
                [s[k], c[k] * ct, -c[k] * st, 0.3 * s[k]],
                [0.0, st, ct, 0.1],
                [0.0, 0.0, 0.0, 1.0],
            ]
            pose = pose @ np.array(link)
        return np.sum((pose[:3, 3] - goal) ** 2)

    return partial(fg.jit(fg.value_and_grad(loss)), library.own(data["angles"]), library.own(data["goal"]))


SIN, COS = np.sin, np.cos


def arm_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: the hand turns about each joint's axis."""

    def links(s, c):
        st, ct = np.sin(data["twists"]), np.cos(data["twists"])
        found = np.zeros((JOINTS, 4, 4))
        found[:, 0] = np.stack([c, -s * ct, s * st, 0.3 * c], axis=1)
        found[:, 1] = np.stack([s, c * ct, -c * st, 0.3 * s], axis=1)
        found[:, 2, 1], found[:, 2, 2], found[:, 2, 3], found[:, 3, 3] = st, ct, 0.1, 1
        return found

    def value_and_grad(angles, goal):
        pose, axes, places = np.eye(4), [], []
        for link in links(np.sin(angles), np.cos(angles)):
            axes.append(pose[:3, 2])
            places.append(pose[:3, 3])
            pose = pose @ link
        gap = pose[:3, 3] - goal
        return np.sum(gap**2), 2 * np.cross(np.array(axes), pose[:3, 3] - np.array(places)) @ gap

    return partial(value_and_grad, data["angles"], data["goal"])


# Ten thousand rotations, one after the other --------------------------------------------------------------------------

TURNS = 10_000


def turns_data() -> Data:
    """Rotation matrices, (10,000, 3, 3), by Rodrigues' formula."""
    w = np.random.default_rng(0).standard_normal((TURNS, 3)) * 0.1
    angle = np.linalg.norm(w, axis=1)[:, None, None]
    K = np.zeros((TURNS, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        K[:, k, j], K[:, j, k] = w[:, i], -w[:, i]
    return {"turns": np.eye(3) + np.sin(angle) / angle * K + (1 - np.cos(angle)) / angle**2 * (K @ K)}


def turns(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np = library.api, library.np

    def product(turns):
        return fg.lax.scan(lambda r, turn: (r @ turn, None), np.eye(3), turns)[0]

    return partial(fg.jit(product), library.own(data["turns"]))


def turns_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy in Python's loop."""

    def product(turns):
        r = np.eye(3)
        for turn in turns:
            r = r @ turn
        return r

    return partial(product, data["turns"])


# Kepler's equation by fixed points: most orbits need a dozen iterations, a few need thousands ------------------------

ORBITS, CLOSE = 2000, 1e-12


def orbits_data() -> Data:
    """Mean anomalies and eccentricities, one orbit in a hundred nearly a parabola."""
    random = np.random.default_rng(0)
    rare = np.arange(ORBITS) % 100 == 0
    return {
        "M": np.where(rare, random.uniform(0.001, 0.1, ORBITS), random.uniform(0, np.pi, ORBITS)),
        "e": np.where(rare, random.uniform(0.99, 0.999, ORBITS), random.uniform(0, 0.5, ORBITS)),
    }


def orbits(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: the same text."""
    fg, np = library.api, library.np

    def anomaly(M, e):
        def step(state):
            E, _ = state
            new = M + e * np.sin(E)
            return new, np.abs(new - E)

        return fg.lax.while_loop(lambda state: state[1] > CLOSE, step, (M, np.abs(e) + 1))[0]

    return partial(fg.jit(fg.vmap(anomaly)), library.own(data["M"]), library.own(data["e"]))


def orbits_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: those that are not done yet."""

    def anomalies(M, e):
        E, going = M.copy(), np.arange(len(M))
        while len(going):
            new = M[going] + e[going] * np.sin(E[going])
            moved = np.abs(new - E[going])
            E[going] = new
            going = going[moved > CLOSE]
        return E

    return partial(anomalies, data["M"], data["e"])


# A branch that one example in a hundred takes -----------------------------------------------------------------------

EXAMPLES, TERMS = 10_000, 60


def rare_data() -> Data:
    """Numbers in [0, 1), of which one in a hundred is moved beyond 1."""
    x = np.random.default_rng(0).uniform(0, 1, EXAMPLES)
    return {"x": np.where(np.arange(EXAMPLES) % 100 == 0, x + 1, x)}


def rare(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: a polynomial, or sixty rounds of a map."""
    fg, np = library.api, library.np

    def dear(x):
        return fg.lax.fori_loop(0, TERMS, lambda i, y: np.sin(y) + 0.5 * np.exp(-y * y), x)

    def each(x):
        return fg.lax.cond(x < 1, lambda x: x * (1 - x), dear, x)

    return partial(fg.jit(fg.vmap(each)), library.own(data["x"]))


def rare_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: those that take the branch by themselves."""

    def every(x):
        y = x * (1 - x)
        beyond = x >= 1
        z = x[beyond]
        for _ in range(TERMS):
            z = np.sin(z) + 0.5 * np.exp(-z * z)
        y[beyond] = z
        return y

    return partial(every, data["x"])


# A million iterations on scalars ------------------------------------------------------------------------------------

MILLION = 10**6


def newton(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: a square root that is followed as its square grows."""
    fg = library.api

    def follow(x, a):
        def step(state):
            i, x, a = state
            return i + 1, 0.5 * (x + a / x), a * 1.0000001

        return fg.lax.while_loop(lambda state: state[0] < MILLION, step, (0, x, a))[1:]

    return partial(fg.jit(follow), library.own(data["x"]), library.own(data["a"]))


def newton_loop(x, a):
    """Python, and Numba."""
    i = 0
    while i < MILLION:
        x, a = 0.5 * (x + a / x), a * 1.0000001
        i += 1
    return x, a


def newton_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """Python's floats."""
    return partial(newton_loop, float(data["x"]), float(data["a"]))


def newton_numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba."""
    return partial(library.numba.njit(newton_loop), float(data["x"]), float(data["a"]))


def collatz(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: Collatz's sequence, begun anew at the iteration's number whenever it ends."""
    fg, np = library.api, library.np

    def count(n):
        def step(i, state):
            n, ends = state
            n = np.where(n % 2 == 0, n // 2, 3 * n + 1)
            return np.where(n == 1, i + 2, n), ends + (n == 1)

        return fg.lax.fori_loop(0, MILLION, step, (n, 0))

    return partial(fg.jit(count), library.own(data["n"]))


def collatz_loop(n):
    """Python, and Numba."""
    ends = 0
    for i in range(MILLION):
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        if n == 1:
            n = i + 2
            ends += 1
    return n, ends


def collatz_by_hand(library: SimpleNamespace, data: Data) -> Call:
    """Python's integers."""
    return partial(collatz_loop, int(data["n"]))


def collatz_numba(library: SimpleNamespace, data: Data) -> Call:
    """Numba."""
    return partial(library.numba.njit(collatz_loop), int(data["n"]))


# The rows -----------------------------------------------------------------------------------------------------------


def workload(
    name: str,
    summary: str,
    data: Callable[[], Data],
    builders: tuple[Builder, Builder],
    goals: tuple[tuple[float, str], ...],
    numba: Builder | None = None,
    quick: bool = True,
) -> Workload:
    """A row of float64 (or int64) with `traced` for funcgrad and JAX, a builder by hand, and its bounds."""
    traced, by_hand = builders
    peers = {"funcgrad": traced, "jax": traced, "numpy": by_hand} | ({"numba": numba} if numba else {})
    bounds = tuple(Goal("steady", bound, (peer,)) for bound, peer in goals)
    return Workload(f"loop_{name}", summary, data, peers, 1e-9, goals=bounds, x64=True, quick=quick)


WORKLOADS = (
    workload(
        "carries40",
        "scan of 40 scalar carries, 200 steps, loss and gradient, float64",
        ring_data,
        (ring, ring_by_hand),
        ((0.1, "jax"),),
    ),
    workload(
        "chain4x4",
        "chain of thirty 4 × 4 transforms written out, loss and gradient, float64",
        arm_data,
        (arm, arm_by_hand),
        ((0.15, "jax"),),
    ),
    workload(
        "turns3x3",
        "scan of 10,000 rotations, 3 × 3, float64",
        turns_data,
        (turns, turns_by_hand),
        ((0.6, "jax"),),
    ),
    workload(
        "ragged",
        "while_loop under vmap, 2,000 examples, counts from 10 to thousands, float64",
        orbits_data,
        (orbits, orbits_by_hand),
        ((0.1, "jax"),),
    ),
    workload(
        "rare",
        "cond under vmap, 10,000 examples, one in 100 takes a dear branch, float64",
        rare_data,
        (rare, rare_by_hand),
        ((0.1, "jax"),),
    ),
    workload(
        "newton",
        "while_loop of 1,000,000 iterations on two scalars, float64",
        lambda: {"x": np.float64(1), "a": np.float64(2)},
        (newton, newton_by_hand),
        ((0.8, "jax"),),
        newton_numba,
    ),
    workload(
        "collatz",
        "fori_loop of 1,000,000 iterations of Collatz's map, int64",
        lambda: {"n": np.int64(27)},
        (collatz, collatz_by_hand),
        ((0.3, "jax"),),
        collatz_numba,
    ),
)
