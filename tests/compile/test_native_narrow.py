"""Which products are computed in narrow tiles, and do these touch nothing beside them?  (What they compute, and that
cuts change no bit: `test_native_tiles`.)
"""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile.native import blocking
from tests.compile.test_native_gemm import PRECISION


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
