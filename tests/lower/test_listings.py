"""What do kernels look like?  Few loops; and their source runs by itself, under numba and natively, and all agree."""

from __future__ import annotations

import functools
import re
from typing import Any

import numba
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.lower.products import Product
from funcgrad.runtime.stages import Lowered
from tests.lower.programs import CASES, Case, floats, labels

OVER = pytest.mark.parametrize("name", CASES)


@functools.cache
def lowered(name: str, m: int = 40, n: int = 7) -> Lowered:
    case = CASES[name]
    return fg.jit(case.function).lower(*case.arguments(m, n))


def run_source(source: str, arguments: Any, compile_kernels: bool = False) -> Any:
    """Execute a listing and call its `run`."""
    space: dict[str, Any] = {}
    exec(source, space)
    if compile_kernels:
        for name in re.findall(r"^def (\w+)\(", source, re.MULTILINE):
            if name != "run":
                space[name] = numba.njit(space[name])
    with np.errstate(all="ignore"):
        return space["run"](*fg.tree.leaves(arguments))


def expect(case: Case, results: Any, arguments: Any) -> None:
    with np.errstate(all="ignore"):
        expected = fg.tree.leaves(case.function(*arguments))
    for result, value in zip(fg.tree.leaves(results), expected, strict=True):
        value = np.asarray(value)
        assert (result.shape, result.dtype) == (value.shape, value.dtype)
        if case.exact:
            np.testing.assert_array_equal(result, value)
        else:
            np.testing.assert_allclose(result, value, rtol=3e-5, atol=3e-5 * max((1, *value.shape)))


@OVER
def test_native(name: str) -> None:
    case = CASES[name]
    function = fg.jit(case.function)
    for m in case.sizes:
        for n in case.sizes:
            arguments = case.arguments(m, n)
            expect(case, function(*arguments), arguments)


@OVER
def test_printed_source(name: str) -> None:
    case = CASES[name]
    for m, n in ((40, 7), (1, 3), (case.sizes[0], 2), (3, case.sizes[0])):
        if min(m, n) >= case.sizes[0]:
            arguments = case.arguments(m, n)
            expect(case, run_source(lowered(name, m, n).as_text("python"), arguments), arguments)


@pytest.mark.parametrize("name", ["chain", "cross_entropy", "argmax", "pad", "scatter", "columns"])
def test_numba_compiles_the_source(name: str) -> None:
    arguments = CASES[name].arguments(40, 7)
    expect(CASES[name], run_source(lowered(name).as_text("python"), arguments, compile_kernels=True), arguments)


@OVER
def test_how_many_steps(name: str) -> None:
    cost = lowered(name).cost_analysis()
    assert (cost["kernels"], cost["products"]) == (CASES[name].kernels, CASES[name].products)


def body(name: str, *sizes: int) -> list[str]:
    """The lines of the first kernel."""
    text = lowered(name, *sizes).as_text("python")
    return text[text.index("def kernel_0") :].split("\n\n")[0].splitlines()


def test_a_chain_is_one_flat_loop() -> None:
    assert body("chain", 300, 7) == [
        "def kernel_0(x0, out1, first, last, status):",
        "    for i0 in range(first, last):",
        "        v0 = x0[i0]",
        "        v1 = np.tanh(v0)",
        "        v2 = -v0",
        "        v3 = v2 * v0",
        "        v4 = np.exp(v3)",
        "        v5 = v1 * v4",
        "        v6 = v5 + np.float32(1.0)",
        "        out1[i0] = v6",
    ]


def test_a_bias_is_read_once_per_column() -> None:
    assert body("bias_relu", 300, 50) == [
        "def kernel_0(x0, x1, out2, n0, first, last, status):",
        "    for i0 in range(first, last):",
        "        v0 = i0 * n0",
        "        for i1 in range(n0):",
        "            v1 = v0 + i1",
        "            v2 = x0[v1]",
        "            v3 = x1[i1]",
        "            v4 = v2 + v3",
        "            v5 = np.maximum(v4, np.float32(0.0))",
        "            out2[v1] = v5",
    ]


def test_an_argmax_is_one_pass_over_a_row() -> None:
    arguments = (floats(300, 50),)
    text = fg.jit(lambda x: np.argmax(x, 1)).lower(*arguments).as_text("python")
    assert text.count("for ") == 2
    assert " != " in text  # NaN first


def test_a_softmax_takes_one_exponential_per_element() -> None:
    lines = body("softmax", 300, 50)
    assert sum("np.exp" in line for line in lines) == 1
    reads = [line for line in lines if " = x0[" in line]
    assert len(reads) == 2  # the maximum; the exponentials, which are kept


def test_a_masked_softmax_of_many_matrices_takes_one_exponential_per_element() -> None:
    def masked(scores: Any, mask: Any) -> Any:  # whose rows have two axes: the mask is the same for all matrices
        scores = np.where(mask, scores, -np.inf)
        e = np.exp(scores - np.max(scores, -1, keepdims=True))
        return e / np.sum(e, -1, keepdims=True)

    scores, mask = floats(60, 40, 50), np.tri(40, 50, dtype=bool)
    text = fg.jit(masked).lower(scores, mask).as_text("python")
    assert text.count("np.exp(") == 1
    np.testing.assert_allclose(fg.jit(masked)(scores, mask), masked(scores, mask), rtol=1e-5)
    np.testing.assert_array_equal(fg.jit(masked)(scores[:1], mask), fg.jit(masked)(scores, mask)[:1])


def test_a_cross_entropy_and_its_gradient_take_one_exponential_per_element() -> None:
    text = fg.jit(CASES["cross_entropy"].function).lower(floats(300, 50), labels(300, 50)).as_text("python")
    assert text.count("np.exp(") == 1
    assert text.count("np.log(") == 1


def test_a_logistic_regression_reads_its_data_in_one_kernel() -> None:
    low = fg.jit(CASES["logistic"].function).lower(floats(100), floats(10_000, 100), floats(10_000) > 0)
    data = low.plan.program.inputs[1]
    readers = [step for step in low.plan.steps if data in getattr(step, "buffers", ())]
    assert len(readers) == 1
    assert not any(v.type.shape == data.type.shape for v in low.plan.offsets)


def test_transposes_are_flags() -> None:
    (step,) = lowered("x @ w.T").plan.steps
    assert (step.x.transposed, step.y.transposed) == (False, True)
    (step,) = lowered("x.T @ y").plan.steps
    assert (step.x.transposed, step.y.transposed) == (True, False)


def test_the_gradient_of_a_layer_transposes_nothing() -> None:
    first, second = (step for step in lowered("dense").plan.steps if isinstance(step, Product))
    assert (first.x.transposed, second.x.transposed) == (False, True)


def test_regrouping_a_contiguous_array_costs_nothing() -> None:
    low = fg.jit(lambda x: np.tanh(x).reshape(4, -1).reshape(2, 2, -1)).lower(floats(40, 7))
    assert low.cost_analysis()["kernels"] == 1
    assert low.memory_analysis()["temp_size_in_bytes"] == 0
