"""Does `check_memory` see an access outside of a buffer, and nothing else?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.compile.compiler import canonical
from funcgrad.errors import MemoryCheckError
from funcgrad.lower.loops import INDEX, Constant, Instruction, Load, Loop, Op, Store, Value
from funcgrad.lower.schedule import KernelStep
from funcgrad.runtime import executable
from funcgrad.runtime.calls import ROUTINES
from funcgrad.runtime.dispatch import JitFunction
from funcgrad.runtime.executable import EXECUTABLES, Executable, executable_for
from funcgrad.runtime.sorting import sort_steps
from tests.ops.cases import ROWS

X = np.linspace(-1.0, 1.0, 5)
CHEAP = [row for row in ROWS if "f8" in row.dtypes.split()][::9]


def sabotaged(body: Iterable[Instruction], kind: type[Load | Store], far: int) -> tuple[Instruction, ...]:
    """The instructions of a kernel whose loads, or stores, are so many places off."""
    out: list[Instruction] = []
    for number, i in enumerate(body):
        if isinstance(i, Loop):
            i = i._replace(body=sabotaged(i.body, kind, far))
        elif isinstance(i, kind):
            off = Value(10_000 + number, INDEX)
            out.append(Op(off, "add", (i.index, Constant(far, INDEX))))
            i = i._replace(index=off)
        out.append(i)
    return tuple(out)


@pytest.mark.parametrize("kind", [Load, Store])
@pytest.mark.parametrize("far", [-1, 5, 10**9, -(2**62)])
def test_an_access_outside_of_its_buffer_is_an_error(monkeypatch: Any, kind: type[Load | Store], far: int) -> None:
    right = executable.make_plan

    def wrong(program: Any) -> Any:
        plan = right(program)
        (step,) = plan.steps
        assert isinstance(step, KernelStep)
        plan.steps = [replace(step, kernel=step.kernel._replace(body=sabotaged(step.kernel.body, kind, far)))]
        return plan

    monkeypatch.setattr(executable, "make_plan", wrong)
    text = "loads from" if kind is Load else "stores to"
    with fg.config.check_memory(), pytest.raises(MemoryCheckError) as caught:
        fg.jit(lambda x: x + far)(X)
    message = str(caught.value)
    found = re.fullmatch(
        rf"Step 0, a kernel \(.*add.*\), {text} place (-?\d+) of buffer [01] \(f64\[5\]\), which has 5 places\. "
        r"This is a mistake in funcgrad, .*\n  at .*test_guarded\.py:\d+ \(in .*\)",
        message,
    )
    assert found is not None
    assert int(found[1]) == max(far, -(2**41)) or 5 <= int(found[1]) < 10**9 + 5


def test_a_routine_that_writes_behind_its_result_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(call: Any, slots: Any) -> Any:
        (step,) = sort_steps(call, slots) or ()
        source, target, function, n, pieces, each, *rest = step.ints
        return [step._replace(ints=[source, target, function, n + 1, pieces, each + 1, *rest])]

    monkeypatch.setitem(ROUTINES, "sort", longer)
    with fg.config.check_memory():
        with pytest.raises(MemoryCheckError, match=r"Step 0, a call \(sort.*, has written 0 bytes behind result 0"):
            fg.jit(np.sort)(X)
        with pytest.raises(MemoryCheckError, match="has written 0 bytes behind a temporary"):
            fg.jit(lambda x: np.cumsum(np.sort(x)))(X)


def test_a_routine_that_writes_over_an_argument_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def exchanged(call: Any, slots: Any) -> Any:
        (step,) = sort_steps(call, slots) or ()
        source, target, *rest = step.ints
        return [step._replace(ints=[target, source, *rest])]

    monkeypatch.setitem(ROUTINES, "sort", exchanged)
    with fg.config.check_memory(), pytest.raises(MemoryCheckError, match="has changed argument 0"):
        fg.jit(np.sort)(X)


def cubes_until(limit: Any) -> Any:
    return lax.while_loop(lambda c: c < limit, lambda c: c * c + 1, 1.0)


def running(xs: Any) -> Any:
    """A loop over steps, with a product, a sort and a host call in it, and a branch."""

    def step(carry: Any, x: Any) -> Any:
        turned = np.sort(carry @ np.outer(x, x), axis=-1)
        called = fg.pure_callback(np.cumsum, fg.ShapeDtypeStruct(turned.shape, turned.dtype), turned)
        after = lax.cond(np.sum(x) > 0, lambda c: np.tanh(c), lambda c: c[::-1], called)
        return after, np.linalg.det(np.outer(x, x) + 1)

    return lax.scan(step, np.ones(5), xs)


SAME: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "elements": (lambda x: np.exp(x) * 2 + np.arange(5), (X,)),
    "no elements": (lambda x: (np.sum(x), x * 2, np.sort(x)), (np.zeros((0, 3)),)),
    "numbers": (lambda x, n: x * n + True, (2.5, 3)),
    "an argument and a constant as results": (lambda x: (x, x, np.arange(3)), (X,)),
    "products": (lambda x: np.tanh(np.outer(x, x) @ np.outer(x, x) + 1), (np.linspace(0, 1, 40),)),
    "long running sums": (lambda x: np.cumsum(x, 1), (np.linspace(0, 1, 2 * 140_001).reshape(2, -1),)),
    "transforms": (lambda x: np.fft.irfft(np.fft.rfft(x) ** 2), (np.linspace(0, 1, 12),)),
    "convolutions": (lambda x: np.convolve(x, x), (np.linspace(0, 1, 300),)),
    "convolutions tap by tap": (
        fg.grad(lambda x, w: np.sum(fg.nn.conv(x, w) ** 2), argnums=(0, 1)),
        (np.linspace(0, 1, 2 * 33 * 40 * 33, dtype="f4").reshape(2, 33, 40, 33), np.ones((3, 3, 33, 56), "f4")),
    ),
    "complex numbers": (lambda x: x * 1j + np.conj(x) ** 2, (X + 1j,)),
    "bfloat16": (lambda x: x * x + 1, (X.astype(ml_dtypes.bfloat16),)),
    "truth values": (lambda x: (x > 0) & (x < 0.6), (X,)),
    "places": (lambda x, i: x.at[i].add(1.0).at[::2].set(0.0), (fg.numpy.array(X), np.array([1, 1, -1]))),
    "a loop of unknown length": (cubes_until, (100.0,)),
    "a derivative with a tape": (fg.grad(lambda x: cubes_until(100.0) * x), (2.0,)),
    "loops over steps": (running, (np.linspace(-1, 1, 15).reshape(3, 5),)),
    "a derivative of a scan": (fg.grad(lambda x: np.sum(lax.scan(lambda c, y: (c * y + x, c), x, X)[1])), (0.5,)),
    "a batch of loops": (fg.vmap(cubes_until), (np.array([3.0, 30.0]),)),
}


@pytest.mark.parametrize("name", SAME)
def test_programs_that_keep_to_their_buffers_give_what_they_give_without(name: str) -> None:
    fun, args = SAME[name]
    wanted = fg.jit(fun)(*args)
    with fg.config.check_memory():
        got = fg.jit(fun)(*args)
    for a, b in zip(fg.tree.leaves(got), fg.tree.leaves(wanted), strict=True):
        assert (a.dtype, a.shape, type(a)) == (b.dtype, b.shape, type(b))
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_rows_of_the_table_keep_to_their_buffers() -> None:
    """A ninth of the table of primitives; the whole suite runs so with ``FUNCGRAD_CHECK_MEMORY=1``."""
    dtype = np.dtype("f8")
    with fg.config.check_memory():
        for row in CHEAP:
            fg.jit(row.call(dtype))(*row.draw(dtype))


def test_donated_arguments_and_errors_are_as_ever() -> None:
    with fg.config.check_memory():
        given = fg.numpy.ones(200_000)
        np.testing.assert_array_equal(fg.jit(lambda x: x + 1, donate_argnums=0)(given), 2.0)
        with pytest.raises(IndexError, match=r"out of bounds[^$]*test_guarded\.py"):
            fg.jit(lambda x, i: x[i])(X, 7)


def test_the_switch_leaves_nothing_behind() -> None:
    fun = fg.jit(lambda x: np.cos(x) + 1)
    fun(X)
    program = fg.make_jaxpr(fun)(X)
    before = executable_for(program)
    with fg.config.check_memory():
        checked = executable_for(program)
        assert type(checked) is EXECUTABLES[True]
        assert JitFunction.__call__.__name__ == "_watched_call"
        fun(X)
    assert JitFunction.__call__.__name__ == "__call__"
    assert executable_for(program) is before
    assert type(before) is Executable
    kernels = [step.kernel for step in before.plan.steps if isinstance(step, KernelStep)]
    assert [code.text for code in before._codes.values()] == list(map(canonical, kernels))
    assert not {code.text for code in before._codes.values()} & {code.text for code in checked._codes.values()}
