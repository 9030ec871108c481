"""Do operations without a kernel run between kernels, and what they raise reach the caller?"""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.dtypes import ALL
from funcgrad.ir.primitive import registry
from funcgrad.ops.families import elementwise
from funcgrad.runtime.executable import executables


@pytest.fixture
def fussy():
    """A primitive without a kernel, which refuses negative numbers."""

    def reference(x):
        if np.any(x < 0):
            raise ValueError("negative numbers are not wanted")
        return np.sqrt(x)

    yield elementwise("fussy", reference, ALL, None, None, operands=1)
    del registry["fussy"]


def test_between_kernels(fussy):
    function = fg.jit(lambda x: np.sum(fussy(x * x) + 1) * 2)
    x = np.linspace(-1, 1, 50)
    assert function(x) == pytest.approx(np.sum(np.abs(x) + 1) * 2, rel=1e-14)
    costs = function.lower(x).cost_analysis()
    assert costs["calls"] == 1
    assert costs["kernels"] == 3  # the square, the sum, twice the sum


def test_an_error_is_raised_with_its_type_and_line(fussy):
    function = fg.jit(lambda x: fussy(x))
    with pytest.raises(ValueError, match=r"negative numbers are not wanted\n  at .*test_calls.py:\d+"):
        function(-np.ones(3))
    assert function(np.ones(3)).tolist() == [1, 1, 1]


def test_on_several_threads(fussy):
    function = fg.jit(lambda x: fussy(x) * 2)
    results = {}

    def work(number):
        x = np.full(1000, float(number))
        try:
            results[number] = [function(x)[0] for _ in range(50)]
        except ValueError:
            results[number] = "refused"

    threads = [threading.Thread(target=work, args=(number,)) for number in (-1, 1, 4, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {-1: "refused", 1: [2.0] * 50, 4: [4.0] * 50, 9: [6.0] * 50}


def test_complex_programs_mix_with_kernels():
    function = fg.jit(lambda x: (np.exp(x) * (1 + 2j), np.sum(np.exp(x))))
    x = np.linspace(0, 1, 7)
    z, total = function(x)
    np.testing.assert_allclose(z, np.exp(x) * (1 + 2j), rtol=1e-15)
    assert total == pytest.approx(np.sum(np.exp(x)), rel=1e-14)


def test_the_same_complex_value_twice_gives_two_arrays():
    first, second = fg.jit(lambda z: (z, z))(np.array([1j, 2.0]))
    assert first.tolist() == second.tolist() == [1j, 2.0]
    assert not np.shares_memory(first, second)


def test_what_fails_is_run_once(fussy):
    seen = []
    reference = registry["fussy"].reference

    def counted(x):
        seen.append(float(x[0]))
        return reference(x)

    registry["fussy"].reference = counted
    function = fg.jit(lambda x: fussy(x) * 2)
    function(np.ones(3))
    with pytest.raises(ValueError, match="negative"):
        function(-np.ones(3))
    assert seen == [1, -1]


def test_a_compiled_function_outlives_its_executable(fussy):
    function = fg.jit(lambda x: fussy(x) + 1)
    assert function(np.ones(2)).tolist() == [2, 2]
    entries = [entry for entry, *_ in function._direct]
    executables.cache_clear()
    function.clear_cache()
    gc.collect()
    assert [entry([np.full(2, 9.0)])[0].tolist() for entry in entries] == [[4, 4]]


@pytest.fixture
def counted():
    """A primitive on elements without a kernel, which refuses negative numbers, and how long its operands were."""
    lengths = []

    def reference(x, y):
        lengths.append(np.size(x))
        if np.any(x < 0):
            raise ValueError("negative numbers are not wanted")
        return np.sqrt(x) * y

    def slope(t, out, x, y):
        return t

    yield elementwise("counted", reference, ALL, (slope, slope), None), lengths
    del registry["counted"]


def test_threads_share_long_operands(counted):
    primitive, lengths = counted
    function = fg.jit(lambda x, y: primitive(x * 1.0, y) + 1)
    x = np.linspace(0, 1, 100_000).reshape(250, 400)
    expected = np.sqrt(x) * 3 + 1
    before = fg.get_num_threads()
    for threads in (1, 2):
        fg.set_num_threads(threads)
        lengths.clear()
        np.testing.assert_array_equal(function(x, 3.0), expected)
        assert sum(lengths) == x.size
        assert max(lengths) < x.size
        with pytest.raises(ValueError, match=r"negative numbers are not wanted\n  at .*test_calls.py:\d+"):
            function(-x, 3.0)
    fg.set_num_threads(before)
    lengths.clear()
    np.testing.assert_array_equal(function(x[:2], 3.0), expected[:2])
    assert lengths == [800]
