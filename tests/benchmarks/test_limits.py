"""Do the limits do the work that they are said to do?"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import limits
from benchmarks.workload import Limit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(False, False), (True, False), (False, True)])
def test_products_multiply_without_copies(
    monkeypatch: pytest.MonkeyPatch, dtype: str, transpose_a: bool, transpose_b: bool
) -> None:
    real, seen = limits.GEMM[dtype], []

    def spy(alpha, left, right, *, c, **options):
        assert left.flags.f_contiguous
        assert right.flags.f_contiguous
        result = real(alpha, left, right, c=c, **options)
        assert np.shares_memory(result, c)
        seen.append((left.T, right.T, result.T))
        return result

    monkeypatch.setitem(limits.GEMM, dtype, spy)
    call, times = limits.build(Limit("gemm", dtype, products=((3, 4, 5, transpose_a, transpose_b),)))
    call()
    [(b, a, product)] = seen
    expected = (a.T if transpose_a else a) @ (b.T if transpose_b else b)
    np.testing.assert_allclose(product, expected, rtol=1e-5, atol=1e-5)
    assert product.dtype == dtype
    assert times == 1.0


@pytest.mark.parametrize(("kind", "times"), [("triad", 1.5), ("read", 1.0)])
def test_memory_limits_touch_the_workloads_bytes(kind: str, times: float) -> None:
    arrays: list[np.ndarray] = []
    table = {"triad": limits.AXPY, "read": limits.DOT}[kind]
    real = table["float32"]
    try:
        table["float32"] = lambda x, y, **options: arrays.extend((x, y)) or real(x, y, **options)
        call, found = limits.build(Limit(kind, "float32", bytes=8000))
        call()
    finally:
        table["float32"] = real
    assert sum(array.nbytes for array in arrays) == 8000
    assert found == times
