"""Does straight-line code compute in packs what it computes one instruction at a time, bit for bit?"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import cpus, engine, packcosts, packing, packs
from funcgrad.compile.llvm import PACK, print_kernel
from funcgrad.lower.loops import Constant, Kernel, Load, Op, Operand, Store, Value
from tests.compile.builder import Builder, index, run

UNARY = ("neg", "abs", "sqrt", "floor", "rint", "trunc")
BINARY = ("add", "sub", "mul", "div", "max", "min", "copysign")
STEPS = 3
NUMBERS = (0.0, 1.5, -2.0, float("inf"), 0.125)


def written(seed: int) -> tuple[Kernel, list[np.ndarray]]:
    """A loop over straight-line code, in which stages do the same for many numbers, and what it is run on."""
    draw = random.Random(seed)
    dtype, points = draw.choice(["f4", "f8"]), draw.randint(5, 40)
    b = Builder()
    sources = [b.buffer(dtype), b.buffer(dtype)]
    state, target = b.buffer(dtype, written=True), b.buffer(dtype, written=True)
    base = b.size()

    def leaf(values: Sequence[Sequence[Operand]]) -> Callable[[int], Operand]:
        """What one operand of all instructions of a stage is: neighbours, the same, constants, or in any order."""
        kind, shift = draw.choice(["near", "near", "same", "mixed", "constant"]), draw.randint(0, 3)
        order = [draw.randrange(points) for _ in range(points)]
        if kind == "constant":
            numbers = [draw.choice(NUMBERS) for _ in range(points if draw.random() < 0.5 else 1)]
            return lambda p: Constant(numbers[p % len(numbers)], dtype)
        if values and draw.random() < 0.7:
            stage = draw.choice(values)
            return lambda p: stage[
                (order[p] if kind == "mixed" else shift if kind == "same" else p + shift) % len(stage)
            ]
        buffer = draw.choice([*sources, state])

        def load(p: int) -> Operand:
            place = order[p] if kind == "mixed" else shift if kind == "same" else (p + shift) % points
            return b.load(buffer, b.op("add", base, index(place)) if buffer == sources[1] else index(place))

        return load

    def stage(values: Sequence[Sequence[Operand]]) -> list[Operand]:
        kind = draw.choice(["unary", "binary", "binary", "binary", "fma", "select", "fold"])
        first, second, third, fourth = (leaf(values) for _ in range(4))
        if kind == "unary":
            name = draw.choice(UNARY)
            return [b.op(name, first(p)) for p in range(points)]
        if kind == "binary":
            name = draw.choice(BINARY)
            return [b.op(name, first(p), second(p)) for p in range(points)]
        if kind == "fma":
            return [b.op("fma", first(p), second(p), third(p)) for p in range(points)]
        if kind == "select":
            name = draw.choice(["lt", "eq", "ge", "ne"])
            return [b.op("select", b.op(name, first(p), second(p)), third(p), fourth(p)) for p in range(points)]
        length = draw.randint(2, 5)
        sums = []
        for start in range(0, points - length + 1, length):
            total = first(start)
            for p in range(start + 1, start + length):
                total = b.op("add", total, first(p))
            sums.append(total)
        return sums

    def body(_: Value) -> None:
        values: list[Sequence[Operand]] = []
        for _ in range(draw.randint(3, 7)):
            values.append(stage(values))
            if draw.random() < 0.3:  # and what is read behind it may be this
                for p, x in enumerate(values[-1]):
                    b.store(state, index(p), x)
        for p in draw.sample(range(points), draw.randint(1, points)):
            b.store(target, index(p), values[-1][p % len(values[-1])])
        for p in range(points):
            b.store(state, index(p), values[draw.randrange(len(values))][0] if p == 3 else values[-1][-1])

    b.loop(b.first, b.last, body, independent=False)
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(points + extra).astype(dtype) for extra in (0, 2, 0, 0)]
    arrays[0][rng.integers(points)], arrays[1][rng.integers(points)] = np.nan, -0.0
    return b.kernel(), arrays


def results(kernel: Kernel, arrays: Sequence[np.ndarray]) -> list[bytes]:
    library = engine.load(engine.to_object(print_kernel(kernel, "kernel"), verify=True))
    arrays = [array.copy() for array in arrays]
    run(library.address("kernel"), arrays, [2], 0, STEPS)
    for array in arrays:
        array[np.isnan(array)] = np.nan  # which NaN it is does not count
    return [array.tobytes() for array in arrays]


def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Any:
    context = monkeypatch.context()
    context.__enter__().setattr(packing, "FEWEST", 10**9)
    return context


CPUS = [
    "host",
    *(cpu for cpu, feature in (("x86-64", "+sse2"), ("x86-64-v3", "+avx2")) if feature in cpus.features()),
]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("seed", range(40))
def test_packs_give_the_bits_of_single_instructions(seed: int, cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, arrays = written(seed)
    monkeypatch.setattr(packcosts, "FOUND", {"f4": 1e-9, "f8": 1e-9})  # packs are always estimated to pay
    with cpus.compiling_for(cpu):
        monkeypatch.setattr(packing, "FEWEST", 1)
        packed = results(kernel, arrays)
        monkeypatch.setattr(packing, "FEWEST", 10**9)
        assert packed == results(kernel, arrays)


def test_most_of_these_programs_have_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packcosts, "FOUND", {"f4": 1e-9, "f8": 1e-9})  # packs are always estimated to pay
    monkeypatch.setattr(packing, "FEWEST", 1)
    shuffles = ["shufflevector" in print_kernel(written(seed)[0], "kernel") for seed in range(40)]
    assert sum(shuffles) > 30


# Loops of users ------------------------------------------------------------------------------------------------------


def bodies(x: Any, v: Any) -> Any:
    """Bodies that attract each other."""

    def leap(state: Any, _: Any) -> Any:
        x, v = state
        d = x[None] - x[:, None]
        pull = (fnp.sum(d * d, axis=-1) + 0.01) ** -1.5
        v = v + 0.01 * fnp.sum(d * pull[..., None], axis=1)
        return (x + 0.01 * v, v), None

    return fnp.sum(fg.lax.scan(leap, (x, v), None, length=20)[0][0])


def filtered(x: Any, v: Any) -> Any:
    """Kalman's filter."""
    a = fnp.eye(3, dtype=x.dtype) + 0.1 * v[:3, :3]

    def step(state: Any, z: Any) -> Any:
        mean, cov = state
        mean, cov = a @ mean, a @ cov @ a.T + 0.1 * fnp.eye(3, dtype=x.dtype)
        gain = cov[:, 0] / (cov[0, 0] + 1)
        mean = mean + gain * (z - mean[0])
        return (mean, cov - gain[:, None] * cov[None, 0]), mean[1]

    return fnp.sum(fg.lax.scan(step, (x[0], fnp.eye(3, dtype=x.dtype)), x[:, 0])[1])


