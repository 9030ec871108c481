"""How do loops and branches over steps run?  ``fg_scan``, ``fg_while``, ``fg_while_pull`` and ``fg_cond``: kernels
whose integers hold tables of steps.  ``fg_apart`` gives each piece of a loop over examples memory of its own.

No array is copied between iterations: see `loop_words`, which lays the integers out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from funcgrad.compile.native.hosts import POLL
from funcgrad.compile.native.text import Function, Module, Value

KERNELS = ("fg_scan", "fg_while", "fg_while_pull", "fg_while_tape", "fg_cond", "fg_apart")
_KERNEL = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
_ALIGNMENT = 64
_FIRST_TAPE, _LARGE = 64, 1 << 16  # iterations that a tape has room for at first; of carries of so many bytes, one
COUNT_BITS = 20  # where a status has the iterations that a tape had room for: above the code


def define(module: Module) -> None:
    """Define the kernels, which call ``fg_run`` and ``fg_poll``."""
    _define_helpers(module)
    _define_scan(module)
    _define_while(module)
    _define_grow(module)
    _define_pull(module)
    _define_tape(module)
    _define_cond(module)
    _define_apart(module)


def _slot(f: Function, number: Value) -> Value:
    """The place of a slot's address."""
    return f.bufs + number * 8


def _address(f: Function, number: Value) -> Value:
    """The address in a slot."""
    return f.load(_slot(f, number), 0, "ptr")


@contextmanager
def _rows(f: Function, start: Value, width: int) -> Iterator[Value]:
    """For each row of a table."""
    with f.range(f.load(start)) as k:
        yield start + 8 + k * (8 * width)


def _after(f: Function, start: Value, width: int) -> Value:
    """What follows a table."""
    return start + 8 + f.load(start) * (8 * width)


def _define_helpers(module: Module) -> None:
    place = {"bufs": "ptr", "rows": "ptr"}
    with module.function("fg_loop_pairs", "void", **place) as f:
        with _rows(f, f.rows, 2) as row:
            f.store(_address(f, f.load(row)), _slot(f, f.load(row, 8)))
        f.ret()
    with module.function("fg_loop_begin", "void", **place) as f:  # the carry's first value lies in the result
        with _rows(f, f.rows, 6) as row:
            result, initial = _address(f, f.load(row, 8)), _address(f, f.load(row))
            with f.if_(result.is_not(initial)):
                f.call("memcpy", result, initial, f.load(row, 40), returns="ptr")
            f.store(_address(f, f.load(row, 16)), _slot(f, f.load(row, 32)))
            f.store(result, _slot(f, f.load(row, 24)))  # for what is changed in place it is the same slot
        f.ret()
    with module.function("fg_loop_swap", "void", **place) as f:
        with _rows(f, f.rows, 6) as row:
            one, two = _slot(f, f.load(row, 24)), _slot(f, f.load(row, 32))
            before, after = f.load(one, 0, "ptr"), f.load(two, 0, "ptr")
            f.store(after, one)
            f.store(before, two)
        f.ret()
    with module.function("fg_loop_end", "void", **place) as f:  # ... and so must the last one
        with _rows(f, f.rows, 6) as row:
            result, last = _address(f, f.load(row, 8)), _address(f, f.load(row, 24))
            with f.if_(result.is_not(last)):
                f.call("memcpy", result, last, f.load(row, 40), returns="ptr")
        f.ret()
    with module.function("fg_loop_slices", "void", bufs="ptr", rows="ptr", index="i64") as f:
        with _rows(f, f.rows, 3) as row:
            place_of = _address(f, f.load(row)) + f.index * f.load(row, 16)
            f.store(place_of, _slot(f, f.load(row, 8)))
        f.ret()


def _do(f: Function, name: str, *arguments: Value) -> None:
    f.call(name, f.bufs, *arguments, returns="void")


def _run(f: Function, region: Value) -> Value:
    """Run the steps of a region; the status."""
    return f.call("fg_run", f.load(region, 0, "ptr"), f.load(region, 8), f.bufs)


def _define_scan(module: Module) -> None:
    with module.function("fg_scan", "void", **_KERNEL) as f:
        length, reverse = f.load(f.ints, 32), f.load(f.ints, 40)
        pairs = f.ints + 48
        carry = _after(f, pairs, 2)
        slices = _after(f, carry, 6)
        _do(f, "fg_loop_pairs", pairs)
        _do(f, "fg_loop_begin", carry)
        with f.range(f.last - f.first) as k:
            number = f.first + k
            index = f.select(reverse.is_not(0), length - 1 - number, number)
            _do(f, "fg_loop_slices", slices, index)
            with f.if_(_run(f, f.ints).is_not(0)):
                f.break_()
            _do(f, "fg_loop_swap", carry)
            _look(f, f.ints + 16, k + 1)
        _do(f, "fg_loop_end", carry)
        f.ret()


