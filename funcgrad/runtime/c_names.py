"""How is a program written in C?  A parameter for each leaf of its arguments and results, with a name and a type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from funcgrad import tree
from funcgrad.compile.native.standalone import VALUES
from funcgrad.dtypes import code
from funcgrad.ir.types import ArrayType

C_TYPES = {
    **{f"{sign}{size}": f"{'u' if sign == 'u' else ''}int{8 * size}_t" for sign in "iu" for size in (1, 2, 4, 8)},
    "b1": "uint8_t",
    "f2": "_Float16",
    "f4": "float",
    "f8": "double",
    "c8": "float _Complex",
    "c16": "double _Complex",
}
"""C's types by the codes of dtypes; bfloat16 is ``uint16_t``."""


KEYWORDS = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const const_cast
    consteval constexpr constinit continue co_await co_return co_yield decltype default delete do double dynamic_cast
    else enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict return short
    signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
    typeid typename typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq""".split()
).union(C_TYPES.values(), ("linux", "unix"))
"""Words of C's and C++'s, types that headers name, and what GNU C says of the system by macros."""

_MATHS = """
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma
    fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan
    nearbyint nextafter pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma trunc""".split()
LIBRARY = frozenset(
    """abort abs atexit atof atoi bcmp bsearch calloc clock div exit fclose fopen fprintf fputs fread free fscanf
    fwrite getchar getenv index j0 j1 jn labs main malloc memchr memcmp memcpy memmove memset printf putchar puts
    qsort raise rand realloc remove rename rindex scanf signal snprintf sprintf srand sscanf strcat strchr strcmp
    strcpy strcspn strlen strncat strncmp strncpy strspn strstr strtod strtok strtol system time tolower toupper y0
    y1 yn""".split()
).union(_MATHS, (f"{name}f" for name in _MATHS), (f"{name}l" for name in _MATHS))
"""Functions of C's library, which compilers know and programs call."""


class Parameter(NamedTuple):
    """A parameter of a native function, or a result that it writes.

    Attributes
    ----------
    name
        In the C text.
    c_type
        Of one element.
    shape
        In C order; ``()`` for a number.
    by_value
        Whether the number itself is handed over, not a pointer to it.
    """

    name: str
    c_type: str
    shape: tuple[int, ...]
    by_value: bool


def positional_names(fun: Callable[..., Any]) -> list[str]:
    """The names of a function's positional parameters, as far as they are known."""
    try:
        return [p.name for p in inspect.signature(fun).parameters.values() if p.kind <= p.POSITIONAL_OR_KEYWORD]
    except (TypeError, ValueError):
        return []


def parameter_names(known: Sequence[str], structure: tree.TreeDef) -> list[str]:
    """For each leaf of ``(args, kwargs)`` the name of its parameter, with the keys that lead to the leaf."""
    paths = [path[1:] for path in structure.paths()]
    return _distinct("_".join([_named(first, known), *map(str, rest)]) for first, *rest in paths)


def _named(first: Any, known: Sequence[str]) -> str:
    """The name of the argument at a place, or of that keyword."""
    if isinstance(first, str):
        return first
    return known[first] if first < len(known) else f"x{first}"


def parameters_of(names: Sequence[str], types: Sequence[ArrayType]) -> Iterator[Parameter]:
    """Parameters of these names and types."""
    for name, t in zip(names, types, strict=True):
        short = code(t.dtype)
        yield Parameter(name, C_TYPES.get(short, "uint16_t"), t.shape, not t.shape and short in VALUES)


def results_of(
    types: Sequence[ArrayType], structure: tree.TreeDef, parameters: Sequence[Parameter]
) -> Iterator[Parameter]:
    """Parameters for the results, whose names none of the others has."""
    names = ("_".join(["out", *map(str, path)]) for path in structure.paths())
    return parameters_of(_distinct(names, [p.name for p in parameters]), types)


def _distinct(names: Iterator[str], taken: Sequence[str] = ()) -> list[str]:
    """C's names, no two of them equal."""
    found: list[str] = []
    for name in map(identifier, names):
        while name in found or name in taken:
            name += "_"
        found.append(name)
    return found


def numbered(names: Sequence[str]) -> list[str]:
    """Names of macros, which are upper case; where two would be one, the later one gets a number."""
    found: list[str] = []
    for name in map(str.upper, names):
        tried = (name, *(f"{name}_{k}" for k in range(2, len(names) + 2)))
        found.append(next(one for one in tried if one not in found))
    return found


def identifier(name: str) -> str:
    """A name that C accepts."""
    if name == "<lambda>":
        return "f"
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "f"
    if plain in KEYWORDS:
        return f"{plain}_"
    return plain if plain[0].isalpha() else f"x{plain}"
