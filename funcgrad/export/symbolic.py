"""How is a function exported for all sizes?  Traced at several sizes, watched at one, compared at small ones.

1. Programs at sizes that are apart from each other become one with holes (`funcgrad.export.template`).
2. The function is traced once more, at a size that no constant has, while the decisions that the user's code takes by
   sizes are noted (`funcgrad.export.watch`): they hold for every call, or the call is refused.
3. At small sizes, powers of two and a larger one, the program with its holes filled is compared with the one traced
   there; where they differ, so that library code has taken another way, their results are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.export.constraints import Constraint, SymbolicScope
from funcgrad.export.container import ExportError
from funcgrad.export.decode import read_body
from funcgrad.export.encode import Rule, Writer, packed
from funcgrad.export.guards import Guard
from funcgrad.export.samples import (
    FIRST,
    MOST_SYMBOLS,
    SPARE,
    Fitter,
    candidates,
    large_samples,
    monomials,
    samples,
    small_samples,
)
from funcgrad.export.sizes import Size, Sizes, text_of
from funcgrad.export.solving import Extent, unsolvable
from funcgrad.export.template import Differs, Holes, Merger
from funcgrad.export.watch import watching
from funcgrad.export.watched import Watcher
from funcgrad.ir.interpret import interpret, patience
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.runtime.switches import disable_jit
from funcgrad.trace.function import ShapeDtypeStruct, Traced, leaf_types, trace_function

Json = Any
DEGREES = (1, 2, 3)
WATCHED = 256  # sizes of a symbol among which one is looked for that nothing else has
MOST_ELEMENTS = 20_000_000  # that a comparison of results may compute
MOST_AT_ONCE = 8_000_000  # of a program for large sizes: known arrays are made while it is traced
STEPS = 100_000  # equations that a comparison of results may take
TOLERANCES = {2: 1e-2, 4: 1e-4, 8: 1e-9, 16: 1e-9}  # by the bytes of a part of a number


class Spec(NamedTuple):
    """The type of an argument or result whose extents may depend on sizes."""

    shape: tuple[int | Size, ...]
    dtype: np.dtype
    weak: bool = False

    def at(self, sizes: Sizes) -> ArrayType:
        """The type for given sizes."""
        shape = tuple(n.evaluate(sizes) if isinstance(n, Size) else n for n in self.shape)
        return ArrayType(shape, self.dtype, self.weak)


class Function(NamedTuple):
    """What is exported: a Python function, the structure of its arguments, their types, and what sizes must keep."""

    fun: Callable[..., Any]
    structure: tree.TreeDef
    specs: tuple[Spec, ...]
    names: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    def traced(self, sizes: Sizes) -> Traced:
        """The program for given sizes."""
        traced = trace_function(self.fun, self.structure, [spec.at(sizes) for spec in self.specs])
        if traced.captures:
            raise ExportError(
                f"export: the function reads values of a trace that goes on around it: pass them as "
                f"arguments{at_line()}"
            )
        return traced


def function_of(fun: Callable[..., Any], leaves: Sequence[Any], structure: tree.TreeDef) -> Function:
    """A function with the types of its arguments, some of them with symbolic sizes."""
    plain = [ShapeDtypeStruct((), x.dtype) if isinstance(x, ShapeDtypeStruct) else x for x in leaves]
    types = leaf_types("export", plain, structure)
    pairs = list(zip(leaves, types, strict=True))
    specs = tuple(Spec(x.shape if isinstance(x, ShapeDtypeStruct) else t.shape, t.dtype, t.weak) for x, t in pairs)
    symbolic = [n for spec in specs for n in spec.shape if isinstance(n, Size)]
    names = sorted({name for n in symbolic for name in n.names})
    scopes: dict[int, SymbolicScope] = {id(n.scope): n.scope for n in symbolic if n.scope is not None}
    if len(scopes) > 1:
        raise ValueError(
            "export: the symbolic sizes are of several scopes: make them by one symbolic_shape, or pass the same "
            f"scope=funcgrad.export.SymbolicScope(){at_line()}"
        )
    if len(names) > MOST_SYMBOLS:
        raise ExportError(f"export: there are {len(names)} symbolic sizes; {MOST_SYMBOLS} is the most{at_line()}")
    missing = unsolvable([Extent(n, "") for n in symbolic], names)
    if missing:
        raise ValueError(
            f"export: the extents {', '.join(map(str, symbolic))} do not tell {', '.join(sorted(missing))}: each "
            f"symbol must stand in an extent that is linear in it{at_line()}"
        )
    constraints = tuple(c for scope in scopes.values() for c in scope.constraints)
    for one in constraints:
        if not one.names <= set(names):
            raise ValueError(
                f"export: the constraint {one} is of sizes that no argument has; there "
                f"are {', '.join(names)}{at_line()}"
            )
    return Function(fun, structure, specs, tuple(names), constraints)


class Template(NamedTuple):
    """A body with holes, and all that belongs to it."""

    body: Json
    holes: list[Json]
    arrays: list[np.ndarray]
    outputs: tuple[Spec, ...]
    out_structure: tree.TreeDef
    rules: list[Rule]
    guards: list[Guard]
    example: Sizes


class _Written(NamedTuple):
    writer: Writer
    traced: Traced


def written(function: Function, sizes: Sizes, regular: bool) -> _Written:
    """A function's program for given sizes as JSON."""
    try:
        traced = function.traced(sizes)
    except Exception as error:
        if sizes:
            error.add_note(f"While the function was traced for {text_of(sizes)}; a constraint can exclude sizes.")
        raise
    writer = Writer(regular)
    writer.number(traced.program)
    return _Written(writer, traced)