def clipped(x: Any, v: Any) -> Any:
    """Comparisons, choices, extrema, and a sum of all pairs."""

    def step(x: Any, y: Any) -> Any:
        d = fnp.abs(x[:, None, :] - x[None, :, :])
        near = fnp.where(d < 0.5, d, fnp.minimum(d, y))
        return fnp.clip(x + 0.1 * near.sum(1), -2, 2), near.max()

    x, ys = fg.lax.scan(step, x, v.ravel())
    return x.sum() + ys.sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [bodies, filtered, clipped])
def test_loops_over_small_arrays_give_the_same_bits(function: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, v = (rng.standard_normal((5, 3)).astype(dtype) for _ in range(2))
    both = fg.value_and_grad(function, (0, 1))
    monkeypatch.setattr(packcosts, "FOUND", {"f4": 1e-9, "f8": 1e-9})  # packs are always estimated to pay
    packed = fg.jit(both)(x, v)
    monkeypatch.setattr(packing, "FEWEST", 10**9)
    single = fg.jit(lambda x, v: both(x, v))(x, v)
    for a, b in zip(fg.tree.leaves(packed), fg.tree.leaves(single), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_through_small_arrays_is_computed_in_vectors() -> None:
    x, v = np.ones((5, 3)), np.zeros((5, 3))
    text = fg.jit(fg.grad(bodies)).lower(x, v).as_text(dialect="llvm")
    lanes = min(max(cpus.vector_widths()), PACK) // 8
    assert len(re.findall(rf"fdiv <{lanes} x double>", text)) >= 10 // lanes
    assert not re.findall(r"fdiv double", text)


# The parts -----------------------------------------------------------------------------------------------------------


def loads(b: Builder, buffer: int, count: int, first: int = 0) -> list[Value]:
    return [b.load(buffer, index(first + k)) for k in range(count)]


def test_a_run_ends_where_something_may_have_been_written_that_is_read() -> None:
    b = Builder()
    x, y = b.buffer("f8"), b.buffer("f8", written=True)
    (a,) = loads(b, x, 1)
    b.store(y, index(0), a)
    loads(b, x, 1)
    loads(b, y, 1)
    (body,) = b.bodies
    assert [len(part) for part in packs.runs(body, aliased=False)] == [3, 1]
    assert [len(part) for part in packs.runs(body, aliased=True)] == [2, 2]  # x may be y


def test_loops_and_checks_end_a_run() -> None:
    b = Builder()
    x = b.buffer("f8")
    (a,) = loads(b, x, 1)
    b.check(b.op("lt", a, a), index(1))
    b.loop(index(0), index(9), lambda i: b.load(x, i) and None)
    (body,) = b.bodies
    kinds = [type(part).__name__ for part in packs.runs(body, aliased=False)]
    assert kinds == ["list", "Check", "Loop"]


def test_operations_are_alike_if_they_were_made_alike() -> None:
    b = Builder()
    x, y = b.buffer("f8"), b.buffer("f8")
    first, other = loads(b, x, 4), loads(b, y, 2)
    for a in (*first, *other):
        b.op("neg", b.op("neg", a))
    (body,) = b.bodies
    assert sorted(map(len, packs.groups_of(body, ()))) == [2, 2, 4, 4]
    groups = packs.groups_of(body, {i.result for i in body if isinstance(i, Op)})
    assert groups == []


def test_what_is_loaded_where_a_loaded_number_says_is_made_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder()
    places, x, out = b.buffer("i8"), b.buffer("f8"), b.buffer("f8", written=True)

    def body(_: Value) -> None:
        at: Operand = b.load(places, index(0))
        for k in range(12):  # each place is a number that was computed from the one before
            a = b.op("sqrt", b.op("mul", b.load(x, at), b.load(x, at)))
            b.store(out, index(k), a)
            at = b.op("cast", a, dtype="i8")

    b.loop(b.first, b.last, body, independent=False)
    monkeypatch.setattr(packing, "FEWEST", 1)
    monkeypatch.setattr(packcosts, "FOUND", {"f4": 1e-9, "f8": 1e-9})
    x_, out_ = np.roll(np.arange(12.0), -5), np.zeros(12)
    library = engine.load(engine.to_object(print_kernel(b.kernel(), "kernel"), verify=True))
    run(library.address("kernel"), [np.array([3]), x_, out_], [], 0, 1)
    expected, place = [], 3
    for _ in range(12):
        place = int(x_[place])
        expected.append(float(place))
    np.testing.assert_array_equal(out_, expected)


def test_neighbours_are_in_the_order_of_memory() -> None:
    b = Builder()
    x, y, n = b.buffer("f8"), b.buffer("f8", written=True), b.size()
    for k in (3, 1, 2, 7):
        a = b.load(x, b.op("add", b.op("add", n, index(k)), index(1)))
        b.store(y, index(k), a)
    (body,) = b.bodies
    found = [[(type(body[i]), body[i].index) for i in line] for line in packs.neighbours(body)]
    assert sorted(map(len, found)) == [1, 1, 3, 3]
    stores = next(line for line in found if len(line) == 3 and line[0][0] is Store)
    assert [place.value for _, place in stores] == [1, 2, 3]


def test_stores_whose_order_is_not_known_stay_in_order() -> None:
    b = Builder()
    x, y, n = b.buffer("f8"), b.buffer("f8", written=True), b.size()
    a, c = loads(b, x, 2)
    b.store(y, index(0), a)
    b.store(y, index(1), c)
    b.store(y, b.op("add", n, index(1)), a)  # perhaps the same place
    (body,) = b.bodies
    assert all(isinstance(body[i], Load) for line in packs.neighbours(body) for i in line)


def test_short_chains_from_step_to_step_are_not_shuffled() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    text = (
        fg.jit(lambda x: fg.lax.fori_loop(0, 1000, lambda _, x: turn @ x, x)).lower(np.eye(3)).as_text(dialect="llvm")
    )
    assert "shufflevector" not in text


def test_what_is_taken_out_of_a_vector_can_be_used_in_inner_blocks() -> None:
    def step(x: Any, _: Any) -> Any:
        y = (x[:, None] * x[None, :] + 1.0) / 3.0
        return fg.lax.cond(y[1, 2] > y[0, 3], lambda: y.sum(0), lambda: y[2] * y[3, 1]), y[4, 4]

    def follow(x: Any) -> Any:
        return fg.lax.scan(step, x, None, length=5)

    x = np.linspace(0.1, 0.9, 5)
    with fg.disable_jit():
        expected = follow(x)
    for a, b in zip(fg.tree.leaves(fg.jit(follow)(x)), fg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
