"""Are large matrices factorized, and solved by, as LAPACK does it: the same shapes, errors and accuracy, and the same
bits on any number of threads?
"""

from __future__ import annotations

import ctypes
import itertools
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.compile import native
from funcgrad.runtime import factors
from tests.interop.test_native_function import called

pytestmark = pytest.mark.skipif(not native.tiles_replace_blas(), reason="here LAPACK factorizes as a whole")

DTYPES = [np.float32, np.float64]
SIZES = [96, 127, 128, 129, 192, 200]
SHAPES = [(96, 96), (97, 200), (200, 97), (129, 128), (130, 161)]


def matrix(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    """Random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def positive(n: int, dtype: Any = np.float64) -> np.ndarray:
    """A positive definite matrix."""
    x = matrix(n, n)
    return (x @ x.T / n + np.eye(n)).astype(dtype)


def triangle(n: int, dtype: Any = np.float64) -> np.ndarray:
    """A matrix both of whose triangles, and unit triangles, are regular."""
    return (matrix(n, n) / (4 * n**0.5) + 2 * np.eye(n)).astype(dtype)


def error(found: Any, expected: Any) -> float:
    """The largest difference, in units of rounding of the largest number."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)) / np.finfo(found.dtype).eps)


@pytest.fixture
def lapack(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Callable[..., Any]]:
    """Compiles a function whose factorisations are LAPACK's."""

    def compiled(function: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with monkeypatch.context() as patch:
                patch.setattr(factors, "LEAST", 1 << 30)
                return fg.jit(lambda *x: function(*x))(*arguments)

        return call

    return compiled


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations for which there were native steps."""
    names: list[str] = []
    for name in factors.FAMILIES:

        def routine(call: Any, slots: Any, name: str = name, before: Any = factors.ROUTINES[name]) -> Any:
            steps = before(call, slots)
            names.extend([name] * bool(steps))
            return steps

        monkeypatch.setitem(factors.ROUTINES, name, routine)
    return names


# Results -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_lu_exchanges_rows_as_lapack_does_and_gives_its_factors(dtype, shape, made):
    a = matrix(*shape, dtype=dtype)
    found = fg.jit(lax.linalg.lu)(a)
    expected = lax.linalg.lu(a)
    assert made == ["lu"]
    assert error(found[0], expected[0]) < 500
    for part, other in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_array_equal(part, other)
        assert part.dtype == other.dtype
    k = min(shape)
    lower, upper = np.tril(found[0][:, :k], -1) + np.eye(shape[0], k), np.triu(found[0][:k])
    assert error((lower @ upper).astype(dtype), a[found[2]]) < 50


@pytest.mark.parametrize("dtype", DTYPES)
def test_pivots_whose_inverse_is_infinite_divide(dtype, made):
    tiny = np.finfo(dtype).tiny / 8  # one divided by it is more than the largest number
    a = np.eye(100, dtype=dtype) * tiny
    a[1, 0] = a[50, 49] = -tiny / 2
    found = fg.jit(lax.linalg.lu)(a)[0]
    assert made == ["lu"]
    np.testing.assert_array_equal(found, np.where(a == -tiny / 2, -0.5, a).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_of_zeros_and_equal_numbers_leave_rows_where_they_are(dtype, made):
    a = matrix(130, 130, dtype=dtype)
    a[:, [0, 20, 64, 129]] = 0
    found, expected = fg.jit(lax.linalg.lu)(a), lax.linalg.lu(a)
    np.testing.assert_array_equal(found[1], expected[1])
    assert error(found[0], expected[0]) < 500
    _, pivots, _ = fg.jit(lax.linalg.lu)(np.ones((130, 130), dtype))
    np.testing.assert_array_equal(pivots, np.arange(130))
    assert made == ["lu", "lu"]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("sides", [None, 1, 2, 33])
def test_solutions_leave_residuals_as_small_as_numpys(n, sides, made):
    a = matrix(n, n)
    b = matrix(*([n] if sides is None else [n, sides]), seed=1)
    found, expected = fg.jit(fnp.linalg.solve)(a, b), np.linalg.solve(a, b)
    assert made == ["solve"]
    assert found.shape == b.shape
    residuals = [np.max(np.abs(a @ x - b)) for x in (found, expected)]
    assert residuals[0] < 4 * residuals[1]


PAIRS = (fnp.linalg.eigh, np.linalg.eigh), (fnp.linalg.svd, np.linalg.svd)


def test_what_numpy_computes_in_float64_for_float32_stays_with_it(made):
    a, b = matrix(130, 130, dtype=np.float32), matrix(130, dtype=np.float32)
    np.testing.assert_array_equal(fg.jit(fnp.linalg.solve)(a, b), np.linalg.solve(a, b))
    for found, expected in ((fg.jit(f)(a), g(a)) for f, g in PAIRS):
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, y)
    assert made == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_cholesky_reads_the_lower_triangle_and_writes_zeros_above(dtype, n, made):
    a = positive(n, dtype)
    given = np.where(np.tri(n, dtype=bool), a, np.nan).astype(dtype)
    found = fg.jit(lambda x: lax.linalg.cholesky(x, symmetrize_input=False))(given)
    assert made == ["cholesky"]
    assert not np.triu(found, 1).any()
    assert error(found, np.linalg.cholesky(a)) < 30


def test_a_factor_of_a_badly_conditioned_matrix_is_as_good_as_lapacks():
    points = np.linspace(0, 1, 300)
    a = np.exp(-((points[:, None] - points) ** 2) * 50) + 1e-12 * np.eye(300)
    residuals = [
        np.max(np.abs(x @ x.T - a)) for x in (np.asarray(fg.jit(fnp.linalg.cholesky)(a)), np.linalg.cholesky(a))
    ]
    assert residuals[0] < 4 * residuals[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_qr_is_lapacks_but_for_rounding(dtype, shape, made):
    a = matrix(*shape, dtype=dtype)
    (q, r), expected = fg.jit(fnp.linalg.qr)(a), np.linalg.qr(a)
    assert made == ["qr"]
    assert [q.shape, r.shape] == [x.shape for x in expected]
    assert not np.tril(r, -1).any()
    assert error(q @ r, a) < 50
    assert error(q.T @ q, np.eye(q.shape[1], dtype=dtype)) < 20
    np.testing.assert_array_equal(np.sign(np.diagonal(r)), np.sign(np.diagonal(expected[1])))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("scale", [1, 1e-300, 1e300])
def test_eigenvectors_are_orthonormal_and_belong_to_their_values(n, scale, made):
    a = matrix(n, n)
    a = (a + a.T) * scale
    w, v = fg.jit(lambda x: fnp.linalg.eigh(x))(np.where(np.tri(n, dtype=bool), a, np.nan))
    assert made == ["eigh"]
    assert error(w, np.linalg.eigvalsh(a)) < 100
    assert error(v.T @ v, np.eye(n)) < 50
    assert error((v * (w / scale)) @ v.T, a / scale) < 200


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("scale", [1, 1e-300, 1e300])
def test_singular_vectors_are_orthonormal_and_belong_to_their_values(n, scale, made):
    a = matrix(n, n) * scale
    u, s, vh = fg.jit(fnp.linalg.svd)(a)
    assert made == ["svd"]
    assert error(s, np.linalg.svd(a, compute_uv=False)) < 100
    assert error(u.T @ u, np.eye(n)) < 50
    assert error(vh @ vh.T, np.eye(n)) < 50
    assert error((u * (s / scale)) @ vh, a / scale) < 100


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_there_are_no_singular_values_of_what_is_no_number(bad):
    a = np.eye(100)
    a[3, 4] = bad
    with pytest.raises(np.linalg.LinAlgError, match=r"SVD did not converge\n  at .*test_factors"):
        fg.jit(fnp.linalg.svd)(a)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_repeated_eigenvalues_have_orthonormal_vectors(fill):
    a = np.full((130, 130), fill)
    w, v = fg.jit(fnp.linalg.eigh)(a)
    np.testing.assert_allclose(w, np.r_[np.zeros(129), fill * 130], rtol=0, atol=1e-12)
    assert error(v.T @ v, np.eye(130)) < 50


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_repeated_singular_values_have_orthonormal_vectors(fill):
    u, s, vh = fg.jit(fnp.linalg.svd)(np.full((130, 130), fill))
    np.testing.assert_allclose(s, np.r_[fill * 130, np.zeros(129)], rtol=0, atol=1e-12)
    for vectors in (u, vh):
        assert error(vectors.T @ vectors, np.eye(130)) < 50


def test_values_alone_and_oblong_matrices_stay_with_lapack(made):
    a = positive(100)
    np.testing.assert_array_equal(fg.jit(fnp.linalg.svdvals)(a), np.linalg.svdvals(a))
    for x, expected in zip(fg.jit(fnp.linalg.svd)(a[:99]), np.linalg.svd(a[:99]), strict=True):
        np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(fg.jit(fnp.linalg.eigvalsh)(a), np.linalg.eigvalsh(a))
    assert made == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(("lower", "transpose", "unit"), [*itertools.product([True, False], repeat=3)])
def test_triangles_are_solved_from_either_side(dtype, left, lower, transpose, unit, made):
    options = {"left_side": left, "lower": lower, "transpose_a": transpose, "unit_diagonal": unit}
    for n, sides in itertools.product((96, 130), (1, 16, 47)):
        a, b = triangle(n, dtype), matrix(*([n, sides] if left else [sides, n]), dtype=dtype)
        found = fg.jit(lambda a, b: lax.linalg.triangular_solve(a, b, **options))(a, b)
        assert error(found, lax.linalg.triangular_solve(a, b, **options)) < 50
    assert set(made) == {"triangular_solve"}


DERIVATIVES = {
    "solve": lambda a, p, b: fnp.sum(fnp.linalg.solve(a, b) ** 2),
    "cholesky": lambda a, p, b: fnp.sum(fnp.linalg.cholesky(p) * a),
    "qr": lambda a, p, b: sum(fnp.sum(x * a) for x in fnp.linalg.qr(p)),
    "lu": lambda a, p, b: fnp.sum(lax.linalg.lu(p)[0] * a),
    "eigh": lambda a, p, b: sum(fnp.sum(x * x * a[0]) for x in fnp.linalg.eigh(p)),
    "svd": lambda a, p, b: fnp.sum((fnp.linalg.svd(p)[0] @ fnp.linalg.svd(p)[2]) * a) + fnp.linalg.norm(p, "nuc"),
    "triangular_solve": lambda a, p, b: fnp.sum(lax.linalg.triangular_solve(p, a) ** 2),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_are_those_of_lapacks_factors(name, lapack, made):
    gradient = fg.grad(DERIVATIVES[name], argnums=(0, 1))
    arguments = matrix(100, 100), positive(100), matrix(100)
    found = fg.jit(gradient)(*arguments)
    assert name in made or (name == "solve" and {"lu", "triangular_solve"} <= set(made))
    for x, expected in zip(found, lapack(gradient)(*arguments), strict=True):
        np.testing.assert_allclose(x, expected, rtol=0, atol=1e-9 * max(np.max(np.abs(expected)), 1))


# Edges ---------------------------------------------------------------------------------------------------------------


def test_a_singular_matrix_is_refused_with_the_line_that_solves():
    a = matrix(130, 130)
    a[:, 70] = 0
    with pytest.raises(np.linalg.LinAlgError, match=r"Singular matrix\n  at .*test_factors"):
        fg.jit(fnp.linalg.solve)(a, a[0])


@pytest.mark.parametrize("place", [0, 63, 64, 129])
def test_a_matrix_that_is_not_positive_is_refused(place):
    a = np.eye(130)
    a[place, place] = -1
    with pytest.raises(np.linalg.LinAlgError, match=r"not positive definite\n  at .*test_factors"):
        fg.jit(fnp.linalg.cholesky)(a)


def test_after_a_refusal_the_next_matrix_is_solved():
    solve = fg.jit(fnp.linalg.solve)
    with pytest.raises(np.linalg.LinAlgError):
        solve(np.zeros((100, 100)), np.ones(100))
    np.testing.assert_array_equal(solve(np.eye(100), np.ones(100)), np.ones(100))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_the_largest_number_of_its_column_and_rows_stay_a_permutation(dtype):
    a = matrix(130, 130, dtype=dtype)
    a[3, 5] = np.nan
    found, expected = fg.jit(lax.linalg.lu)(a), lax.linalg.lu(a)
    np.testing.assert_array_equal(found[1][:5], expected[1][:5])  # LAPACK's order depends on how it cuts the matrix
    assert not np.isnan(found[0][:5]).any()
    assert np.isnan(found[0][6:, 6:]).all()
    assert sorted(found[2].tolist()) == list(range(130))
    assert np.isnan(fg.jit(fnp.linalg.solve)(a, a[0])).all()
    found_l, expected_l = (f(a @ a.T) for f in (fg.jit(fnp.linalg.cholesky), np.linalg.cholesky))
    np.testing.assert_array_equal(np.isnan(found_l), np.isnan(expected_l))


def test_zeros_on_a_triangles_diagonal_give_infinities_and_no_error():
    a = np.eye(100)
    a[40, 40] = 0
    found = fg.jit(lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True))(a, np.ones((100, 3)))
    expected = np.ones((100, 3))
    expected[40], expected[41:] = np.inf, np.nan
    np.testing.assert_array_equal(found, expected)


def test_the_zero_matrix_has_factors():
    factors_, pivots, permutation = fg.jit(lax.linalg.lu)(np.zeros((100, 120)))
    assert not factors_.any()
    np.testing.assert_array_equal(pivots, np.arange(100))
    np.testing.assert_array_equal(permutation, np.arange(100))


@pytest.mark.parametrize("shape", [(100, 0), (0, 100)])
def test_no_right_sides_give_no_solutions(shape):
    side = {"left_side": shape[0] > 0, "lower": True}
    assert fg.jit(lambda a, b: lax.linalg.triangular_solve(a, b, **side))(np.eye(100), np.ones(shape)).shape == shape
    if shape[0]:
        assert fg.jit(fnp.linalg.solve)(np.eye(100), np.ones(shape)).shape == shape


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_matrices_stay_with_lapack(dtype, made):
    a = positive(100).astype(dtype) + 1j * np.triu(matrix(100, 100), 1) * 0.01
    assert error(a @ fg.jit(fnp.linalg.solve)(a, a[:, 0]), a[:, 0]) < 5000
    assert made == []


def test_stacks_stay_with_lapack(made):
    stack = np.stack([positive(100), 2 * positive(100)])
    assert error(fg.jit(fnp.linalg.cholesky)(stack), np.linalg.cholesky(stack)) < 10
    assert made == []


def test_what_a_matrix_held_before_is_still_there():
    a, b = positive(150), matrix(150)
    before = a.copy(), b.copy()
    fg.jit(
        lambda a, b: (
            fnp.linalg.solve(a, b),
            fnp.linalg.cholesky(a),
            fnp.linalg.qr(a),
            fnp.linalg.eigh(a),
            fnp.linalg.svd(a),
        )
    )(a, b)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_loops_factorize_in_every_iteration():
    a = positive(100)

    def step(x: Any, _: Any) -> tuple[Any, Any]:
        lower = fnp.linalg.cholesky(x)
        return lower @ lower.T + fnp.eye(100), fnp.linalg.solve(x, x[0])

    last, solutions = fg.jit(lambda a: lax.scan(step, a, None, length=3))(a)
    np.testing.assert_allclose(last, a + 3 * np.eye(100), rtol=0, atol=1e-12)
    np.testing.assert_allclose(solutions, np.eye(100)[[0, 0, 0]], rtol=0, atol=1e-12)


# Threads and files ---------------------------------------------------------------------------------------------------


def test_the_number_of_threads_changes_no_bit():
    a, p, b = matrix(300, 300), positive(300), matrix(300, 200)

    @fg.jit
    def everything(a: Any, p: Any, b: Any) -> Any:
        right = lax.linalg.triangular_solve(p, b.T, left_side=False)
        return (
            fnp.linalg.solve(a, b),
            fnp.linalg.cholesky(p),
            fnp.linalg.qr(a),
            fnp.linalg.eigh(p),
            lax.linalg.lu(a),
            right,
        )

    threads, results = native.threads(), []
    try:
        for count in (1, 2, 3):
            native.set_threads(count)
            results.append([x.tobytes() for x in fg.tree.leaves(everything(a, p, b))])
    finally:
        native.set_threads(threads)
    assert results[0] == results[1] == results[2]


def test_blas_has_its_threads_again_afterwards():
    threads = native.blas.blas().addresses.get("fg_blas_get_threads")
    if threads is None:
        pytest.skip("this BLAS does not tell")
    count = ctypes.CFUNCTYPE(ctypes.c_int32)(threads)
    before = count()
    fg.jit(fnp.linalg.cholesky)(positive(128))
    assert count() == before


def test_a_factorisation_cannot_leave_the_process_in_an_object_file(tmp_path):
    lowered = fg.jit(fnp.linalg.cholesky).lower(positive(128))
    with pytest.raises(NotImplementedError, match="cholesky cannot leave the process"):
        lowered.compile().export_object(tmp_path / "cholesky.o")


def test_a_native_function_factorizes_without_python():
    a = positive(100)
    native_function = fg.cfunc(lambda a: (fnp.linalg.cholesky(a), fnp.linalg.solve(a, a[0])), (a,))
    lower, solution = called(native_function, a, dtypes=[np.float64] * 2)
    np.testing.assert_array_equal(lower, fg.jit(fnp.linalg.cholesky)(a))
    np.testing.assert_allclose(solution, np.eye(100)[0], rtol=0, atol=1e-12)


def test_the_other_librarys_lapack_with_its_own_integers_gives_the_same():
    script = """
        import functools
        import numpy as np
        from funcgrad.compile.native import blas
        found = blas._from_scipy()
        assert found is None or found.index_bits == 32
        if found is not None:
            blas.blas = functools.cache(lambda: found)
            import funcgrad as fg
            import funcgrad.numpy as fnp
            a = np.random.default_rng(0).standard_normal((130, 130))
            b = fg.jit(fnp.linalg.solve)(a, a[0])
            (w, v), (u, s, vh), (q, r) = (fg.jit(f)(a + a.T) for f in (fnp.linalg.eigh, fnp.linalg.svd, fnp.linalg.qr))
            for found in ((v * w) @ v.T, (u * s) @ vh, q @ r):
                np.testing.assert_allclose(found, a + a.T, rtol=0, atol=1e-12)
            np.testing.assert_allclose(a @ b, a[0], rtol=0, atol=1e-11)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
