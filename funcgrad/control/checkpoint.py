"""What does reverse mode keep?  The primitive ``checkpoint``: only what a policy says; the rest is computed again.

The backward program reads its operands through ``optimization_barrier``, so that what it computes again is not merged
with what was computed before, and does not start before the steps of the program up to there are done.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.bodies import pushed
from funcgrad.dtypes import ALL, is_inexact
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Primitive, Pullback, Values
from funcgrad.ir.program import Atom, Equation, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, elementwise
from funcgrad.trace.builder import Builder, evaluate, trace
from funcgrad.trace.frame import bind, running, type_of, undisturbed
from funcgrad.trace.tracer import Tracer, known
from funcgrad.transform.partial import needed
from funcgrad.transform.vjp import vjp_program
from funcgrad.transform.vmap import kept_program

Policy = Callable[..., Any]
INSIDE = frozenset({"jit", "checkpoint"})  # a policy sees the equations of these

name = elementwise(
    "name",
    lambda x, *, name: np.array(x),
    ALL,
    (lambda t, out, x, name: t,),
    lambda emit, dtype, x, name: x,
)


# optimization_barrier ------------------------------------------------------------------------------------------------


def _barrier_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    (t,) = tangents
    return bind(barrier, *inputs), (None if t is None else barrier(t),)


def _barrier_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    return bind(barrier, *inputs), lambda cotangents: (barrier(cotangents[0]),)


barrier: Operation = Operation(
    name="optimization_barrier",
    family="linear",
    reference=lambda x: np.array(x),
    infer=lambda x: ArrayType(x.shape, x.dtype),
    jvp=_barrier_jvp,
    vjp=_barrier_vjp,
    batch=lambda size, inputs, batched, params: (bind(barrier, *inputs), tuple(batched)),
    operands=1,
)


# checkpoint ----------------------------------------------------------------------------------------------------------


class Cut(NamedTuple):
    """A program's forward and backward parts.

    Attributes
    ----------
    forward
        ``inputs -> (outputs, saved values)``.
    backward
        ``(the inputs that it reads, saved values, cotangents of floating outputs) -> cotangents of wanted inputs``.
    read
        Which inputs it reads.
    saved
        How many values are saved.
    """

    forward: Program
    backward: Program
    read: tuple[int, ...]
    saved: int


@functools.lru_cache(maxsize=512)
def cut(program: Program, wanted: tuple[bool, ...], policy: Policy | None) -> Cut:
    """Cut the joint program: of what the backward part reads, what `policy` says is saved."""
    joint = vjp_program(opened(program), wanted)
    inputs, cotangents = joint.inputs[: len(program.inputs)], joint.inputs[len(program.inputs) :]
    late: set[Atom] = set(cotangents)
    makers: dict[Var, Equation] = {}
    early: list[Equation] = []
    backward: list[Equation] = []
    for equation in joint.equations:
        if any(a in late for a in equation.inputs):
            late.update(equation.outputs)
            backward.append(equation)
        else:
            early.append(equation)
            makers.update(dict.fromkeys(equation.outputs, equation))
    pulled = joint.outputs[len(program.outputs) :]
    wish = saveable(joint, policy)
    waiting = [a for equation in backward for a in equation.inputs] + list(pulled)
    saved: dict[Var, None] = {}
    again: dict[Equation, None] = {}
    while waiting:
        a = waiting.pop()
        if not isinstance(a, Var) or a in late or a not in makers:
            continue
        if a in wish:
            saved[a] = None
        elif makers[a] not in again:
            again[makers[a]] = None
            waiting.extend(makers[a].inputs)
    equations = (*(e for e in joint.equations if e in again), *backward)
    kept = tuple(saved)
    reads: set[Atom] = {a for equation in equations for a in equation.inputs} | set(pulled)
    read = tuple(k for k, v in enumerate(inputs) if v in reads)
    heads = (*(inputs[k] for k in read), *kept, *cotangents)
    results = (*joint.outputs[: len(program.outputs)], *kept)
    forward = needed(Program(inputs, tuple(early), results, joint.constants))
    return Cut(forward, Program(heads, equations, pulled, joint.constants), read, len(kept))


def saveable(program: Program, policy: Policy | None) -> set[Var]:
    """The values that a policy lets be saved; the operand of one that has a name is the same value."""
    found: set[Var] = set()
    if policy is None:
        return found
    for equation in program.equations:
        if policy(equation.primitive, *(a.type for a in equation.inputs), **equation.params):
            found.update(equation.outputs)
            if equation.primitive is name:
                found.update(a for a in equation.inputs if isinstance(a, Var))
    return found


def opened(program: Program) -> Program:
    """`program` with calls replaced by what they call, so that a policy sees it."""
    if not any(equation.primitive.name in INSIDE for equation in program.equations):
        return program

    def apply(primitive: Primitive, *inputs: Any, **params: Any) -> Values:
        if primitive.name in INSIDE:
            return tuple(evaluate(params["program"], inputs, apply))
        return bind(primitive, *inputs, **params)

    return trace(lambda *xs: evaluate(program, xs, apply), program.input_types)[0]


def _infer(*types: ArrayType, program: Program, policy: Policy | None, prevent_cse: bool) -> tuple[ArrayType, ...]:
    return program.output_types


def _jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    program: Program = params["program"]
    moving = tuple(t is not None for t in tangents)
    given = [t for t in tangents if t is not None]
    outputs = bind(checkpoint, *inputs, *given, **(params | {"program": pushed(program, moving)}))
    rest = iter(outputs[len(program.outputs) :])
    smooth = [is_inexact(t.dtype) for t in program.output_types]
    return outputs[: len(smooth)], tuple(next(rest) if s else None for s in smooth)


def _vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    program: Program = params["program"]
    parts = cut(program, tuple(wanted), params["policy"])
    if outcome.program is program and not parts.saved and not any(type(x) is Tracer for x in inputs):
        results = outcome.values
    else:
        results = bind(checkpoint, *inputs, **(params | {"program": parts.forward}))
    count = len(program.outputs)
    residuals = [*(inputs[k] for k in parts.read), *results[count:]]

    def pullback(cotangents: Values) -> Values:
        given = [ct for ct, t in zip(cotangents, program.output_types, strict=True) if is_inexact(t.dtype)]
        hidden = [barrier(x) if params["prevent_cse"] and type(x) is Tracer else x for x in residuals]
        found = iter(bind(checkpoint, *hidden, *given, **(params | {"program": parts.backward})))
        return tuple(next(found) if w else None for w in wanted)

    return results[:count], pullback


def _batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    program = kept_program(params["program"], size, batched)
    outputs = bind(checkpoint, *inputs, **(params | {"program": program}))
    return outputs, (True,) * len(outputs)


checkpoint = Operation(
    name="checkpoint",
    family="structured",
    reference=lambda *inputs, program, policy, prevent_cse: tuple(interpret(program, inputs)),
    infer=_infer,
    jvp=_jvp,
    vjp=_vjp,
    batch=_batch,
    multiple=True,
)


# The program of a function whose values are known --------------------------------------------------------------------


class Unknown(Exception):
    """A value is not known: the function must be traced without values."""


class Known(NamedTuple):
    """What a recorder's tracer stands for: a variable of its program, a value, kept as long as somebody uses it, and
    whether the value depends differentiably on the inputs.
    """

    var: Var
    value: Any
    moving: bool = True


class Recorder(Builder):
    """A builder that computes as it goes, so that ``if`` and ``float()`` work while a program is made."""

    __slots__ = ()

    def variable(self, x: Any) -> Tracer:
        """A tracer for an input whose value is that of `x`."""
        kind = type_of(x)
        return Tracer(self, kind, Known(Var(kind), value_of(x)))

    def atom(self, x: Any) -> Atom:
        """What stands for `x` in an equation."""
        if type(x) is Tracer and x.frame is self and type(x.payload) is Known:
            return x.payload.var
        return super().atom(x)

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """Compute, and append an equation."""
        values = [
            x.payload.value if type(x) is Tracer and x.frame is self and type(x.payload) is Known else value_of(x)
            for x in inputs
        ]
        outputs = super().process(primitive, inputs, params)
        if primitive.impure and not outputs:  # it is done when the program runs
            return outputs
        source, running.source = running.source, None
        try:
            found = primitive.compute(tuple(values), params)
        finally:
            running.source = source
        moving = primitive.vjp is not None and any(type(x) is Tracer and self.differentiates(x) for x in inputs)
        return tuple(Tracer(self, t.type, Known(t.payload, x, moving)) for t, x in zip(outputs, found, strict=True))

    def below(self, tracer: Tracer) -> Any:
        """The value."""
        return tracer.payload.value if type(tracer.payload) is Known else None

    def differentiates(self, tracer: Tracer) -> bool:
        """What is recorded is differentiated later."""
        return type(tracer.payload) is not Known or tracer.payload.moving


def value_of(x: Any) -> Any:
    """The known value of an operand, or `Unknown`."""
    value = known(x)
    if value is None:
        raise Unknown
    return value


class Outcome(threading.local):
    """What a program that was recorded just now gave, so that it need not run once more for that."""

    program: Program | None = None
    values: Values = ()


outcome = Outcome()


@undisturbed
def record(
    function: Callable[..., Sequence[Any]], inputs: Sequence[Any]
) -> tuple[Program, tuple[Tracer, ...], Values | None]:
    """As `trace`, at the known values of `inputs`; also the outputs' values (None if effects wait for the program to
    run). Raises `Unknown` where a value is not known.
    """
    with Recorder() as recorder:
        variables = [recorder.variable(x) for x in inputs]
        outputs = function(*variables)
        program = recorder.program([Tracer(recorder, v.type, v.payload.var) for v in variables], outputs)
        values = None if any(e.primitive.impure for e in program.equations) else tuple(map(value_of, outputs))
        return program, tuple(x for x, _ in recorder.captures.values()), values


def apply_recorded(program: Program, values: Values | None, *inputs: Any, **params: Any) -> Values:
    """Bind a program that was recorded with these outputs."""
    before = outcome.program, outcome.values
    outcome.program, outcome.values = (None, ()) if values is None else (program, values)
    try:
        return bind(checkpoint, *inputs, program=program, **params)
    finally:
        outcome.program, outcome.values = before


# Policies ------------------------------------------------------------------------------------------------------------


def everything_saveable(*_: Any, **__: Any) -> bool:
    """Save everything that the backward program reads, as without `checkpoint`."""
    return True


def nothing_saveable(*_: Any, **__: Any) -> bool:
    """Save nothing but the arguments, as `checkpoint` does by default."""
    return False


def dots_saveable(primitive: Any, *_: Any, **__: Any) -> bool:
    """Save products of matrices and convolutions."""
    return primitive.name in ("dot_general", "conv_general_dilated")


def dots_with_no_batch_dims_saveable(primitive: Any, *_: Any, **params: Any) -> bool:
    """Save products of matrices, but not batches of them."""
    return primitive.name == "dot_general" and not params["dimension_numbers"][1][0]


@functools.lru_cache(maxsize=128)
def _by_name(names: frozenset[str], listed: bool, others: bool) -> Policy:
    def policy(primitive: Any, *_: Any, **params: Any) -> bool:
        return (params["name"] in names) is listed if primitive.name == "name" else others

    return policy


def save_only_these_names(*names: str) -> Policy:
    """Save the values that `checkpoint_name` gave one of these names."""
    return _by_name(frozenset(names), True, False)


def save_any_names_but_these(*names: str) -> Policy:
    """Save the values that `checkpoint_name` gave another name."""
    return _by_name(frozenset(names), False, False)


def save_anything_except_these_names(*names: str) -> Policy:
    """Save everything but the values that `checkpoint_name` gave one of these names."""
    return _by_name(frozenset(names), False, True)


@functools.lru_cache(maxsize=128)
def save_from_both_policies(first: Policy, second: Policy) -> Policy:
    """Save what either of two policies saves."""
    return lambda primitive, *types, **params: first(primitive, *types, **params) or second(primitive, *types, **params)


def _offloading(*_: Any, **__: Any) -> Policy:
    """Refused: there is no device to move values to."""
    raise NotImplementedError(
        "checkpoint_policies: nothing can be moved to another device's memory: there is one device, the CPU. "
        "dots_with_no_batch_dims_saveable and save_only_these_names save in place"
    )


offload_dot_with_no_batch_dims = save_and_offload_only_these_names = _offloading
