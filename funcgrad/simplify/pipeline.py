"""In what order is a program simplified?  Calls inlined, cotangents of parts put together, dead code dropped,
then one walk that folds, merges and applies identities.
"""

from __future__ import annotations

import numpy as np

from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Program, Var
from funcgrad.simplify.identities import IDENTITIES, fold
from funcgrad.simplify.inline import inline
from funcgrad.simplify.parts import assembled
from funcgrad.simplify.rewrite import Rewriter, literal, live

COUNTED = 1 << 22  # constants of more elements are not looked through


def simplify(program: Program) -> Program:
    """A program with the same results and no more equations of each kind of work.

    Examples
    --------
    >>> import funcgrad as fg
    >>> print(simplify(fg.make_jaxpr(lambda x: -(-(x * 1.0)) + fg.numpy.sin(x) * fg.numpy.sin(x))(2.0)))
    { lambda ; a:f64[]*. let
        b:f64[]* = sin a
        c:f64[]* = mul b b
        d:f64[]* = add a c
      in (d,) }
    """
    return live(_rewrite(live(assembled(inline(program)))))


def _rewrite(program: Program) -> Program:
    r = Rewriter(program.constants)
    for v, value in program.constants.items():
        r.env[v] = _constant(r, v, value)
    for equation in program.equations:
        inputs = [r.read(a) for a in equation.inputs]
        found: Atom | None = fold(equation, inputs)
        if found is None:
            rule = IDENTITIES.get(equation.primitive.name)
            found = rule(r, inputs, equation.params, equation.source) if rule else None
        outputs: tuple[Atom, ...] = (found,) if found is not None else r.keep(equation, tuple(inputs))
        r.env.update(zip(equation.outputs, outputs, strict=True))
    results = tuple(r.read(a) for a in program.outputs)
    return Program(program.inputs, tuple(r.equations), results, r.constants)


def _constant(r: Rewriter, v: Var, value: np.ndarray) -> Atom:
    """A known array that one number or the count along an axis describes."""
    if not 0 < value.size <= COUNTED:
        return v
    first, last = value[(0,) * value.ndim], value[(-1,) * value.ndim]  # `flat` ends at 32 axes
    if first.tobytes() * 2 == last.tobytes() + first.tobytes() and (value == first).all():
        if (
            not first and value.dtype.kind == "f" and np.signbit(value).any() != np.signbit(value).all()
        ):  # 0 and -0 are equal
            return v
        number = literal(first, v.type.dtype)
        return r.emit(registry["broadcast_in_dim"], [number], {"shape": value.shape, "broadcast_dimensions": ()}, None)[
            0
        ]
    if value.dtype.kind in "iu" and not first:
        for axis, extent in enumerate(value.shape):
            line = np.arange(extent).reshape([-1 if k == axis else 1 for k in range(value.ndim)])
            if extent > 1 and (value == line).all():
                params = {"dtype": v.type.dtype, "shape": value.shape, "dimension": axis}
                return r.emit(registry["iota"], [], params, None)[0]
    return v