def template(function: Function) -> Template:
    """The program for all sizes.

    Raises
    ------
    ExportError
        If there is none, or it cannot be told.
    """
    for degree in DEGREES:
        try:
            found, merger = _merged(function, degree)
            break
        except Differs:
            if degree == DEGREES[-1]:
                raise
    guards = _decisions(function, merger, found)
    found = found._replace(guards=guards)
    for sizes in small_samples(function.names, function.constraints):
        _compare(function, found, sizes)
    for name in function.names:
        for sizes in large_samples(name, function.names, function.constraints):
            if not _compare(function, found, sizes, MOST_AT_ONCE):
                break
    return found


def _merged(function: Function, degree: int) -> tuple[Template, Merger]:
    basis = monomials(function.names, degree)
    points = samples(function.names, function.constraints, len(basis) + SPARE, basis)
    all_written = [written(function, sizes, regular=True) for sizes in points]
    merger = Merger(Fitter(points, basis))
    body = merger.bodies([w.writer.body for w in all_written])
    first = all_written[0]
    for other in all_written[1:]:
        if other.traced.out_structure != first.traced.out_structure:
            raise ExportError(f"export: the structure of the result depends on sizes{at_line()}")
        if not _same_arrays(first.writer.arrays, other.writer.arrays):
            raise ExportError(
                "export: a known array, one that is not made from the arguments, depends on sizes. Arrays of equal "
                "numbers and counts (zeros, full, arange of funcgrad.numpy) may; make others from traced "
                f"arrays{at_line()}"
            )
    types = [w.traced.program.output_types for w in all_written]
    outputs = []
    for group in zip(*types, strict=True):
        shape = tuple(merger.shapes([t.shape for t in group]))
        outputs.append(Spec(shape, group[0].dtype, group[0].weak))
    for spec in function.specs:
        for extent in spec.shape:
            if isinstance(extent, Size):
                merger.size([extent.evaluate(sizes) for sizes in points])
    found = Template(
        packed(body), merger.holes, first.writer.arrays, tuple(outputs), first.traced.out_structure,
        first.writer.rules, [], points[0],
    )  # fmt: skip
    return found, merger


