"""What is a number that depends on sizes?  `Watched`: a value of a sample, and the formula that it came by.

Arithmetic gives more of them. A comparison gives what is true of the sample, and is noted by the `Watcher`. Where a
formula cannot follow (``range(n)``, ``float(n)``, keys of dictionaries), the function is refused.
"""

from __future__ import annotations

import numbers
import operator
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import optree.ops

from funcgrad import tree, tree_util
from funcgrad.errors import SourceLocation, at_line, is_internal, user_location
from funcgrad.export.constraints import COMPARISONS
from funcgrad.export.container import ExportError
from funcgrad.export.encode import write_line
from funcgrad.export.guards import OPERATORS, Formula, Guard, formula_text
from funcgrad.export.sizes import Size, Sizes
from funcgrad.ir import types
from funcgrad.trace.frame import running, type_of
from funcgrad.trace.tracer import Tracer

MOST_GUARDS = 10_000


class Watcher:
    """What is noted while a function is traced.

    Attributes
    ----------
    sizes
        The sample.
    known
        The polynomial behind each extent that depends on sizes, by its value at the sample.
    least
        The smallest value of each symbol.
    guards
        The decisions, in order.
    others
        Extents that the user's code saw and that are not known to depend on sizes, with the lines that saw them.
    line
        The line whose call of the library has read a watched number last.
    """

    def __init__(self, sizes: Sizes, known: dict[int, Size], least: Sizes) -> None:
        self.sizes, self.known, self.least = sizes, known, least
        self.guards: dict[Guard, None] = {}
        self.others: list[tuple[int, SourceLocation | None]] = []
        self.line: SourceLocation | None = None

    def extents(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """A shape as the user's code sees it."""
        line = user_location()
        self.others += [(n, line) for n in shape if n not in self.known]
        return tuple(Watched(self, n, self.known[n]) if n in self.known else n for n in shape)

    def staged(self, result: Any) -> Any:
        """A known array that the library made of a watched number, as a traced one: nobody may look at its numbers."""
        if not isinstance(result, np.ndarray) or self.line is None or self.line != user_location():
            return result
        builder: Any = running.builders[-1]
        return Tracer(builder, type_of(result), builder.atom(result))

    def decide(self, op: str, left: Formula, right: Formula, outcome: bool) -> None:
        """Note a comparison, unless it is the same for all sizes."""
        if isinstance(left, Size) and isinstance(right, Size | int):
            difference = left - right
            if difference.constant is not None or self._certain(op, difference):
                return
        line = write_line(user_location())
        self.guards[Guard(op, left, right, outcome, line and tuple(line))] = None
        if len(self.guards) > MOST_GUARDS:
            raise ExportError(f"export: more than {MOST_GUARDS} decisions depend on sizes{at_line()}")

    def _certain(self, op: str, difference: Size) -> bool:
        """Whether a polynomial that only grows is above 0 at the smallest sizes, so that the comparison is decided."""
        grows = all(c > 0 for m, c in difference.terms.items() if m)
        least = difference.fraction(self.least)
        return grows and (least > 0 or (least == 0 and op in ("<", ">=")))


def is_users(frame: Any) -> bool:
    """Whether code is the user's; what walks through pytrees stands for who called it."""
    while frame.f_code.co_filename in _WALKERS:
        frame = frame.f_back
    return not is_internal(frame.f_code.co_filename)


_WALKERS = {module.__file__ for module in (tree, tree_util, optree.ops)}


def from_user() -> bool:
    """Whether the code that called the method two frames up is the user's."""
    return is_users(sys._getframe(2))


class Watched:
    """A number that depends on sizes, as the user's code sees it."""

    __slots__ = ("formula", "value", "watcher")
    __array_priority__ = 2000

    def __init__(self, watcher: Watcher, value: Any, formula: Formula) -> None:
        self.watcher, self.value, self.formula = watcher, value, formula

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` sees: an integer. Code in C sees none, and asks for `__index__`."""
        return int

    def __repr__(self) -> str:
        return formula_text(self.formula)

    def _lost(self, what: str) -> NoReturn:
        raise ExportError(
            f"export: the symbolic size {self!r} was used as {what}, which needs a known number. Arithmetic and "
            "comparisons of x.shape work, and so do the functions of funcgrad.numpy and lax; a number of iterations "
            f"that depends on sizes belongs into lax.fori_loop{at_line()}"
        )

    def __index__(self) -> int:
        if from_user():
            self._lost("an index, a size of a NumPy array, or a number of repetitions")
        self.watcher.line = user_location()
        return operator.index(self.value)

    def __int__(self) -> int:
        if from_user():
            self._lost("int()")
        self.watcher.line = user_location()
        return int(self.value)

    def __float__(self) -> float:
        if from_user():
            self._lost("float(), or by the module math (n ** 0.5 is a square root)")
        self.watcher.line = user_location()
        return float(self.value)

    def __hash__(self) -> int:
        if from_user():
            self._lost("a key of a dictionary, or a member of a set")
        return hash(self.value)

    def __bool__(self) -> bool:
        outcome = bool(self.value)
        if from_user():
            self.watcher.decide("!=", self.formula, 0, outcome)
        return outcome

    def __format__(self, spec: str) -> str:
        if not from_user():
            return format(self.value, spec)
        return self._lost("a formatted number") if spec else repr(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if from_user():
            self._lost("a NumPy array or scalar")
        self.watcher.line = user_location()
        return np.asarray(self.value, dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(type(x) is Tracer for x in inputs):
            plain = [x.value if isinstance(x, Watched) else x for x in inputs]
            return getattr(ufunc, method)(*plain, **kwargs)
        numbers = [x.item() if isinstance(x, np.float64 | np.int64) else x for x in inputs]
        plain_numbers = all(isinstance(x, Watched | int | float) for x in numbers)
        if plain_numbers and ufunc in UFUNCS and method == "__call__" and not kwargs:
            return UFUNCS[ufunc](*numbers)
        self._lost(f"an operand of np.{ufunc.__name__}")

    def __neg__(self) -> Any:
        return OPERATORS["*"](self, -1)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self if self._decided(">=", 0) else -self

    def _decided(self, op: str, other: Any) -> bool:
        """A comparison with a number, noted."""
        given, formula = (other.value, other.formula) if isinstance(other, Watched) else (other, other)
        outcome = bool(COMPARISONS[op](self.value, given))
        self.watcher.decide(op, self.formula, formula, outcome)
        return outcome

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __round__(self, ndigits: int | None = None) -> Any:
        if isinstance(self.value, int):
            return self
        return self._lost("round()")


class WatchedFloat(Watched):
    """A number with a fraction that depends on sizes."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` sees."""
        return float


# The library takes them for the Python numbers that they stand for.
types._SCALARS[Watched], types._SCALARS[WatchedFloat] = types._SCALARS[int], types._SCALARS[float]


def _operand(watched: Watched, other: Any) -> tuple[Any, Formula] | None:
    """The value and formula of the other operand, if it is a number."""
    if isinstance(other, Watched):
        return other.value, other.formula
    if isinstance(other, np.float64 | np.int64):
        other = other.item()
    if type(other) is bool:
        other = int(other)
    if type(other) in (int, float):
        return other, other
    if isinstance(other, np.ndarray | np.generic | numbers.Number):
        watched._lost(f"an operand beside a {type(other).__name__}")
    return None


def _operator(name: str, reflected: bool) -> Callable[[Any, Any], Any]:
    """An arithmetic operation; with arrays, that of the sample's number."""
    compute = OPERATORS[name]

    def apply(self: Any, other: Any) -> Any:
        if type(other) is Tracer:
            return compute(other, self.value) if reflected else compute(self.value, other)
        operand = _operand(self, other)
        if operand is None:
            return NotImplemented
        given, formula = operand
        pair = (formula, self.formula) if reflected else (self.formula, formula)
        value = compute(given, self.value) if reflected else compute(self.value, given)
        kind = WatchedFloat if isinstance(value, float) else Watched
        return kind(self.watcher, value, _combined(name, *pair))

    return apply


def _combined(name: str, left: Formula, right: Formula) -> Formula:
    """A formula; sums, differences and products of polynomials are polynomials."""
    exact = all(isinstance(x, Size) or type(x) is int for x in (left, right))
    if exact and name in ("+", "-", "*"):
        found = OPERATORS[name](left, right)
        return found if isinstance(found, Size) else int(found)
    return name, left, right


def _comparison(op: str) -> Callable[[Any, Any], Any]:
    compare = COMPARISONS[op]

    def apply(self: Any, other: Any) -> Any:
        if type(other) is Tracer:
            return compare(self.value, other)
        operand = _operand(self, other)
        if operand is None:
            return NotImplemented
        given, formula = operand
        outcome = bool(compare(self.value, given))
        if from_user():
            self.watcher.decide(op, self.formula, formula, outcome)
        return outcome

    return apply


for _python, _name in {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
}.items():  # fmt: skip
    setattr(Watched, f"__{_python}__", _operator(_name, False))
    setattr(Watched, f"__r{_python}__", _operator(_name, True))
for _python, _name in {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}.items():
    setattr(Watched, f"__{_python}__", _comparison(_name))

UFUNCS: dict[Any, Callable[..., Any]] = {
    np.sqrt: lambda n: n**0.5,
    np.square: lambda n: n * n,
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.maximum: lambda x, y: _chosen(">=", x, y),
    np.minimum: lambda x, y: _chosen("<=", x, y),
}


def _chosen(op: str, x: Any, y: Any) -> Any:
    """The operand that the comparison is true of."""
    if isinstance(x, Watched):
        return x if x._decided(op, y) else y
    return y if y._decided(op, x) else x
