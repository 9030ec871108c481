"""How is code for whole vector registers written?  By `Vectors`: loads, stores, broadcasts and sums of products."""

from __future__ import annotations

from funcgrad.compile import cpus
from funcgrad.compile.native.text import Function, Module, Value

REALS = {"f4": ("float", 4, "f32"), "f8": ("double", 8, "f64")}
"""dtype: (LLVM's type, bytes, what intrinsics call it)."""

VECTORS = 2  # of numbers side by side in a tile


def lanes(dtype: str) -> int:
    """How many numbers a vector of this CPU has."""
    features = cpus.features()
    width = 64 if "+avx512f" in features else 32 if "+avx" in features else 16
    return width // REALS[dtype][1]


def tiles() -> tuple[int, ...]:
    """How many sums of `VECTORS` vectors tiles have: those of the largest fill the registers but four."""
    return (14, 8, 4, 2, 1) if "+avx512f" in cpus.features() else (6, 4, 2, 1)


class Vectors:
    """Code for vectors of ``"f4"`` or ``"f8"``, in functions of a module."""

    def __init__(self, module: Module, dtype: str) -> None:
        self.module, self.dtype = module, dtype
        self.real, self.size, self.suffix = REALS[dtype]
        self.lanes = lanes(dtype)
        self.vector = f"<{self.lanes} x {self.real}>"

    def zero(self, f: Function) -> Value:
        return f.constant(self.vector, "zeroinitializer")

    def load(self, f: Function, place: Value) -> Value:
        return f.emit(self.vector, f"load {self.vector}, {place}, align {self.size}")

    def store(self, f: Function, value: Value, place: Value) -> None:
        f.emit("void", f"store {value}, {place}, align {self.size}")

    def element(self, f: Function, base: Value, index: Value | int) -> Value:
        """The address of a number behind another."""
        return base + f.cast_int(index, "i64") * self.size

    def broadcast(self, f: Function, number: Value) -> Value:
        return f.repeated(number, self.lanes)

    def fma(self, f: Function, x: Value, y: Value, z: Value) -> Value:
        return f.call(f"llvm.fmuladd.v{self.lanes}{self.suffix}", x, y, z, returns=self.vector)

    def least(self, f: Function, a: Value, b: Value | int) -> Value:
        """The smaller one of two sizes."""
        b = b if isinstance(b, Value) else f.constant("i64", b)
        return f.select(a < b, a, b)

    # Vectors of which some numbers are not there ----------------------------------------------------------------------

    def masks(self, f: Function, columns: Value) -> list[Value]:
        """For each vector of a tile's row, which of its numbers are among so many columns."""
        numbers = ", ".join(f"i32 {k}" for k in range(self.lanes))
        found = []
        for v in range(VECTORS):
            left = f.cast_int(columns - v * self.lanes, "i32")
            found.append(f.emit(f"<{self.lanes} x i1>", f"icmp sgt {f.repeated(left, self.lanes)}, <{numbers}>"))
        return found

    def load_some(self, f: Function, place: Value, mask: Value) -> Value:
        """A vector, with zeros where the mask has."""
        align = f.constant("i32", self.size)
        intrinsic = f"llvm.masked.load.v{self.lanes}{self.suffix}.p0"
        return f.call(intrinsic, place, align, mask, self.zero(f), returns=self.vector)

    def store_some(self, f: Function, value: Value, place: Value, mask: Value) -> None:
        align = f.constant("i32", self.size)
        f.call(f"llvm.masked.store.v{self.lanes}{self.suffix}.p0", value, place, align, mask, returns="void")
