"""What runs compiled kernels?  Native support code, written as LLVM IR: driver, threads, memory, BLAS, and calls.

=====================  =================================================================================
`describe`             lays a compiled program out; with `ArrayInput`, `ScalarInput`, `Output`, `Step`
`make_entry`           a builtin ``entry(leaves) -> results | None | status`` that costs under a microsecond
`regular`              leaves that the entry refused (it returned None), with arrays as it takes them
`slow_call`            the same program on any leaves
`gemm_address`         the kernel that multiplies matrices; `gemm_integers` makes its integers; `gemm_way` chooses
`attention_address`    the kernels that attend; `multiplies_in_tiles` tells where they are fast
`loop_address`         the kernels that run loops and branches
`interruption`         what ended a program that looked at pending signals
`set_threads`          how many threads run programs; `threads` tells
`float_mode`           how this thread computes with floats; `set_float_mode`, and `FLUSH` for no subnormals
`trim`                 gives kept memory back
`runtime`              the object behind these; compiled (or read from the disk cache) at first use
=====================  =================================================================================

A kernel is ``void kernel(ptr bufs, ptr ints, i64 first, i64 last)``: `bufs` holds the addresses of buffers, slot 0 that
of the call's status word; `ints` holds one slot number per buffer of the kernel, then its integer parameters.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Sequence
from typing import Any

from funcgrad import forks
from funcgrad.compile import cpus, engine
from funcgrad.compile.native import blas, blocking, gemm
from funcgrad.compile.native.bridge import (
    Entry,
    Runtime,
    attention_library,
    default_threads,
    factors_library,
    fourier_library,
    gemm_library,
    halves_library,
    loop_library,
)
from funcgrad.compile.native.descriptor import ArrayInput, Descriptor, Output, ScalarInput, Step, describe
from funcgrad.compile.native.floats import FLUSH
from funcgrad.compile.native.hosts import POLLS, host_library
from funcgrad.compile.native.slowcall import regular
from funcgrad.compile.native.vectors import REALS

__all__ = [
    "FLUSH",
    "ArrayInput",
    "Descriptor",
    "Entry",
    "Output",
    "Runtime",
    "ScalarInput",
    "Step",
    "attention_address",
    "blas_index_bits",
    "describe",
    "float_mode",
    "gemm_address",
    "gemm_integers",
    "gemm_way",
    "interruption",
    "loop_address",
    "make_entry",
    "multiplies_in_tiles",
    "regular",
    "runtime",
    "set_float_mode",
    "set_threads",
    "slow_call",
    "threads",
    "trim",
]

_lock = forks.held(threading.RLock())
_products_lock = forks.held(threading.Lock())
_wanted_threads: list[int] = []  # what `set_threads` was last told, if ever


def runtime() -> Runtime:
    """The native runtime of this process."""
    with _lock:
        return _runtime()


@functools.cache
def _runtime() -> Runtime:
    return Runtime(threads())


def make_entry(descriptor: Descriptor) -> Entry:
    """A function that runs a program: ``entry(leaves: list)``.

    It returns the list of results; None when a leaf is not exactly what the program was compiled for (use
    `slow_call`, or compile another program); the positive status when a kernel reports an error.

    Where the interpreter is not one that the fast call knows, the entry is `slow_call` itself, which raises
    `TypeError` or `ValueError` instead of returning None.
    """
    return runtime().make_entry(descriptor)


def slow_call(descriptor: Descriptor, leaves: Sequence[Any]) -> list[Any] | int:
    """Run a program on leaves that may need conversion: strided, big-endian, subclasses, weak scalars.

    Raises
    ------
    TypeError, ValueError, OverflowError
        A leaf's dtype, its shape, or its value is not what the program takes.
    """
    return runtime().slow_call(descriptor, leaves)


def gemm_address(dtype: str, over: str = "batch", way: gemm.Way = gemm.Way.IN_BLOCKS) -> int:
    """The address of the kernel ``C = alpha * op(A) @ op(B) + beta * C`` for ``"f4"``, ``"f8"``, ``"c8"`` or ``"c16"``.

    Its integers come from `gemm_integers`.  Its range is the batch, or over ``"rows"`` the rows of C (``batch * m`` of
    them), or over ``"columns"`` those of the only member's C, which lets the pool share one large product out: BLAS
    itself runs on one thread, if it runs at all (`gemm_way`).  Of products 128 x 512 x 784 and the like, four pieces of
    the longer side took BLAS 1 to 8 % more cycles than the whole, four of the shorter one 17 to 23 %.
    """
    infix = "" if over == "batch" else f"{over}_"
    with _products_lock:
        return gemm_library(dtype, way).address(f"fg_gemm_{infix}{dtype}")


def attention_address(dtype: str, backward: bool) -> int:
    """The address of the kernel that goes over scores of ``"f4"`` or ``"f8"`` block by block (see `attention`)."""
    with _products_lock:
        return attention_library(dtype).address(f"fg_attention_{'backward' if backward else 'forward'}_{dtype}")


def factors_address(family: str, name: str, dtype: str) -> int:
    """The address of a kernel that factorizes, or solves by, a matrix of ``"f4"`` or ``"f8"`` (see `factors`): a
    number without a `Symbol`, since LAPACK stays in this process.
    """
    with _products_lock:
        return int(factors_library(family, dtype).address(f"fg_factor_{name}_{dtype}"))


def fourier_address(name: str, dtype: str, wanted: frozenset[str]) -> int:
    """The address of a kernel that transforms lines of complex numbers of two ``"f4"`` or ``"f8"`` (see `fourier`): a
    number without a `Symbol`, since tables of this process go with it.

    It comes with what else is `wanted` of `fourier.ALL`.
    """
    with _products_lock:
        library = halves_library(dtype) if name == "halves" else fourier_library(dtype, wanted)
        return int(library.address(f"fg_fourier_{name}_{dtype}"))


def tiles_replace_blas() -> bool:
    """Whether products in tiles take the place of this process's BLAS, and of what its LAPACK would multiply."""
    return blas.blas().core in blocking.CORES and multiplies_in_tiles()