def _look(f: Function, poll: Value, count: Value) -> None:
    """Leave the loop if there is a status, after a look at pending signals if it is time for one."""
    status = f.load(f.bufs, 0, "ptr")
    with f.if_((count & (f.load(poll) - 1)).is_(0)):
        f.call(POLL, status, f.load(poll, 8), returns="void")
    with f.if_(f.load(status).is_not(0)):
        f.break_()


def _holds(f: Function, ints: Value) -> Value:
    """Whether the condition is true; false when it failed."""
    failed = _run(f, ints).is_not(0)
    test = f.load(_address(f, f.load(ints, 48)), 0, "i8")
    return f.select(failed, f.constant("i1", "false"), test.is_not(0))


def _define_while(module: Module) -> None:
    with module.function("fg_while", "void", **_KERNEL) as f:
        _loop(f, f.ints, lambda count: None)
        f.ret()


def _loop(f: Function, ints: Value, before: Callable[[Value], object]) -> Value:
    """The loop whose integers these are; `before` is called with the count at every iteration. The number of them."""
    pairs = ints + 56
    carry = _after(f, pairs, 2)
    _do(f, "fg_loop_begin", carry)
    count = f.variable("i64", 0)
    with f.loop():
        _do(f, "fg_loop_pairs", pairs)  # the condition reads what the body reads
        with f.if_(_holds(f, ints).is_(0)):
            f.break_()
        before(count.get())
        with f.if_(_run(f, ints + 16).is_not(0)):
            f.break_()
        _do(f, "fg_loop_swap", carry)
        count.set(count.get() + 1)
        _look(f, ints + 32, count.get())
    _do(f, "fg_loop_end", carry)
    return count.get()


def _define_grow(module: Module) -> None:
    """``fg_tape_grow(tape, each, first, length, full, status)``: a block of twice as many parts of `each` bytes, with
    `length` iterations in one. `tape` is the address of the block and how many parts it has; `full` are the words of a
    `Full`, and `first` is where an empty tape begins.
    """
    kinds = {"tape": "ptr", "each": "i64", "first": "i64", "length": "i64", "full": "ptr", "status": "ptr"}
    with module.function("fg_tape_grow", "void", **kinds) as f:
        room, most = f.load(f.tape, 8), f.load(f.full)
        doubled = f.select(room.is_(0), f.first, room * 2)
        wanted = f.select(most < doubled, most, doubled)

        def refused() -> None:
            f.store(f.load(f.full, 8) + ((room * f.length) << COUNT_BITS), f.status)

        def grow() -> None:
            larger = f.call("realloc", f.load(f.tape, 0, "ptr"), f.each * wanted + 1, returns="ptr")

            def grown() -> None:
                f.store(larger, f.tape)
                f.store(wanted, f.tape, 8)

            f.choose(larger.is_not(0), grown, refused)

        f.choose(room < wanted, grow, refused)
        f.ret()


class _Memory:
    """The block of a tape in a function: it begins empty."""

    def __init__(self, f: Function, each: Value, first: Value | int, length: Value | int, full: Value) -> None:
        self._f, self._each = f, each
        self._growth = (each, f.cast_int(first, "i64"), f.cast_int(length, "i64"), full, f.load(f.bufs, 0, "ptr"))
        self._tape = f.variable("i64", count=2).place
        f.store(0, self._tape, 0, "i64")
        f.store(0, self._tape, 8, "i64")

    @property
    def room(self) -> Value:
        return self._f.load(self._tape, 8)

    def grow(self) -> None:
        self._f.call("fg_tape_grow", self._tape, *self._growth, returns="void")

    def part(self, number: Value) -> Value:
        return self._f.load(self._tape, 0, "ptr") + number * self._each

    def free(self) -> None:
        self._f.call("free", self._f.load(self._tape, 0, "ptr"), returns="void")


def _sum_of_bytes(f: Function, rows: Value) -> Value:
    total = f.variable("i64", 0)
    with _rows(f, rows, 3) as row:
        total.set(total.get() + f.load(row, 16))
    return total.get()


