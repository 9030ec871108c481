"""Are large blocks recycled, bounded, separate, and given back?"""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

from funcgrad.compile import native

MIB = 1 << 20


@pytest.fixture(name="blocks")
def _blocks():
    """``alloc(bytes) -> address`` and ``free(address)``."""
    runtime = native.runtime()
    native.trim()
    alloc = runtime._function("fg_alloc", ctypes.c_void_p, ctypes.c_int64)
    free = runtime._function("fg_free", None, ctypes.c_void_p)
    yield alloc, free
    native.trim()


@pytest.mark.parametrize("size", [0, 1, 63, 4096, MIB - 1, MIB, 3 * MIB + 17, 40 * MIB])
def test_a_block_is_aligned_and_holds_its_bytes(blocks, size):
    alloc, free = blocks
    address = alloc(size)
    assert address % 64 == 0
    memory = (ctypes.c_char * size).from_address(address)
    memory[:] = b"\xa5" * size
    assert bytes(memory) == b"\xa5" * size
    free(address)


def base(address: int) -> int:
    """The start of the huge page in which a block begins."""
    return address // (2 * MIB)


def test_blocks_begin_at_different_places_of_their_pages(blocks):
    alloc, free = blocks
    held = [alloc(3 * MIB) for _ in range(8)]
    assert len({address % 4096 for address in held}) == 8
    for address in held:
        free(address)


def test_a_freed_block_is_used_again_for_a_similar_size_only(blocks):
    alloc, free = blocks
    first = alloc(20 * MIB)
    free(first)
    assert native.runtime().memory()["kept"] >= 20 * MIB
    larger, much_smaller = alloc(21 * MIB + MIB // 2 * 3), alloc(10 * MIB)
    again = alloc(19 * MIB + MIB // 2)
    assert base(again) == base(first)
    assert len({larger, much_smaller, again}) == 3
    for address in (larger, much_smaller, again):
        free(address)


def test_what_is_kept_is_bounded_and_trim_gives_it_back(blocks):
    alloc, free = blocks
    before = native.runtime().memory()["in_use"]
    held = [alloc(8 * MIB) for _ in range(40)]
    assert native.runtime().memory()["in_use"] - before >= 320 * MIB
    for address in held:
        free(address)
    memory = native.runtime().memory()
    assert memory["in_use"] == before
    assert 0 < memory["kept"] <= max(64 * MIB, 0.57 * memory["peak"])
    native.trim()
    assert native.runtime().memory()["kept"] == 0


@pytest.mark.parametrize("size", [-1, 1 << 50, (1 << 63) - 1])
def test_impossible_sizes_give_null(blocks, size):
    alloc, _ = blocks
    assert alloc(size) is None


def test_threads_never_share_a_block(blocks):
    alloc, free = blocks
    clashes = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(150):
            held = [(alloc(size), size) for size in rng.integers(MIB, 2 * MIB, 3).tolist()]
            for address, size in held:
                ctypes.memset(address, seed, 64)
                ctypes.memset(address + size - 64, seed, 64)
            for address, size in held:
                if {*ctypes.string_at(address, 64), *ctypes.string_at(address + size - 64, 64)} != {seed}:
                    clashes.append(seed)
                free(address)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []
