"""How are a loss's activations and the derivatives by them had?  As the derivatives by zeros added to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad import tree
from funcgrad.api import value_and_grad
from funcgrad.arguments import argument_at, value_and_aux
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.program import Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import add
from funcgrad.runtime.dispatch import jit
from funcgrad.runtime.switches import disable_jit
from funcgrad.simplify.inline import inline
from funcgrad.simplify.rewrite import live
from funcgrad.trace.frame import bind, running
from funcgrad.trace.function import trace_function
from funcgrad.training._activations import Activation, activations
from funcgrad.training._origins import Origin, origins


class Probe(NamedTuple):
    """A loss made ready for reports.

    Attributes
    ----------
    run
        ``run(parameters, zeros, others) -> (value, activations), (gradients, cotangents)``, compiled; all are lists.
    found
        The activations.
    names
        What the loss's arguments are called, leaf by leaf.
    """

    run: Any
    found: list[Activation]
    names: list[str]

    def origins(self, parameters: list[Any], zeros: list[Any], others: list[Any]) -> list[Origin]:
        """Where what is not finite began."""
        program = inline(self.run.trace(parameters, zeros, others).program)
        outputs = (program.outputs[0], *program.outputs[1 + len(self.found) : 1 + len(self.found) + len(parameters)])
        program = live(program.replace(outputs=outputs))
        made = [k for k, equation in enumerate(program.equations) if outputs[0] in equation.outputs]
        count = len(parameters)
        names = [*self.names[:count], *("a probe" for _ in zeros), *self.names[count:]]
        return origins(program, [*parameters, *zeros, *others], names, made[0] + 1 if made else 0)


def probe(
    loss: Callable[..., Any], structure: tree.TreeDef, types: Sequence[ArrayType], count: int, has_aux: bool
) -> Probe:
    """The loss as a program with its activations; the first `count` leaves of its arguments are the parameters."""
    with disable_jit():  # a jitted part would keep the scope in which it was traced first
        traced = trace_function(loss, structure, types)
    _check_scalar(loss, traced.out_structure, traced.program.output_types, has_aux)
    program = inline(traced.program)
    program = live(program.replace(outputs=program.outputs[:1]))
    found = activations(program, program.inputs[:count], program.inputs[count:])
    places = {activation.var: number for number, activation in enumerate(found)}

    def probed(parameters: list[Any], zeros: list[Any], others: list[Any]) -> tuple[Any, list[Any]]:
        return _evaluate(program, [*parameters, *others], places, zeros)

    run = jit(value_and_grad(probed, argnums=(0, 1), has_aux=True))
    return Probe(run, found, [_name(path) for path in structure.paths()])


def _evaluate(
    program: Program, arguments: list[Any], places: dict[Var, int], zeros: list[Any]
) -> tuple[Any, list[Any]]:
    """The output, and the values at `places`, to each of which one of `zeros` has been added."""
    env: dict[Any, Any] = dict(zip(program.inputs, arguments, strict=True)) | dict(program.constants)
    values: list[Any] = [None] * len(places)
    before = running.source
    try:
        for equation in program.equations:
            running.source = equation.source or before
            inputs = [a.value if isinstance(a, Literal) else env[a] for a in equation.inputs]
            outputs = bind(equation.primitive, *inputs, **equation.params)
            for v, x in zip(equation.outputs, outputs, strict=True):
                env[v] = bind(add, x, zeros[places[v]])[0] if v in places else x
                if v in places:
                    values[places[v]] = env[v]
    finally:
        running.source = before
    (output,) = program.outputs
    return output.value if isinstance(output, Literal) else env[output], values


def _check_scalar(loss: Any, structure: tree.TreeDef, types: Sequence[ArrayType], has_aux: bool) -> None:
    """A `TypeError` unless the loss returns one real number (and whatever comes with it, if `has_aux`)."""
    value, _ = value_and_aux(tree.unflatten(structure, types), has_aux)
    name = getattr(loss, "__name__", repr(loss))
    if not isinstance(value, ArrayType):
        raise TypeError(
            f"gradient_report: {name} must return one number, not a pytree (for a pair (value, aux) pass has_aux=True)"
            f"{at_line()}"
        )
    if value.shape or not is_inexact(value.dtype) or value.dtype.kind == "c":
        raise TypeError(f"gradient_report: {name} must return one real number, but its type is {value}{at_line()}")


def _name(path: tuple[Any, ...]) -> str:
    """An argument in messages; the first one is the parameters."""
    part, first, *rest = path
    if part:
        return f"argument {first!r}{tree.key_string(tuple(rest))}"
    return argument_at((first, *rest)) if first else f"the parameters{tree.key_string(tuple(rest))}"
