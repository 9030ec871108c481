"""What does a step compute, and for which lines of the user's?  The equations behind each step of a plan."""

from __future__ import annotations

import linecache
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from funcgrad.errors import SourceLocation
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Atom, Equation, Var
from funcgrad.lower.calls import Call
from funcgrad.lower.chains import Chain
from funcgrad.lower.index import is_view
from funcgrad.lower.plan import Plan, Step, buffers_of
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import BODIES, Structured

MOST_NAMES = 6  # operations in a summary
SILENT = frozenset(
    {"iota", "convert_element_type", "stop_gradient", "check_index", "check_label", "optimization_barrier"}
)
SHORT = {"dot_general": "product"}


class Line(NamedTuple):
    """A line of the user's program.

    Attributes
    ----------
    file, number
        Where it is.
    function
        What it is in.
    scope
        The `named_scope` around it.
    """

    file: str
    number: int
    function: str
    scope: str = ""

    @property
    def short(self) -> str:
        """The file without its folder, and the number."""
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.number}"

    @property
    def text(self) -> str:
        """The line itself, if the file can be read."""
        return linecache.getline(self.file, self.number).strip()


class Explanation(NamedTuple):
    """What a step computes, in short, the lines that asked for it, those of most operations first, and the equations
    that it holds, in order.
    """

    computes: str
    lines: tuple[Line, ...]
    equations: tuple[Equation, ...] = ()


def explain(plan: Plan) -> dict[int, Explanation]:
    """For the id of each step of a plan (those of its bodies not included)."""
    behind = _Behind(plan)
    found = [(step, behind.equations(step)) for step in plan.steps]
    explanations: dict[int, Explanation] = {}
    following: list[Equation] = []
    for step, equations in reversed(found):  # a kernel of an intermediate result is part of what comes after it
        following = equations or following
        named = equations if isinstance(step, KernelStep) and step.group else following
        explanations[id(step)] = Explanation(_summary(step, named), _lines(following), tuple(named))
    return explanations


class _Behind:
    """Finds the equations behind the steps of a plan, in order."""

    def __init__(self, plan: Plan) -> None:
        program = plan.program
        self.makers = {v: equation for equation in program.equations for v in equation.outputs}
        self.order = {equation: k for k, equation in enumerate(program.equations)}
        self.owned: set[Equation] = set()  # what earlier products and calls computed
        buffers = {v for step in plan.steps for v in buffers_of(step)}
        # loops and branches whose results are in buffers that they took over, each until its kernel has come
        self.loops = [e for e in program.equations if e.primitive.name in BODIES and buffers.isdisjoint(e.outputs)]
        self.written: set[Var] = set()  # by earlier kernels

    def equations(self, step: Step) -> list[Equation]:
        """Those that a step computes."""
        if isinstance(step, Call | Structured):
            found = {step.equation}
        elif isinstance(step, Product):
            found = self._product(step.out)
        elif isinstance(step, Chain):
            found = self._product(step.product.out)
            found |= self._kernel(step.tail)
        else:
            return self._sorted(self._kernel(step))
        self.owned |= found
        return self._sorted(found)

    def _sorted(self, found: Iterable[Equation]) -> list[Equation]:
        return sorted(found, key=lambda equation: self.order.get(equation, -1))

    def _product(self, out: Var) -> set[Equation]:
        """The product behind a buffer, which may hold it turned, or added to something."""
        waiting, seen = [out], set()
        while waiting:
            equation = self.makers.get(waiting.pop(0))
            if equation is None or equation in seen or equation in self.owned:
                continue
            if equation.primitive.name == "dot_general":
                self.owned.add(equation)
                return {equation}
            seen.add(equation)
            waiting += [a for a in equation.inputs if isinstance(a, Var)]
        return set()

    def _kernel(self, step: KernelStep) -> set[Equation]:
        """What lies between the buffers that a kernel reads and those that it writes."""
        sides = list(zip(step.buffers, step.kernel.buffers, strict=True))
        written = [v for v, buffer in sides if buffer.written]
        read = {v for v, _ in sides}.difference(written)
        if step.group is None:
            return self._in_place(written) or self._between(read, written)
        self.written.update(written)
        found: set[Equation] = set()
        for root in (*step.group.roots, *step.group.in_rows):
            maker = self.makers.get(root.var)
            heads = [a for a, _ in root.operands]
            # a fold, a scatter at places that may be computed, or a part of what is stored in parts
            if maker is not None and (root.kind != "store" or maker.primitive.name == "concatenate"):
                found.add(maker)
                heads += maker.inputs if root.kind == "scatter" else ()
            found |= self._between(read, heads)
        return found

    def _in_place(self, written: Collection[Var]) -> set[Equation]:
        """The loop or branch that takes over a buffer which an earlier kernel wrote, if that is what a kernel is."""
        before = self.written.intersection(written)
        self.written.update(written)
        for equation in self.loops:
            if not before.isdisjoint(equation.inputs):
                self.loops.remove(equation)
                return {equation}
        return set()

    def _between(self, read: Collection[Var], heads: Sequence[Atom]) -> set[Equation]:
        found: set[Equation] = set()
        waiting = [*heads]
        while waiting:
            v = waiting.pop()
            equation = self.makers.get(v) if isinstance(v, Var) and v not in read else None
            if equation is not None and equation not in found and equation not in self.owned:
                found.add(equation)
                waiting += equation.inputs
        return found


