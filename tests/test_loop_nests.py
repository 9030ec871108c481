"""Do loops and branches keep their meaning, nested in each other and in transformations?

A program is a list of blocks; a block is a function's name or a loop, a branch or a transformation around another
program. It is run twice: with `funcgrad.lax` under `jit`, and as plain Python on known values.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad import lax
from tests.effort import drawn
from tests.ops.numerics import assert_near, richardson

Program = list[Any]
Run = Callable[[Program, Any], Any]
X = np.array([0.3, -0.7, 1.1])
MATRIX = np.array([[0.2, -0.5, 0.1], [0.7, 0.3, -0.2], [0.1, 0.4, 0.6]])

# Smooth, and kept near 1, so that long programs stay tame.
UNARY: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "tanh": lambda x: np.tanh(x) + 0.1 * x,
    "turn": lambda x: MATRIX @ x,
    "square": lambda x: 0.5 * x * x + 0.2,
    "roll": lambda x: np.roll(x, 1) + 0.3,
    "mix": lambda x: x / (1 + x @ x),
    "write": lambda x: x.at[1].set(np.cos(x[0])) if hasattr(x, "at") else np.array([x[0], np.cos(x[0]), x[2]]),
    "shift": lambda x: x + 0.4,
}


def plain(program: Program, x: Any) -> Any:
    """The program as Python."""
    for block in program:
        x = UNARY[block](x) if isinstance(block, str) else PLAIN[block[0]](plain, x, *block[1:])
    return x


def staged(program: Program, x: Any) -> Any:
    """The program with the loops and branches of `funcgrad.lax`."""
    for block in program:
        x = UNARY[block](x) if isinstance(block, str) else STAGED[block[0]](staged, x, *block[1:])
    return x


def total(run: Run, program: Program) -> Callable[[Any], Any]:
    return lambda x: np.sum(np.sin(run(program, x)))


# Blocks in Python ---------------------------------------------------------------------------------------------------


def plain_scan(run: Run, x: Any, body: Program, length: int, reverse: bool, way: Any) -> Any:
    weights = np.linspace(0.5, 1, length)
    results = []
    for u in weights[::-1] if reverse else weights:
        results.append(x[0] * u)
        x = run(body, x * u)
    return x + 0.1 * sum(r * np.cos(r) for r in results)


def plain_while(run: Run, x: Any, body: Program, most: int, way: Any) -> Any:
    count = 0
    while count < most and np.sum(x * x) < 3:
        x, count = 1.2 * run(body, x) + 0.1, count + 1
    return x + 0.05 * count


def plain_fori(run: Run, x: Any, body: Program, way: Any) -> Any:
    for i in range(1, 2 + int(x[2] > 0.2) * 2):  # a bound that is traced
        x = run(body, x) * 0.8 + 0.1 * i
    return x


def plain_cond(run: Run, x: Any, one: Program, two: Program) -> Any:
    return run(one, x) if x[0] > 0.25 else run(two, x)


def plain_switch(run: Run, x: Any, *programs: Program) -> Any:
    number = int(np.floor(np.abs(x[1]) * 4))
    return run(programs[min(number, len(programs) - 1)], x)


def plain_vmap(run: Run, x: Any, body: Program) -> Any:
    return sum(run(body, x * s) for s in (1.0, 0.5, -0.7)) / 3


def grad_block(run: Run, x: Any, body: Program) -> Any:
    return x + 0.2 * fg.grad(total(run, body))(x)


def jvp_block(run: Run, x: Any, body: Program) -> Any:
    return x - 0.2 * fg.jvp(lambda y: run(body, y), (x,), (np.cos(X),))[1]


def same(run: Run, x: Any, body: Program) -> Any:
    return run(body, x)


PLAIN: dict[str, Callable[..., Any]] = {
    "scan": plain_scan,
    "while": plain_while,
    "fori": plain_fori,
    "cond": plain_cond,
    "switch": plain_switch,
    "vmap": plain_vmap,
    "grad": grad_block,
    "jvp": jvp_block,
    "jit": same,
    "checkpoint": same,
}


# Blocks of funcgrad.lax ---------------------------------------------------------------------------------------------


def staged_scan(run: Run, x: Any, body: Program, length: int, reverse: bool, way: Any) -> Any:
    def step(c: Any, u: Any) -> Any:
        return run(body, c * u), c[0] * u

    last, rs = lax.scan(step, x, np.linspace(0.5, 1, length), reverse=reverse, checkpoint=way)
    return last + 0.1 * np.sum(rs * np.cos(rs))


def staged_while(run: Run, x: Any, body: Program, most: int, way: Any) -> Any:
    last, count = lax.while_loop(
        lambda s: (s[1] < most) & (np.sum(s[0] * s[0]) < 3),
        lambda s: (1.2 * run(body, s[0]) + 0.1, s[1] + 1),
        (x, 0),
        checkpoint="binomial" if way else None,
    )
    return last + 0.05 * count


def staged_fori(run: Run, x: Any, body: Program, way: Any) -> Any:
    upper = 2 + (x[2] > 0.2).astype(np.int64) * 2
    way = "binomial" if way else None
    return lax.fori_loop(1, upper, lambda i, c: run(body, c) * 0.8 + 0.1 * i, x, checkpoint=way)


def staged_cond(run: Run, x: Any, one: Program, two: Program) -> Any:
    return lax.cond(x[0] > 0.25, lambda x: run(one, x), lambda x: run(two, x), x)


def staged_switch(run: Run, x: Any, *programs: Program) -> Any:
    branches = [lambda x, p=program: run(p, x) for program in programs]
    return lax.switch(np.floor(np.abs(x[1]) * 4).astype(np.int64), branches, x)


def staged_vmap(run: Run, x: Any, body: Program) -> Any:
    return np.mean(fg.vmap(lambda s: run(body, x * s))(np.array([1.0, 0.5, -0.7])), axis=0)


STAGED: dict[str, Callable[..., Any]] = PLAIN | {
    "scan": staged_scan,
    "while": staged_while,
    "fori": staged_fori,
    "cond": staged_cond,
    "switch": staged_switch,
    "vmap": staged_vmap,
    "jit": lambda run, x, body: fg.jit(lambda x: run(body, x))(x),
    "checkpoint": lambda run, x, body: fg.checkpoint(lambda x: run(body, x))(x),
}


# Nests of three -----------------------------------------------------------------------------------------------------

CONTROL: dict[str, Callable[[Program, Any], Any]] = {
    "scan": lambda body, way: ("scan", body, 3, False, way),
    "while": lambda body, way: ("while", body, 4, way),
    "fori": lambda body, way: ("fori", body, way),
    "cond": lambda body, way: ("cond", body, ["sin", *body]),
}
NAMES, AROUND = list(CONTROL), ["grad", "jvp", "vmap", "checkpoint"]
# Latin squares: every pair in every two places.
NESTS = [(a, b, NAMES[(i + j) % 4]) for (i, a), (j, b) in itertools.product(enumerate(NAMES), repeat=2)]
BETWEEN = [(a, AROUND[(i + j) % 4], b) for (i, a), (j, b) in itertools.product(enumerate(NAMES), repeat=2)]


def some(square: list[tuple[str, ...]]) -> list[Any]:
    """A field of each row and column; the others are slow."""
    return [
        pytest.param(nest, marks=() if k % 4 == (1, 3, 0, 2)[k // 4] else pytest.mark.slow, id="-".join(nest))
        for k, nest in enumerate(square)
    ]


def held(program: Program, x: np.ndarray = X) -> None:
    """Values, both kinds of derivatives, and batches of them, against Python."""
    want, slope = fg.value_and_grad(total(plain, program))(x)
    f = total(staged, program)
    batch = np.stack([x, 0.5 * x, -x])

    @fg.jit
    def results(x: Any, batch: Any) -> Any:
        gradient = fg.value_and_grad(f)
        return gradient(x), fg.jvp(f, (x,), (np.cos(X),))[1], fg.vmap(gradient)(batch)

    (value, gradient), moved, (values, gradients) = results(x, batch)
    assert_near(value, want, 1e-12)
    assert_near(gradient, slope, 1e-10)
    assert_near(moved, slope @ np.cos(X), 1e-10)
    for k, row in enumerate(batch):
        want, slope = fg.value_and_grad(total(plain, program))(row)
        assert_near(values[k], want, 1e-12)
        assert_near(gradients[k], slope, 1e-10)


@pytest.mark.parametrize("nest", some(NESTS))
def test_control_flow_in_control_flow_in_control_flow(nest: tuple[str, ...]) -> None:
    outer, middle, inner = (CONTROL[name] for name in nest)
    held([outer([middle([inner(["tanh", "turn"], None), "write"], None)], None), "mix"])


@pytest.mark.parametrize(
    ("nest", "way"),
    [
        (("scan", "scan"), 2),
        (("scan", "while"), "binomial"),
        (("while", "scan"), "binomial"),
        (("fori", "scan"), "sqrt"),
        (("while", "while"), "binomial"),
    ],
)
def test_loops_that_keep_few_carries(nest: tuple[str, ...], way: Any) -> None:
    outer, inner = (CONTROL[name] for name in nest)
    held([outer([inner(["tanh", "turn"], way), "write"], way)])


@pytest.mark.parametrize("nest", some(BETWEEN))
def test_a_transformation_between(nest: tuple[str, str, str]) -> None:
    outer, around, inner = nest
    held([CONTROL[outer]([(around, [CONTROL[inner](["sin", "turn"], None)])], None)])


@pytest.mark.parametrize("pair", [("vmap", "grad"), ("grad", "jvp"), ("jvp", "vmap"), ("checkpoint", "grad")])
def test_transformations_around_a_loop_in_a_branch(pair: tuple[str, str]) -> None:
    one, two = pair
    held([(one, [(two, [("cond", [("scan", ["tanh", "turn"], 3, True, None)], [("while", ["sin"], 3, None)])])])])


@pytest.mark.parametrize("nest", [("scan", "while", "cond"), ("while", "scan", "fori")], ids="-".join)
def test_slopes_are_differences(nest: tuple[str, ...]) -> None:
    outer, middle, inner = (CONTROL[name] for name in nest)
    f = fg.jit(total(staged, [outer([middle([inner(["tanh", "turn"], None)], None)], None)]))
    want = [richardson(lambda x: np.asarray(f(x)), (X,), (e,)) for e in np.eye(3)]
    assert_near(fg.grad(f)(X), np.array(want), 1e-8)
    gradient = fg.jit(fg.grad(f))
    bent = [richardson(lambda x: np.asarray(gradient(x)), (X,), (e,)) for e in np.eye(3)]
    assert_near(fg.jit(fg.hessian(f))(X), np.array(bent), 1e-7)


# Random programs ----------------------------------------------------------------------------------------------------


WAYS = st.sampled_from([None, None, 1, 2, "sqrt", "binomial"])
FEW = st.integers(0, 4)
# What stands behind the name of a block: bodies (a letter b each) and drawn parameters.
BLOCKS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "scan": ("b", (FEW, st.booleans(), WAYS)),
    "while": ("b", (FEW, WAYS)),
    "fori": ("b", (WAYS,)),
    "cond": ("bb", ()),
    "switch": ("bb", ()),
    **dict.fromkeys(("vmap", "grad", "jvp", "jit", "checkpoint"), ("b", ())),
}


@st.composite
def programs(draw: Any, depth: int = 0, slopes: bool = True) -> Program:
    """One block or two, nested three deep, with one derivative on the way down: each doubles what is below."""
    found: Program = []
    for _ in range(draw(st.integers(1, 2)) if depth == 0 else 1):
        kind = draw(st.sampled_from(["unary", *BLOCKS])) if depth < 3 else "unary"
        if kind == "unary":
            found.append(draw(st.sampled_from(sorted(UNARY))))
            continue
        slope = kind in ("grad", "jvp")
        kind = "jit" if slope and not slopes else kind
        bodies, parameters = BLOCKS[kind]
        inner = [draw(programs(depth + 1, slopes and not slope)) for _ in bodies]
        found.append((kind, *inner, *map(draw, parameters)))
    return found


@given(programs(), st.integers(0, 2**16))
@drawn(3)
def test_random_programs(program: Program, seed: int) -> None:
    held(program, np.random.default_rng(seed).uniform(-1.2, 1.2, 3))


# Cost, without a clock ----------------------------------------------------------------------------------------------


def test_kernels_do_not_depend_on_the_number_of_iterations() -> None:
    def text(length: int) -> str:
        def f(x: Any) -> Any:
            return np.sum(lax.scan(lambda c, u: (np.tanh(MATRIX @ c + u), c[0]), x, np.ones(length))[0])

        return str(fg.jit(fg.grad(f)).lower(X).as_text("python"))

    def kernels(length: int) -> list[str]:
        """The text without sizes of buffers, which are not part of a kernel, and with the length as a letter."""
        lines = (line for line in text(length).splitlines() if "np.empty(" not in line)
        return [re.sub(rf"\b({length}|{length - 1})\b", "n", line) for line in lines]

    assert kernels(1000) == kernels(7000)
