"""What does a kernel call for exp, sin, pow and the rest?  Functions in LLVM IR that LLVM inlines and vectorises.

Every function of one number is straight-line code without loads or library calls, so that a loop that calls it becomes
vector code on any target; those that branch around what few numbers need are called by loops, in versions for several
numbers.  Errors stay below 2 units in the last place, subnormal numbers included; special values are those of C99's
Annex F.  Half precision is computed in float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from funcgrad.compile.vecmath import (
    bessel,
    error_function,
    exponential,
    gamma,
    hyperbolic,
    inverse,
    inverse_error,
    logarithm,
    power,
    trigonometric,
)
from funcgrad.compile.vecmath.builder import FORMATS, Builder, Value
from funcgrad.compile.vecmath.lanes import branched, vector, widened

FUNCTIONS: dict[str, Callable[..., Value]] = {
    **exponential.FUNCTIONS,
    **logarithm.FUNCTIONS,
    **hyperbolic.FUNCTIONS,
    **trigonometric.FUNCTIONS,
    **inverse.FUNCTIONS,
    **error_function.FUNCTIONS,
    **power.FUNCTIONS,
}
SPECIAL: dict[str, Callable[..., Value]] = {  # these stay below 8 units where they are not near a zero
    **gamma.FUNCTIONS,
    **inverse_error.FUNCTIONS,
    **bessel.FUNCTIONS,
}
PAIRS: dict[str, Callable[..., tuple[Value, ...]]] = trigonometric.PAIRS  # two results that share most of their work
BINARY = frozenset({"pow", "arctan2"})
KEPT = "llvm.compiler.used"  # what LLVM keeps though nothing seems to use it
_PURE = "nounwind willreturn memory(none)"
_COPIED = ("internal", f"alwaysinline {_PURE}")
LINKAGE = "linkonce_odr hidden"  # of functions that are called: of what is internal LLVM may change the parameters
_APART = (LINKAGE, f"noinline {_PURE}")


class Variant(NamedTuple):
    """A function for several numbers at a time.

    Attributes
    ----------
    name, dtype
        The function.
    lanes
        How many numbers.
    """

    name: str
    dtype: str
    lanes: int

    @property
    def symbol(self) -> str:
        """Its name in LLVM IR, such as ``@fg.exp.f4.v8``."""
        return f"{symbol(self.name, self.dtype)}.v{self.lanes}"

    @property
    def mangled(self) -> str:
        """LLVM's name for what it stands for: as many calls of the function for one number."""
        one, operands = symbol(self.name, self.dtype)[1:], "v" * len(_parameters(self.name))
        return f"_ZGV_LLVM_N{self.lanes}{operands}_{one}({self.symbol[1:]})"


def symbol(name: str, dtype: str) -> str:
    """The name of a function in LLVM IR, such as ``@fg.exp.f4``."""
    return f"@fg.{name}.{dtype}"


def result_type(name: str, type: str) -> str:
    """What a function of operands of `type` returns."""
    return f"{{{type}, {type}}}" if name in PAIRS else type


def length(name: str, dtype: str) -> int:
    """The number of instructions of a function, ``f4`` or ``f8``, without those that few numbers need."""
    f = _formula(name, dtype, fma=True)[0]
    return len(f.lines) - sum(part.stop - part.start for part in f.rare)


def branches(name: str, dtype: str) -> bool:
    """Whether a function, ``f4`` or ``f8``, skips what its numbers do not need."""
    return bool(_formula(name, dtype, fma=True)[0].rare)


def promise(variants: Iterable[Variant]) -> str:
    """The attributes of a call that functions for several numbers may stand for, and that stays a call."""
    names = ",".join(variant.mangled for variant in variants)
    return f'{{ noinline "vector-function-abi-variant"="{names}" }}'