def multiplies_in_tiles() -> bool:
    """Whether this CPU's vectors make products of small matrices in tiles as fast as a library's of large ones."""
    return "+avx512f" in cpus.features()


def gemm_integers(slots: tuple[int, int, int], sizes: tuple[int, int, int], dtype: str, **places: Any) -> list[int]:
    """The integers of one product: see `gemm.integers`.

    Raises
    ------
    ValueError
        Sizes or leading dimensions are beyond the integers of this process's BLAS, which would take their low bits.
    """
    words = gemm.integers(slots, sizes, dtype, **places)
    bits = blas_index_bits()
    if max(words[which] for which in gemm.SIZES) >> (bits - 1):
        m, n, k = sizes
        raise ValueError(
            f"a product of {m} x {k} and {k} x {n} elements is too large for the BLAS of this process, whose integers "
            f"have {bits} bits: NumPy's wheels have one with 64"
        )
    return words


def gemm_way(
    sizes: tuple[int, int, int], dtype: str, transposed: tuple[bool, bool], leading: tuple[int, int]
) -> tuple[gemm.Way, blocking.Block]:
    """How a product takes the least time on this BLAS and CPU, and in which blocks. `leading` is that of A and C."""
    if dtype not in REALS or not tiles_replace_blas():
        return gemm.Way.IN_BLOCKS, blocking.WHOLE
    shape = blocking.Shape(*sizes, *transposed, gemm.DTYPES[dtype][2], *leading)
    if blocking.narrow(shape):
        return gemm.Way.NARROW, blocking.WHOLE
    if blocking.tiled(shape):
        return gemm.Way.TILED, blocking.WHOLE
    return gemm.Way.IN_BLOCKS, blocking.block(shape)


def loop_address(kernel: str) -> int:
    """The address of one of the kernels of `loops`, or of what looks at pending signals."""
    if kernel in POLLS:
        return host_library().address(kernel)
    with _lock:
        return loop_library(_runtime().run_address).address(kernel)


def interruption() -> BaseException | None:
    """What a signal's handler raised when a program looked at pending signals, once; None after the others."""
    try:
        ctypes.PYFUNCTYPE(None)(loop_address("fg_poll_raise"))()
    except BaseException as error:
        return error
    return None


def blas_index_bits() -> int:
    """The width of BLAS's integers: sizes and leading dimensions must be below ``2 ** (bits - 1)``."""
    return blas.blas().index_bits


def set_threads(count: int) -> None:
    """Run programs, their matrix products included, on at most `count` threads."""
    if count < 1:
        raise ValueError(f"at least one thread is needed, not {count}")
    with _lock:
        _wanted_threads[:] = [count]
        if _runtime.cache_info().currsize:
            _runtime().set_threads(count)


def threads() -> int:
    """How many threads run programs: what `set_threads` said, or one per core that the process may use."""
    return _wanted_threads[-1] if _wanted_threads else default_threads()


def float_mode() -> int:
    """The word by which this thread computes with floats."""
    return runtime().float_mode()


def set_float_mode(mode: int) -> None:
    """Have this thread compute with floats in another way."""
    runtime().set_float_mode(mode)


def trim() -> None:
    """Give memory that is kept for later results back to the system."""
    if _runtime.cache_info().currsize:
        _runtime().trim()
