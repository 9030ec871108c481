"""Is a running fold that threads hand on from block to block what it is step by step, whoever does which block?"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from funcgrad.compile import cpus, engine
from funcgrad.compile.native.scanning import EACH, ENTRIES, ITS_OWN, KNOWN, LINE, OWN, Scan, addresses, define
from funcgrad.compile.native.text import Module
from funcgrad.compile.passes import Effort
from tests.compile.builder import ENTRY

FOLDS: dict[str, Any] = {"add": np.add, "max": np.maximum, "min": np.minimum}
WIDTH = cpus.vector_widths()[-1]
RNG = np.random.default_rng(0)


def scan_of(fold: str, dtype: str, reverse: bool = False, streamed: bool = False, width: int = WIDTH) -> Scan:
    wide = "f8" if (fold, dtype) == ("add", "f4") else dtype
    return Scan(fold, dtype, wide, reverse, streamed and cpus.streaming_pays(), width)


def apart(shape: tuple[int, ...], dtype: str, off: int = 0) -> np.ndarray:
    """An array of sevens, so many bytes behind the beginning of a line of memory."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + 2 * LINE + off, np.uint8)
    start = -room.ctypes.data % LINE + off
    out = room[start : start + size].view(dtype).reshape(shape)
    out[...] = 7
    return out


