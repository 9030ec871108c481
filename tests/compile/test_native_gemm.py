"""Does the matrix product kernel compute what NumPy does, for every shape, transposition and batch?"""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from funcgrad.compile import native
from funcgrad.compile.native import blas, blocking, bridge, gemm

PRECISION = {"f4": 1e-6, "f8": 1e-14}


def product(kernel, a, b, c, *, trans_a=0, trans_b=0, alpha=1.0, beta=0.0, pieces=None, block=blocking.WHOLE):
    """Call a kernel on batched C-contiguous matrices, over the batch or over `pieces`; changes `c`."""
    (batch, m, n), dtype = c.shape, c.dtype.str[1:]
    k = a.shape[1] if trans_a else a.shape[2]
    strides = tuple(x.shape[1] * x.shape[2] for x in (a, b, c))
    options = {"transposed": (trans_a, trans_b), "alpha": alpha, "beta": beta, "strides": strides, "block": block}
    ints = np.array(native.gemm_integers((1, 2, 3), (m, n, k), dtype, **options), np.int64)
    assert len(ints) == len(gemm.Parameter)
    status = np.zeros(1, np.int64)
    bufs = np.array([x.ctypes.data for x in (status, a, b, c)], np.int64)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(kernel)
    for first, last in pieces or [(0, batch)]:
        call(bufs.ctypes.data, ints.ctypes.data, first, last)
    assert status[0] == 0


def operand(rng, batch, rows, columns, transposed, dtype):
    return rng.standard_normal((batch, *((columns, rows) if transposed else (rows, columns)))).astype(dtype)


def expectation(a, b, c, trans_a, trans_b, alpha, beta):
    """What becomes of C, by NumPy in float64."""
    found = alpha * (a.swapaxes(1, 2) if trans_a else a).astype("f8") @ (b.swapaxes(1, 2) if trans_b else b)
    return found if beta == 0 else found + beta * c


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.5, 2.0)])
def test_all_shapes(dtype, trans_a, trans_b, alpha, beta):
    rng = np.random.default_rng(0)
    kernel = native.gemm_address(dtype)
    for batch, m, n, k in [(b, m, n, k) for b in (1, 3) for m in (0, 1, 5) for n in (0, 1, 7) for k in (0, 1, 33)]:
        a, b = operand(rng, batch, m, k, trans_a, dtype), operand(rng, batch, k, n, trans_b, dtype)
        # With beta = 0 the old content must not matter, whatever it is.
        c = np.full((batch, m, n), np.nan if beta == 0 else 1.5, dtype)
        expected = expectation(a, b, c, trans_a, trans_b, alpha, beta)
        product(kernel, a, b, c, trans_a=trans_a, trans_b=trans_b, alpha=alpha, beta=beta)
        np.testing.assert_allclose(c, expected, rtol=0, atol=40 * PRECISION[dtype], err_msg=f"{batch, m, n, k}")


def test_offsets_and_leading_dimensions_address_blocks_of_larger_arrays():
    rng = np.random.default_rng(1)
    a, b, c = (rng.standard_normal((1, 6, 8)) for _ in range(3))
    kept = c.copy()
    places = {"leading": (8, 8, 8), "offsets": (8 + 1, 2, 16 + 5)}
    ints = native.gemm_integers((1, 2, 3), (2, 3, 4), "f8", **places)
    status = np.zeros(1, np.int64)
    bufs = np.array([x.ctypes.data for x in (status, a, b, c)], np.int64)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    call(native.gemm_address("f8"))(bufs.ctypes.data, np.array(ints, np.int64).ctypes.data, 0, 1)
    kept[0, 2:4, 5:8] = a[0, 1:3, 1:5] @ b[0, 0:4, 2:5]
    np.testing.assert_allclose(c, kept, rtol=0, atol=1e-14)


def test_infinities_and_nans_pass_through_products_with_vectors():
    a = np.array([[[1.0, np.inf], [np.nan, 2.0]]])
    b = np.array([[[0.0], [1.0]]])
    c = np.zeros((1, 2, 1))
    product(native.gemm_address("f8"), a, b, c)
    np.testing.assert_array_equal(c[0, :, 0], [np.inf, np.nan])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("n", [1, 9])
@pytest.mark.parametrize("k", [0, 4])
def test_rows_may_be_cut_anywhere(dtype, trans_a, trans_b, n, k):
    rng = np.random.default_rng(3)
    batch, m = 3, 7
    a, b = operand(rng, batch, m, k, trans_a, dtype), operand(rng, batch, k, n, trans_b, dtype)
    whole, cut = (np.full((batch, m, n), 2.0, dtype) for _ in range(2))
    product(native.gemm_address(dtype), a, b, whole, trans_a=trans_a, trans_b=trans_b, beta=1.0)
    pieces = [(0, 1), (1, 5), (5, 16), (16, 16), (16, 21)]
    kernel = native.gemm_address(dtype, over="rows")
    product(kernel, a, b, cut, trans_a=trans_a, trans_b=trans_b, beta=1.0, pieces=pieces)
    np.testing.assert_allclose(cut, whole, rtol=0, atol=40 * PRECISION[dtype])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("m", [1, 9])
