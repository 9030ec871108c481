"""Do all meanings of every primitive agree?  Reference, types, interpreter, native code, derivatives, batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.dtypes import is_inexact
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Program
from funcgrad.ir.types import type_of_value
from tests.ops.cases import ROWS
from tests.ops.numerics import assert_close, assert_near, complex_step, layouts, richardson
from tests.ops.rows import SHAPE, Draw, Row, special_operands

F4, F8 = np.dtype("f4"), np.dtype("f8")


def over(rows: list[Row], dtypes: str | None = None, *, slow: str = "") -> Any:
    """Parametrize a test over rows and dtypes, some of which only a slow run takes."""
    pairs = [
        pytest.param(row, np.dtype(code), marks=pytest.mark.slow if code in slow.split() else (), id=f"{row}-{code}")
        for row in rows
        for code in row.dtypes.split()
        if dtypes is None or code in dtypes.split()
    ]
    return pytest.mark.parametrize(("row", "dtype"), pairs)


ALL_ROWS = list(ROWS)
ELEMENTS = [row for row in ROWS if row.samplers]
SMOOTH = [
    row
    for row in ROWS
    if row.primitive.vjp is not None
    and row.smooth
    and not (row.name == "convert_element_type" and row.variant[0] != "f")
]
FLAT = [row for row in ROWS if row.primitive.vjp is None and row.name != "iota"]
BATCHED = [row for row in ROWS if row.name != "iota"]


@functools.cache
def compiled(row: Row, dtype: np.dtype) -> Callable[..., Any]:
    """One jitted function for each row and dtype, whose kernels all tests share."""
    return fg.jit(row.call(dtype))  # type: ignore[no-any-return]


def value_scale(row: Row, operands: tuple[Any, ...]) -> Any:
    """What rounding errors are relative to: for a sum, that of magnitudes (None where it is the result itself)."""
    if row.normwise:
        dtype = next((x.dtype for x in operands if is_inexact(x.dtype)), operands[0].dtype)
        want = np.asarray(row.reference(dtype)(*operands))
        return np.full(want.shape, np.max(np.abs(want), initial=0))
    if row.name in ("reduce_sum", "dot_general", "scatter_add") and operands[0].dtype.kind in "fc":
        magnitudes = [np.abs(x) if x.dtype.kind in "fc" else x for x in operands]
        return row.reference(operands[0].dtype)(*magnitudes)
    return None


def smooth_operands(operands: tuple[Any, ...]) -> list[bool]:
    """Which operands may be differentiated by."""
    return [is_inexact(x.dtype) for x in operands]


def tangents_for(row: Row, operands: tuple[Any, ...]) -> list[Any]:
    """A direction: numbers for operands that are smooth, None for the others."""
    draw = Draw(f"tangents of {row}", operands[0].dtype)
    return [Draw.between(draw, x.shape, -1, 1).astype(x.dtype) if is_inexact(x.dtype) else None for x in operands]


def pushed(function: Callable[..., Any], operands: tuple[Any, ...], tangents: list[Any]) -> Any:
    """The JVP in the operands that have a tangent."""
    moving = [x for x, t in zip(operands, tangents, strict=True) if t is not None]

    def partial(*given: Any) -> Any:
        rest = iter(given)
        return function(*(x if t is None else next(rest) for x, t in zip(operands, tangents, strict=True)))

    return fg.jvp(partial, tuple(moving), tuple(t for t in tangents if t is not None))


def weighted(row: Row, dtype: np.dtype, operands: tuple[Any, ...]) -> tuple[Callable[..., Any], list[Any]]:
    """A scalar function of the smooth operands (a fixed combination of the outputs), and those operands."""
    function, smooth = row.call(dtype), smooth_operands(operands)
    like = np.asarray(row.reference(dtype)(*operands))
    weights = Draw(f"weights of {row}", like.dtype).between(like.shape, 0.5, 1.5).astype(like.dtype)

    def combination(*given: Any) -> Any:
        rest = iter(given)
        out = function(*(next(rest) if s else x for x, s in zip(operands, smooth, strict=True)))
        return np.sum(out * weights)

    return combination, [x for x, s in zip(operands, smooth, strict=True) if s]


# What these mean is said by a frame, by the user's Python code or by a plain form: they have tests of their own.
ELSEWHERE = {
    "tests/transform/test_batching.py": {"psum", "all_gather", "ppermute", "axis_index"},
    "tests/control/test_callback.py": {"pure_callback", "io_callback", "debug_callback"},
    "tests/debug/test_checkify.py": {"check"},
    "tests/control/test_custom.py": {"custom_vjp_call", "custom_vmap_call"},
    "tests/lax/test_solves.py": {"custom_linear_solve"},
    "tests/interop/test_numba_call.py": {"numba_call"},
    "tests/nn/test_attention_blocks.py": {"attention", "attention_backward"},
    "tests/nn/test_attention_tiles.py": {"attend", "attend_backward"},
}


def test_every_primitive_has_a_row() -> None:
    assert {row.name for row in ROWS} == set(registry) - set().union(*ELSEWHERE.values())


def test_rows_are_told_apart() -> None:
    names = [str(row) for row in ROWS]
    assert len(set(names)) == len(names)


# Values ---------------------------------------------------------------------------------------------------------------


@over(ALL_ROWS)
def test_types(row: Row, dtype: np.dtype) -> None:
    operands = row.through(*row.draw(dtype))
    inferred = row.primitive.output_types(tuple(map(type_of_value, operands)), dict(row.params(dtype)))[row.output]
    with np.errstate(all="ignore"):
        given = row.primitive.reference(*operands, **row.params(dtype))
    out = np.asarray(given[row.output] if row.primitive.multiple else given)
    assert (inferred.shape, inferred.dtype) == (out.shape, out.dtype)


@over(ALL_ROWS)
def test_interpreted(row: Row, dtype: np.dtype) -> None:
    operands = row.draw(dtype)
    program = check(fg.make_jaxpr(row.call(dtype))(*operands))
    assert_close(interpret(program, operands)[0], np.asarray(row.reference(dtype)(*operands)), 0)


@over(ALL_ROWS)
def test_compiled(row: Row, dtype: np.dtype) -> None:
    operands = row.draw(dtype)
    want = np.asarray(row.reference(dtype)(*operands))
    assert_close(compiled(row, dtype)(*operands), want, row.ulps, value_scale(row, operands))


@over(ELEMENTS)
def test_compiled_special_values(row: Row, dtype: np.dtype) -> None:
    operands = special_operands(row, dtype)
    want = np.asarray(row.reference(dtype)(*operands))
    # NumPy's max(0, -0) depends on the order of the operands and on the machine
    assert_close(compiled(row, dtype)(*operands), want, row.ulps, signed_zeros=row.name not in ("max", "min"))


@over(ELEMENTS, "i4 f4 f8")
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)], ids=str)
def test_compiled_without_or_with_one_element(row: Row, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    operands = tuple(s(Draw(str(row), dtype), shape) for s in row.samplers)
    assert_close(compiled(row, dtype)(*operands), np.asarray(row.reference(dtype)(*operands)), row.ulps)


@over([row for row in ELEMENTS if len(row.samplers) == 2], "i4 f4")
@pytest.mark.parametrize("scalar", [0, 1])
def test_compiled_with_a_scalar(row: Row, dtype: np.dtype, scalar: int) -> None:
    operands = tuple(s(Draw(str(row), dtype), () if k == scalar else SHAPE) for k, s in enumerate(row.samplers))
    assert_close(compiled(row, dtype)(*operands), np.asarray(row.reference(dtype)(*operands)), row.ulps)


@over(ALL_ROWS, "b1 i4 f4 f8")
def test_compiled_layouts(row: Row, dtype: np.dtype) -> None:
    operands = tuple(map(np.asarray, row.draw(dtype)))
    tables = [layouts(x) for x in operands]
    for layout in tables[0] if tables else ():
        moved = [table[layout] for table in tables]
        want = np.asarray(
            row.reference(dtype)(*(np.ascontiguousarray(x, x.dtype.newbyteorder("=")).reshape(x.shape) for x in moved))
        )
        got = compiled(row, dtype)(*moved)
        assert_close(got, want, row.ulps, value_scale(row, tuple(map(np.asarray, moved))))


@over(ALL_ROWS)
def test_python_source(row: Row, dtype: np.dtype) -> None:
    pytest.importorskip("funcgrad.lower.python")
    operands = row.draw(dtype)
    namespace: dict[str, Any] = {}
    exec(compiled(row, dtype).lower(*operands).as_text("python"), namespace)  # type: ignore[attr-defined]
    with np.errstate(all="ignore"):
        (got,) = namespace["run"](*operands)
    want = np.asarray(row.reference(dtype)(*operands))
    assert_close(np.asarray(got), want, max(row.ulps, 1) if want.dtype.kind in "fc" else 0, value_scale(row, operands))


# Derivatives ----------------------------------------------------------------------------------------------------------


@over(SMOOTH, "f8")
def test_jvp(row: Row, dtype: np.dtype) -> None:
    operands = row.draw(dtype)
    tangents = tangents_for(row, operands)
    out, moved = pushed(row.call(dtype), operands, tangents)
    assert_close(
        out, np.asarray(row.reference(dtype)(*operands)), row.ulps if row.normwise else 0, value_scale(row, operands)
    )
    if row.name == "convert_element_type":  # differences of rounded values say little
        assert_close(moved, tangents[0].astype(out.dtype), 0)
        return
    method, tolerance = (complex_step, 1e-13) if row.analytic else (richardson, 1e-9)
    assert moved.dtype == out.dtype
    assert_near(moved, method(row.reference(dtype), operands, tangents), tolerance)


@over(SMOOTH, "f2 f4")
def test_derivative_in_lower_precision(row: Row, dtype: np.dtype) -> None:
    operands = row.draw(dtype)
    wide = tuple(x.astype(F8) if is_inexact(x.dtype) else x for x in operands)
    tangents = tangents_for(row, operands)
    widened = [None if t is None else t.astype(F8) for t in tangents]
    if row.name == "convert_element_type":
        return
    (_, got), (_, want) = (pushed(row.call(d), x, t) for d, x, t in ((dtype, operands, tangents), (F8, wide, widened)))
    assert got.dtype == dtype
    # of the largest term of the sum over the operands: they may cancel
    terms = [
        np.abs(pushed(row.call(F8), wide, [t if j == k else None for j, t in enumerate(widened)])[1])
        for k, t in enumerate(widened)
        if t is not None
    ]
    scale = sum(terms) if terms else None
    if row.normwise or row.name in ("reduce_sum", "reduce_prod", "dot_general", "scatter_add", "jit"):
        scale = np.full(want.shape, np.max(np.abs(want), initial=1))
    assert_close(got, want.astype(dtype), row.slope_ulps, None if scale is None else scale.astype(dtype))


@over(SMOOTH, "f2 f4 f8")
def test_adjoint(row: Row, dtype: np.dtype) -> None:
    operands = row.draw(dtype)
    tangents = tangents_for(row, operands)
    moving = [x for x, t in zip(operands, tangents, strict=True) if t is not None]

    def function(*given: Any) -> Any:
        rest = iter(given)
        return row.call(dtype)(*(x if t is None else next(rest) for x, t in zip(operands, tangents, strict=True)))

    out, moved = pushed(row.call(dtype), operands, tangents)
    _, pull = fg.vjp(function, *moving)
    ct = Draw(f"cotangent of {row}", out.dtype).between(out.shape, 0.5, 1.5).astype(out.dtype)
    pulled = pull(ct)
    assert [(p.shape, p.dtype) for p in pulled] == [(x.shape, x.dtype) for x in moving]
    terms = [p.astype(F8) * t for p, t in zip(pulled, (t for t in tangents if t is not None), strict=True)]
    left, right = float(np.sum(ct.astype(F8) * moved)), float(sum(np.sum(term) for term in terms))
    size = np.sum(np.abs(ct.astype(F8) * moved)) + sum(np.sum(np.abs(term)) for term in terms) + 1
    precision = max(np.finfo(x.dtype).eps for x in (*moving, out))
    assert abs(left - right) <= 8 * precision * size


@over(SMOOTH, "f8")
def test_second_order(row: Row, dtype: np.dtype) -> None:
    operands = row.draw(dtype)
    combination, moving = weighted(row, dtype, operands)
    tangents = [Draw("direction", dtype).between(x.shape, -1, 1) for x in moving]
    gradient = fg.grad(combination, argnums=tuple(range(len(moving))))
    _, curvature = fg.jvp(gradient, tuple(moving), tuple(tangents))
    if row.name == "convert_element_type":
        assert all(not np.any(c) for c in curvature)
        return
    for k, found in enumerate(curvature):
        assert_near(found, richardson(lambda *xs, k=k: np.asarray(gradient(*xs)[k]), moving, tangents), 1e-8)


@over(FLAT, "f4 f8")
def test_nothing_flows_through(row: Row, dtype: np.dtype) -> None:
    operands = row.draw(dtype)
    tangents = tangents_for(row, operands)
    if all(t is None for t in tangents):
        return
    _, moved = pushed(row.call(dtype), operands, tangents)
    assert not np.any(moved)


# Batches --------------------------------------------------------------------------------------------------------------


def mixes(count: int) -> list[tuple[bool, ...]]:
    """Every choice of operands that have a batch axis (one at least)."""
    return [tuple(bool(mask >> k & 1) for k in range(count)) for mask in range(1, 2**count)]


def batch_of(row: Row, dtype: np.dtype, size: int) -> list[tuple[Any, ...]]:
    """Operands for each example of a batch."""
    return [row.operands(Draw(f"{row} example {k}", dtype)) for k in range(size)]


@over(BATCHED, "b1 i4 i8 f4 f8", slow="f4 i4")
def test_vmap(row: Row, dtype: np.dtype) -> None:
    examples = batch_of(row, dtype, 3)
    first = examples[0]
    for mix in mixes(len(first)):
        operands = [np.stack([e[k] for e in examples]) if b else first[k] for k, b in enumerate(mix)]
        got = fg.vmap(row.call(dtype), in_axes=tuple(0 if b else None for b in mix))(*operands)
        each = [tuple(e[k] if b else first[k] for k, b in enumerate(mix)) for e in examples]
        want = np.stack([np.asarray(row.reference(dtype)(*x)) for x in each])
        assert_close(
            got,
            want,
            row.ulps if row.name == "dot_general" or row.normwise else 0,
            _stacked_scale(row, each),
        )


def _stacked_scale(row: Row, each: list[tuple[Any, ...]]) -> Any:
    scales = [value_scale(row, x) for x in each]
    return None if scales[0] is None else np.stack(scales)


@over(SMOOTH, "f4 f8", slow="f4")
def test_jit_of_vmap_of_grad(row: Row, dtype: np.dtype) -> None:
    examples = batch_of(row, dtype, 3)
    smooth = smooth_operands(examples[0])
    fixed = [x for x, s in zip(examples[0], smooth, strict=True) if not s]
    full = [tuple(x if s else y for x, y, s in zip(e, examples[0], smooth, strict=True)) for e in examples]
    combination, _ = weighted(row, dtype, full[0])
    assert len(fixed) + sum(smooth) == len(smooth)
    moving = [[x for x, s in zip(e, smooth, strict=True) if s] for e in full]
    gradient = fg.grad(combination, argnums=tuple(range(len(moving[0]))))
    got = fg.jit(fg.vmap(gradient))(*(np.stack(xs) for xs in zip(*moving, strict=True)))
    want = [np.stack(gs) for gs in zip(*(gradient(*xs) for xs in moving), strict=True)]
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype
        scale = np.full(w.shape, np.max(np.abs(w), initial=0), w.dtype)
        assert_close(g, w, max(16, row.ulps, row.slope_ulps), scale)


def _size(program: Program) -> int:
    """How many equations and constants there are, those of inner programs too."""
    inner = (p for e in program.equations for p in e.params.values() if isinstance(p, Program))
    return len(program.equations) + len(program.constants) + sum(map(_size, inner))


@over(SMOOTH, "f8")
def test_simplified(row: Row, dtype: np.dtype) -> None:
    simplify = pytest.importorskip("funcgrad.simplify").simplify
    operands = row.draw(dtype)
    combination, moving = weighted(row, dtype, operands)
    program = check(fg.make_jaxpr(fg.value_and_grad(combination, argnums=tuple(range(len(moving)))))(*moving))
    simple = check(simplify(program))
    assert _size(simple) <= _size(program)
    for got, want in zip(interpret(simple, moving), interpret(program, moving), strict=True):
        assert_close(got, np.asarray(want), 4, np.full(np.shape(want), np.max(np.abs(want), initial=0)))