class Call:
    """One running fold of the lines of x; `blocks` does so many of them."""

    def __init__(self, scan: Scan, x: np.ndarray, off: int = 0) -> None:
        each = -(-x.shape[1] // scan.block)
        self.count = each * len(x)
        self.x, self.out = x, apart(x.shape, scan.dtype, off)
        self.state = np.full(8 + 3 * self.count, -1)
        self.arrays = [np.zeros(1, np.int64), x, self.out, self.state]
        self.buffers = np.array([a.ctypes.data for a in self.arrays])
        self.integers = np.array([1, 2, 3, self.state.nbytes, each, x.shape[1]])
        begin, self.kernel = map(ENTRY, addresses(scan))
        begin(self.buffers.ctypes.data, self.integers.ctypes.data, 0, 1)

    def blocks(self, count: int) -> None:
        self.kernel(self.buffers.ctypes.data, self.integers.ctypes.data, 0, count)


def folded(scan: Scan, x: np.ndarray, off: int = 0) -> np.ndarray:
    call = Call(scan, x, off)
    call.blocks(call.count)
    return call.out


def expected(scan: Scan, x: np.ndarray) -> np.ndarray:
    turned = x[:, ::-1] if scan.reverse else x
    found = FOLDS[scan.fold].accumulate(turned.astype(scan.wide), axis=1).astype(x.dtype)
    return found[:, ::-1] if scan.reverse else found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("fold", FOLDS)
def test_every_length(fold: str, dtype: str, reverse: bool) -> None:
    scan = scan_of(fold, dtype, reverse)
    for n in (1, 7, 63, 64, 65, scan.block - 1, scan.block, scan.block + 1, 3 * scan.block + 37):
        x = RNG.integers(0, 13, (2, n)).astype(dtype)  # of floats, too, whose sums are exact
        np.testing.assert_array_equal(folded(scan, x), expected(scan, x))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("width", cpus.vector_widths())
def test_vectors_of_other_cpus(width: int, dtype: str) -> None:
    for fold in FOLDS:
        for reverse in (False, True):
            scan = scan_of(fold, dtype, reverse, width=width)
            x = RNG.integers(-9, 9, (1, 2 * scan.block + 5)).astype(dtype)
            np.testing.assert_array_equal(folded(scan, x), expected(scan, x))


@pytest.mark.skipif(not cpus.streaming_pays(), reason="this CPU has no such stores")
@pytest.mark.parametrize("off", [0, 4, 16, 60])
@pytest.mark.parametrize("width", cpus.vector_widths())
def test_what_is_written_past_the_caches(width: int, off: int) -> None:
    for dtype in ("f4", "i4"):
        for reverse in (False, True):
            scan = scan_of("add", dtype, reverse, streamed=True, width=width)
            for n in (2 * scan.block, 2 * scan.block + 3):  # the second line begins elsewhere
                x = RNG.integers(0, 13, (2, n)).astype(dtype)
                np.testing.assert_array_equal(folded(scan, x, off), expected(scan, x))


def test_sums_begin_at_zero_and_signs_of_zeros_are_those_of_sums() -> None:
    for dtype in ("f4", "f8"):
        out = folded(scan_of("add", dtype), np.full((1, 100), -0.0, dtype))
        assert not np.signbit(out).any()


@pytest.mark.parametrize("number", [np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_is_not_finite_is_not_seen_before_it_is_met(dtype: str, number: float) -> None:
    scan = scan_of("add", dtype)
    for place in (0, 5, 31, 32, 1000, scan.block - 1, scan.block, 2 * scan.block + 3):
        x = np.ones((1, 2 * scan.block + 9), dtype)
        x[0, place] = number
        np.testing.assert_array_equal(folded(scan, x), expected(scan, x))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("taken", [1, 2, 4])
def test_a_block_that_another_thread_does_not_come_to_is_folded_by_who_needs_it(taken: int, reverse: bool) -> None:
    for dtype in ("f4", "f8"):
        scan = scan_of("add", dtype, reverse)
        x = RNG.normal(size=(2, 4 * scan.block + 11)).astype(dtype)  # five blocks each
        call = Call(scan, x)
        call.state[0] = taken  # by threads that lost their cores
        call.blocks(call.count - taken)
        # The first block that is folded backwards is the short one.
        done = np.s_[: -(taken - 1) * scan.block - 11] if reverse else np.s_[taken * scan.block :]
        wanted = folded(scan, x)
        np.testing.assert_array_equal(call.out[1], wanted[1])
        np.testing.assert_array_equal(call.out[0][done], wanted[0][done])
        assert (call.out[0] == 7).sum() == x.shape[1] - wanted[0][done].size
        call.state[0] = 0  # now they come back
        call.blocks(taken)
        np.testing.assert_array_equal(call.out, wanted)


def test_what_another_thread_has_said_of_its_block_is_not_folded_again() -> None:
    for dtype in ("f4", "f8"):
        scan = scan_of("add", dtype)
        x = RNG.normal(size=(1, 3 * scan.block)).astype(dtype)
        call = Call(scan, x)
        call.state[0] = 2
        for k in range(2):
            entry = call.state[(ENTRIES + k * EACH) // 8 :]
            entry[KNOWN // 8] = ITS_OWN
            entry[OWN // 8 :][:1].view(scan.wide)[0] = 2.0**k
            call.x[0, k * scan.block :][: scan.block] = np.nan
        call.blocks(1)
        alone = folded(scan, x[:, 2 * scan.block :].copy())
        np.testing.assert_allclose(call.out[0, 2 * scan.block :], alone[0] + 3, rtol=1e-6, atol=1e-4)


def test_threads_that_take_turns_give_the_same_bits() -> None:
    for dtype in ("f4", "f8"):
        scan = scan_of("add", dtype)
        x = RNG.normal(size=(3, 40 * scan.block + 5)).astype(dtype)
        wanted = folded(scan, x)
        for _ in range(5):
            call = Call(scan, x)
            shares = [call.count // 4] * 3 + [call.count - 3 * (call.count // 4)]
            threads = [threading.Thread(target=call.blocks, args=(share,)) for share in shares]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            np.testing.assert_array_equal(call.out, wanted)


def test_float32_numbers_are_rounded_once() -> None:
    scan = scan_of("add", "f4")
    x = RNG.normal(size=(1, 9 * scan.block)).astype(np.float32)
    wide = np.cumsum(x.astype(np.longdouble), axis=1)
    error = np.abs(folded(scan, x) - wide) / np.spacing(np.abs(wide.astype(np.float32)))
    assert error.max() <= 0.5 + 1e-5


def test_errors_of_float64_sums_do_not_grow_with_the_place() -> None:
    scan = scan_of("add", "f8")
    x = RNG.uniform(0, 1, (1, 50 * scan.block))
    wide = np.cumsum(x.astype(np.longdouble), axis=1)
    error = np.abs(folded(scan, x) - wide) / wide
    assert error.max() < 60 * np.finfo(np.float64).eps / 2  # of numbers that are added one by one: up to 100,000
    assert np.abs(np.cumsum(x, axis=1) - wide).max() > np.abs(folded(scan, x) - wide).max()


def test_the_module_is_what_llvm_understands() -> None:
    module = Module(Effort.REGISTERS)
    define(module, scan_of("max", "f8", reverse=True, streamed=True))
    assert engine.to_object(str(module), verify=True)
