"""Is every function of funcgrad.numpy.linalg NumPy's own, traced?  And what happens at the edges of linear algebra?"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy.linalg as fla
from tests.effort import drawn
from tests.numpy.strategies import elements

DTYPES = [np.dtype(c) for c in "b1 i4 i8 f2 f4 f8 c8 c16".split()]
ORDERS = [None, 1, -1, 2, -2, np.inf, -np.inf, 0, 3, 0.5, "fro", "nuc", "bad"]
AXES = [None, 0, 1, -1, (0, 1), (-1, -2), (1, 1), 5]
SHAPES = [(3, 3), (2, 3, 3), (2, 3), (3, 2), (3,), (), (0, 3, 3), (0, 0), (3, 0), (1, 1), (2, 2, 4, 4)]
Call = tuple[tuple[Any, ...], dict[str, Any]]


@st.composite
def matrices(draw: Any, shapes: Any = SHAPES, dtypes: Any = DTYPES, hermitian: bool = False) -> np.ndarray:
    """Matrices, mostly far from singular; Hermitian and positive ones if asked for."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape, dtype = draw(st.sampled_from(shapes)), draw(st.sampled_from(dtypes))
    x = elements(rng, shape, dtype if dtype.kind != "c" else np.dtype("f8"), special=False)
    if dtype.kind == "c":
        x = (x + 1j * rng.normal(size=shape)).astype(dtype)
    if len(shape) < 2 or dtype.kind == "b":
        return x
    x = (x + np.eye(*shape[-2:]) * np.arange(1, shape[-1] + 1) * 9).astype(dtype)
    return (x + np.conj(np.swapaxes(x, -1, -2))).astype(dtype) if hermitian and shape[-1] == shape[-2] else x


def _call(*args: Any, **kwargs: Any) -> st.SearchStrategy[Call]:
    optional = {k: v if isinstance(v, st.SearchStrategy) else st.sampled_from(v) for k, v in kwargs.items()}
    return st.tuples(st.tuples(*args), st.fixed_dictionaries({}, optional=optional))


plain, vectors = matrices(), matrices([(3,), (2, 3), (4,), (2, 2), ()])
CALLS: dict[str, st.SearchStrategy[Call]] = {
    "cholesky": _call(matrices(hermitian=True), upper=[False, True]),
    "cond": _call(plain, p=[None, 1, -1, 2, -2, np.inf, "fro"]),
    "cross": _call(vectors, vectors, axis=[-1, 0]),
    "diagonal": _call(plain, offset=[0, 1, -2]),
    "trace": _call(plain, offset=[0, 1, -2], dtype=[None, np.float64]),
    "eig": _call(plain),
    "eigvals": _call(plain),
    "eigh": _call(matrices(hermitian=True), UPLO=["L", "U", "l", "x"]),
    "eigvalsh": _call(plain, UPLO=["L", "U", "x"]),
    "lstsq": _call(matrices([(4, 3), (3, 3), (2, 3), (3,)]), matrices([(4, 2), (3,), (3, 1), (2, 2), (4,)])),
    "matmul": _call(plain, plain),
    "matrix_norm": _call(plain, keepdims=[False, True], ord=ORDERS[1:]),
    "matrix_power": _call(plain, st.sampled_from([0, 1, 2, 3, 5, -1, -2, 1.5])),
    "matrix_rank": _call(plain, tol=[None, 0.5], hermitian=[False]),
    "matrix_transpose": _call(plain),
    "multi_dot": _call(st.lists(matrices([(3, 3), (3, 3), (3,), (3, 2)]), min_size=1, max_size=4)),
    "norm": _call(plain, ord=ORDERS, axis=AXES, keepdims=[False, True]),
    "outer": _call(vectors, vectors),
    "pinv": _call(plain, rcond=[None, 1e-3]),
    "qr": _call(plain, mode=["reduced", "complete", "r", "raw", "bad"]),
    "solve": _call(plain, plain),
    "svd": _call(plain, full_matrices=[True, False], compute_uv=[True, False]),
    "tensordot": _call(plain, plain, axes=[0, 1, 2, ([0], [0]), (-1, 0)]),
    "tensorinv": _call(matrices([(6, 2, 3), (2, 3, 6), (4, 2, 2)], DTYPES[4:6]), ind=[1, 2, 0]),
    "tensorsolve": _call(matrices([(2, 3, 6), (6, 2, 3), (2, 2, 3)], DTYPES[4:6]), matrices([(2, 3), (6,)])),
    "vecdot": _call(vectors, vectors, axis=[-1, 0]),
    "vector_norm": _call(plain, axis=AXES, keepdims=[False, True], ord=ORDERS[1:]),
    **dict.fromkeys(("det", "inv", "slogdet", "svdvals"), _call(plain)),
}


