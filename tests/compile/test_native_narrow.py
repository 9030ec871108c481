"""Do products whose result has few columns compute what NumPy does, and touch nothing else?"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import native
from funcgrad.compile.native import blocking, tiles
from funcgrad.compile.native.gemm import Way
from funcgrad.compile.native.vectors import lanes
from tests.compile.test_native_gemm import PRECISION, expectation, operand, product

SIDES = [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("trans_a", "trans_b"), SIDES)
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 1.0), (0.5, 2.0), (0.5, 0.0)])
def test_narrow_tiles_add_up_to_the_product(dtype, trans_a, trans_b, alpha, beta):
    rng = np.random.default_rng(0)
    kernel = native.gemm_address(dtype, way=Way.NARROW)
    width = 2 * lanes(dtype)
    columns = 2, 3, width // 2, width // 2 + 1, width - 1, width, width + 3, 2 * width + width // 2 + 1
    for m, n, k in itertools.product((2, 3, 15, 29, 143), columns, (1, 17, tiles.DEPTH + 3)):
        a, b = operand(rng, 2, m, k, trans_a, dtype), operand(rng, 2, k, n, trans_b, dtype)
        c = np.full((2, m, n), np.nan if beta == 0 else 1.5, dtype)
        expected = expectation(a, b, c, trans_a, trans_b, alpha, beta)
        product(kernel, a, b, c, trans_a=trans_a, trans_b=trans_b, alpha=alpha, beta=beta)
        np.testing.assert_allclose(c, expected, rtol=0, atol=8 * k**0.5 * PRECISION[dtype], err_msg=f"{m, n, k}")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("trans_a", "trans_b"), SIDES)
def test_where_the_rows_of_a_product_are_cut_changes_no_bit(dtype, trans_a, trans_b):
    rng = np.random.default_rng(1)
    m, n, k = 157, lanes(dtype) + 3, tiles.DEPTH + 50
    a, b = operand(rng, 1, m, k, trans_a, dtype), operand(rng, 1, k, n, trans_b, dtype)
    whole, cut = (np.ones((1, m, n), dtype) for _ in range(2))
    options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": 0.7, "beta": 1.0}
    product(native.gemm_address(dtype, way=Way.NARROW), a, b, whole, **options)
    pieces = [(0, 2), (2, 7), (7, 40), (40, 40), (40, m)]  # one row would go to BLAS
    product(native.gemm_address(dtype, "rows", way=Way.NARROW), a, b, cut, pieces=pieces, **options)
    assert whole.tobytes() == cut.tobytes()


def test_infinities_and_nans_stay_in_their_rows_and_columns():
    a, b = np.ones((1, 20, 40)), np.ones((1, 40, 11))
    a[0, 3, 7], b[0, 5, 10] = np.inf, np.nan
    c = np.full((1, 20, 11), np.nan)
    product(native.gemm_address("f8", way=Way.NARROW), a, b, c)
    expected = np.full((20, 11), 40.0)
    expected[3], expected[:, 10] = np.inf, np.nan
    np.testing.assert_array_equal(c[0], expected)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("equation", ["kij,nkj->nki", "kij,nki->nkj", "nki,nkj->kij", "kij,nkj->kni"])
def test_products_of_points_read_and_write_nothing_beyond_their_arrays(dtype, equation):
    rng = np.random.default_rng(2)
    points, factors = rng.standard_normal((1000, 3, 10)).astype(dtype), rng.standard_normal((3, 10, 10)).astype(dtype)
    operands = (points, points[::-1].copy()) if equation.startswith("n") else (factors, points)
    with fg.config.check_memory():
        found = fg.jit(lambda x, y: fnp.einsum(equation, x, y))(*operands)
    want = np.einsum(equation, *(x.astype("f8") for x in operands))
    np.testing.assert_allclose(found, want, rtol=0, atol=2000 * PRECISION[dtype])


def test_narrow_products_are_those_of_many_rows_or_long_sums():
    def narrow(m, n, k, a=False, b=False, itemsize=8, members=1):
        apart = m if a else k
        return blocking.narrow(blocking.Shape(m, n, k, a, b, itemsize, apart * members, n * members))

    assert narrow(1000, 10, 10)
    assert narrow(1000, 10, 10, b=True)
    assert narrow(10, 10, 1000, a=True)
    assert narrow(20_000, 28, 28, itemsize=4)
    assert narrow(1000, 20, 20, b=True)
    assert narrow(1000, 8, 8, members=200)  # rows far apart
    assert not narrow(1000, 32, 32, members=25)  # as those, but they fill tiles
    assert not narrow(1000, 8, 8)  # BLAS's routines for small products are as good
    assert not narrow(1000, 16, 16)  # whole tiles
    assert not narrow(10, 10, 20_000, b=True)  # to turn B would take as long as the product
    assert not narrow(1000, 1, 10_000)
    assert not narrow(1, 12, 10_000)
