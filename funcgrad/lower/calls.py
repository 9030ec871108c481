"""What runs as a whole?  Equations that are no loop nests: their operands and results lie in buffers, in C order.

`WRITERS` holds what turns such an equation into kernels of its own; what it does not know is run by a native routine
or by the primitive's NumPy reference (`runtime.calls`), between the kernels of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from funcgrad.dtypes import BFLOAT16, BOOL, INTEGERS, STANDARD_FLOATS
from funcgrad.ir.program import Atom, Equation, Var
from funcgrad.lower.schedule import KernelStep

IN_MEMORY = frozenset({"complex_from_parts", "complex_to_parts"})  # the same buffer, read otherwise
NATIVE = BOOL | INTEGERS | STANDARD_FLOATS


@dataclass(frozen=True, slots=True)
class Call:
    """One equation that runs by itself.

    Attributes
    ----------
    equation
        What is to be computed.
    inputs
        For each operand the variable whose buffer holds it, or a literal.
    status
        The code that tells of its failure.
    streamed
        Whether the result is written past the caches, by a routine that can (see `lower.streams`).
    """

    equation: Equation
    inputs: tuple[Atom, ...]
    status: int
    streamed: bool = field(default=False, kw_only=True)

    @property
    def changes(self) -> Var | None:
        """The operand that is changed in place, if one is: the result's buffer."""
        (first, *_), (out, *_) = self.inputs or (None,), self.equation.outputs or (None,)
        return out if first is out else None

    @property
    def buffers(self) -> tuple[Var, ...]:
        """The buffers that the step reads and writes."""
        return (*(a for a in self.inputs if isinstance(a, Var)), *self.equation.outputs)


Writer = Callable[[Call], Sequence[KernelStep | Call] | None]
WRITERS: dict[str, Writer] = {}


class Kept(Exception):
    """Stands for what a native routine raised and kept: `take` gives it."""

    def __init__(self, take: Callable[[], BaseException]) -> None:
        super().__init__("a native routine failed")
        self.take = take


FAILURES: dict[str, Callable[[], Exception]] = {}  # what a kernel of `WRITERS` raises where a check of its own fails


def is_alias(equation: Equation) -> bool:
    """Whether the result is the operand's buffer read otherwise (complex numbers and bfloat16 for what they lie in)."""
    name = equation.primitive.name
    if name == "bitcast_convert_type":
        return any(a.type.dtype == BFLOAT16 for a in (*equation.inputs, *equation.outputs))
    return name in IN_MEMORY


def is_native(equation: Equation) -> bool:
    """Whether kernels know the dtypes of the operands and results."""
    return NATIVE.issuperset([a.type.dtype for a in (*equation.inputs, *equation.outputs)])
