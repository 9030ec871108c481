"""Which decisions does a function take by symbolic sizes?  They are noted, and asked again when the sizes are known.

While a function is traced for export, shapes that the user's code reads hold `Watched` numbers instead of integers:
each has a value (of a sample), and the formula that it came by. Arithmetic gives more of them. A comparison gives what
is true of the sample, and becomes a guard: a call with sizes for which it would have come out otherwise is refused.
Where a formula cannot follow (``range(n)``, ``float(n)``, keys of dictionaries), the function is refused instead.

funcgrad's own code, and NumPy's below it, see integers: what it does with sizes is told from programs traced at several
of them (`funcgrad.export.template`).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import numbers
import operator
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
import optree.ops

from funcgrad import tree, tree_util
from funcgrad.arguments import owned
from funcgrad.array import Array, as_array
from funcgrad.errors import SourceLocation, at_line, is_internal, user_location
from funcgrad.export.changes import changed
from funcgrad.export.container import ExportError
from funcgrad.export.encode import write_line
from funcgrad.export.guards import OPERATORS, Formula, Guard, formula_text
from funcgrad.export.sizes import COMPARISONS, Size, Sizes
from funcgrad.ir import types
from funcgrad.lax._collectives import axis_size
from funcgrad.numpy import _common, _creation
from funcgrad.trace.frame import running, type_of
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary
from funcgrad.transform.vmap import Batch

MOST_GUARDS = 10_000


# While a function is traced -------------------------------------------------------------------------------------------


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


def _is_users(frame: Any) -> bool:
    """Whether code is the user's; what walks through pytrees stands for who called it."""
    while frame.f_code.co_filename in _WALKERS:
        frame = frame.f_back
    return not is_internal(frame.f_code.co_filename)


_WALKERS = {module.__file__ for module in (tree, tree_util, optree.ops)}


def _from_user() -> bool:
    """Whether the code that called the method two frames up is the user's."""
    return _is_users(sys._getframe(2))


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
        if _from_user():
            self._lost("an index, a size of a NumPy array, or a number of repetitions")
        self.watcher.line = user_location()
        return operator.index(self.value)

    def __int__(self) -> int:
        if _from_user():
            self._lost("int()")
        self.watcher.line = user_location()
        return int(self.value)

    def __float__(self) -> float:
        if _from_user():
            self._lost("float(), or by the module math (n ** 0.5 is a square root)")
        self.watcher.line = user_location()
        return float(self.value)

    def __hash__(self) -> int:
        if _from_user():
            self._lost("a key of a dictionary, or a member of a set")
        return hash(self.value)

    def __bool__(self) -> bool:
        outcome = bool(self.value)
        if _from_user():
            self.watcher.decide("!=", self.formula, 0, outcome)
        return outcome

    def __format__(self, spec: str) -> str:
        if not _from_user():
            return format(self.value, spec)
        return self._lost("a formatted number") if spec else repr(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if _from_user():
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
        if _from_user():
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


# Functions that tell extents: who calls them reads the shape.
_TELLING = {function.__wrapped__.__code__ for function in (_creation.shape, _creation.size)} | {axis_size.__code__}  # type: ignore[union-attr]
_BETWEEN = {_creation.shape.__code__, Tracer.__array_function__.__code__, boundary(axis_size).__code__}


def _read_by_user() -> bool:
    """Whether the code that reads the property two frames up is the user's."""
    frame: Any = sys._getframe(2)
    if frame.f_code in _TELLING:
        frame = frame.f_back
        while frame.f_code in _BETWEEN:
            frame = frame.f_back
    return _is_users(frame)


def _plain_shape(x: Any) -> tuple[int, ...]:
    if type(x) is Tracer:
        return x.type.shape
    if type(x) is Batch:
        return (_OWN[Batch].__get__(x),)
    return _own(x).__get__(x)  # type: ignore[no-any-return]


def _own(x: Any) -> Any:
    """The attribute's own descriptor."""
    return next(descriptor for owner, descriptor in _OWN.items() if isinstance(x, owner))


_OWN: dict[type, Any] = {
    ShapeDtypeStruct: ShapeDtypeStruct.__dict__["shape"],
    Batch: Batch.__dict__["size"],
    np.ndarray: np.ndarray.__dict__["shape"],
}


@contextlib.contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Meanwhile the user's code sees watched numbers in shapes (in this thread)."""
    thread = threading.get_ident()
    with changed(itertools.chain(_shown(watcher, thread), _handing_out(watcher, thread))):
        yield


def _handing_out(watcher: Watcher, thread: int) -> Iterator[tuple[Any, str, Any]]:
    """Functions by which the library hands known arrays out to the user, which stage them."""

    def staging(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            found = function(*args, **kwargs)
            if threading.get_ident() != thread:
                return found
            return list(map(watcher.staged, found)) if type(found) is list else watcher.staged(found)

        return call

    replaced = {f: staging(f) for f in (_common.wrap, as_array, owned)}
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("funcgrad."):
            for function, by in replaced.items():
                if vars(module).get(function.__name__) is function:
                    yield module, function.__name__, by


def _shown(watcher: Watcher, thread: int) -> Iterator[tuple[Any, str, Any]]:
    """The attributes by which the user's code reads extents."""

    def seen(of_extents: Callable[[Any, Any], Any]) -> property:
        def get(x: Any) -> Any:
            watched = threading.get_ident() == thread and _read_by_user()
            return of_extents(x, watcher.extents(_plain_shape(x)) if watched else _plain_shape(x))

        def put(x: Any, shape: Any) -> None:
            _own(x).__set__(x, shape)

        return property(get, put)

    def length(x: Any) -> int:
        first = watcher.extents(_plain_shape(x))[:1]
        if first and isinstance(first[0], Watched) and threading.get_ident() == thread and _from_user():
            first[0]._lost("len(x) (x.shape[0] is a size)")
        return own_length(x)

    own_length: Callable[[Any], int] = Tracer.__len__

    def product(x: Any, extents: Any) -> Any:
        return functools.reduce(operator.mul, extents, 1)

    for owner in (Tracer, Array, ShapeDtypeStruct):
        yield owner, "shape", seen(lambda x, extents: extents)
    for owner in (Tracer, Array):
        yield owner, "size", seen(product)
    yield Tracer, "nbytes", seen(lambda x, extents: product(x, extents) * x.itemsize)
    yield Tracer, "__len__", length
    yield Batch, "size", seen(lambda x, extents: extents[0])
