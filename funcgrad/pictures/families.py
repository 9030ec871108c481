"""Which family, and so which colour, does an operation belong to?"""

from __future__ import annotations

from collections.abc import Iterable

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Equation
from funcgrad.lower.structured import BODIES

# where a primitive's own family does not say what a picture should
EXCEPTIONS = {
    **dict.fromkeys(("psum", "linear_recurrence", "top_places", "reduce_and", "reduce_or"), "reduction"),
    **dict.fromkeys(("iota", "optimization_barrier", "complex_from_parts", "complex_to_parts"), "movement"),
    **dict.fromkeys(("fft", "sort", "partition"), "other"),
    **dict.fromkeys(("convert_element_type", "real", "imag"), "elementwise"),
}
BY_FAMILY = {
    "elementwise": "elementwise",
    "bilinear": "product",
    "reduction": "reduction",
    "linear": "movement",
    "multilinear": "movement",
    "extremal": "movement",
    "custom": "loop",
}
REDUCTIONS = ("reduce_", "arg", "cum")
# of several families in one kernel, the first of these gives the colour
STRONGEST = ("loop", "product", "reduction", "other", "elementwise", "movement")


def family_of(equation: Equation) -> str:
    """One of `themes.FAMILIES`."""
    if equation.primitive.name in BODIES or inner_programs(equation.params):
        return "loop"
    return family_of_primitive(equation.primitive)


def family_of_primitive(primitive: Primitive) -> str:
    """Likewise of an operation that holds no program."""
    if primitive.name in EXCEPTIONS:
        return EXCEPTIONS[primitive.name]
    if primitive.family == "elementwise":
        return "elementwise"
    if primitive.name.startswith(REDUCTIONS) and primitive.name != "argsort":
        return "reduction"
    if primitive.scalar is not None:
        return "elementwise"
    return BY_FAMILY.get(primitive.family, "other")


def strongest(families: Iterable[str]) -> str:
    """The family that a kernel of several is drawn as."""
    found = set(families)
    return next((family for family in STRONGEST if family in found), "other")
