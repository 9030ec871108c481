"""Do products in tiles compute what NumPy does, and the same bits however they are cut?"""

from __future__ import annotations

import ctypes
import itertools
import platform

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import cpus, native
from funcgrad.compile.compiler import native_library
from funcgrad.compile.native import tiles
from funcgrad.compile.native.gemm import Way
from funcgrad.compile.native.text import Module
from funcgrad.compile.native.vectors import lanes
from funcgrad.compile.passes import Effort
from tests.compile.test_native_gemm import PRECISION, expectation, operand, product

SIDES = [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("trans_a", "trans_b"), SIDES)
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 1.0), (0.5, 2.0), (0.5, 0.0)])
@pytest.mark.parametrize("way", [Way.TILED, Way.NARROW])
def test_tiles_add_up_to_the_product(way, dtype, trans_a, trans_b, alpha, beta):
    rng = np.random.default_rng(0)
    kernel = native.gemm_address(dtype, way=way)
    depths, width = (1, 17, tiles.DEPTH + 3), 2 * lanes(dtype)
    around = 2, 3, width // 2, width // 2 + 1, width - 1, width, width + 3, 2 * width + width // 2 + 1
    columns = (2, 15, 32, 70) if way is Way.TILED else around
    for m, n, k in itertools.product((2, 3, 15, 29, 143, 14 * tiles.TILES + 15), columns, depths):
        a, b = operand(rng, 2, m, k, trans_a, dtype), operand(rng, 2, k, n, trans_b, dtype)
        c = np.full((2, m, n), np.nan if beta == 0 else 1.5, dtype)
        expected = expectation(a, b, c, trans_a, trans_b, alpha, beta)
        product(kernel, a, b, c, trans_a=trans_a, trans_b=trans_b, alpha=alpha, beta=beta)
        np.testing.assert_allclose(c, expected, rtol=0, atol=8 * k**0.5 * PRECISION[dtype], err_msg=f"{m, n, k}")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("trans_a", "trans_b"), SIDES)
@pytest.mark.parametrize(
    ("way", "over", "beyond"),
    [*itertools.product((Way.TILED, Way.NARROW), ("rows", "columns"), (0,)), (Way.NARROW, "rows", 3)],
)
def test_where_a_product_is_cut_and_where_its_operands_lie_changes_no_bit(way, over, beyond, dtype, trans_a, trans_b):
    rng = np.random.default_rng(1)
    m, n, k = 157, lanes(dtype) + beyond if beyond else 95, tiles.DEPTH + 50
    a, b = operand(rng, 1, m, k, trans_a, dtype), operand(rng, 1, k, n, trans_b, dtype)
    whole, cut = (np.ones((1, m, n), dtype) for _ in range(2))
    options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": 0.7, "beta": 1.0}
    product(native.gemm_address(dtype, way=way), a, b, whole, **options)
    moved = [np.concatenate([x.ravel()[:1], x.ravel()])[1:].reshape(x.shape) for x in (a, b)]
    count = m if over == "rows" else n
    pieces = [(0, 2), (2, 7), (7, 40), (40, 40), (40, count)]  # one row or column would go to BLAS
    product(native.gemm_address(dtype, over, way=way), *moved, cut, pieces=pieces, **options)
    assert whole.tobytes() == cut.tobytes()


@pytest.mark.parametrize(("way", "n"), [(Way.TILED, 50), (Way.NARROW, 11)])
def test_infinities_and_nans_stay_in_their_rows_and_columns(way, n):
    a, b = np.ones((1, 20, 40)), np.ones((1, 40, n))
    a[0, 3, 7], b[0, 5, n - 1] = np.inf, np.nan
    c = np.full((1, 20, n), np.nan)
    product(native.gemm_address("f8", way=way), a, b, c)
    expected = np.full((20, n), 40.0)
    expected[3], expected[:, n - 1] = np.inf, np.nan
    np.testing.assert_array_equal(c[0], expected)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("trans_a", "trans_b"), SIDES)
def test_nothing_is_read_or_written_beyond_the_operands(dtype, trans_a, trans_b):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((410, 150) if trans_a else (150, 410)).astype(dtype)
    y = rng.standard_normal((90, 410) if trans_b else (410, 90)).astype(dtype)

    def multiply(x, y):
        return (x.T if trans_a else x) @ (y.T if trans_b else y)

    want = multiply(x.astype("f8"), y)
    with fg.config.check_memory():
        found = fg.jit(multiply)(x, y)
    np.testing.assert_allclose(found, want, rtol=0, atol=200 * PRECISION[dtype])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 CPUs")
@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v3"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_tiles_of_cpus_with_fewer_registers(cpu, dtype):
    if cpu != "x86-64" and "+avx2" not in cpus.features():
        pytest.skip("this CPU has no AVX2")
    with cpus.compiling_for(cpu):
        module = Module(Effort.REGISTERS)
        tiles.define_turns(module, (dtype,))
        tiles.define(module, (dtype,))
        library = native_library("tiles", str(module))
    integer, number = ctypes.c_int64, {"f4": ctypes.c_float, "f8": ctypes.c_double}[dtype]
    operands = (ctypes.c_void_p, integer, integer)
    kinds = (integer, integer, integer, *operands, *operands, number, number, ctypes.c_void_p, integer)
    multiply = ctypes.CFUNCTYPE(None, *kinds)(library.address(f"fg_tiles_product_{dtype}"))
    rng = np.random.default_rng(3)
    k = tiles.DEPTH + 9
    for m, n, along in itertools.product((2, 3, 9, 61), (3, 16, 37), ("k", "n")):
        a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        c = np.ones((m, n), dtype)
        expected = 0.5 * a.astype("f8") @ b + 2.0
        stored = np.ascontiguousarray(b.T) if along == "k" else b
        strides = (1, k) if along == "k" else (n, 1)
        multiply(m, n, k, a.ctypes.data, k, 1, stored.ctypes.data, *strides, 0.5, 2.0, c.ctypes.data, n)
        np.testing.assert_allclose(c, expected, rtol=0, atol=8 * k**0.5 * PRECISION[dtype], err_msg=f"{m, n, along}")


@pytest.mark.parametrize("heights", [(14, 12, 8, 4, 2, 1), (6, 4, 2, 1)])
def test_rows_are_cut_into_few_tiles_of_which_none_is_low(heights):
    for rows in range(2, 2 * heights[0] + 1, 2):
        cut, left = [], rows
        while left:
            cut.append(tiles.next_height(left, heights))
            left -= cut[-1]
        assert sum(cut) == rows
        assert len(cut) <= -(-rows // heights[0]) + 1
        assert min(cut) >= 4 or rows < 8 or rows == 10, (rows, cut)
