"""How does running a function give a program?  A builder appends one equation for each operation on its tracers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from funcgrad.errors import UnexpectedTracerError, user_location
from funcgrad.ir.primitive import Primitive, Values, registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.trace.frame import Frame, bind, running, type_of, undisturbed
from funcgrad.trace.tracer import Tracer, leak_message


class Builder(Frame):
    """Collects the equations of one program, and the outer values that it captures.

    Attributes
    ----------
    captures
        Tracers of outer frames that the program reads, with the variable that stands for each, by id.
    constants
        Known arrays that the program reads.
    """

    __slots__ = ("_known", "captures", "constants", "equations")
    whole = True  # whether everything that the function does becomes part of the program

    def __enter__(self) -> Self:
        super().__enter__()
        if self.whole:
            running.builders = (*running.builders, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        super().__exit__(kind, error, tb)
        if self.whole:
            running.builders = running.builders[:-1]

    def __init__(self) -> None:
        super().__init__()
        self.equations: list[Equation] = []
        self.captures: dict[int, tuple[Tracer, Var]] = {}
        self.constants: dict[Var, np.ndarray] = {}
        self._known: dict[int, tuple[Any, Atom]] = {}  # by id; the array is kept so that its id stays its own

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """Append an equation."""
        atoms: list[Atom] = []
        for x in inputs:
            mine = type(x) is Tracer and x.frame is self and type(x.payload) is Var
            atoms.append(x.payload if mine else self.atom(x))
        line = running.source or user_location()
        if running.locals is not None:
            running.locals.look()
        if primitive.multiple:
            types = primitive.output_types(tuple([a.type for a in atoms]), params)
            outputs = tuple([Var(t) for t in types])
            self.equations.append(Equation(primitive, tuple(atoms), outputs, params, line))
            return tuple([Tracer(self, v.type, v) for v in outputs])
        kind = primitive.infer(*[a.type for a in atoms], **params)
        out = Var(kind)
        self.equations.append(Equation(primitive, tuple(atoms), (out,), params, line))
        return (Tracer(self, kind, out),)

    def below(self, tracer: Tracer) -> Any:
        """Nothing: a program has no values."""
        return None

    def explain(self) -> str:
        """Remedies inside `jit`."""
        return (
            "Inside jit (and other functions that are traced to programs) values are not known. Use numpy.where, "
            "lax.select or lax.cond to choose between values, or make the argument static (static_argnums, "
            "static_argnames) if it is a Python value."
        )

    def parameter(self, type: ArrayType) -> Tracer:
        """A tracer for a new input of the program."""
        return Tracer(self, type, Var(type))

    def atom(self, x: Any) -> Atom:
        """What stands for `x` in an equation: its variable, a literal, a constant or a capture."""
        if type(x) is Tracer:
            if x.frame is self:
                return x.payload  # type: ignore[no-any-return]
            if not x.frame.active:
                raise UnexpectedTracerError(leak_message("A traced function"))
            captured = self.captures.get(id(x))
            if captured is None:
                captured = self.captures[id(x)] = (x, Var(x.type))
            return captured[1]
        kind = type_of(x)
        if not kind.shape:
            return Literal(kind.dtype.type(x), kind)
        return self._constant(x, kind)

    def _constant(self, x: np.ndarray, kind: ArrayType) -> Atom:
        entry = self._known.get(id(x))
        if entry is None:
            entry = self._known[id(x)] = (x, self._copied(x, kind))
        return entry[1]

    def _copied(self, x: np.ndarray, kind: ArrayType) -> Any:
        """The variable of a copy, which the caller cannot write to; what is repeated along axes is spread there."""
        wide = [axis for axis, n in enumerate(x.shape) if n > 1]
        own = tuple([axis for axis in wide if x.strides[axis]])
        if x.size and len(own) < len(wide):
            part = x[tuple([slice(None) if axis in own else 0 for axis in range(x.ndim)])]
            inner = self._copied(part, type_of(part)) if own else Literal(x[(0,) * x.ndim], kind.with_shape(()))
            small = Tracer(self, inner.type, inner)
            return bind(registry["broadcast_in_dim"], small, shape=kind.shape, broadcast_dimensions=own)[0].payload
        var = Var(kind)
        self.constants[var] = np.array(x, dtype=kind.dtype, order="C")
        return var

    def program(self, inputs: Sequence[Tracer], outputs: Sequence[Any]) -> Program:
        """The program from `inputs` to `outputs`; captured outer values become its first inputs,
        in order of `captures`.
        """
        atoms = tuple(map(self.atom, outputs))
        parameters = (*(v for _, v in self.captures.values()), *(t.payload for t in inputs))
        return Program(parameters, tuple(self.equations), atoms, self.constants)


@undisturbed
def trace(function: Callable[..., Sequence[Any]], types: Sequence[ArrayType]) -> tuple[Program, tuple[Tracer, ...]]:
    """The program of `function`, which takes and returns flat sequences, and the outer tracers that it captured.

    The captured values are the first inputs of the program, the function's own arguments follow.
    """
    with Builder() as builder:
        parameters = [builder.parameter(t) for t in types]
        program = builder.program(parameters, function(*parameters))
        return program, tuple(x for x, _ in builder.captures.values())


def evaluate(program: Program, arguments: Sequence[Any], apply: Callable[..., Values]) -> list[Any]:
    """Run the equations of `program` through `apply(primitive, *inputs, **params)`, e.g. `bind`, on any kind of values.

    What they emit in turn keeps their source. Counts along an axis stay equations where a program is being made: the
    array of all of them may be large.
    """
    env: dict[Var, Any] = dict(zip(program.inputs, arguments, strict=True))
    env.update(program.constants)
    before = running.source
    try:
        for equation in program.equations:
            running.source = equation.source or before
            inputs = [a.value if type(a) is Literal else env[a] for a in equation.inputs]  # type: ignore[index]
            counts = equation.primitive.name == "iota" and running.builders
            outputs = (
                running.builders[-1].process(equation.primitive, (), dict(equation.params))
                if counts
                else apply(equation.primitive, *inputs, **equation.params)
            )
            env.update(zip(equation.outputs, outputs, strict=True))
    finally:
        running.source = before
    return [a.value if type(a) is Literal else env[a] for a in program.outputs]  # type: ignore[index]
