"""Where do indices lead?  Index arrays as sums of loop axes and computed numbers; writes at such places as roots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.graph import Graph
from funcgrad.lower.index import Affine, Index, is_view, squeezed, through_view, total
from funcgrad.lower.roots import Root, natural_index

INT64 = np.dtype(np.int64)
MOST_NARROW = 2**31  # places that 32 bits tell apart
FOLDS = {"scatter": None, "scatter_add": "add", "scatter_mul": "mul", "scatter_min": "min", "scatter_max": "max"}


class Place(NamedTuple):
    """A position on an axis: an affine expression of loop axes, plus multiples of elements (factor, array, index)."""

    affine: Affine
    values: tuple[tuple[int, Atom, Index], ...] = ()


def resolve(graph: Graph, position: int, atom: Atom, index: Index) -> Place:
    """The element of an index array, taken apart as far as counting, adding and scaling go."""
    parts: list[Affine] = []
    values: list[tuple[int, Atom, Index]] = []
    pending = [(1, atom, index)]
    while pending:
        factor, a, i = pending.pop()
        if isinstance(a, Literal):
            parts.append(Affine((), factor * int(a.value)))
            continue
        equation = None if graph.is_stored(a, position) else graph.producers.get(a)
        name = equation.primitive.name if equation else ""
        if equation is None or a.type.dtype != INT64:
            values.append((factor, a, i))
        elif name == "iota":
            parts.append(i[equation.params["dimension"]].scaled(factor))
        elif is_view(equation):
            pending.append((factor, equation.inputs[0], through_view(equation, i)))
        elif name == "add":
            pending += [(factor, b, i if b.type.shape else ()) for b in equation.inputs]
        elif name == "mul" and isinstance(scale := equation.inputs[1], Literal):
            pending.append((factor * int(scale.value), equation.inputs[0], i))
        else:
            values.append((factor, a, i))
    return Place(total(parts), tuple(values))


def update_root(equation: Equation, target: Var, graph: Graph, position: int) -> Root:
    """The root that writes updates into the buffer of `target`, which holds the operand."""
    _, updates, *indices = equation.inputs
    name, params, shape = equation.primitive.name, equation.params, updates.type.shape
    index = natural_index(shape)
    if name == "dynamic_update_slice":
        starts = [resolve(graph, position, start, ()) for start in indices]
        places = tuple(Place(total((i, s.affine)), s.values) for i, s in zip(index, starts, strict=True))
    else:
        count = len(indices[0].type.shape)
        lines = dict(zip(params["axes"], indices, strict=True))
        rest = iter(index[count:])
        places = tuple(
            resolve(graph, position, lines[k], index[:count]) if k in lines else Place(next(rest))
            for k in range(len(target.type.shape))
        )
    domain = squeezed(shape)
    drop = bool(params.get("drop"))
    apart = name == "dynamic_update_slice" or bool(params.get("unique"))
    free = frozenset(range(len(domain))) if apart else frozenset(k for k in map(_walked, places) if k is not None)
    return Root(
        "scatter",
        domain,
        None,
        target,
        ((updates, index),),
        FOLDS.get(name),
        places=places,
        free=frozenset() if drop else free,
        drop=drop,
    )


def given_index(index: Atom, size: int, graph: Graph) -> tuple[Var, Equation | None]:
    """For a routine that checks indices itself: those of a line, in a buffer, and the check that they wait for; or, to
    be stored, checked ones in few bytes, and None.
    """
    assert isinstance(index, Var)
    check = None if index in graph.stored else graph.producers.get(index)
    if check is None:
        return index, None
    is_here = check.primitive.name == "check_index" and check.params["size"] == size
    given = _given(check.inputs[0] if is_here else index, graph)
    if given is not None:
        return given, check if is_here else None
    if size >= MOST_NARROW:
        return index, None
    narrow = Var(ArrayType(index.type.shape, np.dtype(np.int32)))
    convert = Equation(registry["convert_element_type"], (index,), (narrow,), {"dtype": narrow.type.dtype}, None)
    graph.producers[narrow] = convert
    return narrow, None


def _given(atom: Atom, graph: Graph) -> Var | None:
    """The integers in a buffer that an index array is made of by nothing but a conversion."""
    assert isinstance(atom, Var)
    producer = None if atom in graph.stored else graph.producers.get(atom)
    if producer is not None and producer.primitive.name == "convert_element_type":
        (atom,) = producer.inputs
    return atom if isinstance(atom, Var) and atom in graph.stored and atom.type.dtype.kind in "iu" else None


def _walked(place: Place) -> int | None:
    """The loop axis along which every iteration is at another position, if it is the only one that matters."""
    axes = [s for s, _ in place.affine.terms]
    fixed = not any(i.terms for _, _, index in place.values for i in index)
    return axes[0] if len(axes) == 1 and isinstance(axes[0], int) and fixed else None
