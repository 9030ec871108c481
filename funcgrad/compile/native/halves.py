"""How is a line of real numbers transformed?  As one of half as many complex ones, whose spectrum is taken apart.

With Z the transform of the h numbers x[2 j] + i x[2 j + 1], the spectrum of x is E + D, where 2 E = Z[k] + Z'[h - k],
2 D = -i w^k (Z[k] - Z'[h - k]), w is the root of 2 h and ' the conjugate.  The same with conjugate roots makes Z of a
half spectrum.  Vectors begin at the second number; the last one overlaps the one before.

The integers of ``fg_fourier_halves_f4`` are those of `fourier.Parameter`: `ROWS` is h, `COLUMNS` how many pieces a line
has, `COARSE` are roots of where vectors begin, `FINE` those of one vector.  Its range is that of pieces of all lines.
"""

from __future__ import annotations

from funcgrad.compile.native.fourier import Fourier, Pair, Parameter
from funcgrad.compile.native.text import Function, Module, Value


def define(module: Module, dtype: str) -> None:
    """Define the kernel."""
    halves = Halves(module, dtype)
    kinds = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
    with module.function(halves.name("halves"), "void", **kinds) as f:
        with f.range(f.last - f.first) as step:
            halves.piece(f, f.first + step)
        f.ret()


class Halves(Fourier):
    """The functions of a module, for complex numbers of two ``"f4"`` or ``"f8"``."""

    def piece(self, f: Function, number: Value) -> None:
        """A piece of a line."""
        size, pieces = self._word(f, Parameter.ROWS), self._word(f, Parameter.COLUMNS)
        line, piece = self._split(number, pieces)
        inverse = self._word(f, Parameter.INVERSE)
        x = self._buffer(f, Parameter.SLOT_X) + line * (size + inverse) * self.pair
        out = self._buffer(f, Parameter.SLOT_OUT) + line * (size + 1 - inverse) * self.pair
        with f.if_(piece.is_(0)):
            self._ends(f, size, inverse, x, out)
        coarse, fine = (f.load(f.ints, 8 * p, "ptr") for p in (Parameter.COARSE, Parameter.FINE))
        first_roots = self.pair_at(f, fine)
        sign = f.select(inverse.is_(0), f.constant(self.real, "0.5"), f.constant(self.real, "-0.5"))
        half, sign = self.broadcast(f, f.constant(self.real, "0.5")), self.broadcast(f, sign)
        vectors = size // self.lanes
        share = (vectors + pieces - 1) // pieces
        left = self.least(f, vectors - piece * share, share)
        with f.range(left) as step:
            vector = piece * share + step
            first = self.least(f, vector * self.lanes + 1, size - self.lanes)
            forward = self._numbers_at(f, x + first * self.pair)
            place = x + (size - self.lanes + 1 - first) * self.pair
            real, imaginary = (self._backward(f, part) for part in self._numbers_at(f, place))
            backward = real, f.emit(self.vector, f"fneg {imaginary}")
            real, imaginary = self.times(f, first_roots, self.number_at(f, coarse + vector * self.pair))
            roots = self.op(f, "fmul", real, half), self.op(f, "fmul", imaginary, sign)
            turned = self.times(f, self.sub(f, forward, backward), roots)
            total = self.add(f, forward, backward)
            real, imaginary = (self.fma(f, t, half, d) for t, d in zip(total, turned, strict=True))
            self.interleave(f, (real, imaginary), out + first * self.pair)

    def _ends(self, f: Function, size: Value, inverse: Value, x: Value, out: Value) -> None:
        """The first number, and the last of a half spectrum: both are real."""
        kind, end = self.real, size * self.pair

        def apart(a: Value, b: Value) -> tuple[Value, Value]:
            return f.emit(kind, f"fadd {a}, {b.name}"), f.emit(kind, f"fsub {a}, {b.name}")

        def forward() -> None:
            both = apart(f.load(x, 0, kind), f.load(x, self.size, kind))
            for value, place in zip(both, (out, out + end), strict=True):
                f.store(value, place)
                f.store(f.constant(kind, "0.0"), place + self.size)

        def backward() -> None:
            both = apart(f.load(x, 0, kind), f.load(x + end, 0, kind))
            for k, value in enumerate(both):
                f.store(f.emit(kind, f"fmul {value}, 0.5"), out + k * self.size)

        f.choose(inverse.is_(0), forward, backward)

    def _numbers_at(self, f: Function, place: Value) -> Pair:
        """Complex numbers, taken apart."""
        return self.taken_apart(f, self.pair_at(f, place))

    def _backward(self, f: Function, x: Value) -> Value:
        return self.shuffled(f, x, x, list(range(self.lanes))[::-1])