@pytest.mark.parametrize("k", [0, 4])
def test_columns_may_be_cut_anywhere(dtype, trans_a, trans_b, m, k):
    rng = np.random.default_rng(3)
    a, b = operand(rng, 1, m, k, trans_a, dtype), operand(rng, 1, k, 21, trans_b, dtype)
    whole, cut = (np.full((1, m, 21), 2.0, dtype) for _ in range(2))
    product(native.gemm_address(dtype), a, b, whole, trans_a=trans_a, trans_b=trans_b, beta=1.0)
    pieces = [(0, 1), (1, 5), (5, 16), (16, 16), (16, 21)]
    kernel = native.gemm_address(dtype, over="columns")
    product(kernel, a, b, cut, trans_a=trans_a, trans_b=trans_b, beta=1.0, pieces=pieces)
    np.testing.assert_allclose(cut, whole, rtol=0, atol=40 * PRECISION[dtype])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_pool_shares_a_product_out(threads, dtype):
    before = native.threads()
    native.set_threads(threads)
    rng = np.random.default_rng(4)
    a, b = operand(rng, 2, 100, 30, False, dtype), operand(rng, 1, 30, 40, True, dtype)
    ints = native.gemm_integers((1, 2, 3), (100, 40, 30), dtype, transposed=(False, True), strides=(3000, 0, 4000))
    step = native.Step(native.gemm_address(dtype, over="rows"), ints, 200, 16)
    inputs = [native.ArrayInput(slot, x.dtype, x.shape) for slot, x in ((1, a), (2, b))]
    outputs = [native.Output(3, a.dtype, (2, 100, 40))]
    entry = native.make_entry(native.describe(inputs, outputs, [None] * 4, [step]))
    results = [entry([a, b])[0] for _ in range(20)]
    expected = a.astype("f8") @ b[0].T.astype("f8")
    np.testing.assert_allclose(results[0], expected, rtol=0, atol=40 * PRECISION[dtype])
    assert all(np.array_equal(r, results[0]) for r in results)
    native.set_threads(before)


@pytest.mark.parametrize("pieces", [2, 3, 65_535, 65_536, 65_537, 70_000])
def test_every_piece_is_done_once_however_many_there_are(pieces):
    before = native.threads()
    native.set_threads(4)
    a, b = np.arange(2.0 * pieces).reshape(1, pieces, 2), np.array([[[1.0], [10.0]]]).repeat(2, axis=2)
    ints = native.gemm_integers((1, 2, 3), (pieces, 2, 2), "f8", beta=1.0)  # adds: twice would show
    step = native.Step(native.gemm_address("f8", over="rows"), ints, pieces, 1)
    inputs = [native.ArrayInput(slot, x.dtype, x.shape) for slot, x in enumerate((a, b), 1)]
    clear = native.Step(native.gemm_address("f8"), native.gemm_integers((1, 2, 3), (pieces, 2, 0), "f8"), 1, 0)
    outputs = [native.Output(3, a.dtype, (1, pieces, 2))]
    entry = native.make_entry(native.describe(inputs, outputs, [None] * 4, [clear, step]))
    for _ in range(3):
        np.testing.assert_array_equal(entry([a, b])[0], a @ b)
    native.set_threads(before)


def test_no_rows_at_all():
    c = np.empty((2, 0, 3))
    product(native.gemm_address("f8", over="rows"), np.empty((2, 0, 4)), np.empty((2, 4, 3)), c, pieces=[(0, 0)])


@pytest.mark.parametrize("source", ["_from_numpy", "_from_scipy", "_from_capsules"])
def test_every_source_of_blas_computes_the_same(source):
    found = getattr(blas, source)()
    if found is None:
        pytest.skip("this NumPy or SciPy is built on another BLAS")
    guard = np.zeros(len(gemm.Guard), np.int64)
    library = bridge.link_gemm(found, guard, "f8")
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 9, 4)), rng.standard_normal((2, 4, 5))
    c = np.empty((2, 9, 5))
    product(library.address("fg_gemm_f8"), a, b, c)
    np.testing.assert_allclose(c, a @ b, rtol=0, atol=1e-14)


