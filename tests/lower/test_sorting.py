"""Are sorts right on every way that sizes choose: by rank, by words, by digits, in pieces that are merged?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import native
from funcgrad.compile.native import sorting as native_sorting
from funcgrad.compile.native import splitting
from funcgrad.lower.lines import LONG
from funcgrad.lower.sorting import RANKED, SPREAD
from funcgrad.ops import sorting
from funcgrad.ops.sorting import ARRANGED, DIGITS, PACKED
from funcgrad.runtime import calls
from funcgrad.runtime import sorting as runtime_sorting
from funcgrad.runtime.executable import executables

RNG = np.random.default_rng(0)
DTYPES = "b1 u2 i4 i8 f2 f4 f8".split()
SIZES = (1, 2, 16, RANKED, RANKED + 1, DIGITS + 1, 5000, PACKED + 1, LONG + 3)
LINES = (((300, 9), 1), ((45, 300), 0), ((7, 600, 3), 1), ((3, LONG + 1), 1))


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Many equal ones, NaN and zeros of both signs among them."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return RNG.random(shape) < 0.5
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        x = RNG.integers(limits.min, limits.max, shape, kind, endpoint=True)
        return np.where(RNG.random(shape) < 0.3, x % 5, x).astype(kind)
    x = np.asarray(RNG.normal(size=shape)).astype(kind)
    special = RNG.choice(np.array([0.0, -0.0, 1.5, np.nan, -np.nan, np.inf, -np.inf]), shape)
    return np.where(RNG.random(shape) < 0.3, special, x).astype(kind)


def sort(x: Any) -> Any:
    return sorting.sort(x, dimension=0, descending=False)


def argsort(x: Any) -> Any:
    return sorting.argsort(x, dimension=0, descending=False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_one_line(dtype: str, size: int) -> None:
    x = numbers(dtype, (size,))
    np.testing.assert_array_equal(fg.jit(sort)(x), np.sort(x))
    np.testing.assert_array_equal(fg.jit(argsort)(x), np.argsort(x, kind="stable"))


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "f8"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((300, 9), 1), ((45, 300), 0), ((7, 600, 3), 1), ((3, LONG + 1), 1)], ids=str
)
@pytest.mark.parametrize("descending", [False, True])
def test_many_lines(dtype: str, shape: tuple[int, ...], axis: int, descending: bool) -> None:
    x = numbers(dtype, shape)
    for operation in (sorting.sort, sorting.argsort):
        got = fg.jit(lambda x, f=operation: f(x, dimension=axis, descending=descending))(x)
        np.testing.assert_array_equal(got, operation.reference(x, dimension=axis, descending=descending))


@pytest.mark.parametrize("dtype", ["i4", "f4", "f8"])
def test_pieces_merged_in_two_rounds(dtype: str) -> None:
    x = numbers(dtype, ((1 << 20) + 12345,))
    np.testing.assert_array_equal(fg.jit(sort)(x), np.sort(x))


@pytest.mark.parametrize("dtype", ["i4", "u4", "f4", "i8", "u8", "f8"])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("shape", [(LONG,), (LONG + 13,), ((1 << 20) + 77,), (3, LONG + 5)], ids=str)
def test_long_lines_in_parts_and_in_runs(
    dtype: str, split: bool, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if split and not splitting.splits():
        pytest.skip("the CPU has no instructions for it")
    monkeypatch.setattr(runtime_sorting, "splits", lambda: split)
    few = RNG.integers(0, 5, shape).astype(dtype)
    for x in (numbers(dtype, shape), few, np.sort(numbers(dtype, shape))[..., ::-1], np.zeros(shape, dtype)):
        executables.cache_clear()
        x = np.ascontiguousarray(x)
        np.testing.assert_array_equal(fg.jit(lambda x: fg.numpy.sort(x))(x), np.sort(x))


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95, 1.0])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_limits_of_parts_may_be_infinite_or_no_numbers(bad: float, share: float, dtype: str) -> None:
    x = np.where(RNG.random(LONG + 9) < share, bad, RNG.normal(size=LONG + 9)).astype(dtype)
    np.testing.assert_array_equal(fg.jit(sort)(x), np.sort(x))


@pytest.mark.parametrize("pattern", ["equal", "sorted", "backwards", "two runs"])
def test_patterns(pattern: str) -> None:
    n = LONG + 77
    line = np.arange(n, dtype=np.float32)
    x = {
        "equal": np.ones(n, np.float32),
        "sorted": line,
        "backwards": line[::-1].copy(),
        "two runs": np.concatenate([line[n // 2 :], line[: n // 2]]),
    }[pattern]
    np.testing.assert_array_equal(fg.jit(sort)(x), np.sort(x))
    np.testing.assert_array_equal(fg.jit(argsort)(x), np.argsort(x, kind="stable"))


def orders(*operands: np.ndarray) -> np.ndarray:
    """What is to be tested, and its reference beside it."""
    got = fg.jit(lambda *operands: sorting.arrange(*operands, dimension=0))(*operands)
    np.testing.assert_array_equal(got, sorting.arrange.reference(*operands, dimension=0))
    return got


@pytest.mark.parametrize("size", [ARRANGED, 70_001, 1_234_567, 9_000_000])
def test_random_bits_are_put_in_order_bucket_by_bucket(size: int) -> None:
    """Buckets of 32, 273, 4,822 and 35,156 keys, the last of which are sorted as words of 64 bits."""
    bits, places = RNG.integers(0, 1 << 32, size, np.uint32), RNG.permutation(size)
    orders(bits)
    orders(bits, places)
    orders(bits, (1 << 32) - 1 - places)


@pytest.mark.parametrize("bits", [1, 4, 9, 16, 24])
@pytest.mark.parametrize("shift", [0, 8, 23])
def test_equal_keys_stay_in_order_however_unevenly_they_fall_into_buckets(bits: int, shift: int) -> None:
    keys = (RNG.integers(0, 1 << bits, 30_011) << shift).astype(np.uint32)
    orders(keys)
    orders(keys, RNG.permutation(len(keys)))


def test_keys_that_differ_in_their_lowest_bits_only_are_told_apart() -> None:
    """Words of 32 bits hold neither of them beside the number of a key in its bucket."""
    upper = RNG.integers(0, 1 << 27, 10_007, np.uint32) << 5
    keys = RNG.permutation(np.concatenate([upper | low for low in (3, 1, 2, 1)]).astype(np.uint32))
    orders(keys)


def test_where_numpy_has_no_vectors_buckets_are_sorted_by_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_sorting, "vectorised", lambda: False)
    keys = RNG.integers(0, 1 << 32, 50_021, np.uint32)
    orders(keys, RNG.permutation(len(keys)))
    alike = np.repeat(np.arange(40_000, dtype=np.uint32), 2)  # one bucket, so large that its words have 64 bits
    orders(RNG.permutation(alike))


def test_a_permutation_is_the_same_for_any_number_of_threads() -> None:
    """And JAX's: by random bits, twice."""
    size, key = 100_003, fg.random.key(3)
    before = native.threads()
    try:
        found = []
        for count in (1, 2, 4):
            native.set_threads(count)
            found.append(fg.random.permutation(key, size))
    finally:
        native.set_threads(before)
    order = np.arange(size)
    for _ in range(2):
        key, inner = fg.random.split(key)
        order = order[np.argsort(fg.random.bits(inner, (size,), np.uint32), kind="stable")]
    for each in found:
        np.testing.assert_array_equal(each, order)
    with fg.config.check_memory():
        np.testing.assert_array_equal(fg.random.permutation(fg.random.key(3), size), order)


