"""What sorts where there is no NumPy?  Heapsort (Williams 1964), in place and without memory of its own."""

from __future__ import annotations

from funcgrad.compile.native.text import Function, Module, Value

_FLOATS = {2: "half", 4: "float", 8: "double"}


def define(module: Module, name: str) -> None:
    """Define ``name(first, count, unused)``, where the name ends in a dtype's kind and size, as in ``fg_sort_f8``."""
    kind, size = name.removeprefix("fg_sort_")[0], int(name[-1])
    element = _FLOATS[size] if kind == "f" else f"i{8 * size}"
    sift = f"{name}_sift"
    with module.function(sift, "void", first="ptr", root="i64", count="i64") as f:
        place = f.variable("i64", f.root)
        x = f.load(f.first + f.root * size, 0, element)
        with f.loop():
            child = f.variable("i64", place.get() * 2 + 1)
            with f.if_(child.get() >= f.count):
                f.break_()
            left = f.load(f.first + child.get() * size, 0, element)
            with f.if_(child.get() + 1 < f.count):
                right = f.load(f.first + (child.get() + 1) * size, 0, element)
                with f.if_(_less(f, kind, left, right)):
                    child.set(child.get() + 1)
            larger = f.load(f.first + child.get() * size, 0, element)
            with f.if_(_less(f, kind, x, larger).is_(0)):
                f.break_()
            f.store(larger, f.first + place.get() * size)
            place.set(child.get())
        f.store(x, f.first + place.get() * size)
        f.ret()
    with module.function(name, "i32", first="ptr", count="i64", unused="ptr") as f:
        half = f.count // 2
        with f.range(half) as k:
            f.call(sift, f.first, half - 1 - k, f.count, returns="void")
        with f.range(f.count - 1) as k:
            last = f.count - 1 - k
            end = f.first + last * size
            smallest, largest = f.load(end, 0, element), f.load(f.first, 0, element)
            f.store(largest, end)
            f.store(smallest, f.first)
            f.call(sift, f.first, f.constant("i64", 0), last, returns="void")
        f.ret(0)


def _less(f: Function, kind: str, x: Value, y: Value) -> Value:
    """Whether x comes before y; NaN comes last."""
    if kind != "f":
        return f.emit("i1", f"icmp {'slt' if kind == 'i' else 'ult'} {x}, {y.name}")
    number = f.emit("i1", f"fcmp ord {x}, {x.name}")
    return f.emit("i1", f"fcmp ult {x}, {y.name}") & number