def test_blas_has_one_thread_inside_and_its_own_number_afterwards():
    seen, threads = [], [6]
    get = ctypes.CFUNCTYPE(ctypes.c_int32)(lambda: threads[-1])
    put = ctypes.CFUNCTYPE(None, ctypes.c_int32)(threads.append)
    multiply = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(lambda *_: seen.append(threads[-1]))
    addresses = {f"fg_{name}": blas.address_of(multiply) for name in gemm.ROUTINES}
    controls = {"fg_blas_get_threads": blas.address_of(get), "fg_blas_set_threads": blas.address_of(put)}
    fake = blas.Blas("fake", 64, addresses | controls)
    guard = np.zeros(len(gemm.Guard), np.int64)
    library = bridge.link_gemm(fake, guard, "f8")
    a = np.ones((2, 3, 3))
    product(library.address("fg_gemm_f8"), a, a, a.copy())
    assert seen == [1, 1]
    assert threads == [6, 1, 6]


def test_numpys_own_threads_are_left_alone():
    found = blas.blas()
    if not found.controls:
        pytest.skip("this BLAS does not tell its number of threads")
    count = ctypes.CFUNCTYPE(ctypes.c_int32)(found.addresses["fg_blas_get_threads"])
    before = count()
    native.set_threads(native.threads())
    a = np.ones((1, 50, 50))
    product(native.gemm_address("f8"), a, a, a.copy())
    assert count() == before


def test_sizes_beyond_the_integers_of_blas_are_refused(monkeypatch):
    """On a BLAS with 32-bit integers: it would multiply by the low bits."""
    monkeypatch.setattr(blas, "blas", lambda: blas.Blas("scipy", 32, {}))
    native.gemm_integers((1, 2, 3), (2**31 - 1, 1, 5), "f8")
    with pytest.raises(ValueError, match=r"2147483648 x 5 and 5 x 1 elements .* have 32 bits"):
        native.gemm_integers((1, 2, 3), (2**31, 1, 5), "f8")
    with pytest.raises(ValueError, match="too large for the BLAS"):
        native.gemm_integers((1, 2, 3), (1, 1, 5), "f8", leading=(2**32 + 5, 1, 1))


# Blocks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_blocks_add_up_to_the_product(dtype, trans_a, trans_b, beta):
    rng = np.random.default_rng(6)
    for m, n, k in ((37, 48, 70), (16, 32, 20), (48, 37, 33)):
        a, b = operand(rng, 2, m, k, trans_a, dtype), operand(rng, 2, k, n, trans_b, dtype)
        c = np.full((2, m, n), np.nan if beta == 0 else 1.5, dtype)
        expected = expectation(a, b, c, trans_a, trans_b, 0.5, beta)
        options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": 0.5, "beta": beta}
        product(native.gemm_address(dtype), a, b, c, block=blocking.Block(16, 32), **options)
        np.testing.assert_allclose(c, expected, rtol=0, atol=100 * PRECISION[dtype], err_msg=f"{m, n, k}")


def test_every_block_is_small_enough_for_the_routine_without_copies():
    sizes = (1, 2, 7, 16, 33, 64, 100, 128, 256, 512, 1000, 4096)
    cut = 0
    for m, n, k in ((m, n, k) for m in sizes for n in sizes for k in sizes):
        block = blocking.block(blocking.Shape(m, n, k, False, True, 4, k, n))
        if block != blocking.WHOLE:
            assert 0 < block.rows * block.columns * k <= blocking.LARGEST, (m, n, k)
            assert max(block.rows - m, block.columns - n) <= 0, (m, n, k)
            cut += 1
    assert cut > 50


@pytest.mark.parametrize(
    ("m", "n", "k", "transposed", "leading", "tiled"),
    [
        (128, 512, 784, (False, False), 784, True),
        (64, 64, 64, (False, False), 64, False),  # as fast there, and nothing to compile
        (128, 10, 4096, (False, False), 4096, False),  # a narrow C
        (128, 100, 4096, (False, False), 4096, True),
        (512, 128, 256, (True, False), 512, True),
        (512, 128, 512, (True, False), 4096, True),
        (512, 512, 512, (True, False), 4096, False),  # A's columns lie far apart, and C has many
        (784, 100, 1000, (True, False), 784, False),  # a fifth of the tiles would be beyond C
        (64, 64, 64, (False, True), 64, True),
        (32, 32, 64, (False, True), 64, False),  # a few microseconds
        (8, 512, 512, (False, True), 512, False),  # dot products
        (1, 4096, 4096, (False, False), 4096, False),  # a vector
    ],
)
def test_products_are_tiled_where_that_is_faster(m, n, k, transposed, leading, tiled):
    assert blocking.tiled(blocking.Shape(m, n, k, *transposed, 4, leading, n)) == tiled
