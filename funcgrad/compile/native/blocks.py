"""Where does the memory of results and temporaries come from?  A free list of large blocks, on huge pages.

The first touch of a fresh 4 KiB page costs about two microseconds: for a 40 MB result that is more than the
arithmetic of most kernels.  So a block of 256 KiB or more is mapped, on 2 MiB pages where the system has them, and
kept for a while after it is freed.  What is kept and what is in use together are bounded by what was in use
lately: a loop ``y = f(x)`` finds the memory of its last result again, whether it drops that before or after the call.
Beyond 1 GiB the free list holds about half of that, so that other libraries find memory, too.

A block starts with 64 bytes of header: the address to give back to the system, and the block's whole size (0 for a
small one, which is plain aligned memory). Large blocks begin at different places in their pages by turns: the same
elements of many arrays, which a kernel reads together, would else compete for the same few lines of the cache.
"""

from __future__ import annotations

import sys

from funcgrad.compile.native.text import Function, Module, Value

LARGE = 1 << 18
"""Blocks of this many bytes and more are recycled."""

MINIMUM_KEPT, MODERATE = 64 << 20, 1 << 30
HEADER = 64
HUGE_PAGE = 2 << 20
KEPT_BLOCKS = 512
COLOURS, COLOUR = 8, 4096 + 512
ADDRESS_BITS = 46  # no block is as large as what these address

# The free list: what it knows, and its entries from the oldest to the newest (base address, size).
LOCK, IN_USE, PEAK, KEPT, COUNT, TURN, ENTRIES = 0, 8, 16, 24, 32, 40, 64
ENTRY = 16

_LINUX_PROTECTION, _LINUX_FLAGS, _LINUX_ADVICE = 3, 0x22, 14  # read|write, private|anonymous, MADV_HUGEPAGE


def define(module: Module) -> None:
    """Define ``fg_alloc``, ``fg_free``, ``fg_trim``, ``fg_blocks_usage`` and ``fg_blocks_after_fork``."""
    _define_lock(module)
    _define_system(module, linux=sys.platform.startswith("linux"))
    _define_alloc(module)
    _define_free(module)
    _define_evict(module)


def _state(f: Function) -> Value:
    return f.module.zeros(f, "fg_blocks", ENTRIES + KEPT_BLOCKS * ENTRY)


def _define_lock(module: Module) -> None:
    with module.function("fg_blocks_lock", "void") as f:
        with f.loop():
            with f.if_(f.compare_exchange(_state(f), LOCK, 0, 1)):
                f.break_()
            f.call("sched_yield", returns="i32")
        f.ret()
    with module.function("fg_blocks_unlock", "void") as f:
        f.atomic_store(0, _state(f), LOCK)
        f.ret()
    with module.function("fg_blocks_after_fork", "void") as f:
        # A thread that the child does not have may have been changing the list: what it held is lost, nothing more.
        with f.if_(f.load(_state(f), LOCK).is_not(0)):
            for word in (COUNT, KEPT, LOCK):
                f.store(0, _state(f), word)
        f.ret()
    with module.function("fg_blocks_usage", "i64", which="i64") as f:
        f.ret(f.load(_state(f), f.which))


def _define_system(module: Module, linux: bool) -> None:
    """``fg_map(size)`` and ``fg_unmap(base, size)``: whole blocks from and to the system."""
    with module.function("fg_map", "ptr", size="i64") as f:
        if not linux:
            _aligned(f, HUGE_PAGE, f.size)
        else:
            _map_huge_pages(f)
    with module.function("fg_unmap", "void", base="ptr", size="i64") as f:
        if linux:
            f.call("munmap", f.base, f.size, returns="i32")
        else:
            f.call("free", f.base, returns="void")
        f.ret()


def _aligned(f: Function, alignment: int, size: Value) -> None:
    """Return memory from ``posix_memalign``, or null."""
    place = f.variable("ptr", f.constant("ptr", 0))
    failed = f.call("posix_memalign", place.place, alignment, size, returns="i32")
    with f.if_(failed.is_not(0)):
        f.ret(f.constant("ptr", 0))
    f.ret(place.get())


