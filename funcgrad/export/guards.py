"""What is a decision by sizes?  A guard: a comparison of formulas, and how it came out when the function was traced."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.export.constraints import COMPARISONS
from funcgrad.export.container import refuse
from funcgrad.export.sizes import Size, Sizes, read_size, text_of, write_size

Json = Any
Formula = Any  # a Size, a number, or (operator's name, formula, formula)
DEEPEST = 32
LARGEST_POWER, MOST_BITS = 64, 4096

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


class Guard(NamedTuple):
    """A decision: a comparison, how it came out, and the line that took it."""

    op: str
    left: Formula
    right: Formula
    outcome: bool
    line: Json

    def check(self, sizes: Sizes) -> None:
        """Refuse sizes for which it would come out otherwise."""
        try:
            holds = bool(COMPARISONS[self.op](computed(self.left, sizes), computed(self.right, sizes)))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(f"{self.condition} cannot be decided for {text_of(sizes)}: {error}{self.place}") from None
        if holds is not self.outcome:
            raise ValueError(
                f"the function was exported for sizes where {self.condition} is {self.outcome}; for "
                f"{text_of(sizes)} it is {holds}: export it for these sizes{self.place}"
            )

    @property
    def place(self) -> str:
        """The phrase that ends a message."""
        return f"\n  at {self.line[0]}:{self.line[2]} (in {self.line[1]})" if self.line else ""

    @property
    def condition(self) -> str:
        """The comparison, as text."""
        return f"{formula_text(self.left)} {self.op} {formula_text(self.right)}"


def formula_text(formula: Formula) -> str:
    if isinstance(formula, tuple):
        return f"({formula_text(formula[1])} {formula[0]} {formula_text(formula[2])})"
    return repr(formula)


def computed(formula: Formula, sizes: Sizes) -> Any:
    """The value of a formula."""
    if isinstance(formula, Size):
        value = formula.fraction(sizes)
        return int(value) if value.denominator == 1 else float(value)
    if not isinstance(formula, tuple):
        return formula
    op, left, right = formula[0], computed(formula[1], sizes), computed(formula[2], sizes)
    if op == "**" and (abs(right) > LARGEST_POWER or (isinstance(left, int) and left.bit_length() > MOST_BITS)):
        raise ValueError("a power is too large")
    result = OPERATORS[op](left, right)
    if isinstance(result, complex) or (isinstance(result, int) and result.bit_length() > MOST_BITS):
        raise ValueError("a number is too large")
    return result


# Files ----------------------------------------------------------------------------------------------------------------


def write_guard(guard: Guard) -> Json:
    """As JSON."""
    line = None if guard.line is None else list(guard.line)
    return [guard.op, _write(guard.left), _write(guard.right), guard.outcome, line]


def _write(formula: Formula) -> Json:
    if isinstance(formula, Size):
        return {"size": write_size(formula)}
    if isinstance(formula, tuple):
        return [formula[0], _write(formula[1]), _write(formula[2])]
    return {"f": formula.hex()} if isinstance(formula, float) else {"i": str(formula)}


def read_guard(data: Json, names: Sequence[str]) -> Guard:
    """The decision that JSON describes."""
    if not isinstance(data, list) or len(data) != 5 or data[0] not in [*COMPARISONS] or type(data[3]) is not bool:
        refuse("a guard is damaged")
    op, left, right, outcome, line = data
    if line is not None:
        fits = isinstance(line, list) and len(line) == 4 and all(isinstance(line[k], str) for k in (0, 1, 3))
        if not fits or type(line[2]) is not int or any(len(str(part)) > 4096 for part in line):
            refuse("the line of a guard is damaged")
        line = tuple(ascii(x)[1:-1] if isinstance(x, str) and not x.isprintable() else x for x in line)
    return Guard(op, _read(left, names, 0), _read(right, names, 0), outcome, line)


def _read(data: Json, names: Sequence[str], depth: int) -> Formula:
    if isinstance(data, list) and len(data) == 3 and data[0] in [*OPERATORS] and depth < DEEPEST:
        return data[0], _read(data[1], names, depth + 1), _read(data[2], names, depth + 1)
    if isinstance(data, dict) and len(data) == 1:
        ((kind, value),) = data.items()
        if kind == "size":
            return read_size(value, names)
        if kind in ("i", "f") and isinstance(value, str) and len(value) < 64:
            try:
                return int(value) if kind == "i" else float.fromhex(value)
            except (ValueError, OverflowError):
                pass
    refuse("a formula is damaged")
