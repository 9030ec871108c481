"""Is a loop that folds and keeps each step a vector at a time what it is step by step?"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from funcgrad.compile import cpus, engine
from funcgrad.compile.llvm import print_kernel
from funcgrad.compile.scans import scan_of
from funcgrad.lower.loops import INDEX, Constant, Kernel, Loop, Operand, Value
from funcgrad.lower.nest import neutral
from tests.compile.builder import Builder, run

FOLDS: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add.accumulate,
    "max": np.maximum.accumulate,
    "min": np.minimum.accumulate,
    "and": np.bitwise_and.accumulate,
    "or": np.bitwise_or.accumulate,
}


def running(fold: str, dtype: str, wide: str | None = None, back: bool = False, named: bool = True) -> Kernel:
    """``out[i] = fold(x[: i + 1])``, or of ``x[i:]``, from the last element on."""
    b = Builder()
    source, target, n = b.buffer(dtype), b.buffer(dtype, written=True), b.size()

    def step(i: Value, before: Value) -> list[Operand]:
        place = b.op("sub", b.op("sub", n, Constant(1, INDEX)), i) if back else i
        x: Operand = b.load(source, place)
        x = x if wide is None else b.op("cast", x, dtype=wide)
        after = b.op(fold, before, x)
        b.store(target, place, after if wide is None else b.op("cast", after, dtype=dtype))
        return [after]

    begin = Constant(neutral(fold, wide or dtype), wide or dtype)
    b.loop(b.first, b.last, step, [(begin, fold if named else None)])
    return b.kernel()


def loop_of(kernel: Kernel) -> Loop:
    (loop,) = (i for i in kernel.body if isinstance(i, Loop))
    return loop


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(
    ("fold", "dtype", "wide"),
    [
        *((fold, dtype, None) for fold in ("add", "max", "min") for dtype in ("f4", "f8", "i1", "u2", "i4", "u8")),
        ("add", "f4", "f8"), ("add", "f2", "f4"), ("max", "f2", None), ("or", "b1", None), ("and", "b1", None),
    ],
)  # fmt: skip
def test_every_length(fold: str, dtype: str, wide: str | None, back: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 150).astype(bool) if dtype == "b1" else rng.integers(0, 13, 150).astype(dtype)
    x = ~x if fold == "and" else x
    kernel = running(fold, dtype, wide, back)
    assert scan_of(loop_of(kernel)) is not None
    library = engine.load(engine.to_object(print_kernel(kernel, "kernel"), verify=True))
    for n in (*range(36), 63, 64, 65, 127, 128, 150):
        out = np.full(n + 1, 7).astype(dtype)
        run(library.address("kernel"), [x, out], [n], 0, n)
        want = FOLDS[fold](x[:n][::-1], dtype=x.dtype)[::-1] if back else FOLDS[fold](x[:n], dtype=x.dtype)
        np.testing.assert_array_equal(out[:n], want)
        assert out[n] == np.array(7).astype(dtype)


@pytest.mark.parametrize("place", [0, 3, 8, 31, 39])
def test_what_is_not_finite_is_not_seen_before_it_is_met(place: int) -> None:
    x = np.arange(40, dtype="f8")
    library = engine.load(engine.to_object(print_kernel(running("add", "f8"), "kernel")))
    for number in (np.inf, -np.inf, np.nan):
        x[place], out = number, np.empty(40)
        run(library.address("kernel"), [x, out], [40], 0, 40)
        np.testing.assert_array_equal(out, np.cumsum(x))


def test_an_empty_range_the_other_way_round_writes_nothing() -> None:
    library = engine.load(engine.to_object(print_kernel(running("add", "f8"), "kernel")))
    out = np.zeros(64)
    run(library.address("kernel"), [np.ones(64), out], [64], 40, 3)
    assert not out.any()


def test_it_is_made_of_vectors() -> None:
    text = engine.optimised(print_kernel(running("add", "f4", "f8"), "kernel"))
    lanes = cpus.vector_widths()[-1] // 8
    assert len(re.findall(rf"fadd <{lanes} x double>", text)) >= lanes.bit_length() + 1


def test_loops_that_are_none() -> None:
    assert scan_of(loop_of(running("add", "f4", named=False))) is None  # its order is the result's
    b = Builder()
    source, target = b.buffer("f4"), b.buffer("f4", written=True)

    def copy(i: Value, before: Value) -> list[Operand]:
        x = b.load(source, i)
        b.store(target, i, x)
        return [b.op("add", before, x)]

    b.loop(b.first, b.last, copy, [(Constant(0.0, "f4"), "add")])
    assert scan_of(loop_of(b.kernel())) is None  # what is kept is not the sum
    b = Builder()
    source, target = b.buffer("f4"), b.buffer("f4", written=True)

    def apart(i: Value, before: Value) -> list[Operand]:
        place = b.op("add", i, i)
        after = b.op("add", before, b.load(source, place))
        b.store(target, place, after)
        return [after]

    b.loop(b.first, b.last, apart, [(Constant(0.0, "f4"), "add")])
    assert scan_of(loop_of(b.kernel())) is None  # its elements are no neighbours