def _map_huge_pages(f: Function) -> None:
    """Map `size` bytes at a multiple of the huge page: map more, then cut both ends off."""
    arguments = [f.constant("i32", n) for n in (_LINUX_PROTECTION, _LINUX_FLAGS, -1)]
    mapped = f.call("mmap", f.constant("ptr", 0), f.size + HUGE_PAGE, *arguments, 0, returns="ptr")
    address = f.cast_int(mapped, "i64")
    with f.if_(address.is_(-1)):
        f.ret(f.constant("ptr", 0))
    first = (address + (HUGE_PAGE - 1)) & -HUGE_PAGE
    head = first - address
    with f.if_(head > 0):
        f.call("munmap", mapped, head, returns="i32")
    base = f.pointer(first)
    f.call("munmap", base + f.size, f.constant("i64", HUGE_PAGE) - head, returns="i32")
    f.call("madvise", base, f.size, f.constant("i32", _LINUX_ADVICE), returns="i32")
    f.ret(base)


def _define_alloc(module: Module) -> None:
    with module.function("fg_alloc", "ptr", bytes="i64") as f:
        with f.if_((f.bytes >> ADDRESS_BITS).is_not(0)):  # negative ones too
            f.ret(f.constant("ptr", 0))
        with f.if_(f.bytes < LARGE):
            f.ret(f.call("fg_alloc_small", f.bytes, returns="ptr"))
        # Sizes are rounded little (64 KiB) where a huge page would waste, and to whole huge pages where it does not.
        step = f.select(f.bytes < 8 * HUGE_PAGE, f.constant("i64", 1 << 16), f.constant("i64", HUGE_PAGE))
        size = (f.bytes + HEADER + COLOURS * COLOUR + step - 1) & (f.constant("i64", 0) - step)
        base = f.variable("ptr", f.call("fg_take_kept", size, returns="ptr"))
        with f.if_(base.get().is_(0)):
            f.call("fg_make_room", size, returns="void")
            base.set(f.call("fg_map_or_trim", size, returns="ptr"))
            with f.if_(base.get().is_(0)):
                f.ret(f.constant("ptr", 0))
            f.store(base.get(), base.get())
            f.store(size, base.get(), 8)
        f.call("fg_blocks_lock", returns="void")
        state = _state(f)
        in_use = f.load(state, IN_USE) + f.load(base.get(), 8)
        f.store(in_use, state, IN_USE)
        peak = f.load(state, PEAK)
        f.store(f.select(in_use > peak, in_use, peak), state, PEAK)
        turn = f.load(state, TURN)
        f.store(turn + 1, state, TURN)
        f.call("fg_blocks_unlock", returns="void")
        place = base.get() + (turn & (COLOURS - 1)) * COLOUR
        f.store(base.get(), place)
        f.store(f.load(base.get(), 8), place, 8)
        f.ret(place + HEADER)
    with module.function("fg_alloc_small", "ptr", bytes="i64") as f:
        small = f.call("fg_aligned", f.bytes + HEADER, returns="ptr")
        with f.if_(small.is_(0)):
            f.ret(small)
        f.store(small, small)
        f.store(0, small, 8)
        f.ret(small + HEADER)
    with module.function("fg_aligned", "ptr", size="i64") as f:
        _aligned(f, HEADER, f.size)
    with module.function("fg_map_or_trim", "ptr", size="i64") as f:
        mapped = f.call("fg_map", f.size, returns="ptr")
        with f.if_(mapped.is_not(0)):
            f.ret(mapped)
        f.call("fg_trim", returns="void")
        f.ret(f.call("fg_map", f.size, returns="ptr"))
    _define_take_kept(module)


