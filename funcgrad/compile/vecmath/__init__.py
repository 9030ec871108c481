"""What does a kernel call for exp, sin, pow and the rest?  Functions in LLVM IR that LLVM inlines and vectorises.

Every function is straight-line code without branches, loads or library calls, so that a loop that calls it becomes
vector code on any target.  Errors stay below 2 units in the last place, subnormal numbers included; special values are
those of C99's Annex F.  Half precision is computed in float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
BINARY = frozenset({"pow", "arctan2"})
_ATTRIBUTES = "alwaysinline nounwind willreturn memory(none)"


def symbol(name: str, dtype: str) -> str:
    """The name of a function in LLVM IR, such as ``@fg.exp.f4``."""
    return f"@fg.{name}.{dtype}"


def definitions(names: Iterable[tuple[str, str]], fma: bool = True) -> str:
    """The text that defines the functions asked for, and declares the intrinsics they use, each once.

    Parameters
    ----------
    names
        Pairs of a function's name (a key of `FUNCTIONS` or `SPECIAL`) and a dtype, ``f2``, ``f4`` or ``f8``.
    fma
        Whether the target has a fused multiply-add; without it LLVM would call a library function.

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
    declarations: set[str] = set()
    bodies = []
    for name, dtype in wanted:
        text, used = _half(name) if dtype == "f2" else _definition(name, dtype, fma)
        bodies.append(text)
        declarations |= used
    return "\n".join([*sorted(declarations), *bodies])


def _parameters(name: str) -> list[str]:
    return ["%x", "%y"] if name in BINARY else ["%x"]


def _definition(name: str, dtype: str, fma: bool) -> tuple[str, set[str]]:
    f = Builder(FORMATS[dtype], fma)
    type, parameters = f.format.type, _parameters(name)
    formula = FUNCTIONS[name] if name in FUNCTIONS else SPECIAL[name]
    result = formula(f, *(Value(f, type, p) for p in parameters))
    return _function(name, dtype, type, [*f.lines, f"  ret {type} {result.text}"]), f.declarations


def _half(name: str) -> tuple[str, set[str]]:
    parameters = _parameters(name)
    lines = [f"  {p}.wide = fpext half {p} to float" for p in parameters]
    operands = ", ".join(f"float {p}.wide" for p in parameters)
    lines += [f"  %wide = call float {symbol(name, 'f4')}({operands})", "  %result = fptrunc float %wide to half"]
    return _function(name, "f2", "half", [*lines, "  ret half %result"]), set()


def _function(name: str, dtype: str, type: str, lines: list[str]) -> str:
    parameters = ", ".join(f"{type} {p}" for p in _parameters(name))
    return "\n".join([f"define internal {type} {symbol(name, dtype)}({parameters}) {_ATTRIBUTES} {{", *lines, "}\n"])