def _summary(step: Step, equations: Sequence[Equation]) -> str:
    if isinstance(step, Product):
        return _sizes(step)
    if isinstance(step, Chain):
        rest = [e for e in equations if e.primitive.name != "dot_general"]
        return f"{_sizes(step.product)}, then {summary(rest)}"
    if isinstance(step, Structured):
        return _region(step.equation)
    if isinstance(step, Call):
        shapes = ", ".join(_shape(a.type.shape) for a in step.equation.inputs)
        return f"{summary([step.equation])} of {shapes}" if shapes else summary([step.equation])
    loops = [e for e in equations if e.primitive.name in BODIES]
    if loops:
        return f"{_region(loops[0])}: {summary(everything(equations))}"
    over = f" over {_shape(step.group.domain)}" if step.group and step.group.domain else ""
    return f"{summary(equations) or 'copy'}{over}"


def _sizes(product: Product) -> str:
    text = f"{product.m}×{product.k} @ {product.k}×{product.n}"
    return text if product.batch == 1 else f"{product.batch} × ({text})"


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) if shape else "a number"


def _region(equation: Equation) -> str:
    length = equation.params.get("length")
    return equation.primitive.name if length is None else f"{equation.primitive.name} ×{length}"


def summary(equations: Iterable[Equation]) -> str:
    """The names of the operations, each once, without those that only say where things lie (if there are others)."""
    shown = [e for e in equations if e.primitive.name not in SILENT and e.primitive.name not in BODIES]
    kept = [e for e in shown if not is_view(e)] or shown or list(equations)
    names = list(dict.fromkeys(e.primitive.name.removeprefix("reduce_") for e in kept))
    names = [SHORT.get(name, name) for name in names]
    return " ".join(names if len(names) <= MOST_NAMES else [*names[: MOST_NAMES - 1], "…"])


def everything(equations: Iterable[Equation]) -> Iterator[Equation]:
    """Equations and those of the programs that they hold."""
    for equation in equations:
        yield equation
        for _, _, program in inner_programs(equation.params):
            yield from everything(program.equations)


def _lines(equations: Iterable[Equation]) -> tuple[Line, ...]:
    counts: dict[Line, int] = {}
    for equation in everything(equations):
        if equation.source is not None:
            line = line_of_source(equation.source)
            counts[line] = counts.get(line, 0) + 1
    return tuple(sorted(counts, key=lambda line: -counts[line]))


def line_of_source(source: SourceLocation) -> Line:
    """A line as it is shown."""
    return Line(source.code.co_filename, source.line, source.code.co_qualname, source.scope)
