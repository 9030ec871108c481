"""How is a random program drawn?  Statement by statement, each of them run at once on the arguments, so that values
stay tame and types are known.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcgrad.ir.primitive import registry
from tests.fuzz import catalogue, helpers
from tests.fuzz.pick import Pick
from tests.fuzz.programs import Body, Program, Statement
from tests.ops.numerics import layouts

SHAPES = (
    (),
    (),
    (1,),
    (4,),
    (19,),
    (3, 4),
    (3, 18),
    (2, 3, 4),
    (1, 5),
    (7, 1),
    (0,),
    (2, 0, 3),
    (33,),
    (130,),
    (20, 21),
)
PALETTES = {  # dtypes of the arguments
    "double": ("float64",),
    "single": ("float32",),
    "mixed": (
        "float64",
        "float32",
        "int64",
        "int32",
        "bool",
        "float16",
        "bfloat16",
        "complex128",
        "complex64",
        "uint8",
        "int8",
    ),
    "floats": ("float64", "float32", "float64", "float16"),
    "integers": ("int64", "int32", "int8", "uint8", "uint16", "uint64", "bool"),
    "half": ("float16", "bfloat16", "float32"),
    "complex": ("complex128", "complex64", "float64"),
    "doubles and indices": ("float64", "float64", "int64"),
}
WEIGHTS = (6, 4, 3, 2, 2, 1, 1, 3)
TRANSFORMS = ("gradient", "with_gradient", "pushed", "linearized", "batched", "compiled", "checkpointed")
LARGEST, MOST_ELEMENTS, TOO_LARGE = 9, 3000, {"float16": 60.0, "bfloat16": 1e3}
# Slopes of equal elements, which JAX shares out otherwise; a convolution of integers, which it does in floats.
NOT_IN_JAX = ("fmin", "fmax", "cummin", "cummax", "convolve")
REGIONS = ("jit", "scan", "cond", "while", "while_pull", "checkpoint", "custom_jvp_call", "custom_linear_solve")


@contextlib.contextmanager
def interpreted() -> Iterator[None]:
    """Loops and calls outside of traces run by their references: nothing is compiled."""
    kept = {name: registry[name].evaluate for name in REGIONS}
    for name in REGIONS:
        registry[name].evaluate = None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, evaluate in kept.items():
            registry[name].evaluate = evaluate


class Generator:
    """Draws one program.

    Attributes
    ----------
    env
        The value of every name so far.
    """

    def __init__(self, rng: np.random.Generator, portable: bool = False) -> None:
        self.rng, self.portable = rng, portable
        self.env: dict[str, Any] = dict(helpers.namespace())
        self.numbers = itertools.count()
        self.wild = rng.random() < 0.05

    def program(self) -> Program:
        """A program with its arguments."""
        weights = np.array([9, 0, 0, 0, 0, 0, 0, 6] if self.portable else WEIGHTS, float)
        palette = PALETTES[list(PALETTES)[int(self.rng.choice(len(PALETTES), p=weights / weights.sum()))]]
        shapes = [self._one(SHAPES) for _ in range(2)]
        params, values = [], []
        for k in range(int(self.rng.integers(1, 4))):
            value = self._argument(self._one(palette), self._one(shapes))
            params.append(f"a{k}")
            values.append(value)
        self.env.update(
            (p, v if isinstance(v, np.ndarray) else np.asarray(v)[()]) for p, v in zip(params, values, strict=True)
        )
        with interpreted():
            statements = self._statements(list(params), int(self.rng.integers(1, LARGEST)), 0)
            names = [s.target for s in statements] or params
            results = tuple(
                dict.fromkeys([names[-1], *(self._one(names) for _ in range(int(self.rng.integers(0, 3))))])
            )
            program = Program(tuple(params), tuple(values), tuple(statements), results)
        return program.changed(transforms=self._transforms(program))

    def _transforms(self, program: Program) -> tuple[str, ...]:
        smooth = any(map(helpers.is_smooth, program.values))
        arrays = any(isinstance(v, np.ndarray) for v in program.values)
        floats = any(np.asarray(self.env[r]).dtype.kind in "fcV" for r in program.results)
        found: list[str] = []
        for _ in range(int(self.rng.choice([0, 1, 2, 3], p=[0.3, 0.45, 0.2, 0.05]))):
            name = self._one(TRANSFORMS)
            if name == "batched" and (not arrays or "batched" in found):
                continue
            if name in ("gradient", "with_gradient", "pushed", "linearized") and not (smooth and floats):
                continue
            found.append(name)
            floats = floats or name == "gradient"
        return tuple(found)

    # Arguments -------------------------------------------------------------------------------------------------------

    def _argument(self, dtype: str, shape: tuple[int, ...]) -> Any:
        x = self._numbers(dtype, shape)
        if not shape:
            if self.rng.random() < 0.3 and dtype in ("float64", "int64", "bool"):
                return x.item()
            return x[()] if self.rng.random() < 0.3 else x
        if self.rng.random() < 0.25 and dtype != "bfloat16":
            moved = layouts(x)
            return moved[self._one(sorted(moved))]
        return x

    def _numbers(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        if dtype == "bool":
            return np.asarray(self.rng.random(shape) < 0.5)
        if dtype.startswith(("int", "uint")):
            low = 0 if dtype.startswith("u") else -9
            return np.asarray(self.rng.integers(low, 12, shape)).astype(dtype)
        x = self.rng.uniform(-2, 2, shape)
        style = self.rng.random()
        if style < 0.1:
            x = np.round(x)  # ties, zeros
        elif self.wild:
            x = np.where(
                self.rng.random(shape) < 0.2, self.rng.choice([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30], shape), x
            )
        if dtype.startswith("complex"):
            x = x + 1j * self.rng.uniform(-2, 2, shape)
        kind = helpers.namespace()["np"].bfloat16 if dtype == "bfloat16" else dtype
        with np.errstate(all="ignore"):
            return np.asarray(x).astype(kind)

    # Statements ------------------------------------------------------------------------------------------------------

    def _statements(self, names: list[str], count: int, depth: int) -> list[Statement]:
        found: list[Statement] = []
        for _ in range(count * 3):
            if len(found) == count:
                break
            statement = self._statement(names, depth)
            if statement is not None and self._accept(statement):
                found.append(statement)
                names.append(statement.target)
        return found

    def _statement(self, names: list[str], depth: int) -> Statement | None:
        draw = self.rng.random()
        recent = names[-1] if self.rng.random() < 0.6 else self._one(names)
        if draw < 0.45:
            return self._call_of_one(recent)
        if draw < 0.72:
            return self._call_of_two(recent, self._one(names))
        if draw < 0.9 and depth < 2:
            return self._nested(recent, names, depth)
        return None if self.portable else self._row(recent, names)

    def _call_of_one(self, name: str) -> Statement | None:
        value = np.asarray(self.env[name])
        fitting = [t for t, kinds, axes in catalogue.ONE if value.dtype.kind in kinds and value.ndim >= axes]
        pick = Pick(self.rng, value)
        return self._of(pick.fill(self._one(fitting), [name])) if fitting else None

    def _call_of_two(self, name: str, other: str) -> Statement | None:
        x, y = np.asarray(self.env[name]), np.asarray(self.env[other])
        fitting = [t for t, kinds in catalogue.TWO if x.dtype.kind in kinds]
        if not fitting:
            return None
        second = other
        if x.dtype != y.dtype and (self.portable or x.dtype.kind != y.dtype.kind or self.rng.random() < 0.5):
            second = f"cast({other}, {x.dtype.name!r})"
        try:
            np.broadcast_shapes(x.shape, y.shape)
        except ValueError:
            second = f"fit({other}, {x.shape}, {x.dtype.name!r})"
        return self._of(Pick(self.rng, x).fill(self._one(fitting), [name, second]))

    def _row(self, name: str, names: list[str]) -> Statement | None:
        table = helpers.rows()
        row = table[self._one(sorted(table))]
        dtype = self._one(row.dtypes.split())
        return self._of(f"row({str(row)!r}, {dtype!r}, {name}, {self._one(names)})", portable=False)

    def _nested(self, name: str, names: list[str], depth: int) -> Statement | None:
        value = np.asarray(self.env[name])
        if value.dtype.kind not in "fV" or not value.size or value.size > 500:
            return None
        template = str(self._one(catalogue.NESTED))
        param, function = self._fresh("x"), self._fresh("g")
        self.env[param] = value
        visible = [param] if template.startswith(catalogue.CLOSED) else [*names, param]
        inside = self._statements(visible, int(self.rng.integers(1, 4)), depth + 1)
        last = inside[-1].target if inside else param
        result = f"tame(fit({last}, {value.shape}, {value.dtype.name!r}) + 0.25 * {param})"
        body = Body(function, (param,), tuple(inside), result)
        return self._of(Pick(self.rng, value).fill(template, [name], f=function), (body,))

    def _of(self, text: str, bodies: tuple[Body, ...] = (), portable: bool = True) -> Statement:
        portable = portable and not any(f"{name}(" in text for name in NOT_IN_JAX)
        return Statement(self._fresh("v"), text, (), "", bodies, portable)

    def _accept(self, statement: Statement) -> bool:
        """Run a statement; whether its value is one to go on with."""
        try:
            for body in statement.bodies:
                exec("\n".join(body.lines()), self.env)
            value = eval(statement.text, self.env)
            if isinstance(value, tuple):  # which is no operand of an operator
                object.__setattr__(statement, "text", f"np.stack({statement.text})")
                value = eval(statement.text, self.env)
            array = np.asarray(value)
        except Exception:  # what NumPy refuses is no program
            return False
        if array.dtype.kind not in catalogue.ANY or array.size > MOST_ELEMENTS or array.ndim > 5:
            return False
        if array.dtype.kind in "fcV" and not self.wild:
            size = np.abs(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64))
            if not np.isfinite(size).all() or size.max(initial=0) > TOO_LARGE.get(array.dtype.name, 1e4):
                return False
        self.env[statement.target] = value
        object.__setattr__(statement, "shape", array.shape)
        object.__setattr__(statement, "dtype", array.dtype.name)
        return True

    def _fresh(self, letter: str) -> str:
        return f"{letter}{next(self.numbers)}"

    def _one(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]


def draw(seed: int, number: int, portable: bool = False) -> Program:
    """Program `number` of the sequence with this seed."""
    return Generator(np.random.default_rng([seed, number]), portable).program()
