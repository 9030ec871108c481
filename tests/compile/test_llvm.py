"""Do printed kernels compute what their loops say, and as vectors?"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import engine
from funcgrad.compile.llvm import print_kernel
from funcgrad.lower.loops import Constant, Kernel, Operand, Value
from tests.compile.builder import Builder, elementwise, index, reduction, run

FAST = re.compile(r"\b(fast|nnan|ninf|nsz|arcp|contract|afn)\b")


def execute(kernel: Kernel, arrays: list[np.ndarray], sizes: list[int], first: int, last: int) -> int:
    library = engine.load(engine.to_object(print_kernel(kernel, "kernel"), verify=True))
    return run(library.address("kernel"), arrays, sizes, first, last)


def row_softmax() -> Kernel:
    """Per row: the largest element, the sum of differences from it, and the quotients."""
    b = Builder()
    source, target, n = b.buffer("f8"), b.buffer("f8", written=True), b.size()

    def row(i: Value) -> None:
        offset = b.op("mul", i, n)

        def at(j: Value) -> Value:
            return b.op("add", offset, j)

        (largest,) = b.loop(
            index(0),
            n,
            lambda j, inner: [b.op("max", inner, b.load(source, at(j)))],
            [(Constant(float("-inf"), "f8"), "max")],
        )

        def difference(j: Value, inner: Value) -> list[Operand]:
            d = b.op("sub", b.load(source, at(j)), largest)
            b.store(target, at(j), d)
            return [b.op("add", inner, d)]

        (total,) = b.loop(index(0), n, difference, [(Constant(0.0, "f8"), "add")])
        b.loop(index(0), n, lambda j: b.store(target, at(j), b.op("div", b.load(target, at(j)), total)))

    b.loop(b.first, b.last, row)
    return b.kernel()


def gather() -> Kernel:
    """``out[i] = source[index[i]]``, each index checked, and clamped so that it is harmless when the check fails."""
    b = Builder()
    source, indices, target = b.buffer("f4"), b.buffer("i8"), b.buffer("f4", written=True)
    n, code = b.size(), b.size()

    def body(i: Value) -> None:
        k = b.load(indices, i)
        b.check(b.op("and", b.op("ge", k, index(0)), b.op("lt", k, n)), code)
        b.store(target, i, b.load(source, b.op("max", index(0), b.op("min", k, b.op("sub", n, index(1))))))

    b.loop(b.first, b.last, body)
    return b.kernel()


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100, 1000])
def test_nested_loops_with_reductions(n: int) -> None:
    x = np.random.default_rng(0).standard_normal((5, n))
    out = np.full_like(x, 3.0)
    assert execute(row_softmax(), [x, out], [n], 1, 4) == 0
    if n > 1:
        d = x - x.max(1, keepdims=True)
        np.testing.assert_allclose(out[1:4], (d / d.sum(1, keepdims=True))[1:4], rtol=1e-12)
    assert (out[[0, 4]] == 3).all()  # outside of the range of this call


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "i8"])
@pytest.mark.parametrize("name", ["add", "mul", "max", "min"])
def test_reductions_of_every_length(name: str, dtype: str) -> None:
    function = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[name]
    values = np.random.default_rng(1).integers(1, 3, 100).astype(dtype)  # products and sums are exact
    if name == "mul":
        values[40:] = 1
    initial = {"add": 0, "mul": 1}.get(name, 1)
    library = engine.load(engine.to_object(print_kernel(reduction(name, dtype, initial), "kernel")))
    for n in (0, 1, 2, 31, 32, 33, 100):
        out = np.zeros(1, dtype)
        run(library.address("kernel"), [values, out], [], 0, n)
        expected = function.reduce(values[:n], initial=np.array(initial, dtype)[()], dtype=dtype)
        assert out[0] == expected


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("place", [0, 5, 63, 99])
def test_a_nan_anywhere_is_the_largest_and_the_smallest(name: str, place: int) -> None:
    values = np.arange(100, dtype="f4")
    values[place] = np.nan
    out = np.zeros(1, "f4")
    execute(reduction(name, "f4", float("-inf") if name == "max" else float("inf")), [values, out], [], 0, 100)
    assert np.isnan(out[0])


def test_sum_does_not_depend_on_where_the_memory_lies() -> None:
    values = np.random.default_rng(2).standard_normal(1001).astype("f4")
    library = engine.load(engine.to_object(print_kernel(reduction("add", "f4", 0.0), "kernel")))
    results = set()
    for offset in range(9):
        moved = np.zeros(1010, "f4")
        moved[offset : offset + 1001] = values
        out = np.zeros(1, "f4")
        run(library.address("kernel"), [moved[offset:], out], [], 0, 1001)
        results.add(out[0].tobytes())
    assert len(results) == 1


def test_a_recurrence_that_is_no_reduction_keeps_its_order() -> None:
    values = np.random.default_rng(3).standard_normal(1000).astype("f4")
    total = np.float32(0)
    for value in values:
        total += value
    out = np.zeros(1, "f4")
    execute(reduction("add", "f4", 0.0, named=False), [values, out], [], 0, 1000)
    assert out[0] == total


def test_two_carries_and_a_dependent_loop() -> None:
    """Fibonacci numbers, each written as it comes."""
    b = Builder()
    target = b.buffer("i8", written=True)

    def body(i: Value, a: Value, following: Value) -> list[Operand]:
        b.store(target, i, a)
        return [following, b.op("add", a, following)]

    last = b.loop(b.first, b.last, body, [(index(0), None), (index(1), None)], independent=False)
    b.store(target, b.last, last[0])
    out = np.zeros(11, "i8")
    execute(b.kernel(), [out], [], 0, 10)
    assert out.tolist() == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55]


def test_branches_merge_and_nest() -> None:
    b = Builder()
    source, target = b.buffer("f4"), b.buffer("f4", written=True)

    def body(i: Value) -> None:
        x = b.load(source, i)
        zero = Constant(0.0, "f4")

        def negative() -> list[Operand]:
            small = b.op("lt", x, Constant(-2.0, "f4"))
            return b.branch(small, lambda: [Constant(-2.0, "f4")], lambda: [b.op("neg", x)])

        (y,) = b.branch(b.op("lt", x, zero), negative, lambda: [b.op("add", x, x)])
        b.branch(b.op("ne", y, zero), lambda: b.store(target, i, y))

    b.loop(b.first, b.last, body)
    x = np.array([-3, -1, 0, 1, 5, np.nan] * 7, "f4")
    out = np.full_like(x, 9)
    execute(b.kernel(), [x, out], [], 0, x.size)
    np.testing.assert_array_equal(out[:6], np.array([-2, 1, 9, 2, 10, np.nan], "f4"))
    np.testing.assert_array_equal(out.reshape(7, 6), np.tile(out[:6], (7, 1)))


def test_strided_indices_and_a_loop_inside_a_branch() -> None:
    """A transposed copy of the rows that a flag selects; the source is read backwards, too."""
    b = Builder()
    source, flags, target = b.buffer("i2"), b.buffer("b1"), b.buffer("i2", written=True)
    rows, columns, stride, offset = b.size(), b.size(), b.size(), b.size()

    def row(i: Value) -> None:
        def copy() -> None:
            start = b.op("add", offset, b.op("mul", i, columns))
            b.loop(
                index(0),
                columns,
                lambda j: b.store(
                    target,
                    b.op("add", b.op("mul", j, rows), i),
                    b.load(source, b.op("add", start, b.op("mul", j, stride))),
                ),
            )

        b.branch(b.load(flags, i), copy)

    b.loop(b.first, b.last, row)
    x = np.arange(60, dtype="i2").reshape(6, 10)
    chosen = np.array([True, False, True, True, False, True])
    out = np.full((10, 6), -1, "i2")
    execute(b.kernel(), [x, chosen, out], [6, 10, -1, 9], 0, 6)
    np.testing.assert_array_equal(out, np.where(chosen, x[:, ::-1].T, -1))


def test_constant_loops() -> None:
    b = Builder()
    source, target = b.buffer("f8"), b.buffer("f8", written=True)

    def row(i: Value) -> None:
        offset = b.op("mul", i, index(3))
        (total,) = b.loop(
            index(0),
            index(3),
            lambda j, inner: [b.op("add", inner, b.load(source, b.op("add", offset, j)))],
            [(Constant(0.0, "f8"), "add")],
        )
        b.store(target, i, total)

    b.loop(b.first, b.last, row)
    x, out = np.arange(30.0), np.zeros(10)
    execute(b.kernel(), [x, out], [], 0, 10)
    np.testing.assert_array_equal(out, x.reshape(10, 3).sum(1))


def test_in_place() -> None:
    b = Builder()
    source, target = b.buffer("f4"), b.buffer("f4", written=True)
    b.loop(b.first, b.last, lambda i: b.store(target, i, b.op("mul", b.load(source, i), b.load(target, i))))
    x = np.arange(100, dtype="f4")
    execute(b.kernel(aliased=True), [x, x], [], 0, 100)
    np.testing.assert_array_equal(x, np.arange(100, dtype="f4") ** 2)


def test_a_passed_check_leaves_the_status_alone() -> None:
    x, indices, out = np.arange(50, dtype="f4"), np.arange(49, -1, -1), np.zeros(50, "f4")
    assert execute(gather(), [x, indices, out], [50, 7], 0, 50) == 0
    np.testing.assert_array_equal(out, x[::-1])


@pytest.mark.parametrize("place", [0, 17, 49])
@pytest.mark.parametrize("bad", [-1, 50, 2**62, -(2**63)])
def test_a_failed_check_is_reported(place: int, bad: int) -> None:
    x, indices, out = np.arange(50, dtype="f4"), np.arange(50), np.zeros(50, "f4")
    indices[place] = bad
    assert execute(gather(), [x, indices, out], [50, 7], 0, 50) == 7


def test_the_first_of_several_codes_is_kept() -> None:
    """Also one that only the loop knows; and a status that is already set stays."""
    b = Builder()
    source = b.buffer("i8")

    def body(i: Value) -> None:
        x = b.load(source, i)
        b.check(b.op("ne", x, index(0)), b.op("add", i, index(100)))
        b.check(b.op("ne", x, index(1)), index(5))
        b.check(b.op("ne", x, index(2)), index(6))

    b.loop(b.first, b.last, body)
    for values, expected in [([3, 3], 0), ([3, 2], 6), ([1, 2], 5), ([3, 0, 1, 0], 101), ([3, 3, 1], 5)]:
        array = np.array(values)
        assert execute(b.kernel(), [array], [], 0, array.size) == expected


def test_a_map_is_made_of_vectors_without_run_time_checks() -> None:
    b = elementwise(lambda b, x, y: b.op("add", b.op("mul", x, y), x), ["f4", "f4"], "f4")
    text = engine.optimised(print_kernel(b, "kernel"))
    assert re.search(r"fmul <\d+ x float>", text)
    assert "memcheck" not in text
    assert not FAST.search(text)
    assert "reassoc" not in text


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_sum_is_made_of_vectors_and_only_reordered(dtype: str) -> None:
    text = engine.optimised(print_kernel(reduction("add", dtype, 0.0), "kernel"))
    assert re.search(r"fadd reassoc <\d+ x (float|double)>", text)
    assert not FAST.search(text)


@pytest.mark.parametrize("name", ["max", "min"])
def test_a_maximum_is_made_of_vectors(name: str) -> None:
    text = engine.optimised(print_kernel(reduction(name, "f4", 0.0), "kernel"))
    assert re.search(rf"@llvm\.(s{name}\.v\d+i|{name}imum\.v\d+f)32", text)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["max", "min"])
def test_a_maximum_of_what_counts_under_a_mask_is_made_of_vectors(name: str, dtype: Any) -> None:
    """LLVM knows that infinity changes no maximum, and would rather branch around it."""
    x, seen = np.arange(-50, 50, dtype=dtype), np.arange(100) % 3 == 0
    worst = -np.inf if name == "max" else np.inf
    function = fg.jit(lambda x, seen: getattr(np, name)(np.where(seen, x, worst)))
    text = function.lower(x, seen).as_text("optimized")
    assert re.search(rf"@llvm\.(s{name}\.v\d+i|{name}imum\.v\d+f)\d\d", text)
    assert function(x, seen) == getattr(np, name)(x[seen])


def test_a_checked_gather_and_casts_are_made_of_vectors() -> None:
    assert re.search(r"or <\d+ x i1>", engine.optimised(print_kernel(gather(), "kernel")))
    cast = elementwise(lambda b, x: b.op("cast", x, dtype="i4"), ["f4"], "i4")
    assert re.search(r"fptosi\.sat\.v\d+i32", engine.optimised(print_kernel(cast, "kernel")))


def test_mathematics_runs_in_vectors() -> None:
    kernel = elementwise(lambda b, x: b.op("exp", b.op("tanh", x)), ["f4"], "f4")
    text = engine.optimised(print_kernel(kernel, "kernel"))
    assert "x float>" in text
    assert "@fg." not in text
    x, out = np.linspace(-5, 5, 101, dtype="f4"), np.zeros(101, "f4")
    execute(kernel, [x, out], [], 0, 101)
    np.testing.assert_allclose(out, np.exp(np.tanh(x)), rtol=1e-6)


def test_half_precision_mathematics_is_computed_in_single() -> None:
    x = np.linspace(-5, 5, 101, dtype="f2")
    out = np.zeros(101, "f2")
    execute(elementwise(lambda b, x: b.op("exp", x), ["f2"], "f2"), [x, out], [], 0, 101)
    np.testing.assert_allclose(out, np.exp(x.astype("f4")).astype("f2"), rtol=1e-3)


def test_equal_kernels_print_equal_texts() -> None:
    assert print_kernel(gather(), "kernel") == print_kernel(gather(), "kernel")
    other = gather()
    assert print_kernel(other, "a") == print_kernel(other, "b").replace("@b(", "@a(")


# Choices that are jumps -----------------------------------------------------------------------------------------------


def restarted(name: str, independent: bool) -> str:
    """The text of ``out[i] = where(v == 3, n, v)`` with ``v = name(in[i], n)``."""
    b = Builder()
    source, target, n = b.buffer("i8"), b.buffer("i8", written=True), b.size()

    def body(i: Value) -> None:
        v = b.op(name, b.load(source, i), n)
        b.store(target, i, b.op("select", b.op("eq", v, Constant(3, "i8")), n, v))

    b.loop(b.first, b.last, body, independent=independent)
    return print_kernel(b.kernel(), "kernel")


def test_a_number_that_is_replaced_where_it_equals_a_constant_is_a_jump() -> None:
    assert "branch_weights" in restarted("add", independent=False)


def test_a_number_that_is_one_of_few_is_chosen() -> None:
    assert "branch_weights" not in restarted("and", independent=False)


def test_loops_that_become_vectors_choose() -> None:
    assert "branch_weights" not in restarted("add", independent=True)
