"""How does a formula become LLVM IR text?  Values overload Python's operators; each operation appends one line.

`Builder` holds the lines of one function and the width it computes in; `Value` is a typed name or constant.  There are
no loops, loads or library calls to be had here, so that whatever is written with it vectorises; of branches there is
one, around what few numbers need (`Builder.rarely`), in functions that loops call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from funcgrad.compile.vecmath.coefficients import COEFFICIENTS


class Format(NamedTuple):
    """A binary floating-point format: its LLVM types, bits of fraction, exponent bias, and `struct` codes."""

    name: str
    type: str
    integer: str
    width: int
    fraction: int
    bias: int
    codes: tuple[str, str]

    def bits(self, value: float) -> int:
        """The bit pattern of `value` in this format."""
        return int(struct.unpack(self.codes[1], struct.pack(self.codes[0], value))[0])

    def round(self, value: float) -> float:
        """`value` rounded to this format."""
        return float(struct.unpack(self.codes[0], struct.pack(self.codes[0], value))[0])


F4 = Format("f4", "float", "i32", 32, 23, 127, ("<f", "<I"))
F8 = Format("f8", "double", "i64", 64, 52, 1023, ("<d", "<Q"))
FORMATS = {"f4": F4, "f8": F8}
INTRINSIC_SUFFIX = {"float": "f32", "double": "f64"}
ARITHMETIC = {"+": ("fadd", "add"), "-": ("fsub", "sub"), "*": ("fmul", "mul"), "/": ("fdiv", "")}
COMPARISON = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


class Value:
    """A typed operand: the name of a result, or a constant."""

    __slots__ = ("builder", "text", "type")

    def __init__(self, builder: Builder, type: str, text: str) -> None:
        self.builder, self.type, self.text = builder, type, text

    @property
    def floating(self) -> bool:
        return self.type in INTRINSIC_SUFFIX

    def _binary(self, operation: str, other: Value | float, swapped: bool = False) -> Value:
        other = self.builder.constant(other, self.type)
        left, right = (other, self) if swapped else (self, other)
        return self.builder.emit(f"{operation} {self.type} {left.text}, {right.text}", self.type)

    def _arithmetic(self, symbol: str, other: Value | float, swapped: bool = False) -> Value:
        return self._binary(ARITHMETIC[symbol][0 if self.floating else 1], other, swapped)

    def _compare(self, condition: str, other: Value | float) -> Value:
        return self._binary(condition, other).retyped("i1")

    def _order(self, symbol: str, other: Value | float) -> Value:
        return self._compare(("fcmp o" if self.floating else "icmp s") + COMPARISON[symbol], other)

    def retyped(self, type: str) -> Value:
        return Value(self.builder, type, self.text)

    def __add__(self, other: Value | float) -> Value:
        return self._arithmetic("+", other)

    def __radd__(self, other: Value | float) -> Value:
        return self._arithmetic("+", other)

    def __sub__(self, other: Value | float) -> Value:
        return self._arithmetic("-", other)

    def __rsub__(self, other: Value | float) -> Value:
        return self._arithmetic("-", other, swapped=True)

    def __mul__(self, other: Value | float) -> Value:
        return self._arithmetic("*", other)

    def __rmul__(self, other: Value | float) -> Value:
        return self._arithmetic("*", other)

    def __truediv__(self, other: Value | float) -> Value:
        return self._arithmetic("/", other)

    def __rtruediv__(self, other: Value | float) -> Value:
        return self._arithmetic("/", other, swapped=True)

    def __neg__(self) -> Value:
        return self.builder.emit(f"fneg {self.type} {self.text}", self.type)

    def __and__(self, other: Value | float) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Value | float) -> Value:
        return self._binary("or", other)

    def __xor__(self, other: Value | float) -> Value:
        return self._binary("xor", other)

    def __lshift__(self, other: Value | float) -> Value:
        return self._binary("shl", other)

    def __rshift__(self, other: Value | float) -> Value:
        return self._binary("lshr", other)

    def __lt__(self, other: Value | float) -> Value:
        return self._order("<", other)

    def __le__(self, other: Value | float) -> Value:
        return self._order("<=", other)

    def __gt__(self, other: Value | float) -> Value:
        return self._order(">", other)

    def __ge__(self, other: Value | float) -> Value:
        return self._order(">=", other)

    def not_below(self, other: Value | float) -> Value:
        """Not smaller; true where either is NaN."""
        return self._compare("fcmp uge", other)

    def not_above(self, other: Value | float) -> Value:
        """Not larger; true where either is NaN."""
        return self._compare("fcmp ule", other)

    def equals(self, other: Value | float) -> Value:
        """Equality; false where either is NaN."""
        return self._compare("fcmp oeq" if self.floating else "icmp eq", other)

    def differs(self, other: Value | float) -> Value:
        """Inequality; true where either is NaN."""
        return self._compare("fcmp une" if self.floating else "icmp ne", other)


class Rare(NamedTuple):
    """Lines that few numbers need.

    Attributes
    ----------
    start, stop
        They begin at one; from the other one on, lines choose between their results and the usual ones.
    condition, usual
        The name of what says which numbers need them, and of what the others are the types and names.
    """

    start: int
    stop: int
    condition: str
    usual: tuple[tuple[str, str], ...]


class Builder:
    """The lines of one function, which computes in `format`; `fma` says whether the target has the instruction.

    `precision` names the coefficients to use: the format's own, or ``wide`` for a float result computed in double.
    """

    def __init__(self, format: Format, fma: bool = True) -> None:
        self.format, self.precision, self.has_fma = format, format.name, fma
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.rare: list[Rare] = []

    def emit(self, instruction: str, type: str) -> Value:
        """Append `%name = instruction`; return its value."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return Value(self, type, name)

    def wide(self) -> Builder:
        """The same lines, computing in double to a float's precision."""
        other = Builder(F8, self.has_fma)
        other.precision, other.lines, other.declarations = "wide", self.lines, self.declarations
        other.rare = self.rare
        return other

    @property
    def single(self) -> bool:
        """Whether this computes in float."""
        return self.format is F4

    # operands -------------------------------------------------------------------------------------------------------

    def constant(self, value: Value | float, type: str | None = None) -> Value:
        """`value` as an operand; a float is rounded to `type`, by default the format's."""
        if isinstance(value, Value):
            return value
        type = type or self.format.type
        if type in INTRINSIC_SUFFIX:
            rounded = F4.round(value) if type == "float" else float(value)
            return Value(self, type, f"0x{F8.bits(rounded):016X}")
        return Value(self, type, str(value))

    def integer(self, value: int) -> Value:
        """An integer constant as wide as the format."""
        return self.constant(value, self.format.integer)

    # conversions ----------------------------------------------------------------------------------------------------

    def bits(self, x: Value) -> Value:
        """The bit pattern of a float."""
        return self.emit(f"bitcast {self.format.type} {x.text} to {self.format.integer}", self.format.integer)

    def from_bits(self, i: Value) -> Value:
        """The float with this bit pattern."""
        return self.emit(f"bitcast {self.format.integer} {i.text} to {self.format.type}", self.format.type)

    def from_natural(self, i: Value) -> Value:
        """An integer 0 <= i < 2**fraction as a float; AVX2 has no conversion for 64-bit integers, hence the detour."""
        magic = 2.0**self.format.fraction
        return self.from_bits(i | self.format.bits(magic)) - magic

    def widen(self, x: Value) -> Value:
        """A float as a double."""
        return self.emit(f"fpext float {x.text} to double", "double")

    def narrow(self, x: Value) -> Value:
        """A double as a float."""
        return self.emit(f"fptrunc double {x.text} to float", "float")

    # functions ------------------------------------------------------------------------------------------------------

    def intrinsic(self, name: str, *operands: Value) -> Value:
        """A call of `llvm.<name>`, one that is an instruction on every target."""
        type = self.format.type
        symbol = f"@llvm.{name}.{INTRINSIC_SUFFIX[type]}"
        self.declarations.add(f"declare {type} {symbol}({', '.join([type] * len(operands))})")
        return self.emit(f"call {type} {symbol}({', '.join(f'{type} {o.text}' for o in operands)})", type)

    def fma(self, a: Value | float, b: Value | float, c: Value | float) -> Value:
        """a*b + c, rounded once where the target can."""
        a, b, c = self.constant(a), self.constant(b), self.constant(c)
        return self.intrinsic("fma", a, b, c) if self.has_fma else a * b + c

    def select(self, condition: Value, yes: Value | float, no: Value | float) -> Value:
        """`yes` where the condition holds, else `no`."""
        type = next((o.type for o in (yes, no) if isinstance(o, Value)), self.format.type)
        yes, no = self.constant(yes, type), self.constant(no, type)
        return self.emit(f"select i1 {condition.text}, {type} {yes.text}, {type} {no.text}", type)

    def rarely(
        self, condition: Value, formula: Callable[[], tuple[Value, ...]], usual: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        """What a formula gives where the condition holds, else `usual`, which may be anything there.

        One number, or a vector of them, that does not need the formula skips it. There is no such formula in another.
        """
        start, found = len(self.lines), formula()
        stop = len(self.lines)
        results = tuple(self.select(condition, yes, no) for yes, no in zip(found, usual, strict=True))
        self.rare.append(Rare(start, stop, condition.text, tuple((value.type, value.text) for value in usual)))
        return results

    def abs(self, x: Value) -> Value:
        return self.intrinsic("fabs", x)

    def sqrt(self, x: Value) -> Value:
        return self.intrinsic("sqrt", x)

    def copysign(self, magnitude: Value, sign: Value) -> Value:
        return self.intrinsic("copysign", magnitude, sign)

    def with_sign(self, result: Value, x: Value) -> Value:
        """`result`, made negative where `x` is; cheaper than `copysign`, for results that are negative nowhere else."""
        sign = self.bits(x) & -(1 << (self.format.width - 1))
        return self.from_bits(self.bits(result) | sign)

    def at_most(self, x: Value, bound: Value | float) -> Value:
        """min(x, bound), where NaN stays NaN."""
        return self.select(x > bound, bound, x)

    def at_least(self, x: Value, bound: Value | float) -> Value:
        """max(x, bound), where NaN stays NaN."""
        return self.select(x < bound, bound, x)

    def polynomial(self, x: Value, name: str) -> Value:
        """The polynomial of this name, as `coefficients` has it for the precision in use."""
        return self.sum_of_powers(x, COEFFICIENTS[name, self.precision])

    def sum_of_powers(self, x: Value, coefficients: Sequence[float]) -> Value:
        """The sum of coefficients[i] * x**i, by Estrin's scheme down to five terms, then Horner's.

        What bounds a loop is how many of its iterations the CPU's scheduler holds at once, so that a short chain of
        dependences pays for a few more multiplications.
        """
        terms: list[Value | float] = list(coefficients)
        while len(terms) > 5:
            pairs = zip(terms[::2], terms[1::2], strict=False)
            odd_one = terms[-1:] if len(terms) % 2 else []
            terms = [*(self.fma(high, x, low) for low, high in pairs), *odd_one]
            x = x * x
        result = self.constant(terms[-1])
        for term in reversed(terms[:-1]):
            result = self.fma(result, x, term)
        return result

    # exact arithmetic: the rounded result and its rounding error ----------------------------------------------------

    def sum2(self, a: Value | float, b: Value | float) -> tuple[Value, Value]:
        """a + b exactly (Knuth)."""
        a, b = self.constant(a), self.constant(b)
        s = a + b
        t = s - a
        return s, (a - (s - t)) + (b - t)

    def sum2_ordered(self, a: Value | float, b: Value | float) -> tuple[Value, Value]:
        """a + b exactly, for |a| >= |b| or a = 0 (Dekker)."""
        a, b = self.constant(a), self.constant(b)
        s = a + b
        return s, b - (s - a)

    def product2(self, a: Value | float, b: Value | float) -> tuple[Value, Value]:
        """a * b exactly; without fma by halves of the significands (Veltkamp's idea, cut by masking bits)."""
        a, b = self.constant(a), self.constant(b)
        p = a * b
        if self.has_fma:
            return p, self.fma(a, b, -p)
        a_high, b_high = self.upper_half(a), self.upper_half(b)
        a_low, b_low = a - a_high, b - b_high
        return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low

    def upper_half(self, x: Value) -> Value:
        """`x` with the lower half of its significand cleared."""
        half = (self.format.fraction + 2) // 2
        return self.from_bits(self.bits(x) & -(1 << half))

    # powers of two --------------------------------------------------------------------------------------------------

    def nearest(self, x: Value, scale: Value | float = 1.0, offset: int = 0) -> tuple[Value, Value]:
        """The integer n nearest to x*scale, below 2**(fraction-2), as a float; and n + offset in an int's low bits."""
        magic = 1.5 * 2.0**self.format.fraction + offset
        shifted = self.fma(x, scale, magic) if scale != 1.0 else x + magic
        return shifted - magic, self.bits(shifted)

    def power_of_two(self, k: Value) -> Value:
        """2**n, for n + bias in the low bits of k; the result must be a normal number."""
        return self.from_bits(k << self.format.fraction)

    def halves(self, k: Value) -> tuple[Value, Value]:
        """Two numbers whose product is 2**n, which may be out of range, for n + 2*bias in the low bits of k."""
        fraction = self.format.fraction
        doubled = k << (fraction - 1)
        half = doubled & -(1 << fraction)
        return self.from_bits(half), self.from_bits((doubled + doubled) - half)

    def scale(self, x: Value, k: Value, vanishes: Value) -> Value:
        """x * 2**n, through overflow and gradual underflow, for n + 2*bias in the low bits of k.

        `vanishes`: where it is 0. That is not left to the product: one that underflows takes Intel's CPUs 150 cycles.
        """
        first, second = self.halves(k)
        return self.select(vanishes, 0.0, x) * first * second
