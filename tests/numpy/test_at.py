"""Is indexing NumPy's, traced and differentiated?  ``x[index]``, and ``x.at[index]`` with all that it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as fnp
from tests.effort import drawn
from tests.ops.numerics import assert_near, richardson

SHAPES = [(5,), (3, 4), (2, 3, 4), (1, 4), (3, 0)]
KINDS = ["set", "add", "subtract", "multiply", "divide", "power", "min", "max"]
UFUNCS: dict[str, Any] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power,
    "min": np.minimum, "max": np.maximum,
}  # fmt: skip


@st.composite
def entries(draw: Any, n: int) -> Any:
    """An index of one axis."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    low, high = -n - draw(st.sampled_from([0, 0, 0, 0, 1])), n + draw(st.sampled_from([0, 0, 0, 0, 1]))
    number = int(rng.integers(low, high)) if high > low else 0
    start, stop = (draw(st.sampled_from([None, 0, 1, -1, 2, n, -n - 2, n + 2])) for _ in range(2))
    line = rng.integers(low, high, draw(st.sampled_from([(2,), (3,), (1,), (2, 1), (2, 3), (), (0,)]))) if n else []
    return draw(
        st.sampled_from(
            [
                number,
                np.int32(number),
                slice(start, stop, draw(st.sampled_from([None, 1, 2, -1, -2, 3]))),
                slice(None),
                np.asarray(line, np.int64),
                np.asarray(line, np.int64).tolist(),
                rng.random(n) < 0.5,
            ]
        )
    )


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> Any:
    """An index of an array, rarely a wrong one."""
    count = draw(st.integers(0, len(shape)))
    index = [draw(entries(n)) for n in shape[:count]]
    extra = st.sampled_from([None, Ellipsis, True, False, np.bool_(True)])
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        index.insert(draw(st.integers(0, len(index))), draw(extra))
    if draw(st.integers(0, 9)) == 0 and len(shape) > 1:
        index = [np.random.default_rng(count).random(shape[:2]) < 0.5]
    return index[0] if len(index) == 1 and draw(st.booleans()) else tuple(index)


@st.composite
def cases(draw: Any) -> tuple[np.ndarray, Any]:
    shape = draw(st.sampled_from(SHAPES))
    x = np.random.default_rng(draw(st.integers(0, 99))).permutation(int(np.prod(shape))) / 4 + 0.125
    return x.reshape(shape), draw(indices(shape))


def outcome(function: Callable[[], Any]) -> Any:
    """A value, or the error."""
    try:
        return np.asarray(function())
    except (IndexError, TypeError, ValueError) as error:
        return error


def same(got: Any, want: Any) -> None:
    """Equal arrays, or errors of the same kind."""
    if isinstance(want, Exception) or isinstance(got, Exception):
        assert isinstance(got, IndexError) == isinstance(want, IndexError), (got, want)
        assert isinstance(got, Exception) == isinstance(want, Exception), (got, want)
        return
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def written(x: np.ndarray, index: Any, kind: str, values: Any) -> np.ndarray:
    """What NumPy's assignment, or ``ufunc.at``, gives."""
    out = np.array(x)
    if kind == "set":
        out[index] = values
    else:
        UFUNCS[kind].at(out, index, values)
    return out


def split(index: Any) -> tuple[list[np.ndarray], Callable[[list[Any]], Any]]:
    """The integer arrays of an index, and how to put traced ones in their place."""
    index_tuple = index if isinstance(index, tuple) else (index,)
    places = [k for k, e in enumerate(index_tuple) if isinstance(e, np.ndarray) and e.dtype != np.bool_]

    def rebuild(lines: list[Any]) -> Any:
        full = list(index_tuple)
        for k, line in zip(places, lines, strict=True):
            full[k] = line
        return tuple(full)

    return [index_tuple[k] for k in places], rebuild


# Against NumPy --------------------------------------------------------------------------------------------------------


@given(cases())
@drawn(120)
def test_get(case: Any) -> None:
    x, index = case
    want = outcome(lambda: x[index])
    same(outcome(lambda: fg.vjp(lambda x: x[index], x)[0]), want)
    same(outcome(lambda: x.view(fg.Array).at[index].get()), want)


@given(cases())
@drawn(25)
def test_get_compiled(case: Any) -> None:
    x, index = case
    lines, rebuild = split(index)
    want = outcome(lambda: x[index])
    same(outcome(lambda: fg.jit(lambda x, *lines: x[rebuild(list(lines))])(x, *lines)), want)


@given(cases())
@drawn(80)
def test_gradient_of_get(case: Any) -> None:
    x, index = case
    read = outcome(lambda: x[index])
    assume(not isinstance(read, Exception))
    weights = np.arange(1.0, read.size + 1).reshape(read.shape)
    want = np.zeros_like(x)
    np.add.at(want, index, weights)
    same(np.asarray(fg.grad(lambda x: np.sum(x[index] * weights))(x)), want)


