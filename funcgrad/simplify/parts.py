"""How do the cotangents of an array's parts become that of the array?  Side by side, where they do not overlap.

The cotangent of a slice is padded with zeros, and reverse mode adds up what all slices of an array give. Where two of
them lie apart along one axis, no zeros need be written and nothing be added: the sum is a concatenation. That holds
for every value but the sign of a zero, which is why reverse mode adds by `add_any`, whose zeros have none; when this
pass is done, what is left of `add_any` is `add`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from funcgrad.errors import SourceLocation
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.simplify.rewrite import literal

Window = tuple[int, int]  # where a part begins along the axis, and where it ends


def assembled(program: Program) -> Program:
    """A program with sums of padded parts as concatenations."""
    if not any(equation.primitive.name == "add_any" for equation in program.equations):
        return program
    return _Assembler(program).run()


def _apart(windows: Sequence[Window]) -> list[list[Window]]:
    """Sorted windows in rows in which none overlaps another: behind the one that ends where it begins, if there is one
    (the two parts of a `roll`).
    """
    rows: list[list[Window]] = []
    for window in windows:
        before = [row for row in rows if row[-1][1] <= window[0]]
        if before:
            max(before, key=lambda row: row[-1][1]).append(window)
        else:
            rows.append([window])
    return rows


class _Assembler:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.producers = {v: equation for equation in program.equations for v in equation.outputs}
        self.reads = Counter(a for equation in program.equations for a in equation.inputs)
        self.reads.update(program.outputs)
        self.equations: list[Equation] = []
        self.made: dict[Atom, tuple[int, list[Atom]]] = {}  # concatenations: the axis and the parts

    def run(self) -> Program:
        within = {
            a
            for equation in self.program.equations
            if equation.primitive.name == "add_any"
            for a in equation.inputs
            if self._is_step(a)
        }
        for equation in self.program.equations:
            if equation.primitive.name != "add_any":
                self.equations.append(equation)
            elif equation.outputs[0] not in within:
                self._total(equation)
        return self.program.replace(equations=tuple(self.equations))

    def _is_step(self, atom: Atom) -> bool:
        """Whether it is a sum that only another sum reads."""
        equation = self.producers.get(atom) if isinstance(atom, Var) else None
        return equation is not None and equation.primitive.name == "add_any" and self.reads[atom] == 1

    def _total(self, equation: Equation) -> None:
        """The sum of everything that an `add_any` and those before it add up."""
        terms: list[Atom] = []
        pending: list[Atom] = [*reversed(equation.inputs)]
        while pending:
            atom = pending.pop()
            if self._is_step(atom):
                pending += reversed(self.producers[atom].inputs)  # type: ignore[index]
            else:
                terms.append(atom)
        self._sum(terms, equation.source, equation.outputs[0])

    def _sum(self, terms: Sequence[Atom], source: SourceLocation | None, target: Var | None = None) -> Atom:
        """The sum of terms, those that are parts side by side where they can be."""
        if len(terms) == 1:
            return terms[0]
        along: dict[int, dict[Window, list[Atom]]] = {}
        rest: list[Atom] = []
        for atom in terms:
            place = self._place(atom)
            if place is None:
                rest.append(atom)
            else:
                axis, window, part = place
                along.setdefault(axis, {}).setdefault(window, []).append(part)
        kind = (target or terms[0]).type  # a term may be a scalar
        sums = [self._side_by_side(kind, axis, parts, source) for axis, parts in along.items()]
        return self._add([*rest, *(a for found in sums for a in found)], source, target)

    def _place(self, atom: Atom) -> tuple[int, Window, Atom] | None:
        """The one axis along which a value is a part with zeros around it, where it lies, and the part."""
        equation = self.producers.get(atom) if isinstance(atom, Var) else None
        if equation is None or equation.primitive.name != "pad":
            return None
        part, value = equation.inputs
        config = equation.params["padding_config"]
        axes = [k for k, c in enumerate(config) if c != (0, 0, 0)]
        if len(axes) != 1 or not isinstance(value, Literal) or value.value != 0:
            return None
        low, high, interior = config[axes[0]]
        if interior or low < 0 or high < 0:
            return None
        return axes[0], (low, low + part.type.shape[axes[0]]), part

    def _side_by_side(
        self, kind: ArrayType, axis: int, parts: dict[Window, list[Atom]], source: SourceLocation | None
    ) -> list[Atom]:
        """What is left to be added up of parts along an axis: one array for those that lie apart."""
        return [
            self._row(kind, axis, windows, parts, source)
            if len(windows) > 1
            else self._padded(kind, axis, windows[0], self._sum(parts[windows[0]], source), source)
            for windows in _apart(sorted(parts))
        ]

    def _row(
        self,
        kind: ArrayType,
        axis: int,
        windows: Sequence[Window],
        parts: dict[Window, list[Atom]],
        source: SourceLocation | None,
    ) -> Atom:
        """Parts that lie apart along an axis, side by side."""
        pieces: list[Atom] = []
        end = 0
        for low, high in (*windows, (kind.shape[axis], kind.shape[axis])):
            if low > end:
                pieces.append(self._zeros(kind, axis, low - end, source))
            if (low, high) in parts:
                pieces += self._split(self._sum(parts[low, high], source), axis)
            end = high
        whole = self._emit("concatenate", pieces, kind, source, dimension=axis)
        self.made[whole] = axis, pieces
        return whole

    def _split(self, part: Atom, axis: int) -> Sequence[Atom]:
        """What a part that is itself put together is made of, if nothing else reads it."""
        found = self.made.get(part)
        return found[1] if found is not None and found[0] == axis and self.reads[part] <= 1 else [part]

    def _padded(self, kind: ArrayType, axis: int, window: Window, part: Atom, source: SourceLocation | None) -> Atom:
        config = [(0, 0, 0)] * kind.ndim
        config[axis] = (window[0], kind.shape[axis] - window[1], 0)
        return self._emit("pad", [part, literal(0, kind.dtype)], kind, source, padding_config=tuple(config))

    def _zeros(self, kind: ArrayType, axis: int, extent: int, source: SourceLocation | None) -> Atom:
        shape = (*kind.shape[:axis], extent, *kind.shape[axis + 1 :])
        zero = literal(0, kind.dtype)
        kind = kind.with_shape(shape)
        return self._emit("broadcast_in_dim", [zero], kind, source, shape=shape, broadcast_dimensions=())

    def _add(self, terms: Sequence[Atom], source: SourceLocation | None, target: Var | None = None) -> Atom:
        """The sum of terms, one after the other; in `target`, if there is one."""
        total = terms[0]
        for number, term in enumerate(terms[1:], 2):
            kind = term.type if term.type.shape else total.type  # a scalar is added to every element
            out = target if number == len(terms) and target is not None else Var(kind)
            self.equations.append(Equation(registry["add"], (total, term), (out,), {}, source))
            total = out
        if target is not None and len(terms) == 1:  # under the name that others know it by
            *before, last = self.equations
            assert last.outputs == (total,)
            self.equations = [*before, last.replace(outputs=(target,))]
            if total in self.made:
                self.made[target] = self.made.pop(total)
        return total

    def _emit(
        self, name: str, inputs: Sequence[Atom], kind: ArrayType, source: SourceLocation | None, **params: object
    ) -> Atom:
        out = Var(ArrayType(kind.shape, kind.dtype))
        self.equations.append(Equation(registry[name], tuple(inputs), (out,), params, source))
        return out
