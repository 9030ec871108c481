"""Does a case mean the same in every way?  The interpreter is held against compiled code, its variants, and JAX."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.program import Literal
from funcgrad.ir.program import Program as Traced
from funcgrad.lower.python import print_plan
from funcgrad.runtime import executable
from funcgrad.runtime.executable import Executable
from funcgrad.runtime.guarded import GuardedExecutable
from funcgrad.simplify import simplify
from tests.fuzz.conditioning import Yardstick, yardsticks
from tests.fuzz.generator import interpreted
from tests.fuzz.programs import Case
from tests.fuzz.variants import valid_passes, variant

MORE = (4, 30)  # samples, before a mismatch is told
IN_JAX = 1e-13  # JAX computes again what is a constant here, which no disturbance moves


@dataclass
class Mismatch(Exception):
    """Two ways disagree.

    Attributes
    ----------
    way
        Which one, as `verify` takes it.
    kind
        ``"values"``, ``"types"``, ``"raised"``, ``"arguments"``: stays the same when the case is made smaller.
    program
        The number of the program in the case, -1 if nobody knows.
    """

    way: tuple[str, ...]
    kind: str
    detail: str
    program: int = -1

    def __str__(self) -> str:
        return f"{' + '.join(self.way)}: {self.kind}: {self.detail}"


class Given:
    """A function that somebody wrote, in the place of a case."""

    def __init__(self, function: Callable[..., Any], *values: Any) -> None:
        self.written, self.values, self.programs, self.label = function, values, (function,), function.__name__

    def function(self, library: str = "funcgrad") -> Callable[..., Any]:
        """The function, which only funcgrad runs."""
        return self.written


class Invalid(Exception):
    """What was drawn is no program: the interpreter refuses it."""


@dataclass
class Subject:
    """A case, traced and interpreted."""

    case: Case | Given
    seed: int = 0
    main: Callable[..., Any] = field(init=False)
    traced: Traced = field(init=False)
    yards: list[Yardstick] = field(init=False)
    owners: list[int] = field(init=False)  # for each output, the number of its program
    surer: list[list[Yardstick]] = field(init=False, default_factory=list)  # of more and more samples

    def __post_init__(self) -> None:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            self.main = self.case.function()
            try:
                self.traced = fg.make_jaxpr(self._noted)(*self.case.values)
            except Exception as error:
                raise Invalid(f"{type(error).__name__}: {error}") from error
            check(self.traced)
            leaves = list(self.case.values)
            try:
                native = [np.asarray(plain(v)) for v in leaves]
                wanted = interpret(self.traced, native)
            except TypeError as error:  # types were checked when the program was traced
                if "has no derivative" in str(error):  # a tape's pullback is traced when it is run
                    raise Invalid(f"interpreter: {error}") from error
                raise Mismatch(("interpreter",), "raised", f"TypeError: {error}") from error
            except Exception as error:
                raise Invalid(f"interpreter: {type(error).__name__}: {error}") from error
            for k, (w, t) in enumerate(zip(wanted, self.traced.output_types, strict=True)):
                got = np.asarray(w)
                if (got.shape, got.dtype) != (t.shape, t.dtype):
                    raise Mismatch(("interpreter",), "types", f"output {k} is {got.dtype}{got.shape}, typed {t}")
            self._given, self._wanted = native, wanted
            self.yards = yardsticks(self.traced, native, wanted, self.seed)

    def _noted(self, *values: Any) -> Any:
        """The results, of which is noted whose they are."""
        parts = self.main(*values)
        several = len(self.case.programs) > 1
        self.owners = [k * several for k, part in enumerate(parts) for _ in fg.tree.leaves(part)]
        return parts

    # Ways ------------------------------------------------------------------------------------------------------------

    def run(self, way: tuple[str, ...]) -> list[Any]:
        """All results, computed in this way."""
        values = self.case.values
        if way == ("simplified",):
            return interpret(check(simplify(self.traced)), [np.asarray(plain(v)) for v in values])
        if way == ("eager",):
            with interpreted():
                return fg.tree.leaves(self.main(*values))
        if way[0] == "jit":
            with variant(way[1:]):
                return fg.tree.leaves(fg.jit(self.main)(*values))
        if way == ("jax",):
            assert isinstance(self.case, Case)
            return in_jax(self.case)
        if way[0] == "printed":
            return self._printed(way[1:])
        if way[0] == "guarded":
            with variant(way[1:]), fg.config.check_memory():
                return GuardedExecutable(self.traced)([plain(v) for v in values])[0]
        given, donated = values, ()
        if "donation" in way:
            given = tuple(fg.numpy.array(v) if isinstance(v, np.ndarray) else v for v in values)
            donated = tuple(k for k, v in enumerate(given) if isinstance(v, np.ndarray))
        with variant(way):
            return Executable(self.traced, donated)([plain(v) for v in given])[0]

    def _printed(self, names: tuple[str, ...]) -> list[Any]:
        """The kernels' Python source, which takes no time to compile."""
        with variant(names), valid_passes():
            source = print_plan(executable.make_plan(executable.simplify(self.traced)))
        found: dict[str, Any] = {}
        exec(compile(source, "<printed>", "exec"), found)
        return list(
            found["run"](
                *(np.array(plain(v), t.dtype) for v, t in zip(self.case.values, self.traced.input_types, strict=True))
            )
        )

    def verify(self, way: tuple[str, ...]) -> None:
        """Raise `Mismatch` unless this way gives what the interpreter gives."""
        before = [np.array(v) for v in self.case.values]
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                results = self.run(way)
        except Unavailable:
            return
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename.rsplit('/', 2)[-1]}:{place.lineno}"
            raise Mismatch(way, "raised", f"{type(error).__name__} at {where}: {str(error)[:300]}") from error
        for k, (value, old) in enumerate(zip(self.case.values, before, strict=True)):
            if np.asarray(value).tobytes() != old.tobytes():
                raise Mismatch(way, "arguments", f"argument {k} has changed")
        if len(results) != len(self.yards):
            raise Mismatch(way, "types", f"{len(results)} results, not {len(self.yards)}")
        for k, (got, yard) in enumerate(zip(results, self.yards, strict=True)):
            if way in (("jax",), ("eager",)) and self._is_known(k):
                continue  # computed again, with other roundings
            got = np.asarray(got)
            self._compare(way, k, got.astype(got.dtype.newbyteorder("="), copy=False), yard)  # NumPy keeps the order

    def _is_known(self, k: int) -> bool:
        """Whether an output is a constant, since it depends on no argument."""
        out = self.traced.outputs[k]
        return isinstance(out, Literal) or out in self.traced.constants

    def _compare(self, way: tuple[str, ...], k: int, got: np.ndarray, yard: Yardstick) -> None:
        want = yard.want
        if got.shape != want.shape or (got.dtype != want.dtype and way != ("jax",)):
            raise Mismatch(
                way, "types", f"output {k}: {got.dtype}{got.shape}, want {want.dtype}{want.shape}", self.owners[k]
            )
        if got.dtype != want.dtype:
            return
        bad = yard.misses(got, IN_JAX if way == ("jax",) else 0.0)
        if way == ("jax",) and got.dtype.kind in "fc":  # its slopes at edges, where ours are subgradients
            bad &= ~np.isnan(got)
        for level, samples in enumerate(MORE):  # a sign that hangs on a rounding stays the same in half of the samples
            if bad.any():
                if level == len(self.surer):
                    seed = self.seed + 1 + level
                    self.surer.append(yardsticks(self.traced, self._given, self._wanted, seed, samples))
                bad &= self.surer[level][k].misses(got, IN_JAX if way == ("jax",) else 0.0)
        if bad.any():
            where = tuple(map(int, np.argwhere(bad)[0]))
            detail = (
                f"output {k} at {where} of {want.dtype}{want.shape}: got {got[where]!r}, want {want[where]!r} "
                f"+- {yard.tolerance[where]:.2g} ({bad.sum()} of {bad.size})"
            )
            raise Mismatch(way, "values", detail, self.owners[k])

    @property
    def decided(self) -> list[bool]:
        """For each program, whether some output of it is worth comparing."""
        found = [False] * len(self.case.programs)
        for owner, yard in zip(self.owners, self.yards, strict=True):
            found[owner] |= bool(yard.decided.any()) or not yard.want.size
        return found


def plain(value: Any) -> Any:
    """An argument as compiled code takes it: contiguous, aligned and in native byte order."""
    if not isinstance(value, np.ndarray):
        return value
    return np.array(value, value.dtype.newbyteorder("="), order="C")


class Unavailable(Exception):
    """JAX is not there, or refuses the program."""


def in_jax(case: Case) -> list[Any]:
    """The results by JAX, in double precision."""
    try:
        import jax
    except ImportError:
        raise Unavailable from None
    jax.config.update("jax_enable_x64", True)
    main = case.function("jax")
    values = [
        np.array(v, np.asarray(v).dtype.newbyteorder("="), order="C") if isinstance(v, np.ndarray) else v
        for v in case.values
    ]
    try:
        return [np.asarray(x) for x in jax.tree.leaves(jax.jit(main)(*values))]
    except Exception as error:
        raise Unavailable(str(error)) from error