def outcome(function: Callable[[], Any]) -> Any:
    """A value, or the exception."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function()
    except (TypeError, ValueError, IndexError) as error:  # LinAlgError is a ValueError
        return error


def leaves(x: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in x] if isinstance(x, tuple) else [np.asarray(x)]


def compare(name: str, got: Any, want: Any) -> None:
    """The same exception, or values of the same dtype, shape and, up to rounding, size."""
    if isinstance(want, Exception) or isinstance(got, Exception):
        assert isinstance(got, Exception), f"NumPy raises {want!r}"
        assert isinstance(want, Exception), got
        kinds = {np.linalg.LinAlgError, ValueError, np.exceptions.AxisError}  # all of them ValueErrors
        assert type(got) is type(want) or {type(got), type(want)} <= kinds | {IndexError}, (got, want)
        return
    if name in ("eig", "eigvals"):  # NumPy's dtype depends on the values
        want = tuple(w.astype(np.result_type(w.dtype, np.complex64)) for w in leaves(want))
    assert len(leaves(got)) == len(leaves(want))
    for g, w in zip(leaves(got), leaves(want), strict=True):
        assert (g.dtype, g.shape) == (w.dtype, w.shape)
        if w.size:
            eps = np.finfo(w.dtype).eps if w.dtype.kind in "fc" else 0
            least = 1 if name == "lstsq" else 0  # residuals of a fit without any are rounding errors
            finite = np.abs(w[np.isfinite(w)]).max(initial=least)
            np.testing.assert_allclose(g, w, rtol=4096 * eps, atol=4096 * eps * finite)


def traced(name: str, call: Call, execute: Callable[..., Any]) -> Any:
    """The function with every array among its arguments traced."""
    args, kwargs = call
    arrays = [x for a in args for x in (a if isinstance(a, list) else [a]) if isinstance(x, np.ndarray)]

    def function(*given: Any) -> Any:
        rest = iter(given)

        def put(a: Any) -> Any:
            return [put(x) for x in a] if isinstance(a, list) else next(rest) if isinstance(a, np.ndarray) else a

        return getattr(np.linalg, name)(*map(put, args), **kwargs)

    return outcome(lambda: execute(function)(*arrays))


def test_every_function_is_called() -> None:
    assert set(CALLS) | {"LinAlgError"} == set(fla.__all__) == set(np.linalg.__all__)


@pytest.mark.parametrize("name", sorted(CALLS))
@given(st.data())
@drawn(12)
def test_compiled_is_numpy(name: str, data: Any) -> None:
    call = data.draw(CALLS[name])
    want = outcome(lambda: getattr(np.linalg, name)(*call[0], **call[1]))
    compare(name, traced(name, call, fg.jit), want)


@pytest.mark.parametrize("name", sorted(CALLS))
@given(st.data())
@drawn(4)
def test_untraced_is_numpy(name: str, data: Any) -> None:
    args, kwargs = data.draw(CALLS[name])
    want = outcome(lambda: getattr(np.linalg, name)(*args, **kwargs))
    got = outcome(lambda: getattr(fla, name)(*args, **kwargs))
    compare(name, got, want)
    arrays = [x for x in (got if isinstance(got, tuple) else (got,)) if not isinstance(x, (int, Exception))]
    assert all(type(x) is fg.Array for x in arrays)


# Edges ---------------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("n", [2, 3, 6, 9])
@pytest.mark.parametrize("count", [None, 40])
@pytest.mark.parametrize("name", ["solve", "inv"])
def test_singular_matrices_raise_at_every_size(name: str, n: int, count: int | None) -> None:
    lead = () if count is None else (count,)
    a = np.broadcast_to(np.eye(n), (*lead, n, n)).copy()
    a[(..., -1, -1) if count is None else (count // 2, -1, -1)] = 0
    args = (a,) if name == "inv" else (a, np.ones((*lead, n, 1)))
    function = getattr(np.linalg, name)
    for call in (
        fg.jit(function),
        fg.grad(lambda *xs: np.sum(function(*xs))),
        fg.jit(fg.vmap(function) if lead else function),
    ):
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            call(*args)
    regular = np.where(a == 0, np.eye(n) * 2, a)
    np.testing.assert_allclose(fg.jit(function)(regular, *args[1:]), function(regular, *args[1:]))


@pytest.mark.parametrize(("n", "bad"), [(2, -1.0), (8, -1.0), (9, -1.0), (2, 0.0), (4, 0.0)])
def test_what_is_not_positive_definite_raises(n: int, bad: float) -> None:
    a = np.eye(n)
    a[-1, -1] = bad
    for call in (fg.jit(np.linalg.cholesky), fg.jit(fg.grad(lambda a: np.sum(np.linalg.cholesky(a))))):
        with pytest.raises(np.linalg.LinAlgError, match="Matrix is not positive definite"):
            call(a)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_cholesky_of_nan_is_what_numpy_gives(n: int) -> None:
    a = np.eye(n)
    a[-1, -1] = np.nan
    np.testing.assert_array_equal(fg.jit(np.linalg.cholesky)(np.stack([a] * 2))[1], np.linalg.cholesky(a))


OFTEN = {(1, "f8"), (2, "f4"), (3, "f8"), (4, "f4"), (6, "f8"), (7, "f4"), (8, "f8"), (9, "f4")}


@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        pytest.param(n, dtype, marks=() if (n, dtype) in OFTEN else pytest.mark.slow)
        for n in range(1, 10)
        for dtype in ("f4", "f8")
    ],
)
def test_stacks_of_small_matrices(n: int, dtype: str) -> None:
    count = 64 if n <= 6 else 1024  # from which on there are kernels
    a = RNG.normal(size=(count, n, n)).astype(dtype)
    a[0] = np.fliplr(np.eye(n))  # needs exchanges of rows
    s = (a @ np.swapaxes(a, 1, 2) + np.eye(n)).astype(dtype)
    b = RNG.normal(size=(count, n)).astype(dtype)
    tolerance = np.finfo(dtype).eps * 64 * n
    for function, x in ((np.linalg.inv, s), (np.linalg.det, a), (np.linalg.cholesky, s)):
        want = function(x.astype("f8"))
        got = fg.jit(fg.vmap(function))(x)
        scale = np.abs(want).max(axis=tuple(range(1, want.ndim)), keepdims=True) * np.linalg.cond(x).reshape(
            -1, *(1,) * (want.ndim - 1)
        )
        assert got.dtype == x.dtype
        assert np.max(np.abs(got - want) / scale) < tolerance
    x = fg.jit(fg.vmap(np.linalg.solve))(a, b)
    error = np.abs(np.einsum("kij,kj->ki", a, x, dtype="f8") - b).max(1)
    size = np.abs(a).max((1, 2)) * np.abs(x).max(1) + np.abs(b).max(1)
    assert np.max(error / size) < tolerance  # the backward error of elimination with pivots


def test_small_stacks_are_one_kernel() -> None:
    a, b = RNG.normal(size=(100, 3, 3)), RNG.normal(size=(100, 3))
    lowered = fg.jit(fg.vmap(np.linalg.solve)).lower(a, b)
    assert lowered.as_text("python").count("def kernel") == 1


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_derivatives_of_determinants_at_singular_matrices(rank: int) -> None:
    for n in (3, 4):
        a = RNG.normal(size=(n, rank)) @ RNG.normal(size=(rank, n))
        minors = [
            [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)] for i in range(n)
        ]
        for gradient in (fg.grad(np.linalg.det), fg.jit(fg.grad(np.linalg.det))):
            np.testing.assert_allclose(gradient(a), minors, atol=1e-12)


@pytest.mark.parametrize("ord", [None, 1, 2, 3, np.inf])
def test_norms_have_finite_derivatives_at_zero(ord: Any) -> None:
    for call in (fg.grad, lambda f: fg.jit(fg.grad(f))):
        got = call(lambda x: np.linalg.norm(x, ord))(np.zeros(3))
        assert np.all(np.isfinite(got))
    if ord in (None, 2, 3):
        np.testing.assert_array_equal(got, 0)
    z = fg.grad(lambda x: np.linalg.norm(x, ord))(np.zeros(3, np.complex128))
    assert np.all(np.isfinite(z))


def test_repeated_values_have_derivatives_of_values_alone() -> None:
    """As the module says: sums of functions of eigenvalues and singular values are smooth, vectors are not."""
    s = np.diag([1.0, 1.0, 2.0])
    for through in (
        lambda s: np.linalg.eigh(s)[0],
        np.linalg.eigvalsh,
        np.linalg.svdvals,
        lambda s: np.linalg.svd(s)[1],
    ):
        np.testing.assert_allclose(fg.grad(lambda s, f=through: np.sum(f(s) ** 2))(s), 2 * s, atol=1e-14)
    moved = fg.grad(lambda s: np.sum(np.linalg.eigh(s)[1] * np.arange(9).reshape(3, 3)))(s)
    assert not np.all(np.isfinite(moved))


def test_pseudoinverse_is_smooth_where_singular_values_repeat() -> None:
    a, t = np.eye(3)[:, :2], RNG.normal(size=(3, 2))
    _, got = fg.jvp(np.linalg.pinv, (a,), (t,))
    h = 1e-6
    np.testing.assert_allclose(got, (np.linalg.pinv(a + h * t) - np.linalg.pinv(a - h * t)) / (2 * h), atol=1e-8)


def test_eigenvalues_are_complex_whatever_they_are() -> None:
    a = np.diag([1.0, 2.0])
    for function in (fla.eigvals, fg.jit(np.linalg.eigvals), lambda a: fla.eig(a)[1], lambda a: fg.jit(fla.eig)(a)[1]):
        assert function(a).dtype == np.complex128
        assert function(a.astype("f4")).dtype == np.complex64


def test_no_derivative_is_an_error_that_says_why() -> None:
    tall = RNG.normal(size=(4, 2))
    with pytest.raises(TypeError, match="use full_matrices=False"):
        fg.grad(lambda a: np.sum(np.linalg.svd(a)[0]))(tall)
    with pytest.raises(TypeError, match="use mode='reduced'"):
        fg.grad(lambda a: np.sum(np.linalg.qr(a, "complete")[0]))(tall)
    assert np.all(np.isfinite(fg.grad(lambda a: np.sum(np.linalg.svdvals(a)))(tall)))


def test_results_keep_numpys_named_tuples() -> None:
    a = np.diag([3.0, 2.0])
    out = fg.jit(lambda a: (np.linalg.eigh(a), np.linalg.slogdet(a), np.linalg.qr(a)))(a)
    assert [type(x) for x in out] == [type(f(a)) for f in (np.linalg.eigh, np.linalg.slogdet, np.linalg.qr)]
    np.testing.assert_array_equal(out[0].eigenvalues, [2, 3])


def test_one_matrix_for_a_batch_of_right_sides_is_factorized_once() -> None:
    a, b = RNG.normal(size=(9, 9)), RNG.normal(size=(5, 9))
    function = fg.vmap(np.linalg.solve, in_axes=(None, 0))
    np.testing.assert_allclose(np.einsum("ij,kj->ki", a, fg.jit(function)(a, b)), b, atol=1e-12)
    (equation,) = [e for e in fg.make_jaxpr(function)(a, b).equations if e.primitive.name == "solve"]
    assert [x.type.shape for x in equation.inputs] == [(9, 9), (9, 5)]


def test_complex_derivatives_are_jaxs() -> None:
    jax = pytest.importorskip("jax")
    z = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))

    def loss(xp: Any) -> Callable[..., Any]:
        def function(z: Any) -> Any:
            h = z @ xp.conj(z.T) + xp.eye(3)
            x = xp.linalg.solve(z, xp.linalg.cholesky(h))
            return xp.sum(xp.abs(x) ** 2) + xp.linalg.slogdet(z)[1] + xp.sum(xp.abs(xp.linalg.eigh(h)[1]) ** 4)

        return function

    with jax.enable_x64(True):
        want = np.asarray(jax.jit(jax.grad(loss(jax.numpy)))(z))
    for got in (fg.grad(loss(np))(z), fg.jit(fg.grad(loss(np)))(z)):
        np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(70, 70), (100, 80), (80, 100), (70, 3)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr_of_one_large_matrix(dtype, shape, mode):
    """What LAPACK is asked for directly is what NumPy gives, strided matrices too."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype if dtype[0] == "c" else "c16")
    x = x if dtype[0] == "c" else np.ascontiguousarray(x.real.astype(dtype))
    for a in (x, np.asfortranarray(x), x[::-1]):
        found, expected = fg.jit(lambda a: np.linalg.qr(a, mode))(a), np.linalg.qr(a, mode)
        for one, other in zip(found, expected, strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(one, other, atol=1e-4 if dtype in ("f4", "c8") else 1e-11)