@given(cases(), st.sampled_from(KINDS))
@drawn(120)
def test_write(case: Any, kind: str) -> None:
    x, index = case
    read = outcome(lambda: x[index])
    values = np.arange(1.0, read.size + 1).reshape(read.shape) / 2 if not isinstance(read, Exception) else 2.0
    want = outcome(lambda: written(x, index, kind, values))
    got = outcome(lambda: fg.vjp(lambda x, v: getattr(x.at[index], kind)(v), x, values)[0])
    if kind in ("divide", "power") and not isinstance(want, Exception):  # one power of a product, not one after another
        np.testing.assert_allclose(got, want, rtol=1e-12)
    else:
        same(got, want)
    same(outcome(lambda: getattr(x.view(fg.Array).at[index], kind)(values)), want)


@given(cases(), st.sampled_from(["set", "add", "min"]))
@drawn(25)
def test_write_compiled(case: Any, kind: str) -> None:
    x, index = case
    lines, rebuild = split(index)
    read = outcome(lambda: x[index])
    values = np.arange(1.0, read.size + 1).reshape(read.shape) if not isinstance(read, Exception) else 2.0
    want = outcome(lambda: written(x, index, kind, values))
    write = fg.jit(lambda x, v, *lines: getattr(x.at[rebuild(list(lines))], kind)(v))
    same(outcome(lambda: write(x, values, *lines)), want)


@given(cases(), st.sampled_from(["set", "add", "multiply", "min", "max", "power", "divide"]))
@drawn(60)
def test_gradient_of_write(case: Any, kind: str) -> None:
    x, index = case
    read = outcome(lambda: x[index])
    assume(not isinstance(read, Exception))
    x = x + 1
    values = np.random.default_rng(3).permutation(read.size).reshape(read.shape) / 8 + 0.7
    weights = np.random.default_rng(4).uniform(0.5, 1.5, x.shape)

    def loss(x: Any, v: Any) -> Any:
        return np.sum(weights * getattr(x.at[index], kind)(v))

    def plain(x: Any, v: Any) -> Any:
        return np.sum(weights * written(x, index, kind, v))

    by_x, by_values = fg.grad(loss, (0, 1))(x, values)
    direction = np.random.default_rng(5).uniform(-1, 1, x.shape), np.random.default_rng(6).uniform(-1, 1, read.shape)
    slope = richardson(plain, (x, values), direction)
    assert_near(np.sum(by_x * direction[0]) + np.sum(by_values * direction[1]), slope, 1e-7)


# What happens at the edges --------------------------------------------------------------------------------------------

X = np.arange(5.0)
PLACES = np.array([0, -1, 7, -9, 2])


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("clip", [0, 4, 4, 0, 2]),
        ("promise_in_bounds", [0, 4, 4, 0, 2]),
        ("wrap", [0, 4, 2, 1, 2]),
        ("fill", [0, 4, np.nan, np.nan, 2]),
        ("drop", [0, 4, np.nan, np.nan, 2]),
    ],
)
def test_modes_of_get(mode: str, want: list[float]) -> None:
    read = lambda x, i: x.at[i].get(mode=mode)  # noqa: E731
    np.testing.assert_array_equal(fg.jit(read)(X, PLACES), want)
    np.testing.assert_array_equal(read(X.view(fg.Array), PLACES), want)


@pytest.mark.parametrize("mode", ["clip", "drop", "fill", "wrap"])
@pytest.mark.parametrize("kind", ["set", "add", "multiply", "min", "max"])
def test_modes_of_writes(mode: str, kind: str) -> None:
    values = np.array([10.0, 20.0, 30.0, -40.0, 50.0])
    inside = np.where(PLACES < 0, PLACES + 5, PLACES)
    if mode in ("drop", "fill"):
        kept = (inside >= 0) & (inside < 5)
        want = written(X, inside[kept], kind, values[kept])
    else:
        want = written(X, np.clip(inside, 0, 4) if mode == "clip" else PLACES % 5, kind, values)
    write = lambda x, i, v: getattr(x.at[i], kind)(v, mode=mode)  # noqa: E731
    np.testing.assert_array_equal(fg.jit(write)(X, PLACES, values), want)
    np.testing.assert_array_equal(write(X.view(fg.Array), PLACES, values), want)


