"""What does each scalar instruction become in LLVM IR?  One table: `EMITTERS`.

An emitter gets the printer, the result's dtype, the operands' dtypes and names, and the floating-point licence
(``"reassoc "`` or nothing); it appends instructions and returns the name of the result.  The meaning of every name is
the one in `lower.scalar`.  Half precision is computed in single precision, each instruction rounded back.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class _Types(dict[str, str]):
    """The names of types; those of vectors (`vector_of`) follow from them."""

    def __init__(self, names: Mapping[str, str], vector: str) -> None:
        super().__init__(names)
        self.vector = vector

    def __missing__(self, dtype: str) -> str:
        scalar, width = dtype.split("x")
        self[dtype] = name = self.vector.format(width, self[scalar])
        return name


_SCALARS = {
    "b1": "i1",
    **{f"{kind}{size}": f"i{8 * size}" for kind in "iu" for size in (1, 2, 4, 8)},
    "f2": "half",
    "f4": "float",
    "f8": "double",
}
TYPES = _Types(_SCALARS, "<{} x {}>")
MEMORY = {"b1": "i8"}  # where the type in memory is another one than in a register
MANGLED = _Types(_SCALARS | {"f2": "f16", "f4": "f32", "f8": "f64"}, "v{}{}")  # in the names of intrinsics


class Printer(Protocol):
    """What emitters need of `llvm._Printer`."""

    def emit(self, text: str) -> str:
        """Append an instruction that yields a value; its name."""

    def call(self, intrinsic: str, result: str, *arguments: str) -> str:
        """Append a call of an intrinsic; the name of its result."""


Emitter = Callable[[Printer, str, Sequence[str], Sequence[str], str], str]


def vector_of(dtype: str, width: int) -> str:
    """The type of a vector of `width` numbers."""
    return f"{dtype}x{width}"


def size_of(dtype: str) -> int:
    """The bytes of one element of `dtype` in memory."""
    return int(dtype[1:])


def literal(value: bool | int | float, dtype: str) -> str:
    """A constant of `dtype`, exactly: integers wrap, floats are rounded once and written as their bits."""
    if dtype == "b1":
        return "true" if value else "false"
    if dtype[0] in "iu":
        bits = 8 * size_of(dtype)
        return str((int(value) + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1))
    if dtype == "f2":
        return f"0xH{_pack('e', value).hex().upper()}"
    if dtype == "f4":  # LLVM writes a float as the double of the same value
        value = struct.unpack(">f", _pack("f", value))[0]
    return f"0x{_pack('d', value).hex().upper()}"


def _pack(code: str, value: float) -> bytes:
    try:
        return struct.pack(f">{code}", value)
    except OverflowError:  # rounds to infinity
        return struct.pack(f">{code}", float("inf") if value > 0 else float("-inf"))


def _widened(emit: Callable[[Printer, str, Sequence[str], str], str]) -> Emitter:
    """An instruction on floats: ``half`` operands are widened to ``float``, and a ``half`` result is rounded back."""

    def emitter(p: Printer, result: str, dtypes: Sequence[str], operands: Sequence[str], licence: str) -> str:
        if dtypes[-1] != "f2":
            return emit(p, dtypes[-1], operands, licence)
        wide = emit(p, "f4", [p.emit(f"fpext half {operand} to float") for operand in operands], licence)
        return p.emit(f"fptrunc float {wide} to half") if result == "f2" else wide

    return emitter


def _float(instruction: str) -> Emitter:
    """An instruction on one or two floats, such as ``fadd``."""
    return _widened(lambda p, t, xs, licence: p.emit(f"{instruction} {licence}{TYPES[t]} {', '.join(xs)}"))


def _intrinsic(name: str) -> Emitter:
    """An intrinsic on floats, such as ``floor``."""
    return _widened(lambda p, t, xs, _: p.call(f"llvm.{name}.{MANGLED[t]}", TYPES[t], *(f"{TYPES[t]} {x}" for x in xs)))


def _integer(instruction: str) -> Emitter:
    return lambda p, _, ts, xs, __: p.emit(f"{instruction} {TYPES[ts[-1]]} {', '.join(xs)}")


def _integer_intrinsic(name: str, *constants: str) -> Emitter:
    def emitter(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
        kind = TYPES[dtypes[-1]]
        return p.call(
            f"llvm.{name}.{MANGLED[dtypes[-1]]}", kind, *(f"{kind} {operand}" for operand in operands), *constants
        )

    return emitter


def _same(_: Printer, __: str, ___: Sequence[str], operands: Sequence[str], ____: str) -> str:
    return operands[0]


def _by_kind(**kinds: Emitter) -> Emitter:
    """Choose by the kind of the last operand: ``f``, ``i``, ``u`` or ``b``."""
    return lambda p, result, ts, xs, licence: kinds[ts[-1][0]](p, result, ts, xs, licence)


def _everywhere(integer: Emitter, floating: Emitter) -> Emitter:
    return _by_kind(f=floating, i=integer, u=integer, b=integer)


def _comparison(signed: str, unsigned: str, floating: str) -> Emitter:
    return _by_kind(
        f=_float(f"fcmp {floating}"),
        i=_integer(f"icmp {signed}"),
        u=_integer(f"icmp {unsigned}"),
        b=_integer(f"icmp {unsigned}"),
    )


def _divide(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
    """The integer quotient: a division by 0 or -1, which may trap, is done by 1 and its result replaced."""
    (a, b), kind, signed = operands, TYPES[dtypes[-1]], dtypes[-1][0] == "i"
    by_zero = p.emit(f"icmp eq {kind} {b}, 0")
    if not signed:
        safe = p.emit(f"select i1 {by_zero}, {kind} 1, {kind} {b}")
        return p.emit(f"select i1 {by_zero}, {kind} -1, {kind} {p.emit(f'udiv {kind} {a}, {safe}')}")
    by_minus_one = p.emit(f"icmp eq {kind} {b}, -1")
    special = p.emit(f"or i1 {by_zero}, {by_minus_one}")
    safe = p.emit(f"select i1 {special}, {kind} 1, {kind} {b}")
    quotient = p.emit(f"sdiv {kind} {a}, {safe}")
    quotient = p.emit(f"select i1 {by_minus_one}, {kind} {p.emit(f'sub {kind} 0, {a}')}, {kind} {quotient}")
    return p.emit(f"select i1 {by_zero}, {kind} -1, {kind} {quotient}")


def _modulo(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
    """The integer remainder: of a division by 0 the dividend, of one by -1 (which may trap) 0, as of one by 1."""
    (a, b), kind, signed = operands, TYPES[dtypes[-1]], dtypes[-1][0] == "i"
    by_zero = p.emit(f"icmp eq {kind} {b}, 0")
    special = p.emit(f"or i1 {by_zero}, {p.emit(f'icmp eq {kind} {b}, -1')}") if signed else by_zero
    safe = p.emit(f"select i1 {special}, {kind} 1, {kind} {b}")
    remainder = p.emit(f"{'srem' if signed else 'urem'} {kind} {a}, {safe}")
    return p.emit(f"select i1 {by_zero}, {kind} {a}, {kind} {remainder}")


def _float_quotient(p: Printer, dtype: str, operands: Sequence[str], _: str) -> str:
    kind, (a, b) = TYPES[dtype], operands
    return p.call(f"llvm.trunc.{MANGLED[dtype]}", kind, f"{kind} {p.emit(f'fdiv {kind} {a}, {b}')}")


def _select(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
    dtype, (condition, *values) = dtypes[-1], operands
    kind = TYPES[dtype]
    # Of a maximum of what is -inf under a mask LLVM makes a maximum under the mask, which it cannot vectorise.
    if dtype in ("f4", "f8"):
        infinite = {literal(sign * math.inf, dtype) for sign in (-1, 1)}
        fence = f"llvm.arithmetic.fence.{MANGLED[dtype]}"
        values = [p.call(fence, kind, f"{kind} {x}") if x in infinite else x for x in values]
    a, b = values
    return p.emit(f"select {TYPES[dtypes[0]]} {condition}, {kind} {a}, {kind} {b}")


def _logical_shift(instruction: str) -> Emitter:
    """A shift that gives 0 from the width on, where LLVM's is undefined."""

    def emitter(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
        (a, count), kind, width = operands, TYPES[dtypes[-1]], 8 * size_of(dtypes[-1])
        within = p.emit(f"icmp ult {kind} {count}, {width}")
        safe = p.emit(f"select i1 {within}, {kind} {count}, {kind} 0")
        return p.emit(f"select i1 {within}, {kind} {p.emit(f'{instruction} {kind} {a}, {safe}')}, {kind} 0")

    return emitter


def _arithmetic_shift(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
    """A shift by at most the width less one, which leaves nothing but the sign."""
    (a, count), kind, most = operands, TYPES[dtypes[-1]], 8 * size_of(dtypes[-1]) - 1
    within = p.emit(f"icmp ult {kind} {count}, {most}")
    return p.emit(f"ashr {kind} {a}, {p.emit(f'select i1 {within}, {kind} {count}, {kind} {most}')}")


def _cast(p: Printer, result: str, dtypes: Sequence[str], operands: Sequence[str], _: str) -> str:
    source, (value,) = dtypes[0], operands
    if source == result:
        return value
    return _CASTS["f" if source[0] == "f" else "i", "f" if result[0] == "f" else result[0]](p, source, result, value)


def _integer_to_float(p: Printer, source: str, result: str, value: str) -> str:
    convert = "sitofp" if source[0] == "i" else "uitofp"
    wide = p.emit(f"{convert} {TYPES[source]} {value} to {TYPES['f4' if result == 'f2' else result]}")
    return p.emit(f"fptrunc float {wide} to half") if result == "f2" else wide


def _float_to_float(p: Printer, source: str, result: str, value: str) -> str:
    if (source, result) == ("f8", "f2"):
        return _double_to_half(p, value)
    return p.emit(f"{'fpext' if source < result else 'fptrunc'} {TYPES[source]} {value} to {TYPES[result]}")


def _double_to_half(p: Printer, value: str) -> str:
    """Round to single precision, towards an odd last bit, then to half: rounding twice to nearest may be wrong.

    S. Boldo, G. Melquiond, "When double rounding is odd", IMACS 2005.  (LLVM would call a library function.)
    """
    nearest = p.emit(f"fptrunc double {value} to float")
    back = p.emit(f"fpext float {nearest} to double")
    inexact = p.emit(f"fcmp one double {back}, {value}")
    sizes = [p.call("llvm.fabs.f64", "double", f"double {x}") for x in (back, value)]
    grew = p.emit(f"fcmp ogt double {sizes[0]}, {sizes[1]}")
    bits = p.emit(f"bitcast float {nearest} to i32")
    toward_zero = p.emit(f"sub i32 {bits}, {p.emit(f'zext i1 {grew} to i32')}")
    odd = p.emit(f"or i32 {toward_zero}, {p.emit(f'zext i1 {inexact} to i32')}")
    return p.emit(f"fptrunc float {p.emit(f'bitcast i32 {odd} to float')} to half")


def _float_to_integer(p: Printer, source: str, result: str, value: str) -> str:
    if source == "f2":
        source, value = "f4", p.emit(f"fpext half {value} to float")
    name = f"llvm.fpto{'s' if result[0] == 'i' else 'u'}i.sat.{TYPES[result]}.{MANGLED[source]}"
    return p.call(name, TYPES[result], f"{TYPES[source]} {value}")


def _float_to_bool(p: Printer, source: str, _: str, value: str) -> str:
    return p.emit(f"fcmp une {TYPES[source]} {value}, {literal(0.0, source)}")


def _integer_to_bool(p: Printer, source: str, _: str, value: str) -> str:
    return p.emit(f"icmp ne {TYPES[source]} {value}, 0")


def _integer_to_integer(p: Printer, source: str, result: str, value: str) -> str:
    if source != "b1" and size_of(source) == size_of(result):
        return value
    widen = "sext" if source[0] == "i" else "zext"
    convert = widen if source == "b1" or size_of(source) < size_of(result) else "trunc"
    return p.emit(f"{convert} {TYPES[source]} {value} to {TYPES[result]}")


_CASTS: dict[tuple[str, str], Callable[[Printer, str, str, str], str]] = {
    ("f", "f"): _float_to_float,
    ("f", "i"): _float_to_integer,
    ("f", "u"): _float_to_integer,
    ("f", "b"): _float_to_bool,
    ("i", "f"): _integer_to_float,
    ("i", "i"): _integer_to_integer,
    ("i", "u"): _integer_to_integer,
    ("i", "b"): _integer_to_bool,
}


def _bitcast(p: Printer, result: str, dtypes: Sequence[str], operands: Sequence[str], _: str) -> str:
    source, (value,) = dtypes[0], operands
    if TYPES[source] == TYPES[result]:
        return value
    if "b1" in (source, result):
        return _CASTS["i", "b" if result == "b1" else "i"](p, source, result, value)
    return p.emit(f"bitcast {TYPES[source]} {value} to {TYPES[result]}")


def _negate(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
    return p.emit(f"sub {TYPES[dtypes[0]]} 0, {operands[0]}")


def _complement(p: Printer, _: str, dtypes: Sequence[str], operands: Sequence[str], __: str) -> str:
    return p.emit(f"xor {TYPES[dtypes[0]]} {operands[0]}, {'true' if dtypes[0] == 'b1' else -1}")


def _rounding(name: str) -> Emitter:
    return _everywhere(_same, _intrinsic(name))


EMITTERS: dict[str, Emitter] = {
    "add": _by_kind(f=_float("fadd"), i=_integer("add"), u=_integer("add"), b=_integer("or")),
    "sub": _by_kind(f=_float("fsub"), i=_integer("sub"), u=_integer("sub"), b=_integer("xor")),
    "mul": _by_kind(f=_float("fmul"), i=_integer("mul"), u=_integer("mul"), b=_integer("and")),
    "div": _by_kind(f=_float("fdiv")),
    "fma": _by_kind(f=_intrinsic("fma")),
    "quotient": _by_kind(f=_widened(_float_quotient), i=_divide, u=_divide),
    "remainder": _by_kind(f=_float("frem"), i=_modulo, u=_modulo),
    "neg": _everywhere(_negate, _float("fneg")),
    "abs": _by_kind(f=_intrinsic("fabs"), i=_integer_intrinsic("abs", "i1 false"), u=_same, b=_same),
    "max": _by_kind(
        f=_intrinsic("maximum"), i=_integer_intrinsic("smax"), u=_integer_intrinsic("umax"), b=_integer("or")
    ),
    "min": _by_kind(
        f=_intrinsic("minimum"), i=_integer_intrinsic("smin"), u=_integer_intrinsic("umin"), b=_integer("and")
    ),
    "sqrt": _by_kind(f=_intrinsic("sqrt")),
    "floor": _rounding("floor"),
    "ceil": _rounding("ceil"),
    "rint": _rounding("rint"),
    "trunc": _rounding("trunc"),
    "copysign": _by_kind(f=_intrinsic("copysign")),
    "eq": _comparison("eq", "eq", "oeq"),
    "ne": _comparison("ne", "ne", "une"),
    "lt": _comparison("slt", "ult", "olt"),
    "le": _comparison("sle", "ule", "ole"),
    "gt": _comparison("sgt", "ugt", "ogt"),
    "ge": _comparison("sge", "uge", "oge"),
    "select": _select,
    "and": _integer("and"),
    "or": _integer("or"),
    "xor": _integer("xor"),
    "not": _complement,
    "shl": _logical_shift("shl"),
    "shr": _by_kind(i=_arithmetic_shift, u=_logical_shift("lshr")),
    "popcount": _integer_intrinsic("ctpop"),
    "cast": _cast,
    "bitcast": _bitcast,
}