def definitions(
    names: Iterable[tuple[str, str]],
    fma: bool = True,
    apart: Mapping[tuple[str, str], Sequence[Variant]] = MappingProxyType({}),
) -> str:
    """The text that defines the functions asked for, and declares the intrinsics they use, each once.

    Parameters
    ----------
    names
        Pairs of a function's name (a key of `FUNCTIONS`, `SPECIAL` or `PAIRS`) and a dtype, ``f2``, ``f4`` or ``f8``.
    fma
        Whether the target has a fused multiply-add; without it LLVM would call a library function.
    apart
        The functions that loops call where they stand, and for how many numbers at a time; the others are copied.

    Returns
    -------
    str
        LLVM IR.

    Raises
    ------
    KeyError
        A name or a dtype is not known.
    """
    wanted: dict[tuple[str, str], None] = {}
    for name, dtype in names:
        if dtype == "f2":
            wanted[name, "f4"] = None
        wanted[name, dtype] = None
    variants = [variant for of_one in apart.values() for variant in of_one]
    parts = [
        _half(name) if dtype == "f2" else _definition(name, dtype, fma, _APART if (name, dtype) in apart else _COPIED)
        for name, dtype in wanted
    ]
    parts += [_for_lanes(variant, fma) for variant in variants]
    bodies = [text for text, _ in parts]
    if variants:  # before a loop has become vector code nothing calls them
        kept = ", ".join(f"ptr {variant.symbol}" for variant in variants)
        bodies.append(f'@{KEPT} = appending global [{len(variants)} x ptr] [{kept}], section "llvm.metadata"')
    return "\n".join([*sorted({line for _, declarations in parts for line in declarations}), *bodies])


def _parameters(name: str) -> list[str]:
    return ["%x", "%y"] if name in BINARY else ["%x"]


@cache
def _formula(name: str, dtype: str, fma: bool) -> tuple[Builder, tuple[Value, ...]]:
    """What computes a function, and its results."""
    f = Builder(FORMATS[dtype], fma)
    formulas: Mapping[str, Callable[..., Value | tuple[Value, ...]]] = {**FUNCTIONS, **SPECIAL, **PAIRS}
    results = formulas[name](f, *(Value(f, f.format.type, p) for p in _parameters(name)))
    return f, results if isinstance(results, tuple) else (results,)


def _definition(name: str, dtype: str, fma: bool, manner: tuple[str, str]) -> tuple[str, set[str]]:
    f, results = _formula(name, dtype, fma)
    lines = branched(f.lines, f.rare, 1)
    return _function(symbol(name, dtype), manner, f.format.type, _parameters(name), lines, results), f.declarations


def _for_lanes(variant: Variant, fma: bool) -> tuple[str, set[str]]:
    name, dtype, lanes = variant
    f, results = _formula(name, dtype, fma)
    lines = branched([widened(line, lanes) for line in f.lines], f.rare, lanes)
    text = _function(variant.symbol, _APART, vector(f.format.type, lanes), _parameters(name), lines, results)
    declarations = {widened(line, lanes) for line in f.declarations}
    if f.rare:
        declarations.add(f"declare i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1>)")
    return text, declarations


def _half(name: str) -> tuple[str, set[str]]:
    f, parameters = Builder(FORMATS["f4"]), _parameters(name)
    operands = [f"float {f.emit(f'fpext half {p} to float', 'float').text}" for p in parameters]
    wide = f.emit(f"call float {symbol(name, 'f4')}({', '.join(operands)})", "float")
    result = f.emit(f"fptrunc float {wide.text} to half", "half")
    return _function(symbol(name, "f2"), _COPIED, "half", parameters, f.lines, (result,)), set()


def _function(
    symbol: str,
    manner: tuple[str, str],
    type: str,
    parameters: Sequence[str],
    lines: Sequence[str],
    results: Sequence[Value],
) -> str:
    """A function of operands of one type; of several results it returns a structure."""
    whole, last, packed = type, results[0].text, []
    if len(results) > 1:
        whole, last = f"{{{', '.join([type] * len(results))}}}", "poison"
        for k, result in enumerate(results):
            packed.append(f"  %r{k} = insertvalue {whole} {last}, {type} {result.text}, {k}")
            last = f"%r{k}"
    linkage, attributes = manner
    head = f"define {linkage} {whole} {symbol}({', '.join(f'{type} {p}' for p in parameters)}) {attributes} {{"
    return "\n".join([head, *lines, *packed, f"  ret {whole} {last}", "}\n"])
