"""Which parts of the compiler can be done without?  Each optimisation off, limits always reached, other CPUs."""

from __future__ import annotations

import contextlib
import os
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llvmlite import binding

import funcgrad as fg
from funcgrad import config
from funcgrad.compile import compiler, engine, passes
from funcgrad.control import sums
from funcgrad.ir.check import check
from funcgrad.lower import (
    cumulative,
    expand,
    fusion,
    graph,
    hoist,
    inlined,
    joining,
    lanes,
    lines,
    nest,
    peel,
    plan,
    products,
    rowblocks,
    runs,
    schedule,
    seams,
    searching,
    sharing,
    sorting,
    streams,
    survey,
    taping,
    turning,
    unrolled,
    updates,
    windows,
    writer,
)  # fmt: skip
from funcgrad.runtime import executable
from funcgrad.runtime import products as product_steps
from funcgrad.simplify.inline import inline
from funcgrad.simplify.rewrite import live
from funcgrad.trace.locals import Locals

Patch = tuple[Any, str, Any]


def _stored(original: Callable[..., bool]) -> Callable[..., bool]:
    def measure(self: Any, equation: Any) -> bool:
        scalar = equation.primitive.scalar is not None
        return original(self, equation) or (scalar and not any(_is_part(self, a) for a in equation.inputs))

    return measure


def _is_part(self: Any, atom: Any) -> bool:
    """Whether this is a library's product that nobody stores, since it adds the sum up that it is part of."""
    producer = None if atom in self.stored else self.producers.get(atom)
    return producer is not None and producer.primitive.name == "dot_general"


def _as_it_is(value: Any, *more: Any) -> Any:
    return value


def _nothing(*given: Any) -> None:
    return None


def _plain_simplify(program: Any) -> Any:
    return live(inline(program))


# optimisation: what stands in its place
OFF: dict[str, Sequence[Patch]] = {
    "simplification": ((executable, "simplify", _plain_simplify), (expand, "simplify", _plain_simplify)),
    "fusion": ((graph.Graph, "measure", _stored(graph.Graph.measure)),),
    "joining": ((joining.Groups, "_join", _nothing),),
    "hoisting": ((plan, "hoisted", _as_it_is), (plan, "counted", _as_it_is)),
    "peeling": ((plan, "peeled", _as_it_is),),
    "expansion": ((plan, "expand", _as_it_is),),
    "loops in kernels": ((plan, "merged", _nothing),),
    "chains": ((plan, "chained", _as_it_is),),
    "changes in place": ((fusion, "own", _nothing),),
    "unrolling": (
        (inlined, "unrolled", lambda body, fresh, most=0: tuple(body)),
        (inlined, "in_lanes", lambda body, *more: list(body)),
    ),
}
# limits: small ones, so that small arrays meet what is made for large ones
LIMITS: dict[str, Sequence[Patch]] = {
    "pieces": (
        (schedule, "PIECE_NS", 5.0),
        (schedule, "PIECE_NS_INSIDE", 5.0),
        (sharing, "PIECE_NS", 5.0),
        (sharing, "PIECE_NS_INSIDE", 5.0),
        (sums, "BLOCK", 2),
        (product_steps, "PIECE_FLOPS", 50.0),
        (product_steps, "LEAST_LINES", 2),
        (product_steps, "LINES", 2),
    ),
    "large arrays": (
        (joining, "LARGE", 4),
        (graph, "SMALL", 0),
        (graph, "DEEPEST", 4),
        (joining, "HEAVIEST", 60),
        (joining, "LOOK_BACK", 2),
    ),
    "seams": ((seams, "LARGE", 2), (seams, "LONG", 1), (seams, "STORING", 40), (seams, "CHEAP", 40)),
    "run-time sizes": ((writer, "SMALL", 1), (inlined, "SMALL", 1), (inlined, "WRITTEN", 2)),
    "short blocks": (
        (nest, "BLOCK", 16),
        (schedule, "BLOCK", 16),
        (searching, "BLOCK", 8),
        (rowblocks, "LEAST_ROWS", 1),
        (rowblocks, "ELEMENTS", 64),
        (rowblocks, "MOST_ROWS", 8),
        (survey, "WIDEST", 8),
    ),
    "moves": ((peel, "SHORTEST", 2), (peel, "LEAST", 1), (hoist, "LEAST_PRODUCT", 1), (updates, "LEAST", 1)),
    "products": ((products, "TINY", 1), (products, "TINIEST", 1)),
    "turning": ((turning, "SMALLEST", 2), (turning, "NARROWEST", 2)),
    "lines": (
        (cumulative, "LONG", 32),
        (cumulative, "CHAINS", 2),
        (cumulative, "LINK", 4),
        (cumulative, "TILE", 8),
        (cumulative, "NARROW", 2),
        (sorting, "RANKED", 4),
        (sorting, "LONG", 16),
        (runs, "LONG", 16),
        (runs, "SHARE", 16),
        (lines, "LONG", 16),
        (cumulative, "PIECE", 16),
        (searching, "PIECE", 16),
    ),
    "tapes": ((taping, "SHORTEST", 2), (taping, "LONGEST", 4), (taping, "SECTION_BYTES", 64)),
    "straight-line code": (
        (unrolled, "MOST_POINTS", 4),
        (unrolled, "WITH_MATHEMATICS", 2),
        (lanes, "FEWEST", 2),
        (inlined, "FEWEST_LANES", 2),
    ),
    "windows": ((windows, "MOST_TAPS", 2), (windows, "PIECE", 16)),
    "past the caches": ((streams, "MUCH", 0), (streams, "LARGE", 0), (streams, "SHORT", 1), (cumulative, "LONG", 32)),
    "short loops": ((inlined, "MOST_INSTRUCTIONS", 100), (inlined, "MOST_POINTS", 20)),
}
MACHINES = ("generic CPU", "no vectorisers", "few passes", "one thread", "two threads", "three threads")
LOWERED = (*(f"without {name}" for name in OFF), *(f"small limits: {name}" for name in LIMITS))
ALL = (*LOWERED, *MACHINES, "donation")