def test_small_numbers_in_wide_integers() -> None:
    x = RNG.integers(0, 9, 3000)
    np.testing.assert_array_equal(fg.jit(argsort)(x), np.argsort(x, kind="stable"))


def test_results_do_not_depend_on_threads() -> None:
    x = numbers("f4", (3 * LONG,))
    function = fg.jit(lambda x: (sort(x), argsort(x)))
    before = native.threads()
    try:
        for count in (1, 2, 4):
            native.set_threads(count)
            values, order = function(x)
            np.testing.assert_array_equal(values, np.sort(x))
            np.testing.assert_array_equal(order, np.argsort(x, kind="stable"))
    finally:
        native.set_threads(before)


@pytest.mark.parametrize(("shape", "fetched"), [((LONG,), True), ((8, SPREAD), True), ((40, SPREAD // 4), False)])
def test_memory_is_fetched_for_lines_that_the_first_cache_does_not_hold(shape: tuple[int, ...], fetched: bool) -> None:
    text = fg.jit(lambda x: fg.numpy.argsort(x, axis=-1)).lower(fg.ShapeDtypeStruct(shape, np.uint64)).as_text("llvm")
    assert ("@llvm.prefetch" in text) == fetched


def test_where_numpy_has_no_function_its_sort_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(calls.ROUTINES, "sort", lambda call, slots: None)
    x = numbers("f8", (LONG + 5,))
    function = fg.jit(lambda x: sort(x) + 0)
    np.testing.assert_array_equal(function(x), np.sort(x))


def test_numpys_functions() -> None:
    assert native_sorting.function_for(np.dtype("f4"), 5)
    assert native_sorting.function_for(np.dtype("c16"), 5) is None
    assert native_sorting.function_for(np.dtype("u1"), 5) != native_sorting.function_for(np.dtype("u1"), 500)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 1000])
def test_search(dtype: str, n: int) -> None:
    ordered, wanted = np.sort(numbers(dtype, (n,))), numbers(dtype, (300,))
    for side in ("left", "right"):
        got = fg.jit(lambda a, v, side=side: sorting.searchsorted(a, v, side=side, batch_ndim=0))(ordered, wanted)
        np.testing.assert_array_equal(got, np.searchsorted(ordered, wanted, side))  # type: ignore[call-overload]


def test_operands_that_are_reshaped_buffers() -> None:
    for n in (60, LONG * 6):
        x = numbers("f4", (n,))
        for shape, axis in (((3, n // 3), 1), ((n // 3, 3), 0), ((2, 3, n // 6), 1), ((1, n), 1)):
            got = fg.jit(lambda x, s=shape, k=axis: sorting.sort(np.reshape(x, s), dimension=k, descending=False))(x)
            np.testing.assert_array_equal(got, np.sort(x.reshape(shape), axis))
            got = fg.jit(lambda x, s=shape, k=axis: sorting.argsort(np.reshape(x, s), dimension=k, descending=False))(x)
            np.testing.assert_array_equal(got, np.argsort(x.reshape(shape), axis, kind="stable"))
    assert fg.jit(lambda x: np.sort(np.reshape(x, (1,))))(np.float32(3)).tolist() == [3]
    keys = np.arange(60, dtype=np.uint32)[::-1].copy()
    order = fg.jit(lambda x: sorting.argsort(np.reshape(x, (2, 30)), dimension=1, descending=False))(keys)
    np.testing.assert_array_equal(order, np.argsort(keys.reshape(2, 30), 1))


def test_searches_in_reshaped_buffers() -> None:
    ordered, wanted = np.sort(numbers("f8", (4, 15)), 1), numbers("f8", (4, 6))

    def search(a: Any, v: Any) -> Any:
        a, v = np.reshape(a, (4, 15)), np.reshape(v, (4, 2, 3))
        return sorting.searchsorted(a, v, side="left", batch_ndim=1)

    want = [np.searchsorted(a, v) for a, v in zip(ordered, wanted, strict=True)]
    np.testing.assert_array_equal(fg.jit(search)(ordered.ravel(), wanted.ravel()).reshape(4, 6), want)
