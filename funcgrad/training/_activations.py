"""Which values of a loss are its layers' activations?  Outputs of named scopes, and what enters the next product.

A network whose layers run in scopes (`named_scope`, as those of `funcgrad.nn.layers` do) says what its layers are. In
other programs an activation is what a product, a convolution or a loop reads, if it depends on parameters and is no
parameter itself, looked at before pooling and reshaping; and, behind the last product, what its bias and its activation
function make of it. Those are known by the user's line.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from funcgrad.dtypes import is_inexact
from funcgrad.errors import SourceLocation
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var

PRODUCTS = frozenset("dot_general conv_general_dilated scan while cond".split())
# What a layer's output may pass through on its way to the next product: views, and pooling
VIEWS = frozenset("reshape transpose broadcast_in_dim convert_element_type stop_gradient optimization_barrier".split())
POOLING = frozenset("pad slice rev reduce_sum reduce_max reduce_window_sum reduce_window_max reduce_window_min".split())
SCALINGS = frozenset("mul div".split())
AFFINE = frozenset("add sub mul div neg".split())
FUNCTIONS = frozenset("tanh logistic erf max min select sin exp".split())  # of activation, beside those made of several


class Activation(NamedTuple):
    """A value of the program that the report is about.

    Attributes
    ----------
    name
        The scope, or the user's line.
    text
        The line itself, where its file can be read; empty for a scope.
    var
        The value.
    made_by
        The primitive that computed it.
    """

    name: str
    text: str
    var: Var
    made_by: str


class Flow(NamedTuple):
    """How values depend on each other.

    Attributes
    ----------
    maker, readers
        The equation that defines a variable, and those that read it.
    weights
        Variables that depend on parameters only.
    signal
        Variables that depend on parameters and data.
    feeding
        Variables that some later product depends on.
    """

    maker: dict[Var, Equation]
    readers: dict[Var, list[Equation]]
    weights: set[Atom]
    signal: set[Atom]
    feeding: set[Atom]


def activations(program: Program, parameters: Sequence[Var], data: Sequence[Var]) -> list[Activation]:
    """The activations of a loss, in the order in which they are computed; calls must have been inlined.

    Parameters
    ----------
    program
        The loss.
    parameters, data
        Which of its inputs are what is trained, and which are not; without data, constants count as such.
    """
    flow = _flow(program, parameters, data)
    named = _outputs_of_scopes(program, flow)
    known = {_back(flow, var, VIEWS) for var in named}
    found = dict(named)
    for var in _unnamed(program, flow):
        if var not in known and not _scope(flow.maker[var]):
            found.setdefault(var, "")
    order = [v for equation in program.equations for v in equation.outputs if v in found]
    return list(_labelled((var, found[var], flow.maker[var]) for var in order if var.type.ndim))


def _flow(program: Program, parameters: Sequence[Var], data: Sequence[Var]) -> Flow:
    weights: set[Atom] = set(parameters)
    given: set[Atom] = set(data) or set(program.constants)
    signal: set[Atom] = set()
    flow = Flow({}, {}, weights, signal, set())
    for equation in program.equations:
        by_weights = not weights.isdisjoint(equation.inputs)
        by_signal = not signal.isdisjoint(equation.inputs)
        by_data = not given.isdisjoint(equation.inputs)
        for a in equation.inputs:
            if isinstance(a, Var):
                flow.readers.setdefault(a, []).append(equation)
        for v in equation.outputs:
            flow.maker[v] = equation
            if not is_inexact(v.type.dtype):
                given.update([v] if by_signal or by_data else [])  # a mask, an index
            elif by_signal or (by_weights and by_data):
                signal.add(v)
            elif by_weights:
                weights.add(v)
            elif by_data:
                given.add(v)
    for equation in reversed(program.equations):
        if equation.primitive.name in PRODUCTS or not flow.feeding.isdisjoint(equation.outputs):
            flow.feeding.update(equation.inputs)
    return flow


def _scope(equation: Equation) -> str:
    return equation.source.scope if equation.source else ""


def _outputs_of_scopes(program: Program, flow: Flow) -> dict[Var, str]:
    """What leaves each scope, with the innermost scope that it leaves."""
    found: dict[Var, str] = {}
    for scope, run in _runs(program.equations):
        own = set(run)
        for equation in run:
            for v in equation.outputs:
                read = flow.readers.get(v, [])
                leaves = v in program.outputs or any(reader not in own for reader in read)
                if leaves and v in flow.signal and len(scope) > len(found.get(v, "")):
                    found[v] = scope
    return _without_views(flow, found)


def _without_views(flow: Flow, found: dict[Var, str]) -> dict[Var, str]:
    """Scopes that only reshape what another one put out have nothing to tell."""
    return {v: scope for v, scope in found.items() if (root := _back(flow, v, VIEWS)) is v or root not in found}


def _runs(equations: Iterable[Equation]) -> Iterator[tuple[str, list[Equation]]]:
    """Each time that a scope is entered: its path and the equations until it is left."""
    open_runs: dict[str, list[Equation]] = {}
    for equation in equations:
        if equation.source is None:
            continue
        parts = equation.source.scope.split("/") if equation.source.scope else []
        paths = ["/".join(parts[: k + 1]) for k in range(len(parts))]
        for path in [path for path in open_runs if path not in paths]:
            yield path, open_runs.pop(path)
        for path in paths:
            open_runs.setdefault(path, []).append(equation)
    yield from open_runs.items()


def _unnamed(program: Program, flow: Flow) -> Iterator[Var]:
    """What enters products, and what comes out of those that no product follows."""
    for equation in program.equations:
        if equation.primitive.name not in PRODUCTS:
            continue
        for a in equation.inputs:
            if isinstance(a, Var) and a in flow.signal:
                yield _back(flow, a, VIEWS | POOLING)
        for v in equation.outputs:
            read = v in flow.readers or v in program.outputs
            if read and v in flow.signal and v not in flow.feeding and not _scope(equation):
                yield _forward(flow, v)


def _back(flow: Flow, var: Var, through: frozenset[str]) -> Var:
    """The value that `var` is a view of (or, where pooling counts, that it was pooled from)."""
    while (equation := flow.maker.get(var)) is not None:
        name = equation.primitive.name
        sources = [a for a in equation.inputs if isinstance(a, Var)]
        passes = name in through or (through >= POOLING and name in SCALINGS and len(equation.inputs) == 2)
        if not passes or len(sources) != 1 or sources[0] not in flow.signal:
            break
        (var,) = sources
    return var


def _forward(flow: Flow, var: Var) -> Var:
    """`var` after its bias and its activation function, if nothing else reads what lies between."""
    while var.type.ndim and var not in flow.feeding:
        readers = [reader for reader in flow.readers.get(var, []) if reader.primitive.family != "nondifferentiable"]
        if len(readers) != 1 or _scope(readers[0]):
            break
        (equation,) = readers
        name = equation.primitive.name
        others = [a for a in equation.inputs if a is not var and is_inexact(a.type.dtype)]
        plain = all(isinstance(a, Literal) or a in flow.weights for a in others)
        if not plain or name not in VIEWS | AFFINE | FUNCTIONS or equation.outputs[0] not in flow.signal:
            break
        (var,) = equation.outputs
        if name in FUNCTIONS:
            break
    return var


def _labelled(found: Iterable[tuple[Var, str, Equation]]) -> Iterator[Activation]:
    """With names that tell them apart."""
    seen: dict[str, int] = {}
    for var, scope, equation in found:
        name = scope or place(equation.source)
        seen[name] = seen.get(name, 0) + 1
        name = name if seen[name] == 1 else f"{name} #{seen[name]}"
        yield Activation(name, "" if scope else line_text(equation.source), var, equation.primitive.name)


def place(source: SourceLocation | None) -> str:
    """A line of the user's, in short: ``train.py:12``."""
    return f"{os.path.basename(source.code.co_filename)}:{source.line}" if source else "unknown line"


def line_text(source: SourceLocation | None) -> str:
    """What stands on that line, where its file can be read."""
    return linecache.getline(source.code.co_filename, source.line).strip() if source else ""


__all__ = ["Activation", "activations", "line_text", "place"]