def _define_take_kept(module: Module) -> None:
    """``fg_take_kept(size)``: the newest kept block that fits within an eighth, or null."""
    with module.function("fg_take_kept", "ptr", size="i64") as f:
        state = _state(f)
        most = f.size + (f.size >> 3)
        found = f.variable("ptr", f.constant("ptr", 0))
        f.call("fg_blocks_lock", returns="void")
        index = f.variable("i64", f.load(state, COUNT))
        with f.while_(lambda: index.get() > 0):
            index.set(index.get() - 1)
            entry = state + ENTRIES + index.get() * ENTRY
            size = f.load(entry, 8)
            fits = (size >= f.size) & (size <= most)
            with f.if_(fits):
                found.set(f.load(entry, 0, "ptr"))
                f.call("fg_remove_kept", index.get(), returns="void")
                f.break_()
        f.call("fg_blocks_unlock", returns="void")
        f.ret(found.get())
    with module.function("fg_remove_kept", "void", index="i64") as f:
        state = _state(f)
        count = f.load(state, COUNT) - 1
        f.store(count, state, COUNT)
        entry = state + ENTRIES + f.index * ENTRY
        f.store(f.load(state, KEPT) - f.load(entry, 8), state, KEPT)
        rest = (count - f.index) * ENTRY
        f.call("llvm.memmove.p0.p0.i64", entry, entry + ENTRY, rest, f.constant("i1", 0), returns="void")
        f.ret()


def _define_free(module: Module) -> None:
    with module.function("fg_free", "void", block="ptr") as f:
        base = f.load(f.block, -HEADER, "ptr")
        size = f.load(f.block, 8 - HEADER)
        with f.if_(size.is_(0)):
            f.call("free", base, returns="void")
            f.ret()
        state = _state(f)
        f.call("fg_blocks_lock", returns="void")
        f.store(f.load(state, IN_USE) - size, state, IN_USE)
        # The peak fades, so that one large job long ago does not hold memory for ever: by as much as a call that frees
        # a hundred blocks, or half of it, will not miss.
        peak = f.load(state, PEAK)
        peak = peak - (peak >> 13) - (size >> 7)
        f.store(peak, state, PEAK)
        room = peak + (peak >> 4) - f.load(state, IN_USE)
        most = _larger(f, (peak >> 1) + (peak >> 4), MODERATE)
        limit = _larger(f, f.select(room < most, room, most), MINIMUM_KEPT)
        count = f.load(state, COUNT)
        with f.if_(count < KEPT_BLOCKS):
            entry = state + ENTRIES + count * ENTRY
            f.store(base, entry)
            f.store(size, entry, 8)
            f.store(count + 1, state, COUNT)
            f.store(f.load(state, KEPT) + size, state, KEPT)
            f.call("fg_blocks_unlock", returns="void")
            f.call("fg_evict", limit, returns="void")
            f.ret()
        f.call("fg_blocks_unlock", returns="void")
        f.call("fg_unmap", base, size, returns="void")
        f.ret()


def _larger(f: Function, number: Value, least: int) -> Value:
    return f.select(number < least, f.constant("i64", least), number)


def _define_evict(module: Module) -> None:
    """``fg_evict(limit)``: give the oldest kept blocks back until at most `limit` bytes are kept."""
    with module.function("fg_evict", "void", limit="i64") as f:
        state = _state(f)
        with f.loop():
            f.call("fg_blocks_lock", returns="void")
            with f.if_(f.load(state, KEPT) <= f.limit):
                f.call("fg_blocks_unlock", returns="void")
                f.ret()
            base, size = f.load(state, ENTRIES, "ptr"), f.load(state, ENTRIES + 8)
            f.call("fg_remove_kept", 0, returns="void")
            f.call("fg_blocks_unlock", returns="void")
            f.call("fg_unmap", base, size, returns="void")
    with module.function("fg_make_room", "void", size="i64") as f:
        # Kept blocks of other sizes than those that are wanted now make half of the peak at most.
        state = _state(f)
        f.call("fg_blocks_lock", returns="void")
        in_use, peak = f.load(state, IN_USE) + f.size, f.load(state, PEAK)
        f.call("fg_blocks_unlock", returns="void")
        highest = f.select(in_use > peak, in_use, peak)
        f.call("fg_evict", _larger(f, highest + (highest >> 1) - in_use, MINIMUM_KEPT), returns="void")
        f.ret()
    with module.function("fg_trim", "void") as f:
        f.call("fg_evict", 0, returns="void")
        f.ret()