def _same_arrays(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    return len(first) == len(second) and all(
        a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(first, second, strict=True)
    )


# Decisions ------------------------------------------------------------------------------------------------------------


def _decisions(function: Function, merger: Merger, found: Template) -> list[Guard]:
    """The comparisons by sizes that the user's code makes."""
    polynomials = {size for size in merger.sizes.values() if size.constant is None}
    static = _integers(found.body)
    watchers: list[Watcher] = []
    for attempt in range(64):
        sizes = _apart(function, attempt)
        if sizes is None or any(sizes == w.sizes for w in watchers):
            continue
        values = [(size.fraction(sizes), size) for size in polynomials]
        known = {int(v): size for v, size in values if v.denominator == 1 and v > 0}
        whole = sum(v.denominator == 1 and v > 0 for v, _ in values)
        if len(known) < whole or static & known.keys():
            continue
        least = {name: min(candidates(name, function.constraints, 1, 1), default=1) for name in function.names}
        watcher = Watcher(sizes, known, least)
        with disable_jit(), watching(watcher):  # jitted functions inside have been traced: their code would not run
            function.traced(sizes)
        _check_samples(function, merger, watcher)
        watchers.append(watcher)
        if len(watchers) == 2:
            _check_extents(*watchers)
            return list(dict.fromkeys((*watchers[0].guards, *watchers[1].guards)))
    raise ExportError(
        "export: the constraints leave no sizes that are different from all constants of the program: export the "
        f"function for each size{at_line()}"
    )


def _check_extents(first: Watcher, second: Watcher) -> None:
    """Extents that are not known to depend on sizes must be the same at both."""
    for (n, line), (m, _) in itertools.zip_longest(first.others, second.others, fillvalue=(0, None)):
        if n != m:
            raise ExportError(
                f"export: the function reads the shape of an array that is no part of the program: an extent is {n} "
                f"for {text_of(first.sizes)}, {m} for {text_of(second.sizes)}. Compute it from the arguments' "
                f"shapes{at_line(line)}"
            )


def _check_samples(function: Function, merger: Merger, watcher: Watcher) -> None:
    """The decisions must be those that were taken at the sizes that the program is made of."""
    for guard in watcher.guards:
        for sizes in merger.fitter.points:
            try:
                guard.check(sizes)
            except ValueError:
                raise ExportError(
                    f"export: the function decides by {guard.condition}, which is {guard.outcome} for "
                    f"{text_of(watcher.sizes)}, but not for {text_of(sizes)}: say by a constraint which sizes are "
                    f"meant{guard.place}"
                ) from None


def _apart(function: Function, attempt: int) -> Sizes | None:
    """Sizes that nothing else has, one after the other."""
    sizes = {}
    for k, name in enumerate(function.names):
        pool = candidates(name, function.constraints, FIRST + 37 * k, WATCHED)
        if not pool:
            return None
        sizes[name] = pool[(1 + 7 * attempt + 3 * k * attempt) % len(pool)]
    return sizes if all(c.holds(sizes) for c in function.constraints) else None


def _integers(data: Json) -> set[int]:
    """The extents of a program that do not depend on sizes."""
    found: set[int] = set()
    for _, shape, _ in data["types"]:
        found.update(n for n in shape if type(n) is int)
    return found


# Comparisons ----------------------------------------------------------------------------------------------------------


def _compare(function: Function, found: Template, sizes: Sizes, most: int | None = None) -> bool:
    """Refuse a program that means something else than the function at given sizes. False where nothing was compared,
    as calls with these sizes are refused, or the program has more than `most` elements there.
    """
    try:
        for guard in found.guards:
            guard.check(sizes)
        filled = Holes(found.holes, function.names).filled(found.body, sizes)
        program = read_body(filled, found.arrays)
    except (ExportError, ValueError):
        return False
    if most is not None and _elements(program) > most:
        return False
    try:
        own = written(function, sizes, regular=True)
    except Exception as error:
        raise ExportError(
            f"export: the function raises {type(error).__name__} for {text_of(sizes)}, the exported program would not: "
            f"exclude these sizes by a constraint. {error}"
        ) from error
    if packed(own.writer.body) == filled and _same_arrays(own.writer.arrays, found.arrays):
        return True
    if not _agree(own.traced.program, program, [spec.at(sizes) for spec in function.specs]):
        raise ExportError(
            f"export: for {text_of(sizes)} the function computes something else than the program that was traced for "
            f"sizes such as {text_of(found.example)}. Choices by sizes belong into comparisons of x.shape, which are "
            f"checked when the function is called; or exclude these sizes by a constraint{at_line()}"
        )
    return True


def _agree(first: Program, second: Program, types: Sequence[ArrayType]) -> bool:
    """Whether two programs have the same results for some arguments."""
    rng = np.random.default_rng(0)
    if first.output_types and [(t.shape, t.dtype) for t in first.output_types] != [
        (t.shape, t.dtype) for t in second.output_types
    ]:
        return False
    if _elements(first) + _elements(second) > MOST_ELEMENTS:
        return True
    arguments = [_drawn(rng, t) for t in types]
    left, right = _results(first, arguments), _results(second, arguments)
    if isinstance(left, type) or isinstance(right, type):
        return left is right
    return all(_close(x, y) for x, y in zip(left, right, strict=True))


def _elements(program: Program) -> int:
    return sum(v.type.size for e in program.equations for v in e.outputs)


def _drawn(rng: np.random.Generator, t: ArrayType) -> np.ndarray:
    if not is_inexact(t.dtype):
        return np.asarray(rng.integers(0, 2, t.shape)).astype(t.dtype)
    parts = rng.uniform(0.1, 0.9, t.shape)
    return np.asarray(parts + 1j * parts[..., ::-1] if t.dtype.kind == "c" and t.shape else parts).astype(t.dtype)


def _results(program: Program, arguments: Sequence[np.ndarray]) -> Any:
    """The results, or the class of what was raised (`Abandoned` counts as any results)."""
    steps = iter(range(STEPS))
    before, patience.ended = patience.ended, lambda: next(steps, None) is None
    try:
        return interpret(program, arguments)
    except Exception as error:
        return type(error)
    finally:
        patience.ended = before


def _close(x: Any, y: Any) -> bool:
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    if not is_inexact(x.dtype) or not x.size:
        return bool(np.array_equal(x, y))
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    tolerance = TOLERANCES[x.dtype.itemsize // (2 if x.dtype.kind == "c" else 1)]
    x, y = x.astype(wide), y.astype(wide)
    finite = np.isfinite(x)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return False
    scale = np.max(np.abs(x[finite]), initial=1e-30)
    return bool(np.all(np.abs(x[finite] - y[finite]) <= tolerance * scale))