@contextlib.contextmanager
def patched(patches: Sequence[Patch]) -> Iterator[None]:
    """Attributes with other values."""
    before = [(where, name, getattr(where, name)) for where, name, _ in patches]
    try:
        for where, name, value in patches:
            setattr(where, name, value)
        yield
    finally:
        for where, name, value in reversed(before):
            setattr(where, name, value)


@contextlib.contextmanager
def variant(names: Sequence[str]) -> Iterator[None]:
    """The compiler without, or with, what these names say."""
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(_context(name))
        yield


def _context(name: str) -> contextlib.AbstractContextManager[None]:
    if name.startswith("without "):
        return patched(OFF[name.removeprefix("without ")])
    if name.startswith("small limits: "):
        return patched(LIMITS[name.removeprefix("small limits: ")])
    others = {
        "generic CPU": _generic,
        "no vectorisers": _plain,
        "few passes": _quick,
        "donation": contextlib.nullcontext,
    }
    return others.get(name, lambda: _threads(name))()


def valid_passes() -> contextlib.AbstractContextManager[None]:
    """What every pass from program to program gives is looked through by the IR's verifier."""
    names = ("hoisted", "counted", "peeled", "expand", "split", "arranged", "simplify")
    return patched([(plan, name, _verified(getattr(plan, name))) for name in names])


def _verified(function: Callable[..., Any]) -> Callable[..., Any]:
    def verified(*given: Any) -> Any:
        result = function(*given)
        return result if result is given[0] else check(result)  # what no pass has changed has been looked through

    return verified


def unnamed() -> contextlib.AbstractContextManager[None]:
    """Nobody asks what the variables of a function that is traced are called: a twentieth of a program's time."""
    return patched([(Locals, "look", _nothing)])


@contextlib.contextmanager
def _generic() -> Iterator[None]:
    before = os.environ.get(config.CPU)
    os.environ[config.CPU] = "generic"
    try:
        yield
    finally:
        os.environ.pop(config.CPU) if before is None else os.environ.__setitem__(config.CPU, before)


@contextlib.contextmanager
def _threads(name: str) -> Iterator[None]:
    before = fg.get_num_threads()
    fg.set_num_threads({"one": 1, "two": 2, "three": 3}[name.split(maxsplit=1)[0]])
    try:
        yield
    finally:
        fg.set_num_threads(before)


class _Plain(binding.PipelineTuningOptions):
    """LLVM's options, with every vectoriser off, whatever they are set to."""

    loop_vectorization = slp_vectorization = loop_interleaving = loop_unrolling = property(
        lambda self: False, lambda self, value: None
    )


def _plain_options(speed_level: int) -> Any:
    options = binding.create_pipeline_tuning_options(speed_level=speed_level)
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_interleaving = options.loop_unrolling = False
    options.__class__ = _Plain
    return options


def _anew() -> list[Patch]:
    """Kernels are compiled anew, so that none is found that was compiled otherwise."""
    return [(compiler, "_entries", {}), (compiler.cache, "fetch", _uncached)]


def _quick() -> contextlib.AbstractContextManager[None]:
    """LLVM does for kernels what it does for code that has its vectors already."""
    few = passes.Effort.REGISTERS
    return patched([*_anew(), *((module, "effort_of", lambda text: few) for module in (engine, passes))])


def _uncached(text: str, make: Callable[[], bytes]) -> bytes:
    return make()


def _plain() -> contextlib.AbstractContextManager[None]:
    instead = types.SimpleNamespace(**{k: getattr(binding, k) for k in dir(binding)})
    instead.create_pipeline_tuning_options = _plain_options
    return patched([*_anew(), (engine, "binding", instead)])
