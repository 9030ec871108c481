"""Which exported functions are there to test with?  A few small ones that together have every part of the format."""

from __future__ import annotations

import functools

import numpy as np

import funcgrad as fg

S = fg.ShapeDtypeStruct


@fg.custom_jvp
def doubled(x):
    """The identity, whose rule says that its derivative is 2."""
    return x * 1.0


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 2 * tangents[0]))


def network(params, x):
    """Two layers, a mean over examples."""
    h = np.tanh(x @ params["w"] + params["b"])
    return {"mean": np.mean(h, 0), "h": fg.nn.relu(h)}


def loops(x, i):
    """A scan, a branch, a while loop, and places that are computed."""
    carry, ys = fg.lax.scan(lambda c, row: (np.sin(c) + row, c * row), np.zeros(3), x)
    y = fg.lax.cond(np.sum(carry) > 0, lambda v: v * 2, lambda v: v - 1, carry)
    z = fg.lax.while_loop(lambda v: np.sum(v) < 10, lambda v: v * 2 + 1, y * y)
    return ys[i], fg.lax.dynamic_slice(x, (i, i), (2, 2)), z, x.at[i].set(0.0)


def solves(a, b):
    """Linear algebra, a solver of the user's, sorts."""
    x = fg.lax.custom_linear_solve(
        lambda v: a @ v, b, lambda mv, v: np.linalg.solve(a, v), lambda mv, v: np.linalg.solve(a.T, v)
    )
    return x, np.sort(b), np.linalg.eigh(a + a.T)[0], np.argmax(b)


def entries(i, x):
    """Rows of a known table, and complex numbers."""
    return fg.numpy.take(TABLE, i, axis=0) * x, x.astype(np.complex64)


def ruled(x):
    """With a derivative rule."""
    return np.sum(doubled(x) ** 2 / x.shape[0])


def decided(x):
    """With a decision by the size."""
    return x * (2 if x.shape[0] // 2 > 400 else 3)


PARAMS = {"w": np.linspace(-1, 1, 12).reshape(3, 4), "b": np.zeros(4)}
TABLE = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def sizes(text, *constraints, dtype=np.float64):
    """An argument with symbolic sizes."""
    return S(fg.export.symbolic_shape(text, constraints=constraints), dtype)


@functools.cache
def exported() -> dict[str, fg.export.Exported]:
    """The functions, by name."""
    export = fg.export.export
    return {
        "network": export(fg.jit(network))(PARAMS, S((2, 3), np.float64)),
        "sizes": export(fg.jit(network))(PARAMS, sizes("b, 3", "b <= 4096")),
        "loops": export(fg.jit(loops))(S((4, 3), np.float64), 1),
        "constant": export(fg.jit(entries))(S((2,), np.int64), np.float32(2)),
        "solves": export(fg.jit(solves))(S((3, 3), np.float64), S((3,), np.float64)),
        "rules": export(fg.jit(ruled))(sizes("n")),
        "decisions": export(fg.jit(decided))(sizes("n")),
    }


@functools.cache
def data() -> dict[str, bytes]:
    """Their files."""
    return {name: bytes(one.serialize(vjp_order=1)) for name, one in exported().items()}