@pytest.mark.parametrize(("dtype", "fill"), [("f4", np.nan), ("i2", -(2**15)), ("u1", 255), ("b1", True)])
def test_what_stands_where_nothing_is(dtype: str, fill: Any) -> None:
    x = np.zeros(3, dtype)
    got = fg.jit(lambda x, i: x.at[i].get(mode="fill"))(x, np.array([0, 9]))
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, np.array([0, fill], dtype))
    given_value = fg.jit(lambda x, i: x.at[i].get(mode="fill", fill_value=1))(x, np.array([0, 9]))
    np.testing.assert_array_equal(given_value, np.array([0, 1], dtype))


def test_dropped_updates_have_no_derivative() -> None:
    i = np.array([0, 9, 0, 2])
    by_x, by_v = fg.grad(lambda x, v: np.sum(x.at[i].set(v, mode="drop") * np.arange(1.0, 6)), (0, 1))(X, np.ones(4))
    np.testing.assert_array_equal(by_x, [0, 2, 0, 4, 5])
    np.testing.assert_array_equal(by_v, [0, 0, 1, 3])


def test_the_last_of_repeated_places_stays() -> None:
    i = np.array([2, 2, 0, 2])
    set_ = lambda x, v, i: x.at[i].set(v)  # noqa: E731
    v = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(fg.jit(set_)(X, v, i), [3, 1, 4, 3, 4])
    gradient = fg.jit(fg.grad(lambda v: np.sum(set_(fnp.array(X), v, i) ** 2)))(v)
    np.testing.assert_array_equal(gradient, [0, 0, 6, 8])


def test_equal_extremes_share_the_derivative() -> None:
    by_x, by_v = fg.grad(lambda x, v: x.at[np.array([1, 1])].max(v)[1], (0, 1))(X, np.array([1.0, 1.0]))
    np.testing.assert_allclose(by_x, [0, 1 / 3, 0, 0, 0])
    np.testing.assert_allclose(by_v, [1 / 3, 1 / 3])


def test_the_derivative_of_a_product_with_zeros() -> None:
    values = np.array([0.0, 3.0, 2.0, 0.0])
    i = np.array([1, 1, 2, 3])
    by_x, by_v = fg.grad(lambda x, v: np.sum(x.at[i].multiply(v)), (0, 1))(X, values)
    np.testing.assert_array_equal(by_x, [1, 0, 2, 0, 1])
    np.testing.assert_array_equal(by_v, [3, 0, 2, 3])


