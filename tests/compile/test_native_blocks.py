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
    assert 0 < memory["kept"] <= max(64 * MIB, 1.07 * memory["peak"])
    native.trim()
    assert native.runtime().memory()["kept"] == 0


@pytest.mark.parametrize("dropped_before", [True, False])
@pytest.mark.parametrize("size", [20 * MIB, 90 * MIB, 300 * MIB])
def test_a_loop_finds_the_memory_of_its_last_result(blocks, size, dropped_before):
    alloc, free = blocks
    held, seen = [alloc(size)], []
    for _ in range(40):
        if dropped_before:
            free(held.pop())
        held.append(alloc(size))
        if not dropped_before:
            free(held.pop(0))
        seen.append(base(held[0]))
    assert len(set(seen)) == (1 if dropped_before else 2)
    free(held.pop())


def test_a_loop_that_makes_many_results_finds_all_of_their_memory(blocks):
    alloc, free = blocks
    for _ in range(20):
        for address in [alloc(3 * MIB) for _ in range(100)]:
            free(address)
    assert native.runtime().memory()["kept"] >= 300 * MIB


def test_kept_blocks_of_other_sizes_make_room(blocks):
    alloc, free = blocks
    for address in [alloc(30 * MIB) for _ in range(20)]:
        free(address)
    assert native.runtime().memory()["kept"] >= 300 * MIB
    held = [alloc(55 * MIB) for _ in range(10)]
    memory = native.runtime().memory()
    assert memory["kept"] + memory["in_use"] <= 1.51 * memory["peak"]
    for address in held:
        free(address)


def test_of_very_much_memory_about_half_is_kept(blocks):
    alloc, free = blocks
    for address in [alloc(512 * MIB) for _ in range(8)]:  # not touched: takes no memory
        free(address)
    memory = native.runtime().memory()
    assert memory["peak"] >= 4000 * MIB * 0.98
    assert 1024 * MIB <= memory["kept"] <= 0.57 * memory["peak"]
    for _ in range(40_000):  # the peak fades, that later tests see one like their own
        free(alloc(MIB))
    assert native.runtime().memory()["peak"] <= 100 * MIB


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