def _define_pull(module: Module) -> None:
    """The tape is one block that doubles: the parts of the carry, iteration after iteration."""
    with module.function("fg_while_pull", "void", **_KERNEL) as f:
        loop = f.ints + 8
        full = loop + f.load(f.ints) * 8
        back = full + 16
        pairs = back + 16
        rows = _after(f, pairs, 2)
        carry = _after(f, rows, 3)
        each = _sum_of_bytes(f, rows)
        first = f.select(each < _LARGE, f.constant("i64", _FIRST_TAPE), f.constant("i64", 1))
        tape = _Memory(f, each, first, 1, full)

        def keep(count: Value) -> None:
            with f.if_(tape.room <= count):
                tape.grow()
            with f.if_(count < tape.room):
                place = f.variable("ptr", tape.part(count))
                with _rows(f, rows, 3) as row:
                    f.call("memcpy", place.get(), _address(f, f.load(row)), f.load(row, 16), returns="ptr")
                    place.set(place.get() + f.load(row, 16))

        count = _loop(f, loop, keep)
        _do(f, "fg_loop_pairs", pairs)
        _do(f, "fg_loop_begin", carry)
        with f.range(count) as k:
            place = f.variable("ptr", tape.part(count - 1 - k))
            with _rows(f, rows, 3) as row:
                f.store(place.get(), _slot(f, f.load(row, 8)))
                place.set(place.get() + f.load(row, 16))
            with f.if_(_run(f, back).is_not(0)):
                f.break_()
            _do(f, "fg_loop_swap", carry)
            _look(f, loop + 32, k + 1)
        _do(f, "fg_loop_end", carry)
        tape.free()
        f.ret()


def _copies(f: Function, rows: Value) -> None:
    with _rows(f, rows, 3) as row:
        f.call("memcpy", _address(f, f.load(row, 8)), _address(f, f.load(row)), f.load(row, 16), returns="ptr")


def _define_tape(module: Module) -> None:
    """The tape is one block of sections that doubles."""
    with module.function("fg_while_tape", "void", **_KERNEL) as f:
        ahead, back, poll, full = f.ints, f.ints + 16, f.ints + 32, f.ints + 48
        counter, holds, length = f.load(f.ints, 64), f.load(f.ints, 72), f.load(f.ints, 80)
        begin = f.ints + 88
        turn = _after(f, begin, 3)
        parts = _after(f, turn, 3)
        status = f.load(f.bufs, 0, "ptr")
        tape = _Memory(f, _sum_of_bytes(f, parts) * length, 1, length, full)
        sections = f.variable("i64", 0)

        def at(section: Value) -> None:
            place = f.variable("ptr", tape.part(section))
            with _rows(f, parts, 3) as row:
                f.store(place.get(), _slot(f, f.load(row)))
                place.set(place.get() + f.load(row, 16) * length)

        _copies(f, begin)
        with f.loop():
            with f.if_(sections.get().is_(tape.room)):
                tape.grow()
            with f.if_(f.load(status).is_not(0)):
                f.break_()
            at(sections.get())
            with f.if_(_run(f, ahead).is_not(0)):
                f.break_()
            sections.set(sections.get() + 1)
            with f.if_(f.load(_address(f, holds), 0, "i8").is_(0)):
                f.break_()
            _look(f, poll, sections.get())
        _copies(f, turn)
        with f.range(sections.get()) as k:
            with f.if_(f.load(status).is_not(0)):
                f.break_()
            with f.if_(k.is_not(0)):
                f.store(length, _address(f, counter))
            at(sections.get() - 1 - k)
            with f.if_(_run(f, back).is_not(0)):
                f.break_()
            _look(f, poll, k + 1)
        tape.free()
        f.ret()


def _define_cond(module: Module) -> None:
    with module.function("fg_cond", "void", **_KERNEL) as f:
        number = f.load(_address(f, f.load(f.ints)))
        branch = f.ints + f.load(f.ints, (number + 1) * 8) * 8
        _do(f, "fg_loop_pairs", branch + 16)
        _run(f, branch)
        f.ret()


def _define_apart(module: Module) -> None:
    """``fg_apart``: a kernel on a part of its range, with another table of slots, in which some buffers are others."""
    with module.function("fg_apart", "void", **_KERNEL) as f:
        size, slots = f.load(f.ints, 24), f.load(f.ints, 32) * 8
        block = f.call("malloc", size + slots + _ALIGNMENT, returns="ptr")
        with f.if_(block.is_(0)):
            f.store(f.load(f.ints, 16), f.load(f.bufs, 0, "ptr"))
            f.ret()
        memory = f.pointer((f.cast_int(block, "i64") + _ALIGNMENT - 1) & -_ALIGNMENT)
        table = memory + size
        f.call("memcpy", table, f.bufs, slots, returns="ptr")
        with _rows(f, f.ints + 40, 2) as row:
            f.store(memory + f.load(row, 8), table + f.load(row) * 8)
        f.call(f.load(f.ints, 0, "ptr"), table, f.load(f.ints, 8, "ptr"), f.first, f.last, returns="void")
        f.call("free", block, returns="void")
        f.ret()
