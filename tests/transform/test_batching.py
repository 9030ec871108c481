"""Does `vmap` take axes as JAX does, and do examples see each other through named axes as they do there?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from tests.ops.numerics import assert_near

X = np.random.default_rng(0).normal(size=(3, 3, 3))
HERE = __file__.rsplit("/", 1)[-1]


def test_axes() -> None:
    tree = {"a": np.ones((2, 3, 4)), "b": np.arange(3.0)}
    out = fg.vmap(lambda d: d["a"] @ d["b"], in_axes=({"a": -1, "b": None},), out_axes=-1)(tree)
    assert out.shape == (2, 4)
    first, second = fg.vmap(lambda x: (x, {"s": np.sum(x)}), in_axes=-2, out_axes=(1, {"s": 0}))(X[0])
    assert_near(first, X[0].T, 0)
    assert_near(second["s"], np.sum(X[0], axis=-1), 1e-15)
    both = fg.vmap(lambda x, y: (x * y, y), in_axes=[0, None], out_axes=(0, None))(X[0, 0], 2.0)
    assert_near(both[0], 2 * X[0, 0], 0)
    assert both[1] == 2
    assert_near(fg.vmap(lambda x, *, k: x * k)(X[0], k=X[0]), X[0] ** 2, 0)
    assert fg.vmap(lambda: 3.0, axis_size=4)().shape == (4,)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: fg.vmap(lambda x, y: x)({"a": X}, np.ones(5)), ValueError, ("3, 5", "argument 0['a']", "argument 1")),
        (lambda: fg.vmap(lambda x, k: x)(X, k={"z": np.ones(4)}), ValueError, ("3, 4", "argument 'k'['z']")),
        (lambda: fg.vmap(lambda x: x, in_axes=5)(X), ValueError, ("axis 5", "argument 0", "(3, 3, 3)")),
        (lambda: fg.vmap(lambda x: x, in_axes=(0, 1))(X), ValueError, ("in_axes=(0, 1)", "1 positional")),
        (lambda: fg.vmap(lambda x: x, in_axes="0")(X), TypeError, ("in_axes must be", "'0'")),
        (lambda: fg.vmap(lambda x: x, in_axes=({"a": 1.5},))({"a": X}), TypeError, ("1.5", "argument 0['a']")),
        (lambda: fg.vmap(lambda x: x, in_axes=None)(X), ValueError, ("axis_size",)),
        (lambda: fg.vmap(lambda x: x, axis_size=4)(X), ValueError, ("3, 4", "axis_size")),
        (lambda: fg.vmap(lambda x: x)("text"), TypeError, ("argument 0", "'text'")),
        (lambda: fg.vmap(lambda x: {"y": x}, out_axes={"y": None})(X), ValueError, ("['y']", "out_axes is None")),
        (lambda: fg.vmap(lambda x: {"y": x}, out_axes=4)(X), ValueError, ("axis 4", "['y']", "(3, 3)")),
        (lambda: fg.vmap(lambda x: x, out_axes=(0, 0))(X), ValueError, ("out_axes=(0, 0)",)),
        (lambda: fg.vmap(lambda x: x, spmd_axis_name="i")(X), NotImplementedError, ("spmd_axis_name", "one device")),
        (lambda: fg.vmap(lambda x: fg.lax.psum(x, "j"), axis_name="i")(X), NameError, ("unbound axis name: j",)),
        (lambda: fg.lax.axis_index("i"), NameError, ("unbound axis name: i",)),
    ],
)
def test_mistakes(call: Any, error: type[Exception], says: tuple[str, ...]) -> None:
    with pytest.raises(error) as caught:
        call()
    for part in (*says, HERE):
        assert part in str(caught.value)


C = np.ones(3)
COLLECTIVES: dict[str, tuple[Any, Any]] = {  # the function of one example, and the same of the batch
    "psum": (lambda lax, x: x / lax.psum(x * x, "i"), lambda X: X / np.sum(X * X, 0)),
    "pmean": (lambda lax, x: x - lax.pmean(np.sin(x), "i"), lambda X: X - np.mean(np.sin(X), 0)),
    "pmax": (lambda lax, x: x / lax.pmax(np.abs(x), "i"), lambda X: X / np.max(np.abs(X), 0)),
    "pmin": (lambda lax, x: x * lax.pmin(x, "i"), lambda X: X * np.min(X, 0)),
    "all_gather": (lambda lax, x: lax.all_gather(x, "i")[1] * x, lambda X: X[1] * X),
    "all_gather, axis 1": (
        lambda lax, x: np.sum(lax.all_gather(np.sin(x), "i", axis=1), axis=0) * x,
        lambda X: np.sum(np.moveaxis(np.sin(X), 0, 1), axis=0) * X,
    ),
    "all_gather, tiled": (
        lambda lax, x: lax.all_gather(x, "i", axis=1, tiled=True)[:, :3] * x,
        lambda X: np.concatenate(list(X), axis=1)[:, :3] * X,
    ),
    "ppermute": (
        lambda lax, x: lax.ppermute(np.sin(x), "i", [(0, 1), (1, 2), (2, 0)]) * x,
        lambda X: np.roll(np.sin(X), 1, 0) * X,
    ),
    "ppermute, one left out": (
        lambda lax, x: lax.ppermute(np.sin(x), "i", [(0, 1), (2, 0)]) * x,
        lambda X: np.stack([np.sin(X[2]), np.sin(X[0]), 0 * X[0]]) * X,
    ),
    "pshuffle": (lambda lax, x: lax.pshuffle(x, "i", [2, 0, 1]) * x, lambda X: X[np.array([2, 0, 1])] * X),
    "all_to_all": (lambda lax, x: lax.all_to_all(np.sin(x), "i", 0, 0) * x, lambda X: np.sin(np.swapaxes(X, 0, 1)) * X),
    "all_to_all, tiled": (
        lambda lax, x: lax.all_to_all(np.sin(x), "i", 0, 1, tiled=True),
        lambda X: np.sin(np.stack([np.concatenate([X[j][k : k + 1] for j in range(3)], axis=1) for k in range(3)])),
    ),
    "pswapaxes": (lambda lax, x: lax.pswapaxes(x, "i", 1) * x, lambda X: np.swapaxes(X, 0, 2) * X),
    "psum_scatter": (lambda lax, x: x * lax.psum_scatter(np.cos(x), "i"), lambda X: X * np.sum(np.cos(X), 0)[:, None]),
    "axis_index": (
        lambda lax, x: x * lax.axis_index("i") + lax.psum(1, "i") + lax.axis_size("i"),
        lambda X: X * np.arange(3)[:, None, None] + 6,
    ),
    "psum, groups": (
        lambda lax, x: x * lax.psum(np.sin(x), "i", axis_index_groups=[[2, 0], [1]]),
        lambda X: X * np.stack([np.sin(X[0]) + np.sin(X[2]), np.sin(X[1]), np.sin(X[0]) + np.sin(X[2])]),
    ),
    "pmean, groups": (
        lambda lax, x: lax.pmean(np.sin(x), "i", axis_index_groups=[[2, 0], [1]]),
        lambda X: np.stack([(np.sin(X[0]) + np.sin(X[2])) / 2, np.sin(X[1]), (np.sin(X[0]) + np.sin(X[2])) / 2]),
    ),
    "pmax, groups": (
        lambda lax, x: x * lax.pmax(x, "i", axis_index_groups=[[0, 1], [2]]),
        lambda X: X * np.stack([np.maximum(X[0], X[1]), np.maximum(X[0], X[1]), X[2]]),
    ),
    "all_gather, groups": (
        lambda lax, x: x * lax.all_gather(x, "i", axis_index_groups=[[2, 0, 1]])[1],
        lambda X: X * X[0],
    ),
    "of a constant": (lambda lax, x: x * lax.psum(C, "i") * lax.pmax(C, "i"), lambda X: 3 * X),
}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives(name: str) -> None:
    one, whole = COLLECTIVES[name]
    want = whole(X)
    slope = fg.grad(lambda X: np.sum(np.sin(whole(X))))(X)
    tangent = fg.jvp(whole, (X,), (X**2,))[1]

    def example(x: Any) -> Any:
        return one(fg.lax, x)

    for inner in (example, fg.jit(example)):
        batched = fg.vmap(inner, axis_name="i")
        for outer in (batched, fg.jit(batched)):
            assert_near(outer(X), want, 1e-14)
            assert_near(fg.grad(lambda X, f=outer: np.sum(np.sin(f(X))))(X), slope, 1e-13)
        assert_near(fg.jvp(batched, (X,), (X**2,))[1], tangent, 1e-13)
        # JAX's meaning of the gradient of an example: every example's output counts
        each = fg.vmap(fg.grad(lambda x, f=inner: np.sum(np.sin(f(x)))), axis_name="i")(X)
        assert_near(each, slope, 1e-13)
    if name in ("psum", "pmean", "ppermute", "axis_index", "pmax"):
        nested = fg.vmap(fg.vmap(example, axis_name="j"), axis_name="i")
        assert_near(nested(X), whole(X), 1e-14)
        assert_near(fg.jit(nested)(X), whole(X), 1e-14)


def test_several_axes_loops_and_jitted_constants() -> None:
    both = fg.vmap(fg.vmap(lambda x: x / fg.lax.psum(x, ("i", "j")), axis_name="j"), axis_name="i")
    assert_near(both(X[0] ** 2), X[0] ** 2 / np.sum(X[0] ** 2), 1e-15)
    numbered = fg.vmap(fg.vmap(lambda x: fg.lax.axis_index(("i", "j")), axis_name="j"), axis_name="i")
    np.testing.assert_array_equal(numbered(X[0]), np.arange(9).reshape(3, 3))
    loop = fg.vmap(
        lambda x: fg.lax.scan(lambda c, _: (c + fg.lax.psum(c, "i"), None), x, None, length=2)[0], axis_name="i"
    )
    np.testing.assert_array_equal(loop(np.arange(3.0)), [15, 16, 17])
    np.testing.assert_array_equal(fg.jit(loop)(np.arange(3.0)), [15, 16, 17])
    same = fg.jit(lambda y: fg.lax.psum(y, "i") + fg.lax.all_gather(y, "i")[0])
    total = fg.vmap(lambda x, y: same(y) * x, in_axes=(0, None), axis_name="i")
    np.testing.assert_array_equal(total(np.ones(3), 2.0), [8, 8, 8])


def test_batch_norm() -> None:
    def norm(x: Any) -> Any:
        mean = fg.lax.pmean(x, "batch")
        return (x - mean) / np.sqrt(fg.lax.pmean((x - mean) ** 2, "batch") + 1e-5)

    x = X[0]
    want = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    assert_near(fg.jit(fg.vmap(norm, axis_name="batch"))(x), want, 1e-14)


ORACLE: dict[str, Any] = {
    "psum": lambda lax, x: x / lax.psum(x * x, "i"),
    "all_gather": lambda lax, x: lax.all_gather(x * x, "i")[1] * x,
    "ppermute": lambda lax, x: lax.ppermute(x * x, "i", [(0, 1), (1, 2), (2, 0)]) * x,
    "all_to_all": lambda lax, x: lax.all_to_all(x * x, "i", 0, 0) * x,
}


@pytest.mark.parametrize("name", ORACLE)
def test_gradients_of_examples_are_those_of_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    f = ORACLE[name]
    want = jax.vmap(jax.grad(lambda x: (f(jax.lax, x) ** 2).sum()), axis_name="i")(X)
    assert_near(fg.vmap(fg.grad(lambda x: (f(fg.lax, x) ** 2).sum()), axis_name="i")(X), np.asarray(want), 1e-13)


def test_parts_go_round_in_groups() -> None:
    x, groups = np.arange(12.0).reshape(4, 3)[:, :2], [[0, 3], [2, 1]]
    swapped = fg.vmap(lambda x: fg.lax.all_to_all(x, "i", 0, 0, axis_index_groups=groups), axis_name="i")(x)
    np.testing.assert_array_equal(swapped, [[0, 9], [7, 4], [6, 3], [1, 10]])
    sums = fg.vmap(lambda x: fg.lax.psum_scatter(x, "i", axis_index_groups=groups), axis_name="i")(x)
    np.testing.assert_array_equal(sums, [9, 11, 9, 11])


@pytest.mark.parametrize(
    ("name", "groups", "message"),
    [
        ("psum", [[0, 1]], "must name each of the 3 examples once, not"),
        ("pmax", [[0, 1, 1, 2]], "must name each of the 3 examples once, not"),
        ("all_gather", [[0, 1], [2]], "must have groups of one size, not"),
    ],
)
def test_wrong_groups(name: str, groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fg.vmap(lambda x: getattr(fg.lax, name)(x, "i", axis_index_groups=groups), axis_name="i")(X)


def test_axes_without_a_batch() -> None:
    def f(x: Any) -> Any:
        return fg.lax.psum(x * fg.lax.axis_index("i"), ("i", "j"))

    program = fg.make_jaxpr(f, axis_env=[("i", 4), ("j", 3)])(1.0)
    found = [(e.primitive.name, e.params.get("axis_name"), e.params.get("axis_size")) for e in program.equations]
    assert [row for row in found if row[1]] == [("axis_index", "i", 4), ("psum", "i", 4), ("psum", "j", 3)]
    with pytest.raises(NameError, match="unbound axis name: i"):
        fg.make_jaxpr(f)(1.0)