@pytest.mark.parametrize("zeros", [(), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("base", [2.0, 0.0])
def test_higher_derivatives_of_a_product_with_zeros(base: float, zeros: tuple[int, ...]) -> None:
    """Up to the third; those of products that are written out, for comparison."""
    values = np.array([base, 3.0, 2.0, 5.0, -1.5, 0.5])
    values[1:][list(zeros)] = 0.0

    def scattered(v: Any) -> Any:
        return v[:1].at[np.zeros(5, int)].multiply(v[1:])[0] * v[0]

    def written_out(v: Any) -> Any:
        return v[0] * v[1] * v[2] * v[3] * v[4] * v[5] * v[0]

    for derivative in (fg.grad, fg.hessian, lambda f: fg.jacfwd(fg.hessian(f)), lambda f: fg.jacrev(fg.hessian(f))):
        got = fg.jit(derivative(scattered))(values)
        np.testing.assert_allclose(got, derivative(written_out)(values), rtol=1e-12, atol=1e-12)


def test_a_traced_mask_takes_what_does_not_depend_on_it() -> None:
    clipped = fg.jit(lambda x: x.at[x > 2].set(0.0))(X)
    np.testing.assert_array_equal(clipped, [0, 1, 2, 0, 0])
    with pytest.raises(TypeError, match="which one belongs to which"):
        fg.jit(lambda x: x.at[x > 2].set(np.array([1.0, 2.0])))(X)
    with pytest.raises(fg.errors.NonConcreteBooleanIndexError):
        fg.jit(lambda x: x.at[x > 2].get())(X)


def test_apply() -> None:
    got = fg.jit(lambda x, i: x.at[i].apply(np.exp))(X, np.array([1, 3]))
    np.testing.assert_allclose(got, [0, np.exp(1), 2, np.exp(3), 4], rtol=1e-14)


@pytest.mark.parametrize("kind", ["set", "add", "max"])
def test_batches(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, i, v = rng.normal(size=(3, 5, 2)), rng.integers(-5, 5, (3, 4)), rng.normal(size=(3, 4, 2))
    write = lambda x, i, v: getattr(x.at[i], kind)(v)  # noqa: E731
    want = np.stack([written(*args, v) for *args, v in zip(x, i, [kind] * 3, v, strict=True)])
    np.testing.assert_allclose(fg.jit(fg.vmap(write))(x, i, v), want)
    for axes in [(None, 0, 0), (0, None, 0), (0, 0, None), (None, None, 0)]:
        chosen = [a if axis == 0 else fnp.array(a[0]) for a, axis in zip((x, i, v), axes, strict=True)]
        rows = [[a[k] if axis == 0 else a for a, axis in zip(chosen, axes, strict=True)] for k in range(3)]
        want = np.stack([written(r[0], r[1], kind, r[2]) for r in rows])
        np.testing.assert_allclose(fg.vmap(write, in_axes=axes)(*chosen), want)


def test_the_array_stays_as_it_is() -> None:
    x = fnp.zeros(3)
    y = x.at[1].set(5.0)
    assert type(y) is fg.Array
    np.testing.assert_array_equal(x, 0)
    assert not np.shares_memory(x, y)
    z = x.at[:].get()
    assert not np.shares_memory(x, z)


def test_in_place_on_a_temporary_does_not_touch_what_others_read() -> None:
    @fg.jit
    def f(x: Any, i: Any) -> Any:
        y = np.concatenate([x, -x])  # a temporary that has a buffer of its own
        z = y.at[i].set(-1.0)
        w = z.at[i + 1].add(100.0)
        return z, w, w.at[0].set(7.0)

    y = np.concatenate([X, -X])
    z = written(y, np.array([1, 3]), "set", -1.0)
    w = written(z, np.array([2, 4]), "add", 100.0)
    for got, want in zip(f(X, np.array([1, 3])), (z, w, written(w, 0, "set", 7.0)), strict=True):
        np.testing.assert_array_equal(got, want)


def test_traced_indices_into_results() -> None:
    table = fnp.arange(5.0)
    assert fg.jit(lambda i: table[i])(3) == 3
    np.testing.assert_array_equal(fg.jit(lambda i: table[i, None])(np.array([1, 2])), [[1], [2]])


def test_conditions_that_are_traced_need_a_size() -> None:
    x, holds = np.arange(12.0).reshape(3, 4), np.array([True, False, True])
    got = fg.jit(lambda c, x: fnp.compress(c, x, axis=0, size=3, fill_value=-1))(holds, x)
    np.testing.assert_array_equal(got, [x[0], x[2], [-1] * 4])
    np.testing.assert_array_equal(fnp.compress(holds, x, axis=0, size=1), x[:1])
    np.testing.assert_array_equal(fg.jit(lambda x: fnp.extract(x > 9, x, size=4))(x), [10, 11, 0, 0])
    with pytest.raises(fg.errors.NonConcreteBooleanIndexError, match="Pass size="):
        fg.jit(lambda x: fnp.extract(x > 9, x))(x)


def test_take_fills_as_in_jax() -> None:
    i = np.array([0, 7])
    np.testing.assert_array_equal(fg.jit(lambda x, i: fnp.take(x, i, mode="fill"))(X, i), [0, np.nan])
    np.testing.assert_array_equal(fnp.take(X, i, mode="fill", fill_value=9.0), [0, 9])


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda x, i: x[i:], fg.errors.TracerIntegerConversionError, "dynamic_slice_in_dim"),
        (lambda x, i: x[1.5:], TypeError, "slice indices must be integers"),
        (lambda x, i: x[::0], ValueError, "step cannot be zero"),
        (lambda x, i: x["a"], IndexError, "valid indices"),
        (lambda x, i: x[1.0], IndexError, "must be of integer"),
        (lambda x, i: x[x], IndexError, "integer"),
        (lambda x, i: x[np.array([True, False])], IndexError, "boolean index did not match"),
        (lambda x, i: x[0, 0], IndexError, "too many indices"),
        (lambda x, i: x[..., ...], IndexError, "single ellipsis"),
        (lambda x, i: x[i + 9], IndexError, "out of bounds for axis with size 5"),
        (lambda x, i: x.at[i + 9].set(1.0), IndexError, "out of bounds for axis with size 5"),
        (lambda x, i: x.at[9].set(1.0), IndexError, "out of bounds for axis with size 5"),
        (lambda x, i: x.at[i].set(np.ones(2)), ValueError, r"could not broadcast values of shape \(2,\)"),
        (lambda x, i: x.at[i].set(1.0, mode="nearest"), ValueError, "mode must be one of"),
        (lambda x, i: x.astype(int).at[i].add(1.5), TypeError, "do not fit an array of dtype int64"),
        (lambda x, i: x.astype(int).at[i].divide(2), TypeError, "cannot hold results of dtype float64"),
        (lambda x, i: fnp.put(x, i, 1.0), ValueError, "inplace=False"),
    ],
)  # fmt: skip
def test_mistakes(function: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fg.jit(function)(X, 1)


def test_writing_into_a_tracer_names_the_remedy() -> None:
    def f(x: Any) -> Any:
        x[0] = 1.0
        return x

    with pytest.raises(TypeError, match=r"x\.at\[i\]\.set\(v\)"):
        fg.jit(f)(X)
